# SPDX-License-Identifier: Apache-2.0
"""region_loader: bitmaps, bytes and buffers against plain Python, with every interface stalled, and its throughput."""

import os
from collections import deque

import numpy as np
import pytest
from cocotb.triggers import ClockCycles, FallingEdge, RisingEdge

from tests.blocks.contexts import Contexts
from tests.blocks.naive_geometry import layer_fields
from tests.blocks.region_ring import RegionRing
from tests.blocks.region_sink import REGION, RegionSink
from tests.blocks.windows import (
    Case,
    expected_lines,
    expected_regions,
    make_case,
    make_unit,
    random_case,
    random_unit,
)
from verif.shared.stalls import NO_STALLS, Stalls
from verif.shared.structs import struct
from verif.sim.kit import Source, block_test, start
from verif.sim.seed import rng

LINE = struct("fetched_line_t")
FULL = {"take": 1.0, "release": 1.0, "answer": 1.0}


class Bench:
    """A source of lines, their bytes, and a RegionSink."""

    def __init__(self, dut):
        self.dut, self.gen = dut, rng()
        self.region_pos, self.buffers = int(os.environ["RegionPos"]), int(os.environ["NumRegions"])
        self.source = Source(dut, "line", {"line": LINE}, self.gen)
        self.ring = RegionRing(self.buffers, self.region_pos)
        self.sink = RegionSink(dut, self.gen, self.ring)
        self.contexts = Contexts(dut, self.gen)

    async def run(
        self, cases: list[Case], lines: list[tuple[dict, bytes]], regions: list[dict], rates: dict, most: int = 512
    ) -> int:
        """Feed lines (with their packed bytes) of one or two layers, expect regions; returns the cycles to the last.

        Up to `most` bytes of each region are read.
        """
        dut, gen, sink, waiting = self.dut, self.gen, self.sink, self.source.waiting
        for case in cases:
            self.contexts.show(case.layer, case.derived, case.ctx)
        self.source.send(*(without_bytes(line) for line, _ in lines))
        sink.expected.extend(regions)
        cycles, idle, last_taken, octet = 0, 0, 0, gen.bytes(8)
        while waiting or sink.busy:
            dut.line_bytes_i.value = int.from_bytes(octet, "little")
            sink.drive(rates["take"], rates["release"], rates["answer"])
            before = sink.taken, len(waiting), len(sink.held)
            await RisingEdge(dut.clk_i)
            sink.sample(most)
            if sink.taken > before[0]:
                last_taken = cycles
            octet = gen.bytes(8)
            if dut.line_valid_i.value and dut.line_rank_o.value.is_resolvable:
                rank, (_, data) = int(dut.line_rank_o.value), lines[-before[1]]
                octet = (data[rank : rank + 8] + octet)[:8]
            assert dut.line_valid_i.value or not dut.line_ready_o.value, "takes a line that is not there"
            cycles += 1
            await FallingEdge(dut.clk_i)
            idle = 0 if (sink.taken, len(waiting), len(sink.held)) != before else idle + 1
            assert idle < 4000, f"waits for a region: {len(waiting)} lines, {len(sink.expected)} regions are left"
        dut.release_i.value = dut.region_done_i.value = dut.byte_read_i.value = 0
        await self.ring.idle(dut, gen)
        return last_taken


def without_bytes(line: dict) -> dict:
    """The fields of fetched_line_t alone."""
    return {key: value for key, value in line.items() if key != "bytes"}


def fed_lines(gen, case: Case, unit: dict) -> list[tuple[dict, bytes]]:
    """What line_fetch hands on, with some lines and channels without positions that it might have dropped."""
    lines, entries, _ = expected_lines(case, unit)
    data_of = {stored.bitmap: stored.data for stored in (case.lines[entry] for entry in entries)}
    fed, begins = [], True
    for line in lines:
        if gen.random() < 0.2:
            fed.append(({"bitmap": int(gen.integers(2**63)), "wgt_addr": line["wgt_addr"], "ctx": case.ctx}, b""))
        if begins and gen.random() < 0.1:
            fed.append(({"last_of_channel": 1, "wgt_addr": int(gen.integers(2**24)), "ctx": case.ctx}, b""))
        # Equal bitmaps may belong to lines with different bytes: the needed ones decide.
        data = bytearray(data_of.get(line["bitmap"], b""))
        for rank, value in line["bytes"].items():
            data[rank] = value
        fed.append((line, bytes(data)))
        begins = bool(line["last_of_channel"])
    return fed


