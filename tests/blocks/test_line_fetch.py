# SPDX-License-Identifier: Apache-2.0
"""line_fetch: lines, requests and markers against plain Python, with every interface stalled, and its throughput."""

import os
from collections import deque

import numpy as np
import pytest
from cocotb.triggers import FallingEdge, RisingEdge

from tests.blocks.contexts import Contexts
from tests.blocks.memory_port import LATENCY, MemoryPort
from tests.blocks.naive_geometry import layer_fields
from tests.blocks.windows import Case, expected_lines, make_case, make_unit, random_case, random_unit
from verif.shared.structs import struct
from verif.sim.kit import block_test, start
from verif.sim.seed import rng

LAYER, DERIVED, UNIT = struct("layer_t"), struct("derived_t"), struct("unit_t")
ENTRY, LINE = struct("index_entry_t"), struct("fetched_line_t")
START = 2 * LATENCY + 10  # cycles from a unit to its first line, and a few for the last to leave
FULL = {"unit": 1.0, "idx": 1.0, "act": 1.0, "line": 1.0}


class Bench:
    """Drives line_fetch cycle by cycle: a unit source, two memories, a sink, each willing at a rate of its own."""

    def __init__(self, dut):
        self.dut, self.gen, self.cycles = dut, rng(), 0
        self.left: dict[int, int] | None = None  # bytes of the present line still to be read, by rank
        self.bytes_due: dict[int, int] = {}
        self.idx = MemoryPort(dut, "idx", self.gen)
        self.act = MemoryPort(dut, "act", self.gen)
        self.contexts = Contexts(dut, self.gen)

    def check_line(self, want: dict) -> None:
        """The line at the output, without its bytes."""
        found = LINE.unpack(self.dut.line_o.value)
        wrong = {key: (found[key], value) for key, value in want.items() if key != "bytes" and found[key] != value}
        assert not wrong, f"(found, expected): {wrong}"

    def check_bytes(self) -> None:
        """The bytes asked for in the cycle before; those that no line needs may be unknown."""
        octet = str(self.dut.line_bytes_o.value)
        for i, value in self.bytes_due.items():
            found = octet[56 - 8 * i : 64 - 8 * i]
            assert found == f"{value:08b}", f"byte {i} of 8: {found}, expected {value:08b}"
        self.bytes_due = {}

    def ask(self, line: dict) -> bool:
        """Ask for 8 bytes that hold the next one needed, and any before it; True if they are the last."""
        self.left = dict(line["bytes"]) if self.left is None else self.left
        if self.left:
            rank = max(0, min(self.left) - int(self.gen.integers(8)))
            self.dut.line_rank_i.value = rank
            self.bytes_due = {i: self.left.pop(rank + i) for i in range(8) if rank + i in self.left}
        return not self.left

    async def run(self, case: Case, units: list[dict], rates: dict, read: bool = True) -> int:
        """Pass `units` through and check everything; returns the cycles from the first unit taken to the last line.

        A line leaves when all its bytes are read, unless `read` is false.
        """
        dut, gen = self.dut, self.gen
        self.contexts.show(case.layer, case.derived, case.ctx)
        waiting, lines = deque(units), deque()
        entries, words = deque(), deque()  # addresses still to be requested
        started, idle_cycles, begun, urgent = None, 0, self.cycles, None
        index = {at: ENTRY.pack({"bitmap": line.bitmap, "ptr": line.ptr}) for at, line in case.lines.items()}
        while waiting or lines or entries or words:
            # Outputs that depend on registers alone have settled since the rising edge.
            dut.unit_valid_i.value = int(bool(waiting) and gen.random() < rates["unit"])
            dut.unit_i.value = UNIT.pack(waiting[0]) if waiting else 0
            dut.starving_i.value = starving = int(gen.integers(2))
            self.idx.drive(rates["idx"])
            self.act.drive(rates["act"])
            self.check_bytes()
            complete = False
            if dut.line_valid_o.value:
                assert lines, "a line that no unit has"
                self.check_line(lines[0])
                complete = not read or self.ask(lines[0])
            dut.line_ready_i.value = int(complete and gen.random() < rates["line"])
            await RisingEdge(dut.clk_i)

            self.cycles += 1
            assert urgent is None or self.idx.urgent == self.act.urgent == urgent
            urgent = starving
            address = self.idx.sample(index.__getitem__)
            if address is not None:
                assert entries and address == entries.popleft(), f"index entry {address} requested"
            address = self.act.sample(case.word)
            if address is not None:
                assert words and address == words.popleft(), f"word {address} requested"
            if dut.line_valid_o.value and dut.line_ready_i.value:
                lines.popleft()
                self.left = None
            if dut.unit_ready_o.value:
                assert not entries, "ready for a unit before the last entry of the previous one is requested"
            if dut.unit_valid_i.value and dut.unit_ready_o.value:
                more_lines, more_entries, more_words = expected_lines(case, waiting.popleft())
                lines += more_lines
                entries += more_entries
                words += more_words
                started = started or self.cycles
            idle_cycles += 1
            assert idle_cycles < 40_000, f"no progress: {len(lines)} lines, {len(words)} words are still to come"
            await FallingEdge(dut.clk_i)
        assert dut.unit_ready_o.value and not dut.line_valid_o.value
        return self.cycles - (started or begun)


