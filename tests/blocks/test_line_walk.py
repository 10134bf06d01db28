"""line_walk: index requests, entries and busy of every cycle against plain Python, with memory and sink stalled."""

import os
from collections import deque

import cocotb
import numpy as np
import pytest
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, RisingEdge

from tests.blocks.windows import Case, expected_entries, layer_fields, make_case, make_unit, random_case, random_unit
from verif.runner import run_block
from verif.seed import rng
from verif.structs import struct

LAYER, DERIVED, UNIT = struct("layer_t"), struct("derived_t"), struct("unit_t")
INDEX, ENTRY = struct("index_entry_t"), struct("line_entry_t")


class Bench:
    """A source of units, an Index Memory and a sink, each willing at a rate of its own."""

    def __init__(self, dut) -> None:
        self.dut, self.gen = dut, rng()
        self.depth = int(os.environ["IdxDepth"])

    async def start(self) -> None:
        dut = self.dut
        cocotb.start_soon(Clock(dut.clk_i, 10, "ns").start())
        for port in (
            dut.layer_i,
            dut.derived_i,
            dut.unit_valid_i,
            dut.unit_i,
            dut.idx_gnt_i,
            dut.idx_rvalid_i,
            dut.idx_rdata_i,
            dut.entry_ready_i,
        ):
            port.value = 0
        dut.rst_ni.value = 0
        await FallingEdge(dut.clk_i)
        await FallingEdge(dut.clk_i)
        dut.rst_ni.value = 1

    async def run(self, case: Case, units: list[dict], unit_rate=1.0, gnt_rate=1.0, ready_rate=1.0) -> int:
        """Pass `units` through; returns the cycles from the first unit to the last entry."""
        dut, gen = self.dut, self.gen
        dut.layer_i.value, dut.derived_i.value = LAYER.pack(case.layer), DERIVED.pack(case.derived)
        waiting, addresses, entries = deque(units), deque(), deque()
        held = 0  # entries granted and not yet handed on
        granted: int | None = None  # address of the last cycle
        cycles = 0
        while waiting or entries:
            # Outputs depend on registers alone and have settled since the rising edge.
            assert dut.busy_o.value == bool(entries)
            start = not entries and gen.random() < unit_rate
            dut.unit_valid_i.value = start
            dut.unit_i.value = UNIT.pack(waiting[0]) if start else int.from_bytes(gen.bytes(30)) % 2**UNIT.width
            request = bool(addresses) and held < self.depth
            assert dut.idx_req_o.value == request
            grant = request and gen.random() < gnt_rate
            dut.idx_gnt_i.value, dut.entry_ready_i.value = grant, gen.random() < ready_rate
            dut.idx_rvalid_i.value = granted is not None
            stored = case.lines[granted] if granted is not None else None
            word = INDEX.pack({"bitmap": stored.bitmap, "ptr": stored.ptr}) if stored else int(gen.integers(2**63))
            dut.idx_rdata_i.value = word
            await RisingEdge(dut.clk_i)
            granted = None
            if request:
                assert dut.idx_addr_o.value == addresses[0]
            if dut.entry_valid_o.value:
                assert entries and ENTRY.unpack(dut.entry_o.value) == entries[0]
                if dut.entry_ready_i.value:
                    entries.popleft()
                    held -= 1
            if grant:
                granted = addresses.popleft()
                held += 1
            if start:
                more_addresses, more_entries = expected_entries(case, waiting.popleft())
                addresses += more_addresses
                entries += more_entries
                held = 0 if more_addresses else 1  # the mark of a unit without lines is not requested
            cycles += bool(cycles) or start
            assert cycles < 20_000, "no progress"
            await FallingEdge(dut.clk_i)
        return cycles


@cocotb.test()
async def random_units(dut):
    """Random layers and units, everything stalled at random."""
    bench = Bench(dut)
    await bench.start()
    for _ in range(int(os.environ["Cases"])):
        case = random_case(bench.gen, 512)
        units = [random_unit(bench.gen, case) for _ in range(4)]
        await bench.run(case, units, *bench.gen.choice([0.3, 0.8, 1.0], 3).tolist())


@cocotb.test()
async def padding_alone(dut):
    """Units whose window lies in the padding alone are one mark, between others."""
    bench = Bench(dut)
    await bench.start()
    layer = layer_fields(4, 9, 1, 1, 2, 1, [3, 3, 0, 0], (2, 9), (1, 9))
    case = make_case(bench.gen, layer, np.ones((3, 4, 9), np.uint8))
    units = [make_unit(case, row, 0, 0, 3) for row in (0, 0, 1, 4, 2, 0)]
    assert len(expected_entries(case, units[0])[0]) == 0
    await bench.run(case, units)
    await bench.run(case, units, ready_rate=0.2)


@cocotb.test()
async def throughput(dut):
    """An entry a cycle where the depth sustains it, over lines of one row, of several and of whole channels."""
    bench = Bench(dut)
    await bench.start()
    for line, tile in (((1, 3), (3, 12)), ((4, 4), (4, 16)), ((8, 8), (8, 8))):
        layer = layer_fields(8, 16, 3, 3, 1, 1, [1] * 4, line, tile)
        case = make_case(bench.gen, layer, np.ones((12, 8, 16), np.uint8))
        unit = make_unit(case, 0, 0, 0, 12)
        count = len(expected_entries(case, unit)[0])
        cycles = await bench.run(case, [unit])
        # From request to sink an entry takes 3 cycles; two on the way are two every 3 cycles.
        assert cycles == (count + 3 if bench.depth >= 3 else (3 * count + 1) // 2 + 2), f"{count} entries in {cycles}"


@pytest.mark.parametrize("sim, depth, cases", [("verilator", 3, 60), ("icarus", 2, 15)])
def test_line_walk(sim, depth, cases):
    run_block("spcore_line_walk", {"IdxDepth": depth}, sim=sim, env={"Cases": str(cases)})


def test_parameter_check():
    with pytest.raises(RuntimeError, match="IdxDepth = 1, expected at least 2"):
        run_block("spcore_line_walk", {"IdxDepth": 1})
