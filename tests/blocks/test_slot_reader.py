# SPDX-License-Identifier: Apache-2.0
"""slot_reader: reads, accumulators, parameters and tags of every cycle against a model of its walk, with stalls."""

import os
from collections import deque

import numpy as np
import pytest
from cocotb.triggers import FallingEdge, RisingEdge

from tests.blocks.output_jobs import LayerOfJobs, from_flat
from tests.blocks.slot_bench import SlotBench, slot_info
from verif.shared.structs import struct
from verif.sim.kit import block_test, start
from verif.sim.seed import rng

LAYER, DERIVED, TAG = struct("layer_t"), struct("derived_t"), struct("line_tag_t")


LATENCY = 3  # cycles from a beat's turn to its values


class Bench(SlotBench):
    """Predicts what slot_reader sends in every cycle."""

    def __init__(self, dut, gen) -> None:
        super().__init__(dut, gen)
        self.lanes = int(os.environ["SpLanes"])
        self.ctx = 0  # ctx_o of the last cycle
        self.stage = 0  # of the present job, 0 without one
        self.beats: deque[dict] = deque()  # of it, their turn is still to come
        self.pipe: list[dict | None] = [None] * LATENCY  # the last is at the output
        self.take: int | None = None  # was chosen in the last cycle
        self.free: int | None = None  # was read in the last cycle
        self.ready: list[int] = []  # full and known at the end of the last cycle

    def drive(self) -> None:
        super().drive()
        if self.works:  # of another layer, when the present one has left
            work = self.works.get(self.ctx) or next(iter(self.works.values()))
            self.dut.layer_i.value, self.dut.derived_i.value = LAYER.pack(work.layer), DERIVED.pack(work.derived)
            self.ctx = int(self.dut.ctx_o.value)

    async def begin(self, work: LayerOfJobs) -> None:
        """The next layer: it is turned to before its first slot is full."""
        self.works.clear()
        self.oldest = work.ctx
        self.works[work.ctx] = work
        for _ in range(20):
            self.run = True
            self.drive()
            await FallingEdge(self.dut.clk_i)
        assert self.dut.ctx_o.value == work.ctx
        self.stage, self.pipe, self.take, self.free, self.ready = 0, [None] * LATENCY, None, None, []

    def beats_of(self, stage: int) -> list[dict]:
        """All beats of a slot: the values in it and what goes with them."""
        job, work = self.jobs[stage], self.of[stage]
        layer, info = work.layer, slot_info(work, job)
        channels = work.channels(info["chunk"])
        beats = []
        for channel, acc in zip(channels, job.acc, strict=False):  # accumulators of a whole chunk
            for pos in range(0, info["npos"], self.lanes):
                line_end = pos + self.lanes >= info["npos"]
                entry = info["idx_addr"] + (channel - channels.start) * layer["out_pitch"]
                tag = {"ctx": work.ctx, "job": info["job"], "idx_addr": entry, "mask": info["mask"]}
                tag |= {"line_end": line_end, "job_end": line_end and channel == channels[-1]}
                address = layer["par_base"] + channel
                beat = {"stage": stage, "acc": acc[pos : pos + self.lanes], "tag": tag}
                beats.append(beat | {"address": address, "par": work.parameter(address)})
        return beats

    async def cycle(self, run: bool) -> None:
        """One cycle: check all outputs."""
        dut = self.dut
        self.run = run
        self.drive()
        await RisingEdge(dut.clk_i)
        held = self.pipe[-1]
        assert dut.valid_o.value == (held is not None)
        if held:
            assert TAG.unpack(dut.tag_o.value) == held["tag"]
            assert dut.par_o.value == held["par"]
            found = from_flat(dut.acc_o.value, self.lanes)[: len(held["acc"])].view(np.int32)
            assert (found == held["acc"]).all(), f"{held['tag']}: {found}, expected {held['acc']}"
        reading = self.pipe[0]
        if reading:
            assert dut.par_addr_o.value == reading["address"]
        ready, full = [stage for stage in self.ready if stage != self.take], self.full
        took, read, freed = self.observe()
        self.ready = [stage for stage in full if stage in self.known]
        assert took == self.take
        assert read == (reading["stage"] if reading and run else None)
        assert freed == self.free

        self.take = self.free = None
        if run:
            last = self.pipe[-2]
            self.free = last["stage"] if last and last["tag"]["job_end"] else None
            present = self.beats.popleft() if self.beats else None
            self.pipe = [present, *self.pipe[:-1]]
            if not self.beats:
                if ready:
                    self.take = min(ready, key=lambda s: (s - self.stage - 1) % self.stages)
                    self.stage = self.take
                    self.beats += self.beats_of(self.take)
                elif not present:
                    self.stage = 0
        await FallingEdge(dut.clk_i)

    async def run_layer(self, work: LayerOfJobs, fill_rate: float = 1, run_rate: float = 1) -> int:
        """All jobs of a layer through slots that become full in random order; returns the cycles."""
        await self.begin(work)
        self.tell_rate = fill_rate
        waiting, cycles = deque(work.jobs), 0
        limit = 200 + 100 * len(work.jobs) * (work.derived["chunk_k"] + 20) / min(fill_rate, run_rate)
        while waiting or len(self.vacant) < self.stages:
            for stage in self.gen.permutation(self.vacant):
                if waiting and self.gen.random() < fill_rate:
                    self.fill(stage, waiting.popleft())
            await self.cycle(self.gen.random() < run_rate)
            cycles += 1
            assert cycles < limit, f"stuck: {len(waiting)} jobs wait, slots {self.jobs} are busy"
        for _ in range(3):
            await self.cycle(self.gen.random() < 0.5)
        return cycles