@block_test(us=1000)
async def random_units(dut):
    """Random layers and units, every interface stalled at random."""
    await start(dut)
    bench = Bench(dut)
    for _ in range(120):
        case = random_case(bench.gen, 512)
        rates = {key: float(bench.gen.choice([0.3, 0.8, 1.0])) for key in FULL}
        await bench.run(case, [random_unit(bench.gen, case) for _ in range(4)], rates)


def block_case(gen, h, w, line, tile, channels, density, kernel=1, pad=0, skip=1) -> Case:
    """A layer with stride 1 whose channels have exactly `density` of non-zeros in every line of 64 positions."""
    layer = layer_fields(h, w, kernel, kernel, 1, 1, [pad] * 4, line, tile, skip=skip)
    tensor = np.zeros((channels, h, w), np.uint8)
    for y in range(0, h, line[0]):
        for x in range(0, w, line[1]):
            block = tensor[:, y : y + line[0], x : x + line[1]]
            for plane in block:
                flat = np.zeros(plane.size, np.uint8)
                flat[gen.permutation(plane.size)[: round(density * plane.size)]] = gen.integers(1, 256)
                plane[:] = flat.reshape(plane.shape)
    return make_case(gen, layer, tensor)


@block_test(us=5)
async def padding_alone(dut):
    """Units whose window lies in the padding alone are one mark, and the next unit follows."""
    await start(dut)
    bench = Bench(dut)
    layer = layer_fields(4, 9, 1, 1, 2, 1, [3, 3, 0, 0], (2, 9), (1, 9))
    case = make_case(bench.gen, layer, np.ones((3, 4, 9), np.uint8))
    for rates in (FULL, FULL | {"line": 0.2}):
        await bench.run(case, [make_unit(case, row, 0, 0, 3) for row in (0, 0, 1, 4, 2, 0)], rates)


@block_test(us=50)
async def throughput(dut):
    """With willing memories and sink, the cycles that a long unit may take, by what bounds it."""
    await start(dut)
    bench = Bench(dut)
    gen, count = bench.gen, 64
    for density, words in ((0.5, 4), (1.0, 8), (0.125, 1), (0.0, 0)):
        # A word a cycle, an empty line a cycle; and a line occupies one of the slots so long.
        occupied = (LATENCY + 4 + words) / int(os.environ["LineDepth"]) if words else 1
        limit = max(1, words, occupied)
        case = block_case(gen, 8, 8, (8, 8), (8, 8), count, density)
        unit = make_unit(case, 0, 0, 0, count)
        assert len(expected_lines(case, unit)[2]) == words * count
        cycles = await bench.run(case, [unit], FULL, read=False)
        dut._log.info("%d lines of %d words: %d cycles", count, words, cycles)
        assert cycles <= limit * count + START
    # Two units in a row: the second begins within a few cycles.
    case = block_case(gen, 8, 8, (8, 8), (8, 8), 8, 0.5)
    cycles = await bench.run(case, [make_unit(case, 0, 0, 0, 8)] * 2, FULL, read=False)
    dut._log.info("2 units of 8 lines of 4 words: %d cycles", cycles)
    assert cycles <= 2 * 8 * 4 + 2 * START


@block_test(us=5)
async def runs_ahead(dut):
    """While the sink stalls, LineDepth lines are fetched; then they leave one a cycle."""
    await start(dut)
    bench = Bench(dut)
    case = block_case(bench.gen, 8, 8, (8, 8), (8, 8), 8, 0.5)
    unit = make_unit(case, 0, 0, 0, 8)
    lines, _, words = expected_lines(case, unit)
    depth = int(os.environ["LineDepth"])
    bench.contexts.show(case.layer, case.derived, case.ctx)
    dut.unit_valid_i.value, dut.unit_i.value = 1, UNIT.pack(unit)
    index = {at: ENTRY.pack({"bitmap": line.bitmap, "ptr": line.ptr}) for at, line in case.lines.items()}
    granted = []
    for _ in range(80):
        bench.idx.drive(1.0)
        bench.act.drive(1.0)
        await RisingEdge(dut.clk_i)
        bench.idx.sample(index.__getitem__)
        address = bench.act.sample(case.word)
        if address is not None:
            granted.append(address)
        await FallingEdge(dut.clk_i)
        dut.unit_valid_i.value = 0
    assert granted == words[: 4 * depth]
    bench.idx.drive(0.0)
    bench.act.drive(0.0)
    dut.line_ready_i.value = 1
    for line in lines[:depth]:
        assert dut.line_valid_o.value
        bench.check_line(line)
        await FallingEdge(dut.clk_i)
    assert not dut.line_valid_o.value


@pytest.mark.parametrize("sim, depth", [("verilator", 5), ("verilator", 2), ("icarus", 4)])
def test_line_fetch(run_block, sim, depth):
    run_block("spcore_line_fetch", {"LineDepth": depth}, sim=sim)


def test_parameter_check(run_block):
    with pytest.raises(RuntimeError, match="LineDepth = 1, expected at least 2"):
        run_block("spcore_line_fetch", {"LineDepth": 1})
