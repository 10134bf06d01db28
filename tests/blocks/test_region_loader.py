"""region_loader: bitmaps, bytes and buffers against plain Python, with every interface stalled, and its throughput."""

import os
from collections import deque

import cocotb
import numpy as np
import pytest
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, RisingEdge, Timer

from tests.blocks.windows import (
    Case,
    expected_lines,
    expected_regions,
    layer_fields,
    make_case,
    make_unit,
    random_case,
    random_unit,
)
from verif.runner import run_block
from verif.seed import rng
from verif.structs import struct

LAYER, DERIVED = struct("layer_t"), struct("derived_t")
LINE, REGION = struct("fetched_line_t"), struct("region_t")
FULL = {"line": 1.0, "region": 1.0, "release": 1.0}


class Bench:
    """Drives region_loader cycle by cycle: a source of lines, a sink of regions, a reader that releases them."""

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
            dut.line_valid_i,
            dut.line_i,
            dut.line_bytes_i,
            dut.region_ready_i,
            dut.byte_buf_i,
            dut.byte_off_i,
            dut.release_i,
        ):
            port.value = 0
        await FallingEdge(dut.clk_i)
        await FallingEdge(dut.clk_i)
        dut.rst_ni.value = 1
        self.next_buffer = 0

    async def check_bytes(self, buffer: int, want: dict[int, int], most: int):
        """Up to `most` bytes of a region through the read port."""
        offsets = list(want)
        if len(offsets) > most:
            offsets = [offsets[i] for i in self.gen.permutation(len(offsets))[:most]]
        for offset in offsets:
            self.dut.byte_buf_i.value, self.dut.byte_off_i.value = buffer, offset
            await Timer(1, "ps")
            assert self.dut.byte_o.value == want[offset], f"buffer {buffer}, offset {offset}"

    async def check_region(self, want: dict):
        found = REGION.unpack(self.dut.region_o.value)
        wrong = {key: (found[key], value) for key, value in want.items() if key != "bytes" and found[key] != value}
        assert not wrong, f"(found, expected): {wrong}"
        if not want["empty"]:
            assert found["buffer"] == self.next_buffer, "buffers are used in turn"
            assert self.dut.region_bitmap_o.value == sum(1 << offset for offset in want["bytes"])

    async def run(self, case: Case, lines: list[tuple[dict, bytes]], regions: list[dict], rates: dict) -> int:
        """Feed lines (with their packed bytes), expect regions; returns the cycles from first line to last region."""
        dut, gen = self.dut, self.gen
        dut.layer_i.value = LAYER.pack(case.layer)
        dut.derived_i.value = DERIVED.pack(case.derived)
        lines, regions = deque(lines), deque(regions)
        held: deque = deque()  # (buffer, bytes) of regions accepted and not released
        cycles, octet = 0, bytes(8)
        while lines or regions or held:
            dut.line_bytes_i.value = int.from_bytes(octet, "little")
            line_valid = bool(lines) and gen.random() < rates["line"]
            dut.line_valid_i.value = int(line_valid)
            fields, data = lines[0] if lines else ({}, b"")
            dut.line_i.value = LINE.pack({key: value for key, value in fields.items() if key != "bytes"})
            dut.region_ready_i.value = int(gen.random() < rates["region"])
            release = bool(held) and gen.random() < rates["release"]
            dut.release_i.value = int(release)
            await Timer(1, "ps")
            rank = int(dut.line_rank_o.value)
            octet = (data[rank : rank + 8] + gen.bytes(8))[:8]  # of the next cycle
            if dut.region_valid_o.value:
                assert regions, "a region that no unit has"
                await self.check_region(regions[0])
                await self.check_bytes(self.next_buffer, regions[0]["bytes"], 16 if dut.region_ready_i.value else 2)
            if release:
                await self.check_bytes(*held[0], 512)
            await RisingEdge(dut.clk_i)
            assert not dut.line_ready_o.value or line_valid
            if line_valid and dut.line_ready_o.value:
                lines.popleft()
            if release:
                held.popleft()
            if dut.region_valid_o.value and dut.region_ready_i.value:
                region = regions.popleft()
                if not region["empty"]:
                    held.append((self.next_buffer, region["bytes"]))
                    self.next_buffer = (self.next_buffer + 1) % self.buffers
            cycles += 1
            assert cycles < 40_000, "no progress"
            await FallingEdge(dut.clk_i)
        dut.release_i.value = dut.line_valid_i.value = 0
        return cycles


def fed_lines(gen, case: Case, unit: dict) -> list[tuple[dict, bytes]]:
    """What line_fetch hands on, with some lines and channels without positions that it might have dropped."""
    lines, entries, _ = expected_lines(case, unit)
    data_of = {stored.bitmap: stored.data for stored in (case.lines[entry] for entry in entries)}
    fed, begins = [], True
    for line in lines:
        if gen.random() < 0.2:
            fed.append(({"bitmap": int(gen.integers(2**63)), "wgt_addr": line["wgt_addr"]}, b""))
        if begins and gen.random() < 0.1:
            fed.append(({"last_of_channel": 1, "wgt_addr": int(gen.integers(2**24))}, b""))
        # Equal bitmaps may belong to lines with different bytes: the needed ones decide.
        data = bytearray(data_of.get(line["bitmap"], b""))
        for rank, value in line["bytes"].items():
            data[rank] = value
        fed.append((line, bytes(data)))
        begins = bool(line["last_of_channel"])
    return fed


