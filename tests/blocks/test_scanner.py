"""scanner: every position of every segment once, in order, with its byte and vector; stalls; bubbles between equal
positions alone; unit ends."""

import os
from itertools import pairwise

import cocotb
import pytest
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, RisingEdge, Timer

from verif.runner import run_block
from verif.seed import rng
from verif.structs import struct

SEGMENT, INFO = struct("segment_t"), struct("drain_info_t")
NO_SEGMENT = {"bits": 0, "first_of_pass": 0}


def byte_at(buffer: int, offset: int) -> int:
    """The contents of the region buffers."""
    return (buffer * 71 + offset * 13 + 1) % 256


class Bench:
    """Segments and vectors in, emissions out, each cycle compared with a model of the scanner's order."""

    def __init__(self, dut, gen):
        self.dut, self.gen = dut, gen
        self.table = [int(p) for p in gen.integers(0, 64, int(os.environ["RegionPos"]))]
        self.busy: list[int] = []

    async def start(self) -> None:
        dut = self.dut
        dut.rst_ni.value = 0
        await Timer(1, "ns")  # no clock edge before the reset
        cocotb.start_soon(Clock(dut.clk_i, 10, "ns").start())
        for name in (
            "tab_we_i",
            "tab_q_i",
            "tab_p_i",
            "segment_valid_i",
            "segment_i",
            "wgt_valid_i",
            "wgt_vector_i",
            "byte_i",
            "unblock_i",
        ):
            getattr(dut, name).value = 0
        await FallingEdge(dut.clk_i)
        await FallingEdge(dut.clk_i)
        dut.rst_ni.value = 1
        for q, p in enumerate(self.table):
            dut.tab_we_i.value, dut.tab_q_i.value, dut.tab_p_i.value = 1, q, p
            await FallingEdge(dut.clk_i)
        dut.tab_we_i.value = 0
        assert dut.blocked_o.value, "before the first unblock_i nothing may be emitted"

    async def run(self, units: list[list[dict]], segment_rate: float, wgt_rate: float) -> None:
        """Send all units through; unblock_i follows an end after a random time."""
        dut, gen = self.dut, self.gen
        offsets: list[int] = []  # of the emissions, in the region
        before: int | None = None  # of the emission in the cycle before
        segments = [segment for unit in units for segment in unit]
        vectors = iter([int(v) for v in gen.integers(0, 2**48, sum(s["first_of_pass"] for s in segments))])
        # What must come out, in order: emissions (position, byte, vector) and the ends of regions and units.
        want, vector_queue, current = [], [], None
        release_after: list[int] = []  # emissions up to the end of each region
        emitted = 0
        for segment in segments:
            if segment["first_of_pass"]:
                current = next(vectors)
                vector_queue.append(current)
            for bit in range(64):
                if segment["bits"] >> bit & 1:
                    q = 64 * segment["base"] + bit
                    offsets.append(q)
                    want.append((self.table[q], byte_at(segment["buffer"], q + segment["offset"]), current))
                    emitted += 1
            if segment["release_region"]:
                release_after.append(emitted)
            if segment["last_of_unit"]:
                want.append(segment["unit"])
        releases, emitted = len(release_after), 0
        found, loaded, wait, idle = [], None, int(gen.integers(0, 5)), 0
        sent = offered = wgt_offered = released = 0
        while len(found) < len(want) or released < releases:
            if not offered and sent < len(segments):
                offered = gen.random() < segment_rate
                dut.segment_i.value = SEGMENT.pack(segments[sent])
            if not wgt_offered and vector_queue:
                wgt_offered = gen.random() < wgt_rate
                dut.wgt_vector_i.value = vector_queue[0]
            dut.segment_valid_i.value, dut.wgt_valid_i.value = bool(offered), bool(wgt_offered)
            blocked = bool(dut.blocked_o.value)
            unblock = blocked and wait == 0
            dut.unblock_i.value = unblock
            wait = wait - 1 if blocked and wait else wait
            if unblock:
                wait = int(gen.integers(0, 12))
            await Timer(1, "ns")
            if dut.byte_off_o.value.is_resolvable:
                dut.byte_i.value = byte_at(int(dut.byte_buf_o.value), int(dut.byte_off_o.value))
            await RisingEdge(dut.clk_i)
            busy = bool(dut.busy_o.value)
            self.busy.append(busy)
            assert not (busy and blocked) and not (busy and dut.no_weight_o.value)
            if dut.no_weight_o.value:
                assert not wgt_offered
            if dut.starving_o.value:
                assert not busy and not offered
            if dut.emit_load_o.value:
                assert dut.emit_valid_o.value
                loaded = int(dut.emit_vector_o.value)
            if dut.emit_valid_o.value:
                assert before != offsets[emitted], "one position in two cycles running"
                found.append((int(dut.emit_pos_o.value), int(dut.emit_act_o.value), loaded))
                before = offsets[emitted]
                emitted += 1
            else:
                before = None
            if dut.release_o.value:
                assert emitted >= release_after[released], "a region is released before its last byte is read"
                released += 1
            if dut.emit_end_o.value:
                found.append(INFO.unpack(dut.unit_o.value))
            if dut.emit_valid_o.value or dut.emit_end_o.value:
                assert found == want[: len(found)], (
                    f"{len(found)}: found {found[-2:]}, expected {want[len(found) - 2 : len(found)]}"
                )
                idle = 0
            taken = offered and bool(dut.segment_ready_o.value)
            sent, offered = sent + taken, offered and not taken
            if wgt_offered and dut.wgt_ready_o.value:
                vector_queue.pop(0)
                wgt_offered = False
            await FallingEdge(dut.clk_i)
            idle += 1
            assert idle < 2000, f"stuck after {len(found)} of {len(want)}, {released} of {releases} regions"
        dut.segment_valid_i.value, dut.wgt_valid_i.value, dut.unblock_i.value = 0, 0, 0
        for _ in range(4):
            await FallingEdge(dut.clk_i)
            assert not dut.emit_valid_o.value and not dut.emit_end_o.value and not dut.release_o.value
        assert released == releases and not vector_queue


