# SPDX-License-Identifier: Apache-2.0
"""line_writer: places of lines, fair turns, job ends, overflow, with stalls on every side; sections of two layers."""

import os
from collections import deque
from dataclasses import dataclass

import pytest
from cocotb.triggers import FallingEdge, RisingEdge

from tests.blocks.contexts import Contexts
from verif.shared.structs import struct
from verif.sim.kit import block_test, start
from verif.sim.seed import rng

PACKED, LINE = struct("packed_line_t"), struct("line_write_t")


def random_line(gen, number: int) -> dict:
    count = int(gen.choice([0, 64, gen.integers(65)]))
    return {
        "job": number & 0xFFFF,
        "idx_addr": int(gen.integers(2**24)),
        "job_end": bool(gen.integers(2)),
        "bitmap": (1 << count) - 1,
        "count": count,
        "bytes": int.from_bytes(gen.integers(1, 256, count).astype("u1").tobytes(), "little"),
    }


@dataclass
class Section:
    """Where a section goes on: its next free word, one past all memory once it is full, and its limit."""

    next_word: int
    limit: int
    full: bool = False


class Bench:
    """Starts layers, and plays streaming processors and memory; keeps the sections."""

    def __init__(self, dut, gen) -> None:
        self.dut, self.gen, self.sps = dut, gen, int(os.environ["NumSp"])
        self.contexts = Contexts(dut, gen)
        self.sections: dict[int, Section] = {}  # by number
        self.open: dict[int, Section] = {}  # by context
        self.latest: int | None = None  # number of the last layer's section

    def start(self, section: int, words: int, append: bool, base: int | None = None) -> int:
        """A layer with `words` words from base to limit, beside the last one if that is open; returns its context."""
        base = int(self.gen.integers(1, 2**20)) if base is None else base
        layer = {"out_act_base": base, "out_act_limit": base + words, "out_section": section, "out_append": append}
        ctx = self.contexts.show(layer)
        self.dut.start_i.value, self.dut.restart_i.value = 1 << ctx, not self.open
        if not self.open:
            self.turn = self.sps - 1
        old = self.sections.get(section) if append else None
        if old is None:
            self.open[ctx] = Section(base, base + words)
        elif self.open and section == self.latest:
            self.open[ctx] = old  # that layer's, up to its limit
        else:
            self.open[ctx] = Section(2**24 if old.full else old.next_word, base + words)
        self.sections[section], self.latest = self.open[ctx], section
        return ctx

    async def started(self) -> None:
        """The cycles until its first line may come."""
        for _ in range(4):
            await FallingEdge(self.dut.clk_i)
            self.dut.start_i.value = self.dut.restart_i.value = 0

    async def layer(self, lines: int, words: int, rates, section: int = 0, append: bool = False, base=None) -> int:
        """A layer that is open alone; returns the cycles until all its lines were taken."""
        ctx = self.start(section, words, append, base)
        await self.started()
        cycles = await self.run(lines, *rates)
        del self.open[ctx]
        return cycles

    async def run(self, lines: int, valid_rate: float, ready_rate: float, then=None) -> int:
        """Lines of the open layers; returns the cycles until all were taken. `then` starts a layer amid them."""
        dut, gen, sps = self.dut, self.gen, self.sps
        contexts = list(self.open)
        queues = [
            deque(random_line(gen, i) | {"ctx": int(gen.choice(contexts))} for i in range(sp, lines, sps))
            for sp in range(sps)
        ]
        accepted: list[deque[dict]] = [deque() for _ in range(sps)]  # queues of at most two lines
        valid = [False] * sps
        cycles = 0
        presented: int | None = None  # streaming processor whose line is at the output
        turn, finished = self.turn, None
        while any(queues) or any(accepted) or finished:
            for sp in range(sps):
                valid[sp] = valid[sp] or (bool(queues[sp]) and gen.random() < valid_rate)
            dut.line_valid_i.value = sum(v << sp for sp, v in enumerate(valid))
            dut.line_i.value = sum(PACKED.pack(queues[sp][0]) << (PACKED.width * sp) for sp in range(sps) if valid[sp])
            dut.lw_ready_i.value = gen.random() < ready_rate
            dut.start_i.value = dut.restart_i.value = 0
            if then and cycles == lines // 2:
                then()
            await RisingEdge(dut.clk_i)

            # What became of a line in the last cycle.
            written = finished and finished["written"]
            assert dut.line_written_o.value == bool(written)
            assert dut.overflow_o.value == (1 << finished["line"]["ctx"] if finished and finished["overflow"] else 0)
            if written:
                assert dut.line_bytes_o.value == finished["line"]["count"]
            if finished:
                assert dut.line_ctx_o.value == finished["line"]["ctx"]
            if finished and finished["line"]["job_end"]:
                sp = finished["sp"]
                assert dut.job_done_o.value == 1 << sp
                assert int(dut.job_done_id_o.value) >> (16 * sp) & 0xFFFF == finished["line"]["job"]
            else:
                assert dut.job_done_o.value == 0

            # The line at the output, which stays until it is taken.
            finished, run = None, int(dut.run_o.value)
            if presented is None:
                assert not dut.lw_valid_o.value
            else:
                line = accepted[presented][0]
                at = self.open[line["ctx"]]
                words_needed = -(-line["count"] // 8)
                fits = not at.full and words_needed <= max(0, at.limit - at.next_word)
                assert dut.lw_valid_o.value == fits
                if fits:
                    assert LINE.unpack(dut.lw_line_o.value) == {
                        "idx_addr": line["idx_addr"],
                        "ptr": min(at.next_word, 2**24 - 1),
                        "bitmap": line["bitmap"],
                        "words": words_needed,
                        "bytes": line["bytes"],
                    }
                if not fits or dut.lw_ready_i.value:
                    finished = {"sp": presented, "line": accepted[presented].popleft(), "written": fits}
                    finished["overflow"] = not fits and not at.full
                    at.full |= not fits
                    at.next_word += words_needed if fits else 0
            for sp in range(sps):
                if valid[sp] and run >> sp & 1:
                    accepted[sp].append(queues[sp].popleft())
                    assert len(accepted[sp]) <= 2
                    valid[sp] = False
            if presented is None or finished:
                have = [sp for sp in range(sps) if accepted[sp]]
                presented = min(have, key=lambda sp: (sp - turn - 1) % sps, default=None)
                turn = turn if presented is None else presented
            await FallingEdge(dut.clk_i)
            cycles += 1
            assert cycles < 100 * lines, "stuck"
        self.turn = turn
        return cycles


@block_test(us=200)
async def random_lines(dut):
    await start(dut)
    bench = Bench(dut, rng())
    for valid_rate in (0.2, 1):
        for ready_rate in (0.2, 1):
            await bench.layer(200, 1 << 20, (valid_rate, ready_rate))


@block_test(us=50)
async def overflow(dut):
    """Sections that end in the middle of a line, at its end, or have no room at all; the next layer is not touched."""
    await start(dut)
    bench = Bench(dut, rng())
    for words in (0, 1, 7, 8, 9, 50, 200):
        await bench.layer(60, words, (0.7, 0.7))
        await bench.layer(10, 1 << 20, (1, 1))


@block_test(us=100)
async def sections(dut):
    """Layers append in any order: to the same section again, to others, one that is full, one that was reset."""
    await start(dut)
    bench = Bench(dut, rng())
    rates = (0.7, 0.7)
    for section in (3, 3, 31, 3, 0, 31, 31, 0, 3):
        await bench.layer(20, 1 << 23, rates, section, append=True)
    await bench.layer(40, 3, rates, 31, append=True, base=0)  # its limit lies before where it goes on
    assert bench.sections[31].full
    await bench.layer(20, 1 << 23, rates, 3, append=True)
    await bench.layer(20, 1 << 23, rates, 31, append=True)
    assert bench.sections[31].full, "it stays full"
    await bench.layer(20, 1 << 23, (1, 1), 31)  # it starts again, for another layer to append to
    dut.rst_ni.value = 0
    await FallingEdge(dut.clk_i)
    dut.rst_ni.value = 1
    bench.sections.clear()
    bench.contexts.latest = 1
    for section in (3, 31, 3, 31):
        await bench.layer(20, 1 << 23, rates, section, append=True)


@block_test(us=1000)
async def two_layers(dut):
    """Lines of two layers in any order, of one section or two, which are begun anew or go on; the younger one starts
    among the lines of the older one. Some sections are too small."""
    await start(dut)
    gen = rng()
    bench = Bench(dut, gen)
    overflows = 0
    for _ in range(60):
        rates = gen.choice([0.3, 1.0], 2).tolist()
        words = [int(gen.choice([1 << 22, 1 << 22, 30])) for _ in range(2)]
        sections = gen.integers(3, size=2).tolist()
        first = bench.start(sections[0], words[0], bool(gen.integers(2)))
        await bench.started()
        await bench.run(12, *rates)

        def second(section=sections[1], room=words[1]):
            bench.start(section, room, bool(gen.random() < 0.7))

        await bench.run(12, *rates, then=second)
        await bench.started()
        await bench.run(20, *rates)
        overflows += sum(section.full for section in bench.open.values())
        del bench.open[first]
        if gen.random() < 0.5:  # a third one in the place of the first
            bench.start(int(gen.integers(3)), 1 << 22, bool(gen.integers(2)))
            await bench.started()
            await bench.run(20, *rates)
        else:
            await bench.run(6, *rates)
        bench.open.clear()
    assert overflows


@block_test(us=5)
async def full_throughput(dut):
    """A line a cycle."""
    await start(dut)
    assert await Bench(dut, rng()).layer(100, 1 << 20, (1, 1)) <= 103


@pytest.mark.parametrize("sim, sps", [("verilator", 1), ("verilator", 2), ("verilator", 3), ("icarus", 2)])
def test_line_writer(run_block, sim, sps):
    run_block("spcore_line_writer", {"NumSp": sps}, sim=sim)
