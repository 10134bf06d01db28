# SPDX-License-Identifier: Apache-2.0
"""scanner: every position of every segment once, in order, with its byte and vector; stalls; no bubble; unit ends."""

import os
from copy import copy

import pytest
from cocotb.triggers import FallingEdge, RisingEdge

from tests.blocks.contexts import DERIVED
from tests.blocks.region_ring import RegionRing
from verif.shared.stalls import NO_STALLS, Stalls
from verif.shared.structs import struct
from verif.sim.kit import Scoreboard, Source, block_test, start
from verif.sim.seed import rng

SEGMENT, TABLE = struct("segment_t"), struct("pos_tab_write_t")
NO_SEGMENT = {"bits": 0, "first_of_pass": 0}
END = "end of a unit"


class Bench:
    """Segments and vectors in, emissions out, each cycle compared with a model of the scanner's order."""

    def __init__(self, dut, gen):
        self.dut, self.gen = dut, gen
        region_pos = int(os.environ["RegionPos"])
        self.ring = RegionRing(int(os.environ["NumRegions"]), region_pos)
        self.tables = gen.integers(0, 64, (2, region_pos)).tolist()  # by context
        # The regions of one of the contexts are half ones; offsets in them are not this block's business.
        self.half = gen.permutation(2).tolist() if region_pos >= 256 else [0, 0]
        dut.derived_i.value = sum(
            DERIVED.pack({"half_regions": half}) << DERIVED.width * ctx for ctx, half in enumerate(self.half)
        )
        self.busy: list[bool] = []
        self.segments = Source(dut, "segment", {"segment": SEGMENT}, gen)

    async def fill_table(self) -> None:
        """Write the tables."""
        dut = self.dut
        for ctx, table in enumerate(self.tables):
            for q, p in enumerate(table):
                dut.pos_tab_i.value = TABLE.pack({"valid": 1, "ctx": ctx, "q": q, "p": p})
                await FallingEdge(dut.clk_i)
        dut.pos_tab_i.value = 0
        assert dut.blocked_o.value, "before the first unblock_i nothing may be emitted"

    async def run(self, units: list[list[dict]], segment_stalls: Stalls, wgt_rate: float) -> int:
        """Send all units through; unblock_i follows an end after a random time.

        Returns how often a position follows itself: each time costs a cycle.
        """
        dut, gen = self.dut, self.gen
        segments = [segment for unit in units for segment in unit]
        coming = [int(v) for v in gen.integers(0, 2**48, sum(s["first_of_pass"] for s in segments))]
        vectors = iter(coming)
        # What must come out, in order: emissions (context, position, buffer, offset, vector) and the ends of units.
        emissions, current = Scoreboard("emission"), None
        release_after: list[tuple[int, int]] = []  # emissions up to the end of each region, halves that it takes
        emitted = repeated = 0
        before = None
        for segment in segments:
            half = self.half[segment["ctx"]]
            buffer, halves = copy(self.ring).take(half)
            if segment["first_of_pass"]:
                current = next(vectors)
            for bit in range(64):
                if segment["bits"] >> bit & 1:
                    q = 64 * segment["word"] + bit
                    emissions.expect(
                        (segment["ctx"], self.tables[segment["ctx"]][q], buffer, segment["start"] + bit, current)
                    )
                    repeated += q == before
                    before, emitted = q, emitted + 1
            if segment["release_region"]:
                release_after.append((emitted, halves))
                self.ring.take(half)
            if segment["last_of_unit"]:
                emissions.expect(END)
                before = None
        self.segments.stalls = segment_stalls
        self.segments.send(*segments)
        releases, read_count = len(release_after), 0
        loaded, wait, idle = None, int(gen.integers(0, 5)), 0
        released, queue = 0, []
        read, vectors_left = None, True
        while emissions.due or released < releases:
            if coming and len(queue) < 4 and gen.random() < wgt_rate:
                queue.append(coming.pop(0))
            dut.wgt_level_i.value = len(queue)
            blocked = bool(dut.blocked_o.value)
            unblock = blocked and wait == 0
            dut.unblock_i.value = unblock
            wait = wait - 1 if blocked and wait > 0 else wait
            if unblock:
                wait = -1
            elif not blocked and wait < 0:
                wait = int(gen.integers(0, 12))
            await RisingEdge(dut.clk_i)
            busy = bool(dut.busy_o.value)
            self.busy.append(busy)
            assert not (busy and (blocked or dut.no_weight_o.value or dut.starving_o.value))
            if dut.no_weight_o.value:
                assert not vectors_left, "waits for a vector that is there"
            # One more may be on its way to its emission.
            vectors_left = len(queue) > 1 + bool(dut.emit_load_o.value)
            emission = bool(dut.emit_valid_o.value)
            if dut.emit_load_o.value:
                assert emission and queue, "takes a vector that is not there"
                loaded = queue.pop(0)
            if emission:
                assert read is not None, "an emission whose byte was not read"
                emissions.take((int(dut.emit_ctx_o.value), int(dut.emit_pos_o.value), *read, loaded))
            if dut.emit_end_o.value:
                emissions.take(END)
            read = (int(dut.byte_buf_o.value), int(dut.byte_off_o.value)) if dut.byte_read_o.value else None
            read_count += read is not None
            if dut.release_o.value:  # the byte that is read now may be its last
                after, halves = release_after[released]
                assert read_count >= after, "a region is released before its last byte is read"
                assert dut.release_o.value == halves, "a region gives back other halves than it took"
                released += 1
            if emission or dut.emit_end_o.value:
                idle = 0
            await FallingEdge(dut.clk_i)
            idle += 1
            assert idle < 500, f"waits: {emissions.due} emissions are still to come, {released} of {releases} regions"
        dut.wgt_level_i.value, dut.unblock_i.value = 0, 0
        for _ in range(4):
            await FallingEdge(dut.clk_i)
            assert not dut.emit_valid_o.value and not dut.emit_end_o.value and not dut.release_o.value
        assert released == releases and not queue and not coming
        await self.ring.idle(dut, gen)
        return repeated