def random_units(gen, count: int, density: float) -> list[list[dict]]:
    """Units of segments; a segment without bits only where pass_generator makes one: at the end of a region or unit."""
    units = []
    for number in range(count):
        unit, info = [], {"job": number, "split": 0, "chunk": 7, "out_line": 3, "tile_h": 2, "tile_w": 5}
        for _ in range(int(gen.integers(1, 12))):
            bits = int((gen.random(64) < density).astype(object) @ (1 << gen.permutation(64).astype(object)))
            release = int(gen.random() < 0.3)
            if not bits and not release:
                bits = 1 << int(gen.integers(64))
            base = int(gen.integers(int(os.environ["RegionPos"]) // 64))
            room = int(os.environ["RegionPos"]) - 64 * base - 64
            first = int(bool(bits) and (not unit or gen.random() < 0.7))
            unit.append(
                {
                    "bits": bits,
                    "base": base,
                    "offset": int(gen.integers(0, room + 1)),
                    "buffer": int(gen.integers(4)),
                    "first_of_pass": first,
                    "release_region": release,
                    "last_of_unit": 0,
                    "unit": info,
                }
            )
            if bits and not any(s["first_of_pass"] for s in unit):
                unit[-1]["first_of_pass"] = 1
        if gen.random() < 0.3:
            unit.append(unit[-1] | NO_SEGMENT | {"release_region": 0})
        unit[-1] = unit[-1] | {"last_of_unit": 1}
        units.append(unit)
    return units


@cocotb.test()
async def random_stalls(dut):
    """Dense and sparse segments, slow and fast segments and weights, several units each time."""
    bench = Bench(dut, rng())
    await bench.start()
    for density in (0.02, 0.3, 1.0):
        for segment_rate in (0.1, 1.0):
            for wgt_rate in (0.05, 1.0):
                await bench.run(random_units(bench.gen, 4, density), segment_rate, wgt_rate)


@cocotb.test()
async def no_bubble(dut):
    """With segments and vectors at hand, a position every cycle from the first to the last of a unit, and a cycle
    between two that are the same."""
    bench = Bench(dut, rng())
    await bench.start()
    for density in (0.01, 0.1, 0.5):
        (unit,) = random_units(bench.gen, 1, density)
        unit = [
            s | {"bits": s["bits"] or 1, "first_of_pass": int(n == 0 or s["first_of_pass"])} for n, s in enumerate(unit)
        ]
        q = [64 * s["base"] + bit for s in unit for bit in range(64) if s["bits"] >> bit & 1]
        bench.busy = []
        await bench.run([unit], 1.0, 1.0)
        busy = [cycle for cycle, busy in enumerate(bench.busy) if busy]
        assert len(busy) == len(q)
        # The second of two waits after it was found: what follows it comes later.
        assert busy[-1] - busy[0] + 1 == len(q) + sum(a == b for a, b in pairwise(q[:-1]))


@pytest.mark.parametrize("region, sim", [(128, "verilator"), (512, "verilator"), (256, "icarus")])
def test_scanner(region, sim):
    run_block("spcore_scanner", {"NumLanes": 4, "RegionPos": region}, sim=sim)