@block_test(us=400)
async def random_layers(dut):
    """Any ratio, tile and K; slots become full at any time and in any order, the sink stalls."""
    await start(dut)
    bench = Bench(dut, rng())
    lanes = int(os.environ["NumLanes"])
    for number in range(int(os.environ["Layers"])):
        work = LayerOfJobs(bench.gen, lanes, number // 2 % 2, ratio=number % 3, tiles=(2, 2), residual=False)
        await bench.run_layer(work, *bench.gen.choice([0.1, 0.5, 1], 2).tolist())


async def run_residual(bench: Bench, work: LayerOfJobs, fill_rate: float, run_rate: float, line_rate: float) -> None:
    """A layer with a residual: what is asked for, lines that begin only when theirs is there, all beats in order."""
    dut, gen = bench.dut, bench.gen
    await bench.begin(work)
    bench.tell_rate = fill_rate
    waiting = deque(work.jobs)
    beats: deque[dict] = deque()  # of the slots that were told to be next, in order
    due = came = begun = quiet = 0  # residual lines that are asked for, that came, lines that began
    line_end = True
    next_slot = None  # told to be next, not taken yet
    while waiting or len(bench.vacant) < bench.stages or beats:
        for stage in gen.permutation(bench.vacant):
            if waiting and gen.random() < fill_rate:
                bench.fill(stage, waiting.popleft())
        bench.run = gen.random() < run_rate
        idle = next_slot is None and gen.random() < 0.7
        come = gen.random() < line_rate and came < min(due, begun + 8)
        dut.res_idle_i.value, dut.res_line_i.value = idle, come
        bench.drive()
        await RisingEdge(dut.clk_i)
        if dut.res_start_o.value:
            told = [s for s in bench.known if s != next_slot]
            first = int(dut.res_channel_o.value), int(dut.res_addr_o.value)
            infos = {s: slot_info(work, bench.jobs[s]) for s in told}
            found = [s for s in told if (infos[s]["chunk"] * work.derived["chunk_k"], infos[s]["res_addr"]) == first]
            assert len(found) == 1, f"{first} is the begin of no slot's residual"
            assert next_slot is None
            next_slot = found[0]
            beats += bench.beats_of(next_slot)
            due += len(work.channels(infos[next_slot]["chunk"]))
        if dut.valid_o.value:
            assert beats and TAG.unpack(dut.tag_o.value) == beats[0]["tag"]
            assert dut.par_o.value == beats[0]["par"]
            acc = from_flat(dut.acc_o.value, bench.lanes)[: len(beats[0]["acc"])].view(np.int32)
            assert (acc == beats[0]["acc"]).all()
            if bench.run:
                begun += line_end
                assert begun <= came, "a line without its residual line"
                line_end = beats.popleft()["tag"]["line_end"]
                quiet = 0
        came += come
        took, _, _ = bench.observe()
        if took is not None:
            assert took == next_slot
            next_slot = None
        quiet += 1
        assert quiet < 1000, f"stuck: {len(waiting)} jobs wait, {len(beats)} beats are due"
        await FallingEdge(dut.clk_i)
    assert begun == came == due


@block_test(us=400)
async def with_residual(dut):
    """Residual lines come at any time, slots become full in any order, the sink stalls."""
    await start(dut)
    bench = Bench(dut, rng())
    lanes = int(os.environ["NumLanes"])
    for number in range(int(os.environ["Layers"])):
        work = LayerOfJobs(bench.gen, lanes, number // 2 % 2, ratio=number % 3, tiles=(2, 2), residual=True)
        await run_residual(bench, work, *bench.gen.choice([0.1, 0.5, 1], 3).tolist())


@block_test(us=75)
async def every_length(dut):
    """Lines of every length, in every ratio, of one channel and of two."""
    await start(dut)
    bench = Bench(dut, rng())
    lanes = int(os.environ["NumLanes"])
    for ratio, longest in enumerate((64, 64, 32)):
        for n in range(1, longest + 1):
            work = LayerOfJobs(
                bench.gen,
                lanes,
                ratio=ratio,
                tile_h=1,
                tile_w=n,
                tiles=(1, 1),
                chunks=1,
                out_k=1 + n % 2,
                full_tiles=True,
                residual=False,
            )
            await bench.run_layer(work)


@block_test(us=40)
async def cut_chunks(dut):
    """The last chunk has one channel, nearly all or all, in every ratio."""
    await start(dut)
    bench = Bench(dut, rng())
    for ratio in range(3):
        chunk_k = int(os.environ["NumLanes"]) << ratio
        for left in (1, 2, chunk_k - 1, chunk_k):
            work = LayerOfJobs(
                bench.gen,
                chunk_k >> ratio,
                ratio=ratio,
                tile_h=1,
                tile_w=9,
                tiles=(1, 1),
                chunks=2,
                out_k=chunk_k + left,
                splits=1,
                residual=False,
            )
            await bench.run_layer(work, run_rate=0.8)


@block_test(us=12)
async def without_a_gap(dut):
    """Full slots and a willing sink: a beat a cycle, also from slot to slot."""
    await start(dut)
    bench = Bench(dut, rng())
    lanes, width = int(os.environ["NumLanes"]), int(os.environ["SpLanes"])
    work = LayerOfJobs(
        bench.gen,
        lanes,
        ratio=1,
        tile_h=2,
        tile_w=32,
        tiles=(3, 3),
        chunks=1,
        out_k=lanes,
        splits=1,
        full_tiles=True,
        residual=False,
    )
    cycles = await bench.run_layer(work)
    gaps = 0 if bench.stages > 1 else 5 * (len(work.jobs) - 1)  # a single slot is freed, and full again, first
    assert cycles == len(work.jobs) * lanes * 64 // width + 5 + gaps


@pytest.mark.parametrize("lanes, sp_lanes, stages, layers", [(4, 16, 1, 6), (16, 32, 3, 3)])
def test_slot_reader(run_block, lanes, sp_lanes, stages, layers):
    run_block(
        "spcore_slot_reader", {"NumLanes": lanes, "SpLanes": sp_lanes, "NumStage": stages}, env={"Layers": str(layers)}
    )
