# SPDX-License-Identifier: Apache-2.0
"""line_fetch with region_loader: units in, regions out, and the cycles a line takes with and without memory stalls."""

import os
from pathlib import Path

import pytest
from cocotb.triggers import FallingEdge, RisingEdge

from tests.blocks.contexts import Contexts
from tests.blocks.memory_port import MemoryPort
from tests.blocks.naive_geometry import layer_fields
from tests.blocks.region_ring import RegionRing
from tests.blocks.region_sink import RegionSink
from tests.blocks.windows import (
    Case,
    expected_regions,
    make_case,
    make_unit,
    random_case,
    random_tensor,
    random_unit,
)
from verif.shared.structs import struct
from verif.sim.kit import Source, block_test, start
from verif.sim.seed import rng

UNIT, ENTRY = struct("unit_t"), struct("index_entry_t")


class Bench:
    def __init__(self, dut):
        self.dut, self.gen = dut, rng()
        self.region_pos, self.buffers = int(os.environ["RegionPos"]), int(os.environ["NumRegions"])
        self.idx = MemoryPort(dut, "idx", self.gen)
        self.act = MemoryPort(dut, "act", self.gen)
        self.contexts = Contexts(dut, self.gen)
        self.units = Source(dut, "unit", {"unit": UNIT}, self.gen)
        self.sink = RegionSink(dut, self.gen, RegionRing(self.buffers, self.region_pos))

    async def run(self, case: Case, units: list[dict], grant: float, consume: float = 1.0, most: int = 512) -> int:
        """Pass units through with memory grants and region releases at random; returns the cycles it took.

        Up to `most` bytes of each region are read.
        """
        dut = self.dut
        self.contexts.show(case.layer, case.derived, case.ctx)
        words = {
            line.ptr + i: int.from_bytes(line.data[8 * i : 8 * i + 8], "little")
            for line in case.lines.values()
            for i in range(-(-len(line.data) // 8))
        }
        waiting, sink = self.units.waiting, self.sink
        self.units.send(*units)
        sink.expected.extend(region for unit in units for region in expected_regions(case, unit))
        index = {at: ENTRY.pack({"bitmap": line.bitmap, "ptr": line.ptr}) for at, line in case.lines.items()}
        cycles = idle = 0
        while waiting or sink.busy:
            self.idx.drive(grant)
            self.act.drive(grant)
            sink.drive(consume, consume, consume)
            before = len(waiting), sink.taken, len(sink.held)
            await RisingEdge(dut.clk_i)
            sink.sample(most=most)
            cycles += 1
            self.idx.sample(index.__getitem__)
            self.act.sample(words.__getitem__)
            idle = 0 if (len(waiting), sink.taken, len(sink.held)) != before else idle + 1
            assert idle < 2000, f"waits for a region: {len(waiting)} units, {len(sink.expected)} regions are left"
            await FallingEdge(dut.clk_i)
        dut.release_i.value = dut.region_done_i.value = dut.byte_read_i.value = 0
        await sink.ring.idle(dut, self.gen)
        return cycles


@block_test(us=500)
async def random_units(dut):
    """Random layers and units, memories and consumer stalled at random."""
    await start(dut)
    bench = Bench(dut)
    for _ in range(60):
        case = random_case(bench.gen, bench.region_pos)
        units = [random_unit(bench.gen, case) for _ in range(4)]
        await bench.run(case, units, *(float(x) for x in bench.gen.choice([0.3, 0.8, 1.0], 2)))


@block_test(us=100)
async def throughput(dut):
    """Cycles a channel of whole layers' units; the bound is what the loader or the word port needs, plus a little."""
    await start(dut)
    bench = Bench(dut)
    gen, channels = bench.gen, 24
    half, sparse, empty = ("half",), ("sparse",), ("empty",)
    for name, layer, kinds, grant, bound in (
        ("8x8 lines, 1x1 kernel, half full", layer_fields(8, 8, 1, 1, 1, 1, [0] * 4, (8, 8), (8, 8)), half, 1.0, 10.5),
        ("the same, memory grants at 60 %", layer_fields(8, 8, 1, 1, 1, 1, [0] * 4, (8, 8), (8, 8)), half, 0.6, 11.0),
        (
            "1x64 lines, 1x1 kernel, half full",
            layer_fields(2, 64, 1, 1, 1, 1, [0] * 4, (1, 64), (1, 64)),
            half,
            1.0,
            10.5,
        ),
        (
            "1x64 lines, 3x3 kernel: 3 lines",
            layer_fields(8, 64, 3, 3, 1, 1, [1] * 4, (1, 64), (1, 64)),
            half,
            1.0,
            34.5,
        ),
        ("7x7 plane, 3x3 kernel, half full", layer_fields(7, 7, 3, 3, 1, 1, [1] * 4, (7, 7), (7, 7)), half, 1.0, 14.5),
        ("8x8 lines, 5 % full", layer_fields(8, 8, 1, 1, 1, 1, [0] * 4, (8, 8), (8, 8)), sparse, 1.0, 5.5),
        ("8x8 lines, empty", layer_fields(8, 8, 1, 1, 1, 1, [0] * 4, (8, 8), (8, 8)), empty, 1.0, 1.5),
    ):
        case = make_case(gen, layer, random_tensor(gen, channels, layer["in_h"], layer["in_w"], kinds))
        row = 1 if layer["tiles_y"] > 1 else 0
        cycles = await bench.run(case, [make_unit(case, row, 0, 0, channels)], grant, most=1)
        dut._log.info("%s: %.2f cycles a channel", name, cycles / channels)
        assert cycles <= bound * channels + 30


@pytest.mark.parametrize("region_pos, regions", [(512, 4), (256, 2)])
def test_activation_path(run_block, region_pos, regions):
    run_block(
        "activation_path",
        {"RegionPos": region_pos, "NumRegions": regions},
        extra_sources=[Path(__file__).parent / "hdl" / "activation_path.sv"],
    )
