# SPDX-License-Identifier: Apache-2.0
"""line_walk: index requests, entries and busy of every cycle against plain Python, with memory and sink stalled."""

import os
from collections import deque

import numpy as np
import pytest
from cocotb.triggers import FallingEdge, RisingEdge

from tests.blocks.contexts import Contexts
from tests.blocks.memory_port import LATENCY, MemoryPort
from tests.blocks.naive_geometry import layer_fields
from tests.blocks.windows import Case, expected_entries, make_case, make_unit, random_case, random_unit
from verif.shared.stalls import STALLS, Stalls
from verif.shared.structs import struct
from verif.sim.kit import Scoreboard, Sink, block_test, start
from verif.sim.seed import rng

UNIT = struct("unit_t")
INDEX, ENTRY = struct("index_entry_t"), struct("line_entry_t")


class Bench:
    """A source of units, an Index Memory and a sink, each willing at a rate of its own."""

    def __init__(self, dut) -> None:
        self.dut, self.gen = dut, rng()
        self.depth = int(os.environ["IdxDepth"])
        self.memory = MemoryPort(dut, "idx", self.gen)
        self.contexts = Contexts(dut, self.gen)
        self.requests, self.entries = Scoreboard("request"), Scoreboard("entry")
        self.sink = Sink(dut, "entry", {"entry": ENTRY}, self.gen, self.entries.take)
        self.marks = 0  # entries of units without lines, which are not requested

    async def run(self, case: Case, units: list[dict], unit_rate=1.0, gnt_rate=1.0) -> int:
        """Pass `units` through; returns the cycles from the first unit to the last entry."""
        dut, gen, requests, entries = self.dut, self.gen, self.requests, self.entries
        self.contexts.show(case.layer, case.derived, case.ctx)
        stored = {at: INDEX.pack({"bitmap": line.bitmap, "ptr": line.ptr}) for at, line in case.lines.items()}
        waiting = deque(units)
        cycles = 0
        while waiting or entries.due:
            begins, handed_on = not entries.due and gen.random() < unit_rate, entries.came
            dut.unit_valid_i.value, dut.unit_open_i.value = begins, bool(entries.due)
            dut.unit_i.value = UNIT.pack(waiting[0]) if begins else int.from_bytes(gen.bytes(30)) % 2**UNIT.width
            dut.urgent_i.value = urgent = int(gen.integers(2))
            self.memory.drive(gnt_rate)
            await RisingEdge(dut.clk_i)
            assert self.memory.urgent == urgent
            assert requests.due or not self.memory.valid, "a request that no unit has"
            address = self.memory.sample(stored.__getitem__)
            if address is not None:
                requests.take(address)
            # Places for `depth` entries, one at the memory's output and one at the block's.
            held = requests.came + self.marks - handed_on
            assert held <= self.depth + 2, "a request without room for its entry"
            cycles += bool(cycles) or begins
            await FallingEdge(dut.clk_i)
            if begins:
                more_addresses, more_entries = expected_entries(case, waiting.popleft())
                requests.expect(*more_addresses)
                entries.expect(*more_entries)
                self.marks += not more_addresses
        return cycles


@block_test(us=500)
async def random_units(dut):
    """Random layers and units, everything stalled at random."""
    await start(dut)
    bench = Bench(dut)
    for _ in range(int(os.environ["Cases"])):
        case = random_case(bench.gen, 512)
        units = [random_unit(bench.gen, case) for _ in range(4)]
        bench.sink.stalls = STALLS[bench.gen.integers(len(STALLS))]
        await bench.run(case, units, *bench.gen.choice([0.3, 0.8, 1.0], 2).tolist())


@block_test(us=5)
async def padding_alone(dut):
    """Units whose window lies in the padding alone are one mark, between others."""
    await start(dut)
    bench = Bench(dut)
    layer = layer_fields(4, 9, 1, 1, 2, 1, [3, 3, 0, 0], (2, 9), (1, 9))
    case = make_case(bench.gen, layer, np.ones((3, 4, 9), np.uint8))
    units = [make_unit(case, row, 0, 0, 3) for row in (0, 0, 1, 4, 2, 0)]
    assert len(expected_entries(case, units[0])[0]) == 0
    await bench.run(case, units)
    bench.sink.stalls = Stalls(1, 4)
    await bench.run(case, units)


@block_test(us=50)
async def throughput(dut):
    """An entry a cycle where the depth sustains it, over lines of one row, of several and of whole channels."""
    await start(dut)
    bench = Bench(dut)
    for line, tile in (((1, 3), (3, 12)), ((4, 4), (4, 16)), ((8, 8), (8, 8))):
        layer = layer_fields(8, 16, 3, 3, 1, 1, [1] * 4, line, tile)
        case = make_case(bench.gen, layer, np.ones((12, 8, 16), np.uint8))
        unit = make_unit(case, 0, 0, 0, 12)
        count = len(expected_entries(case, unit)[0])
        cycles = await bench.run(case, [unit])
        # From a unit to the first entry's way out; with few places each is taken for the memory's latency and more.
        if bench.depth >= 8:
            assert cycles == count + LATENCY + 4, f"{count} entries in {cycles}"
        else:
            assert cycles <= count * (LATENCY + 2) / bench.depth + LATENCY + 4, f"{count} entries in {cycles}"


@pytest.mark.parametrize("sim, depth, cases", [("verilator", 12, 60), ("verilator", 2, 20), ("icarus", 8, 15)])
def test_line_walk(run_block, sim, depth, cases):
    run_block("spcore_line_walk", {"IdxDepth": depth}, sim=sim, env={"Cases": str(cases)})


def test_parameter_check(run_block):
    with pytest.raises(RuntimeError, match="IdxDepth = 1, expected at least 2"):
        run_block("spcore_line_walk", {"IdxDepth": 1})