def random_units(gen, count: int, density: float) -> list[list[dict]]:
    """Units of segments; a segment without bits only where pass_generator makes one: at the end of a region or unit."""
    units = []
    for _ in range(count):
        unit: list[dict] = []
        ctx = int(gen.integers(2))
        for _ in range(int(gen.integers(1, 12))):
            bits = int((gen.random(64) < density).astype(object) @ (1 << gen.permutation(64).astype(object)))
            release = int(gen.random() < 0.3)
            if not bits and not release:
                bits = 1 << int(gen.integers(64))
            word = int(gen.integers(int(os.environ["RegionPos"]) // 64))
            room = int(os.environ["RegionPos"]) - 64 * word - 64
            first = int(bool(bits) and (not unit or gen.random() < 0.7))
            unit.append(
                {
                    "bits": bits,
                    "word": word,
                    "start": 64 * word + int(gen.integers(0, room + 1)),
                    "first_of_pass": first,
                    "release_region": release,
                    "last_of_unit": 0,
                    "ctx": ctx,
                }
            )
            if bits and not any(s["first_of_pass"] for s in unit):
                unit[-1]["first_of_pass"] = 1
        if gen.random() < 0.3:
            unit.append(unit[-1] | NO_SEGMENT | {"release_region": 0})
        unit[-1] = unit[-1] | {"last_of_unit": 1}
        units.append(unit)
    return units


@block_test(us=500)
async def random_stalls(dut):
    """Dense and sparse segments, slow and fast segments and weights, several units each time."""
    await start(dut)
    bench = Bench(dut, rng())
    await bench.fill_table()
    for density in (0.02, 0.3, 1.0):
        for segment_stalls in (Stalls(1, 9), NO_STALLS):
            for wgt_rate in (0.05, 1.0):
                await bench.run(random_units(bench.gen, 4, density), segment_stalls, wgt_rate)


@block_test(us=50)
async def no_bubble(dut):
    """With segments and vectors at hand, a position every cycle from the first to the last of a unit."""
    await start(dut)
    bench = Bench(dut, rng())
    await bench.fill_table()
    for density in (0.01, 0.1, 0.5):
        (unit,) = random_units(bench.gen, 1, density)
        unit = [
            s | {"bits": s["bits"] or 1, "first_of_pass": int(n == 0 or s["first_of_pass"])} for n, s in enumerate(unit)
        ]
        bench.busy = []
        repeated = await bench.run([unit], NO_STALLS, 1.0)
        first, positions = bench.busy.index(True), sum(s["bits"].bit_count() for s in unit)
        assert sum(bench.busy) == positions
        assert all(bench.busy[first : first + positions + repeated]) == (repeated == 0)
        assert sum(bench.busy[first : first + positions + repeated]) == positions


@block_test(us=50)
async def repeated_position(dut):
    """Passes of the same single position come every other cycle."""
    await start(dut)
    bench = Bench(dut, rng())
    await bench.fill_table()
    one = {"ctx": 1, "bits": 4, "word": 0, "start": 0, "first_of_pass": 1, "release_region": 0, "last_of_unit": 0}
    unit = [one | {"start": n} for n in range(10)]
    unit[-1] |= {"last_of_unit": 1, "release_region": 1}
    assert await bench.run([unit], NO_STALLS, 1.0) == 9
    first = bench.busy.index(True)
    assert bench.busy[first : first + 19] == [n % 2 == 0 for n in range(19)]


@pytest.mark.parametrize(
    "region, regions, sim",
    [(64, 2, "verilator"), (128, 3, "verilator"), (512, 4, "verilator"), (256, 2, "icarus")],
)
def test_scanner(run_block, region, regions, sim):
    run_block("spcore_scanner", {"RegionPos": region, "NumRegions": regions}, sim=sim)
