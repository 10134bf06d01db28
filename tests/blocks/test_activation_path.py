"""line_fetch with region_loader: units in, regions out, and the cycles a line takes with and without memory stalls."""

import os
from collections import deque
from pathlib import Path

import cocotb
import pytest
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, RisingEdge, Timer

from tests.blocks.memory_port import MemoryPort
from tests.blocks.windows import (
    Case,
    expected_regions,
    layer_fields,
    make_case,
    make_unit,
    random_case,
    random_tensor,
    random_unit,
)
from verif.runner import run_block
from verif.seed import rng
from verif.structs import struct

LAYER, DERIVED, UNIT = struct("layer_t"), struct("derived_t"), struct("unit_t")
ENTRY, REGION = struct("index_entry_t"), struct("region_t")


class Bench:
    def __init__(self, dut):
        self.dut, self.gen = dut, rng()
        self.region_pos, self.buffers = int(os.environ["RegionPos"]), int(os.environ["NumRegions"])

    async def start(self):
        dut = self.dut
        cocotb.start_soon(Clock(dut.clk_i, 10, "ns").start())
        dut.rst_ni.value = 0
        for port in (
            dut.layer_i,
            dut.derived_i,
            dut.unit_valid_i,
            dut.unit_i,
            dut.region_ready_i,
            dut.byte_buf_i,
            dut.byte_off_i,
            dut.release_i,
        ):
            port.value = 0
        self.idx = MemoryPort(dut.idx_req_o, dut.idx_rsp_i, dut.idx_rdata_i, self.gen)
        self.act = MemoryPort(dut.act_req_o, dut.act_rsp_i, dut.act_rdata_i, self.gen)
        await FallingEdge(dut.clk_i)
        await FallingEdge(dut.clk_i)
        dut.rst_ni.value = 1

    async def run(self, case: Case, units: list[dict], grant: float, consume: float = 1.0) -> int:
        """Pass units through with memory grants and region releases at random; returns the cycles it took."""
        dut, gen = self.dut, self.gen
        dut.layer_i.value, dut.derived_i.value = LAYER.pack(case.layer), DERIVED.pack(case.derived)
        words = {
            line.ptr + i: int.from_bytes(line.data[8 * i : 8 * i + 8], "little")
            for line in case.lines.values()
            for i in range(-(-len(line.data) // 8))
        }
        waiting, held = deque(units), deque()
        regions = deque(region for unit in units for region in expected_regions(case, unit))
        index = {at: ENTRY.pack({"bitmap": line.bitmap, "ptr": line.ptr}) for at, line in case.lines.items()}
        cycles = 0
        while waiting or regions or held:
            dut.unit_valid_i.value, dut.unit_i.value = int(bool(waiting)), UNIT.pack(waiting[0]) if waiting else 0
            self.idx.drive(grant)
            self.act.drive(grant)
            dut.region_ready_i.value = int(gen.random() < consume)
            release = bool(held) and gen.random() < consume
            dut.release_i.value = int(release)
            if release:
                buffer, want = held.popleft()
                for offset, value in want.items():
                    dut.byte_buf_i.value, dut.byte_off_i.value = buffer, offset
                    await Timer(1, "ps")
                    assert dut.byte_o.value == value, f"buffer {buffer}, offset {offset}"
            await RisingEdge(dut.clk_i)
            cycles += 1
            if dut.unit_valid_i.value and dut.unit_ready_o.value:
                waiting.popleft()
            self.idx.sample(index.__getitem__)
            self.act.sample(words.__getitem__)
            if dut.region_valid_o.value and dut.region_ready_i.value:
                found, want = REGION.unpack(dut.region_o.value), regions.popleft()
                assert all(found[key] == want[key] for key in ("empty", "last_of_unit", "wgt_addr", "unit"))
                if not want["empty"]:
                    assert dut.region_bitmap_o.value == sum(1 << offset for offset in want["bytes"])
                    held.append((found["buffer"], want["bytes"]))
            assert cycles < 40_000, "no progress"
            await FallingEdge(dut.clk_i)
        return cycles


@cocotb.test()
async def random_units(dut):
    """Random layers and units, memories and consumer stalled at random."""
    bench = Bench(dut)
    await bench.start()
    for _ in range(60):
        case = random_case(bench.gen, bench.region_pos)
        units = [random_unit(bench.gen, case) for _ in range(4)]
        await bench.run(case, units, *(float(x) for x in bench.gen.choice([0.3, 0.8, 1.0], 2)))


@cocotb.test()
async def throughput(dut):
    """Cycles a channel of whole layers' units; the bound is what the loader or the word port needs, plus a little."""
    bench = Bench(dut)
    await bench.start()
    gen, channels = bench.gen, 24
    half, sparse, empty = ("half",), ("sparse",), ("empty",)
    for name, layer, kinds, grant, most in (
        ("8x8 lines, 1x1 kernel, half full", layer_fields(8, 8, 1, 1, 1, 1, [0] * 4, (8, 8), (8, 8)), half, 1.0, 8.5),
        ("the same, memory grants at 60 %", layer_fields(8, 8, 1, 1, 1, 1, [0] * 4, (8, 8), (8, 8)), half, 0.6, 9.5),
        (
            "1x64 lines, 1x1 kernel, half full",
            layer_fields(2, 64, 1, 1, 1, 1, [0] * 4, (1, 64), (1, 64)),
            half,
            1.0,
            8.5,
        ),
        (
            "1x64 lines, 3x3 kernel: 3 lines",
            layer_fields(8, 64, 3, 3, 1, 1, [1] * 4, (1, 64), (1, 64)),
            half,
            1.0,
            25.5,
        ),
        ("7x7 plane, 3x3 kernel, half full", layer_fields(7, 7, 3, 3, 1, 1, [1] * 4, (7, 7), (7, 7)), half, 1.0, 7.5),
        ("8x8 lines, 5 % full", layer_fields(8, 8, 1, 1, 1, 1, [0] * 4, (8, 8), (8, 8)), sparse, 1.0, 4.0),
        ("8x8 lines, empty", layer_fields(8, 8, 1, 1, 1, 1, [0] * 4, (8, 8), (8, 8)), empty, 1.0, 1.5),
    ):
        case = make_case(gen, layer, random_tensor(gen, channels, layer["in_h"], layer["in_w"], kinds))
        row = 1 if layer["tiles_y"] > 1 else 0
        cycles = await bench.run(case, [make_unit(case, row, 0, 0, channels)], grant)
        dut._log.info("%s: %.2f cycles a channel", name, cycles / channels)
        assert cycles <= most * channels + 12


@pytest.mark.parametrize("region_pos, regions", [(512, 4), (256, 2)])
def test_activation_path(region_pos, regions):
    run_block(
        "activation_path",
        {"RegionPos": region_pos, "NumRegions": regions},
        extra_sources=[Path(__file__).parent / "hdl" / "activation_path.sv"],
    )