@cocotb.test()
async def random_units(dut):
    """Random layers and units, every interface stalled at random."""
    bench = Bench(dut)
    await bench.start()
    for _ in range(100):
        case = random_case(bench.gen, bench.region_pos)
        rates = {key: float(bench.gen.choice([0.05, 0.5, 1.0])) for key in FULL}
        lines, regions = [], []
        for _ in range(4):
            unit = random_unit(bench.gen, case)
            lines += fed_lines(bench.gen, case, unit)
            regions += expected_regions(case, unit)
        await bench.run(case, lines, regions, rates)


@cocotb.test()
async def buffers_run_out(dut):
    """Without releases come NumRegions regions, and no more but the end of a unit; each release lets one follow."""
    bench = Bench(dut)
    await bench.start()
    layer = layer_fields(8, 8, 1, 1, 1, 1, [0] * 4, (8, 8), (8, 8))
    tensor = bench.gen.integers(1, 256, (bench.buffers + 3, 8, 8)).astype(np.uint8)
    tensor[bench.buffers] = 0
    case = make_case(bench.gen, layer, tensor)
    dut.layer_i.value, dut.derived_i.value = LAYER.pack(case.layer), DERIVED.pack(case.derived)
    dut.region_ready_i.value = 1
    lines = deque()
    for first, count in ((0, bench.buffers + 1), (bench.buffers + 1, 2)):
        lines += expected_lines(case, make_unit(case, 0, 0, first, count))[0]

    async def regions(cycles: int, release: bool) -> list[int]:
        """The `empty` fields of the regions that come within some cycles."""
        came = []
        for cycle in range(cycles):
            dut.line_valid_i.value = int(bool(lines))
            if lines:
                dut.line_i.value = LINE.pack({key: value for key, value in lines[0].items() if key != "bytes"})
            dut.release_i.value = int(release and cycle == 0)
            await RisingEdge(dut.clk_i)
            if lines and dut.line_ready_o.value:
                lines.popleft()
            if dut.region_valid_o.value:
                came.append(REGION.unpack(dut.region_o.value)["empty"])
            await FallingEdge(dut.clk_i)
        return came

    assert await regions(12 * bench.buffers, release=False) == [0] * bench.buffers + [1]
    assert await regions(20, release=False) == []
    assert await regions(20, release=True) == [0]
    assert await regions(20, release=False) == []
    assert await regions(20, release=True) == [0]
    assert not lines


async def measure(bench: Bench, layer: dict, tensor: np.ndarray) -> int:
    case = make_case(bench.gen, layer, tensor)
    unit = make_unit(case, 0, 0, 0, len(tensor))
    lines, entries, _ = expected_lines(case, unit)
    fed = [(line, case.lines[entry].data) for line, entry in zip(lines, entries, strict=True)]
    return await bench.run(case, fed, expected_regions(case, unit), FULL)


@cocotb.test()
async def throughput(dut):
    """Cycles a line when nothing stalls: one for each group of up to 8 positions of a row that holds something."""
    bench = Bench(dut)
    await bench.start()
    half = np.zeros((32, 8, 8), np.uint8)
    half[:, :, ::2] = 1 + np.arange(4)
    rows = np.zeros((32, 8, 8), np.uint8)
    rows[:, ::4, 3:] = 9
    dot = np.zeros((32, 8, 8), np.uint8)
    dot[:, 5, 5] = 9
    row = np.zeros((32, 1, 64), np.uint8)
    row[..., ::2] = 7
    column = np.zeros((32, 64, 1), np.uint8)
    column[:, ::4] = 3
    for name, tensor, groups in (
        ("8 rows half full", half, 8),
        ("8 rows full", np.full((32, 8, 8), 255, np.uint8), 8),
        ("2 of 8 rows", rows, 2),
        ("one position", dot, 1),
        ("one row half full", row, 8),
        ("16 of 64 rows of one position", column, 16),
    ):
        shape = tensor.shape[1:]
        cycles = await measure(bench, layer_fields(*shape, 1, 1, 1, 1, [0] * 4, shape, shape), tensor)
        dut._log.info("%s: %d cycles for %d lines", name, cycles, len(tensor))
        # A region's buffer is used again three cycles after its last group at the earliest.
        assert cycles <= max(groups, (groups + 3) / bench.buffers) * len(tensor) + 8


@pytest.mark.parametrize(
    "region_pos, regions, sim",
    [(512, 4, "verilator"), (256, 2, "verilator"), (64, 3, "verilator"), (256, 2, "icarus")],
)
def test_region_loader(region_pos, regions, sim):
    run_block("spcore_region_loader", {"RegionPos": region_pos, "NumRegions": regions}, sim=sim)


@pytest.mark.parametrize(
    "parameters, message",
    [
        ({"RegionPos": 96}, "RegionPos = 96, expected a power of two from 64 to 512"),
        ({"NumRegions": 5}, "NumRegions = 5, expected 2 to 4"),
    ],
)
def test_parameter_check(parameters, message):
    with pytest.raises(RuntimeError, match=message):
        run_block("spcore_region_loader", parameters)