@block_test(us=2000)
async def random_units(dut):
    """Units of a random layer or of two in any order, whole and half regions, every interface stalled at random."""
    await start(dut)
    bench = Bench(dut)
    mixed = 0
    for _ in range(100):
        cases = [random_case(bench.gen, bench.region_pos)]
        if bench.gen.random() < 0.5:
            cases.append(random_case(bench.gen, bench.region_pos, 1 - cases[0].ctx))
        mixed += len({case.derived["half_regions"] for case in cases}) > 1
        bench.source.stalls = (NO_STALLS, Stalls(2, 2), Stalls(1, 19))[bench.gen.integers(3)]
        rates = {key: float(bench.gen.choice([0.05, 0.5, 1.0])) for key in FULL}
        lines, regions = [], []
        for _ in range(4 * len(cases)):
            case = cases[bench.gen.integers(len(cases))]
            unit = random_unit(bench.gen, case)
            lines += fed_lines(bench.gen, case, unit)
            regions += expected_regions(case, unit)
        await bench.run(cases, lines, regions, rates, int(bench.gen.choice([1, 16, 512])))
    assert mixed > 5 or bench.region_pos < 256
    assert bench.sink.fills or bench.region_pos == 64, "no word was read again"


async def regions_within(bench: Bench, cycles: int, release: int = 0) -> list[int]:
    """The `empty` fields of the regions that come within some cycles, of which the first may release some halves."""
    dut, came = bench.dut, []
    for cycle in range(cycles):
        dut.release_i.value = release if cycle == 0 else 0
        await RisingEdge(dut.clk_i)
        taken = bool(dut.region_valid_o.value)
        if taken:
            came.append(REGION.unpack(dut.region_o.value)["empty"])
        await FallingEdge(dut.clk_i)
        dut.region_done_i.value = int(taken)
    return came


@block_test(us=20)
async def buffers_run_out(dut):
    """Without releases come NumRegions regions, or twice as many half ones, and no more but the end of a unit; each
    release lets one follow."""
    await start(dut)
    bench = Bench(dut)
    layer = layer_fields(8, 8, 1, 1, 1, 1, [0] * 4, (8, 8), (8, 8))
    for half in (0, 1) if bench.region_pos >= 256 else (0,):
        most = bench.buffers << half
        tensor = bench.gen.integers(1, 256, (most + 3, 8, 8)).astype(np.uint8)
        tensor[most] = 0
        case = make_case(bench.gen, layer, tensor, half)
        bench.contexts.show(case.layer, case.derived, case.ctx)
        dut.region_ready_i.value = 0
        for first, count in ((0, most + 1), (most + 1, 2)):
            lines, _, _ = expected_lines(case, make_unit(case, 0, 0, first, count))
            bench.source.send(*map(without_bytes, lines))
        await ClockCycles(dut.clk_i, 20 * most, FallingEdge)
        assert len(bench.source.waiting) == 2, "they are not loaded before the first is taken"
        dut.region_ready_i.value = 1
        assert await regions_within(bench, 20 * most) == [0] * most + [1]
        assert await regions_within(bench, 30) == []
        assert await regions_within(bench, 30, 2 - half) == [0]
        assert await regions_within(bench, 30) == []
        assert await regions_within(bench, 30, 2 - half) == [0]
        assert not bench.source.waiting
        for _ in range(most):
            assert await regions_within(bench, 2, 2 - half) == []


