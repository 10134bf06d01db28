# SPDX-License-Identifier: Apache-2.0
"""weight_loader: loads of weights and parameters in every k/m mode, idle cycles, every malformed stream."""

import os

import cocotb
import pytest
from cocotb.triggers import FallingEdge, RisingEdge

from models.stream import LANE_BITS, Packet
from tests.blocks.stream_ends import set_stalls, vector_source
from verif.shared.stalls import STALLS
from verif.shared.structs import struct
from verif.sim.env.axi_stream import frame_of
from verif.sim.kit import block_test, start
from verif.sim.seed import rng

MODES = [(0, 0), (0, 1), (1, 2), (2, 3), (0, 2), (1, 3), (2, 4)]  # log2 of k and m
KINDS = ("weights", "params", "program")
PARAM, COMMAND, STATUS = struct("param_t"), struct("wgt_cmd_t"), struct("wgt_status_t")


class Bench:
    """Drives the commands and the stream; records writes, done and error pulses of every cycle."""

    def __init__(self, dut):
        self.dut, self.gen, self.lanes = dut, rng(), int(os.environ["NumLanes"])
        self.source = vector_source(dut)
        self.clear()
        cocotb.start_soon(self._watch())

    def clear(self):
        self.weights, self.params, self.program, self.done, self.errors = [], [], [], [], []

    async def _watch(self):
        dut = self.dut
        while True:
            await RisingEdge(dut.clk_i)
            if dut.wgt_we_o.value:
                self.weights.append((int(dut.wgt_waddr_o.value), int(dut.wgt_wdata_o.value)))
            if dut.par_we_o.value:
                self.params.append((int(dut.par_waddr_o.value), int(dut.par_wdata_o.value)))
            if dut.prg_we_o.value:
                self.program.append((int(dut.prg_waddr_o.value), int(dut.prg_wdata_o.value)))
            status = self.status()
            if status["done_program"]:
                self.done.append(("program", len(self.program)))
            if status["done_weights"]:
                self.done.append(("weights", len(self.weights)))
            if status["done_params"]:
                self.done.append(("params", len(self.params)))
            self.errors += [name for name, bit in status["err"].items() if bit]

    def status(self) -> dict:
        return STATUS.unpack(self.dut.status_o.value)

    # -- stimulus -------------------------------------------------------------------------------------------------

    def vector(self, k_log2: int, m_log2: int) -> int:
        """A random weight vector with legal indices."""
        k, m, flat = 1 << k_log2, 1 << m_log2, 0
        for group in range(self.lanes // k):
            for i, index in enumerate(sorted(self.gen.choice(m, k, replace=False).tolist())):
                lane = group * k + i
                flat |= (index << 8 | int(self.gen.integers(256))) << LANE_BITS * lane
        return flat

    def param(self) -> int:
        """A random legal parameter beat, extremes among them."""
        shift = int(self.gen.choice([1, 62, self.gen.integers(1, 63)]))
        multiplier = int(self.gen.choice([0, 2**31 - 1, self.gen.integers(2**31)]))
        return shift << 64 | multiplier << 32 | int(self.gen.integers(2**32))

    def beat(self, kind: str, mode) -> int:
        """A random legal beat; of a program anything."""
        if kind == "program":
            return int.from_bytes(self.gen.bytes(len(self.dut.s_axis_tdata) // 8), "little")
        return self.vector(*mode) if kind == "weights" else self.param()

    def with_index(self, beat: int, lane: int, index: int) -> int:
        shift = LANE_BITS * lane + 8
        return beat & ~(0xF << shift) | index << shift

    async def command(self, kind: str, base: int, count: int, mode=(0, 0), flush: bool = False):
        dut = self.dut
        await FallingEdge(dut.clk_i)
        starts = {f"start_{name}": kind == name for name in KINDS} | {"flush": flush}
        load = {"base": base, "count": count, "k_log2": mode[0], "m_log2": mode[1]}
        dut.cmd_i.value = COMMAND.pack(starts | load)
        await FallingEdge(dut.clk_i)
        # What comes with the command is taken with it: what comes later must not matter.
        later = {name: int(self.gen.integers(1 << COMMAND.fields[name].width)) for name in load}
        dut.cmd_i.value = COMMAND.pack(later)

    async def flush(self):
        await FallingEdge(self.dut.clk_i)
        self.dut.cmd_i.value = COMMAND.pack({"flush": 1})
        await FallingEdge(self.dut.clk_i)
        self.dut.cmd_i.value = 0

    async def settle(self):
        """Until the source has sent everything and the write stage has emptied."""
        await self.source.wait()
        for _ in range(4):
            await FallingEdge(self.dut.clk_i)

    def send(self, *packets: list[int]):
        for beats in packets:
            self.source.send_nowait(frame_of(Packet(beats)))

    # -- checks ---------------------------------------------------------------------------------------------------

    def check_written(self, kind: str, base: int, beats: list[int]):
        if kind == "weights":
            mask = (1 << LANE_BITS * self.lanes) - 1
            assert self.weights == [(base + i, beat & mask) for i, beat in enumerate(beats)]
            assert not self.params and not self.program
        elif kind == "program":
            assert self.program == [((base + i) & 0xFFFF, beat & 2**64 - 1) for i, beat in enumerate(beats)]
            assert not self.weights and not self.params
        else:
            want = [
                PARAM.pack({"shift": b >> 64 & 63, "multiplier": b >> 32 & 2**31 - 1, "bias": 0}) | b & 0xFFFFFFFF
                for b in beats
            ]
            assert self.params == [(base + i, value) for i, value in enumerate(want)]
            assert not self.weights and not self.program

    def check_idle(self):
        assert self.dut.status_o.value == 0 and self.dut.s_axis_tready.value == 0

    async def good_load(self, kind: str, mode, count: int, stalls, flush: bool = False):
        base = int(self.gen.integers(2**20))
        beats = [self.beat(kind, mode) for _ in range(count)]
        set_stalls(self.source, stalls, self.gen)
        self.clear()
        await self.command(kind, base, count, mode, flush)
        status = self.status()
        assert [status[f"busy_{name}"] for name in KINDS] == [kind == name for name in KINDS]
        assert not status["discard"]
        self.send(beats)
        await self.settle()
        self.check_written(kind, base, beats)
        assert self.done == [(kind, count)], "done comes once, with the last write"
        assert not self.errors
        self.check_idle()

    async def bad_load(
        self, kind: str, mode, beats: list[int], count: int, cause: str, at: int, stalls, flush_start=False
    ):
        """Send `beats` to a load of `count`, expect `cause` at beat `at`, garbage swallowed, recovery."""
        base = int(self.gen.integers(2**20))
        set_stalls(self.source, stalls, self.gen)
        self.clear()
        await self.command(kind, base, count, mode)
        self.send(beats)
        await self.settle()
        garbage = [[int(self.gen.integers(2**60)) for _ in range(n)] for n in (1, 3, count)]
        self.send(*garbage)
        await self.settle()
        self.check_written(kind, base, beats[:at])
        assert self.errors == [cause]
        assert not self.done
        status = self.status()
        assert status["err_info"] == at
        assert status["discard"] and self.dut.s_axis_tready.value == 1
        assert not any(status[f"busy_{name}"] for name in KINDS)
        if not flush_start:
            await self.flush()
            self.check_idle()
        await self.good_load(kind, mode, 3, stalls, flush=flush_start)


@block_test(us=200)
async def loads(dut):
    """Weights in every mode and parameters, one beat to many, with every kind of stall."""
    await start(dut)
    bench = Bench(dut)
    for stalls in STALLS:
        for mode in MODES:
            await bench.good_load("weights", mode, int(bench.gen.integers(1, 30)), stalls)
            await bench.good_load("params", mode, int(bench.gen.integers(1, 30)), stalls)
            await bench.good_load("program", mode, int(bench.gen.integers(1, 30)), stalls)
    await bench.good_load("weights", (1, 2), 1, STALLS[0])
    await bench.good_load("params", (0, 0), 1, STALLS[0])


@block_test(us=5)
async def full_rate(dut):
    """Without idle cycles in the stream one beat is taken every cycle."""
    await start(dut)
    bench = Bench(dut)
    await bench.command("weights", 0, 100, (1, 2))
    bench.send([bench.vector(1, 2) for _ in range(100)])
    for _ in range(104):
        await FallingEdge(dut.clk_i)
    assert len(bench.weights) == 100 and bench.done


@block_test(us=5)
async def idle_takes_nothing(dut):
    """Beats wait while there is no load; flush without a fault does nothing; the waiting beats are the next load's."""
    await start(dut)
    bench = Bench(dut)
    beats = [bench.vector(2, 4) for _ in range(5)]
    bench.send(beats)
    for _ in range(10):
        await FallingEdge(dut.clk_i)
        assert dut.s_axis_tready.value == 0
    await bench.flush()
    bench.check_idle()
    await bench.command("weights", 7, 5, (2, 4))
    await bench.flush()
    await bench.settle()
    bench.check_written("weights", 7, beats)
    assert bench.done == [("weights", 5)] and not bench.errors


@block_test(us=1000)
async def malformed(dut):
    """Each malformed stream, at the first, a middle and the last beat, under every kind of stall."""
    await start(dut)
    bench = Bench(dut)
    gen, count = bench.gen, 6
    for stalls in STALLS:
        for kind in KINDS:
            mode = MODES[gen.integers(len(MODES))]
            beats = [bench.beat(kind, mode) for _ in range(count + 4)]
            for length in (1, 3, count - 1):
                await bench.bad_load(kind, mode, beats[:length], count, "tlast_early", length - 1, stalls)
            for extra in (1, 4):
                await bench.bad_load(
                    kind, mode, beats[: count + extra], count, "tlast_late", count - 1, stalls, extra == 4
                )
            await bench.bad_load(kind, mode, beats[:3], 1, "tlast_late", 0, stalls)
        for at in (0, 3, count - 1):
            for flaw in (0 << 64, 63 << 64, 5 << 64 | 1 << 63):
                beats = [bench.param() for _ in range(count)]
                beats[at] = flaw | int(gen.integers(2**63))
                await bench.bad_load("params", (0, 0), beats, count, "par_range", at, stalls, at == 3)
            for mode in MODES:
                k, m = 1 << mode[0], 1 << mode[1]
                if m < 16:
                    lane = int(gen.integers(bench.lanes // k)) * k + k - 1  # the last of a group: the order stays right
                    for index in {m, 15}:
                        beats = [bench.vector(*mode) for _ in range(count)]
                        beats[at] = bench.with_index(beats[at], lane, index)
                        await bench.bad_load("weights", mode, beats, count, "index_range", at, stalls)
                if k > 1:
                    lane = int(gen.integers(bench.lanes // k)) * k + int(gen.integers(1, k))
                    beats = [bench.vector(*mode) for _ in range(count)]
                    before = beats[at] >> LANE_BITS * (lane - 1) + 8 & 0xF
                    beats[at] = bench.with_index(beats[at], lane, int(gen.integers(before + 1)))
                    await bench.bad_load("weights", mode, beats, count, "index_order", at, stalls, at == 3)


@block_test(us=100)
async def cancelled(dut):
    """cancel ends a load at once in discard, after any number of beats; idle it does nothing."""
    await start(dut)
    bench = Bench(dut)

    async def cancel():
        await FallingEdge(dut.clk_i)
        dut.cmd_i.value = COMMAND.pack({"cancel": 1})
        await FallingEdge(dut.clk_i)
        dut.cmd_i.value = 0

    for kind in KINDS:
        await cancel()
        bench.check_idle()
        for wait in range(8):
            for stalls in STALLS[:2]:
                set_stalls(bench.source, stalls, bench.gen)
                beats = [bench.beat(kind, (1, 2)) for _ in range(12)]
                bench.clear()
                await bench.command(kind, 9, 12, (1, 2))
                bench.send(beats)
                for _ in range(wait):
                    await FallingEdge(dut.clk_i)
                await cancel()
                status = bench.status()
                assert status["discard"] and not any(status[f"busy_{name}"] for name in KINDS)
                await FallingEdge(dut.clk_i)
                written = {"weights": bench.weights, "params": bench.params, "program": bench.program}[kind]
                count = len(written)
                bench.send(*[[bench.beat(kind, (1, 2)) for _ in range(n)] for n in (1, 3)])
                await bench.settle()
                assert len(written) == count <= wait + 1
                bench.check_written(kind, 9, beats[:count])
                assert not bench.done and not bench.errors
                assert bench.status()["discard"] and bench.status()["err_info"] == 0
                await bench.flush()
                bench.check_idle()
                await bench.good_load(kind, (1, 2), 3, STALLS[1])


@block_test(us=5)
async def several_faults_in_a_beat(dut):
    """The first cause in the documented order, alone."""
    await start(dut)
    bench = Bench(dut)
    both = bench.with_index(bench.with_index(bench.vector(1, 2), 0, 9), 1, 9)
    await bench.bad_load("weights", (1, 2), [both], 2, "index_order", 0, STALLS[0])
    high = bench.with_index(bench.vector(0, 1), 0, 9)
    await bench.bad_load("weights", (0, 1), [high], 2, "index_range", 0, STALLS[0])
    await bench.bad_load("weights", (0, 1), [high, high], 1, "index_range", 0, STALLS[0])
    await bench.bad_load("params", (0, 0), [0], 2, "par_range", 0, STALLS[0])


@block_test(us=5)
async def reset_in_a_load(dut):
    """A reset forgets load and discard; the next load is right."""
    await start(dut)
    bench = Bench(dut)
    for faulty in (False, True):
        await bench.command("weights", 5, 9, (0, 0))
        bench.send([bench.with_index(0, 1, 3 if faulty else 0)] * 3 + [0] * (1 if faulty else 0))
        for _ in range(3):
            await FallingEdge(dut.clk_i)
        assert bench.status()["discard"] == faulty
        dut.rst_ni.value = 0
        await FallingEdge(dut.clk_i)
        dut.rst_ni.value = 1
        await FallingEdge(dut.clk_i)
        bench.check_idle()
        await bench.good_load("weights", (1, 3), 4, STALLS[1])


@pytest.mark.parametrize("lanes, sim", [(4, "verilator"), (16, "verilator"), (4, "icarus")])
def test_weight_loader(run_block, lanes, sim):
    run_block("spcore_weight_loader", {"NumLanes": lanes}, sim=sim)


def test_parameter_check(run_block):
    with pytest.raises(RuntimeError, match="NumLanes = 12, expected a power of two from 4 to 64"):
        run_block("spcore_weight_loader", {"NumLanes": 12})
