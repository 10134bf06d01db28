# SPDX-License-Identifier: Apache-2.0
"""line_writer: places of lines, fair turns, job ends and overflow, with stalls on every side."""

import os
from collections import deque

import pytest
from cocotb.triggers import FallingEdge, RisingEdge

from verif.shared.structs import struct
from verif.sim.kit import block_test, start
from verif.sim.seed import rng

LAYER, PACKED, LINE = (struct(f"{name}_t") for name in ("layer", "packed_line", "line_write"))


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


async def run(
    dut, gen, lines: int, words: int, valid_rate: float, ready_rate: float, section: int = 0, ends: dict | None = None
) -> int:
    """A layer with `words` words from base to limit; returns the cycles until all lines were taken.

    ends: of the sections that were started, where they go on, or None for one that overflowed; the layer appends.
    """
    sps = int(os.environ["NumSp"])
    layer = {"out_act_base": int(gen.integers(2**20)), "out_section": section, "out_append": ends is not None}
    layer["out_act_limit"] = layer["out_act_base"] + words
    first = layer["out_act_base"] if ends is None else ends.get(section, layer["out_act_base"])
    dut.layer_i.value = LAYER.pack(layer)
    dut.start_i.value = 1
    await FallingEdge(dut.clk_i)
    dut.start_i.value = 0
    queues = [deque(random_line(gen, i) for i in range(sp, lines, sps)) for sp in range(sps)]
    accepted: list[deque[dict]] = [deque() for _ in range(sps)]  # queues of at most two lines
    valid = [False] * sps
    next_word, overflowed, overflows, cycles = 2**24 if first is None else first, False, 0, 0
    presented: int | None = None  # streaming processor whose line is at the output
    turn, finished = sps - 1, None
    while any(queues) or any(accepted) or finished:
        for sp in range(sps):
            valid[sp] = valid[sp] or (bool(queues[sp]) and gen.random() < valid_rate)
        dut.line_valid_i.value = sum(v << sp for sp, v in enumerate(valid))
        dut.line_i.value = sum(PACKED.pack(queues[sp][0]) << (PACKED.width * sp) for sp in range(sps) if valid[sp])
        dut.lw_ready_i.value = gen.random() < ready_rate
        await RisingEdge(dut.clk_i)

        # What became of a line in the last cycle.
        written = finished and finished["written"]
        assert dut.line_written_o.value == bool(written)
        overflow = bool(dut.overflow_o.value)
        assert overflow == bool(finished and finished["overflow"])
        overflows += overflow
        if written:
            assert dut.line_bytes_o.value == finished["line"]["count"]
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
            words_needed = -(-line["count"] // 8)
            room = max(0, layer["out_act_limit"] - next_word)
            fits = not overflowed and words_needed <= room
            assert dut.lw_valid_o.value == fits
            if fits:
                assert LINE.unpack(dut.lw_line_o.value) == {
                    "idx_addr": line["idx_addr"],
                    "ptr": min(next_word, 2**24 - 1),
                    "bitmap": line["bitmap"],
                    "words": words_needed,
                    "bytes": line["bytes"],
                }
            if not fits or dut.lw_ready_i.value:
                finished = {"sp": presented, "line": accepted[presented].popleft(), "written": fits}
                finished["overflow"] = not fits and not overflowed
                overflowed |= not fits
                next_word += words_needed if fits else 0
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
    assert overflows == overflowed
    if ends is not None:
        ends[section] = None if overflowed or first is None else next_word
    return cycles


@block_test(us=200)
async def random_lines(dut):
    await start(dut)
    gen = rng()
    for valid_rate in (0.2, 1):
        for ready_rate in (0.2, 1):
            await run(dut, gen, 200, 1 << 20, valid_rate, ready_rate)


@block_test(us=50)
async def overflow(dut):
    """Sections that end in the middle of a line, at its end, or have no room at all; the next layer is not touched."""
    await start(dut)
    gen = rng()
    for words in (0, 1, 7, 8, 9, 50, 200):
        await run(dut, gen, 60, words, 0.7, 0.7)
        await run(dut, gen, 10, 1 << 20, 1, 1)


@block_test(us=100)
async def sections(dut):
    """Layers append in any order: to the same section again, to others, one that is full, one that was reset."""
    await start(dut)
    gen = rng()
    ends: dict = {}
    for section in (3, 3, 31, 3, 0, 31, 31, 0, 3):
        await run(dut, gen, 20, 1 << 23, 0.7, 0.7, section, ends)
    assert len(set(ends.values())) == 3
    await run(dut, gen, 40, 3, 0.7, 0.7, 31, ends)  # the limit is a word behind the base, and before where it goes on
    assert ends[31] is None
    await run(dut, gen, 20, 1 << 23, 0.7, 0.7, 3, ends)
    await run(dut, gen, 20, 1 << 23, 0.7, 0.7, 31, ends)
    assert ends[31] is None, "it stays full"
    await run(dut, gen, 20, 1 << 23, 1, 1, 31)  # it starts again, for another layer to append to
    dut.rst_ni.value = 0
    await FallingEdge(dut.clk_i)
    dut.rst_ni.value = 1
    ends.clear()
    for section in (3, 31, 3, 31):
        await run(dut, gen, 20, 1 << 23, 0.7, 0.7, section, ends)


@block_test(us=5)
async def full_throughput(dut):
    """A line a cycle."""
    await start(dut)
    assert await run(dut, rng(), 100, 1 << 20, 1, 1) <= 103


@pytest.mark.parametrize("sim, sps", [("verilator", 1), ("verilator", 2), ("verilator", 3), ("icarus", 2)])
def test_line_writer(run_block, sim, sps):
    run_block("spcore_line_writer", {"NumSp": sps}, sim=sim)