@block_test(us=100)
async def halves_run_out(dut):
    """Whole and half regions in any order: as many come as there is room for, also after each release."""
    await start(dut)
    bench = Bench(dut)
    layer = layer_fields(8, 8, 1, 1, 1, 1, [0] * 4, (8, 8), (8, 8))
    kinds = (0, 1) if bench.region_pos >= 256 else (0, 0)
    tensor = bench.gen.integers(1, 256, (1, 8, 8)).astype(np.uint8)
    cases = [make_case(bench.gen, layer, tensor, half, ctx) for ctx, half in enumerate(kinds)]
    for case in cases:
        bench.contexts.show(case.layer, case.derived, case.ctx)
    dut.region_ready_i.value = 1
    waiting, held = deque(np.repeat([0, 1] * 12, bench.gen.integers(1, 10, 24)).tolist()), deque()
    for ctx in waiting:
        lines, _, _ = expected_lines(cases[ctx], make_unit(cases[ctx], 0, 0, 0, 1))
        bench.source.send(*map(without_bytes, lines))
    release = 0
    while waiting or held:
        room = 0
        while waiting and sum(held) + bench.ring.cost(kinds[waiting[0]]) <= bench.ring.halves:
            held.append(bench.ring.take(kinds[waiting.popleft()])[1])
            room += 1
        assert await regions_within(bench, 40 + 10 * room, release) == [0] * room
        release = held.popleft()


async def measure(bench: Bench, layer: dict, tensor: np.ndarray) -> int:
    case = make_case(bench.gen, layer, tensor)
    unit = make_unit(case, 0, 0, 0, len(tensor))
    lines, entries, _ = expected_lines(case, unit)
    fed = [(line, case.lines[entry].data) for line, entry in zip(lines, entries, strict=True)]
    return await bench.run([case], fed, expected_regions(case, unit), FULL, most=1)


@block_test(us=100)
async def throughput(dut):
    """Cycles a line when nothing stalls: one for each piece (octet and row) that holds something, two for its begin."""
    await start(dut)
    bench = Bench(dut)
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
    for name, tensor, pieces, last in (
        ("8 rows half full", half, 8, 1),
        ("8 rows full", np.full((32, 8, 8), 255, np.uint8), 8, 1),
        ("7 rows of 7, full", np.full((32, 7, 7), 255, np.uint8), 13, 1),
        ("2 of 8 rows", rows, 2, 1),
        ("one position", dot, 1, 1),
        ("one row half full", row, 8, 1),
        ("16 of 64 rows of one position", column, 16, 2),
    ):
        shape = tensor.shape[1:]
        cycles = await measure(bench, layer_fields(*shape, 1, 1, 1, 1, [0] * 4, shape, shape), tensor)
        dut._log.info("%s: %d cycles for %d lines", name, cycles, len(tensor))
        # The next line comes in while the last octet, of `last` pieces, is taken. A buffer is used again ten cycles
        # after its last piece at the earliest.
        a_line = pieces + max(0, 3 - last)
        assert cycles <= max(a_line, (pieces + 10) / bench.buffers) * len(tensor) + 16


@block_test(us=100)
async def words_in_turn(dut):
    """Rows of a line in words of their own: another word takes two cycles more, one that was written before three."""
    await start(dut)
    bench = Bench(dut)
    rows = bench.region_pos // 64
    tensor = np.full((16, rows, 64), 5, np.uint8)
    layer = layer_fields(rows, 64, 1, 1, 1, 1, [0] * 4, (rows, 8), (rows, 64))
    cycles, fills = await measure(bench, layer, tensor), bench.sink.fills
    channel = 8 * rows  # pieces
    if rows > 1:
        channel += 2 * (rows - 1) + 3 * 7 * rows
        assert fills == 16 * 7 * rows
    else:
        channel += 8 * 2  # begins of lines
    assert cycles <= 16 * (channel + 4) + 16


@pytest.mark.parametrize(
    "region_pos, regions, sim",
    [(512, 4, "verilator"), (256, 2, "verilator"), (128, 3, "verilator"), (64, 3, "verilator"), (256, 2, "icarus")],
)
def test_region_loader(run_block, region_pos, regions, sim):
    run_block("spcore_region_loader", {"RegionPos": region_pos, "NumRegions": regions}, sim=sim)


@pytest.mark.parametrize(
    "parameters, message",
    [
        ({"RegionPos": 96}, "RegionPos = 96, expected a power of two from 64 to 512"),
        ({"NumRegions": 5}, "NumRegions = 5, expected 2 to 4"),
    ],
)
def test_parameter_check(run_block, parameters, message):
    with pytest.raises(RuntimeError, match=message):
        run_block("spcore_region_loader", parameters)
