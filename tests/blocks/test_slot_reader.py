"""slot_reader: reads, accumulators, parameters and tags of every cycle against a model of its walk, with stalls."""

import os
from collections import deque

import cocotb
import numpy as np
import pytest
from cocotb.triggers import FallingEdge, RisingEdge

from tests.blocks.output_jobs import LayerOfJobs, from_flat
from tests.blocks.slot_bench import SlotBench, slot_info
from verif.runner import run_block
from verif.seed import rng
from verif.structs import struct

TAG = struct("line_tag_t")


class Bench(SlotBench):
    """Predicts what slot_reader does in every cycle."""

    def __init__(self, dut, gen) -> None:
        super().__init__(dut, gen)
        self.lanes = int(os.environ["SpLanes"])
        self.stage = 0  # of the present job, 0 without one
        self.beats: deque[dict] = deque()  # of it, still to be read
        self.held: dict | None = None  # the beat at the output

    def beats_of(self, stage: int) -> list[dict]:
        """All beats of a slot: the values in it and what goes with them."""
        job, layer, info = self.jobs[stage], self.work.layer, slot_info(self.work, self.jobs[stage])
        first = info["chunk"] * self.work.derived["chunk_k"]
        beats = []
        for channel, acc in enumerate(job.acc, first):
            for pos in range(0, info["npos"], self.lanes):
                line_end = pos + self.lanes >= info["npos"]
                tag = {name: info[name] for name in ("job", "out_line", "mask")} | {"channel": channel}
                tag |= {"line_end": line_end, "job_end": line_end and channel == first + len(job.acc) - 1}
                address = layer["par_base"] + channel
                beats.append({"stage": stage, "acc": acc[pos : pos + self.lanes], "address": address, "tag": tag})
        return beats

    async def cycle(self, ready: bool) -> None:
        """One cycle: check all outputs."""
        dut, held = self.dut, self.held
        self.drive()
        dut.ready_i.value = ready
        await RisingEdge(dut.clk_i)
        full = self.known
        present = self.beats[0] if self.beats and (ready or not held) else None
        will_take = full and (not self.beats or (present and len(self.beats) == 1))

        assert dut.valid_o.value == (held is not None)
        if held:
            assert TAG.unpack(dut.tag_o.value) == held["tag"]
            assert dut.par_o.value == self.work.parameter(held["address"])
            found = from_flat(dut.acc_o.value, self.lanes)[: len(held["acc"])].view(np.int32)
            assert (found == held["acc"]).all(), f"{held['tag']}: {found}, expected {held['acc']}"
        if present:
            assert dut.par_addr_o.value == present["address"]
        took, read, freed = self.observe()
        assert read == (present["stage"] if present else None)
        assert freed == (held["stage"] if held and ready and held["tag"]["job_end"] else None)
        assert took == (min(full, key=lambda s: (s - self.stage - 1) % self.stages) if will_take else None)

        if not self.beats:
            self.stage = 0
        if present:
            self.beats.popleft()
        if ready or not held:
            self.held = present
        if took is not None:
            self.stage = took
            self.beats += self.beats_of(took)
        await FallingEdge(dut.clk_i)

    async def run(self, work: LayerOfJobs, fill_rate: float = 1, ready_rate: float = 1) -> int:
        """All jobs of a layer through slots that become full in random order; returns the cycles."""
        self.set_layer(work)
        self.tell_rate = fill_rate
        waiting, cycles = deque(work.jobs), 0
        while waiting or len(self.vacant) < self.stages:
            for stage in self.gen.permutation(self.vacant):
                if waiting and self.gen.random() < fill_rate:
                    self.fill(stage, waiting.popleft())
            await self.cycle(self.gen.random() < ready_rate)
            cycles += 1
        for _ in range(3):
            await self.cycle(self.gen.random() < 0.5)
        return cycles


@cocotb.test()
async def random_layers(dut):
    """Any ratio, tile and K; slots become full at any time and in any order, the sink stalls."""
    bench = Bench(dut, rng())
    await bench.start()
    lanes = int(os.environ["NumLanes"])
    for number in range(int(os.environ["Layers"])):
        work = LayerOfJobs(bench.gen, lanes, ratio=number % 3, tiles=(2, 2))
        await bench.run(work, *bench.gen.choice([0.1, 0.5, 1], 2).tolist())


@cocotb.test()
async def every_length(dut):
    """Lines of every length, in every ratio, of one channel and of two."""
    bench = Bench(dut, rng())
    await bench.start()
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
            )
            await bench.run(work)


@cocotb.test()
async def cut_chunks(dut):
    """The last chunk has one channel, nearly all or all, in every ratio."""
    bench = Bench(dut, rng())
    await bench.start()
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
            )
            await bench.run(work, ready_rate=0.8)


@cocotb.test()
async def without_a_gap(dut):
    """Full slots and a willing sink: a beat a cycle, also from slot to slot."""
    bench = Bench(dut, rng())
    await bench.start()
    lanes, width = int(os.environ["NumLanes"]), int(os.environ["SpLanes"])
    work = LayerOfJobs(
        bench.gen, lanes, ratio=1, tile_h=2, tile_w=32, tiles=(3, 3), chunks=1, out_k=lanes, splits=1, full_tiles=True
    )
    cycles = await bench.run(work)
    gaps = 0 if bench.stages > 1 else 3 * (len(work.jobs) - 1)  # a single slot is freed, and full again, first
    assert cycles == len(work.jobs) * lanes * 64 // width + 3 + gaps


@pytest.mark.parametrize("lanes, sp_lanes, stages, layers", [(4, 16, 1, 6), (16, 32, 3, 3)])
def test_slot_reader(lanes, sp_lanes, stages, layers):
    run_block(
        "spcore_slot_reader", {"NumLanes": lanes, "SpLanes": sp_lanes, "NumStage": stages}, env={"Layers": str(layers)}
    )
