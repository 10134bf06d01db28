# SPDX-License-Identifier: Apache-2.0
"""streaming_processor: slots in, compressed lines out, against the reference requantisation and lines, with stalls."""

import os
from collections import deque

import numpy as np
import pytest
from cocotb.triggers import FallingEdge, RisingEdge

from models.lines import LineShape, compress
from tests.blocks.output_jobs import Job, LayerOfJobs
from tests.blocks.slot_bench import SlotBench
from verif.shared.structs import struct
from verif.sim.kit import block_test, start
from verif.sim.seed import rng

LINE = struct("packed_line_t")
REQ, RSP = struct("line_read_req_t"), struct("line_read_rsp_t")
STORE_LATENCY = 5  # cycles from a line's request to the line, at least


def packed_lines(work: LayerOfJobs, job: Job) -> list[dict]:
    """The lines of a job, fields of packed_line_t."""
    lines = compress(np.stack(list(job.lines.values()))[:, None], LineShape(1, 64))
    return [
        {
            "ctx": work.ctx,
            "job": job.number,
            "idx_addr": address,
            "job_end": i + 1 == len(job.lines),
            "bitmap": int(lines.bitmaps[i, 0]),
            "count": len(packed),
            "bytes": int.from_bytes(packed.tobytes(), "little"),
        }
        for i, (address, packed) in enumerate(zip(job.lines, lines.packed(), strict=True))
    ]


class Lines:
    """The store as a streaming processor's reads of lines see it."""

    def __init__(self, dut, gen, rate: float) -> None:
        self.dut, self.gen, self.rate = dut, gen, rate
        self.coming: deque[list] = deque()  # [cycles until it may come, fields of line_read_rsp_t]
        self.read = 0

    def drive(self) -> None:
        """Before the edge: a grant or not, and the oldest line, some time."""
        self.gnt = self.gen.random() < self.rate
        comes = bool(self.coming) and self.coming[0][0] <= 0 and self.gen.random() < self.rate
        line = self.coming.popleft()[1] if comes else {}
        self.dut.lr_rsp_i.value = RSP.pack({"gnt": self.gnt, "rvalid": comes} | line)
        for entry in self.coming:
            entry[0] -= 1

    def observe(self, *works: LayerOfJobs) -> None:
        """At the edge."""
        request = self.dut.lr_req_o.value
        if self.gnt and request[REQ.width - 1]:
            self.read += 1
            address = REQ.unpack(request)["idx_addr"]
            work = next(work for work in works if any(address in job.res_lines for job in work.jobs))
            self.coming.append([STORE_LATENCY - 1, work.residual_line(address)])


async def run(
    bench: SlotBench, *works: LayerOfJobs, fill_rate: float = 1, run_rate: float = 1, read_rate: float = 1
) -> int:
    """All jobs of a layer, or of an older and a younger one mixed; returns the cycles from the first slot taken to
    the last line."""
    dut, gen = bench.dut, bench.gen
    for work in works[::-1]:
        bench.set_layer(work)
    bench.tell_rate = fill_rate
    lines = Lines(dut, gen, read_rate)
    bench.run = True
    for _ in range(20):
        bench.drive()
        lines.drive()
        await FallingEdge(dut.clk_i)
    jobs = [job for work in works for job in work.jobs]
    if len(works) > 1:
        jobs = [jobs[i] for i in gen.permutation(len(jobs))]
    waiting, due = deque(jobs), deque()
    older_waits = 0  # cycles in which a slot of the older one is full
    cycles = idle = 0
    while waiting or due or len(bench.vacant) < bench.stages:
        for stage in bench.vacant:
            if waiting and gen.random() < fill_rate:
                bench.fill(stage, waiting.popleft())
        bench.run = gen.random() < run_rate
        bench.drive()
        lines.drive()
        await RisingEdge(dut.clk_i)
        lines.observe(*works)
        took, _, _ = bench.observe()
        if took is not None:
            due += packed_lines(bench.of[took], bench.jobs[took])
            # With a residual it was chosen before.
            early = bench.of[took] is works[0] or works[-1].layer.get("residual")
            assert early or older_waits < 5, "a slot of the older layer waits"
        older_waits = older_waits + 1 if any(bench.of[stage] is works[0] for stage in bench.known) else 0
        idle += 1
        if dut.line_valid_o.value:
            assert due and LINE.unpack(dut.line_o.value) == due[0]
            if bench.run:
                due.popleft()
                idle = 0
        assert idle < 1000, f"stuck: {len(waiting)} jobs wait, {len(due)} lines are due"
        cycles += bool(cycles) or took is not None
        await FallingEdge(dut.clk_i)
    assert lines.read == sum(len(job.res_lines) for job in jobs)
    return cycles


@block_test(us=120)
async def random_layers(dut):
    """Any ratio, tile, K, parameters and clamp bounds; slots become full at any time, with pauses."""
    await start(dut)
    bench = SlotBench(dut, rng())
    for number in range(int(os.environ["Layers"])):
        work = LayerOfJobs(bench.gen, int(os.environ["NumLanes"]), number % 2, ratio=(number + 1) % 3, splits=1)
        rates = bench.gen.choice([0.1, 0.5, 1], 3).tolist()
        await run(bench, work, fill_rate=rates[0], run_rate=rates[1], read_rate=rates[2])


@block_test(us=1200)
async def two_layers(dut):
    """Jobs of two layers of any kind in any order: each with its own parameters and residual, the older one's first."""
    await start(dut)
    bench = SlotBench(dut, rng())
    for number in range(3 * int(os.environ["Layers"])):
        works = [
            LayerOfJobs(bench.gen, int(os.environ["NumLanes"]), ctx, place=2000 * ctx, splits=1)
            for ctx in (number % 2, 1 - number % 2)
        ]
        rates = bench.gen.choice([0.1, 0.5, 1], 3).tolist()
        await run(bench, *works, fill_rate=rates[0], run_rate=rates[1], read_rate=rates[2])


@block_test(us=30)
async def throughput(dut):
    """Full slots and a willing sink: SpLanes positions a cycle, all of the time; also of a residual, where lines are
    long enough for what may be under way."""
    await start(dut)
    bench = SlotBench(dut, rng())
    lanes, width = int(os.environ["NumLanes"]), int(os.environ["SpLanes"])
    for ratio, shape, residual in ((0, (8, 8), 0), (1, (1, 64), 0), (2, (4, 8), 0), (0, (8, 8), 1)):
        work = LayerOfJobs(
            bench.gen,
            lanes,
            ratio=ratio,
            tile_h=shape[0],
            tile_w=shape[1],
            tiles=(2, 2),
            chunks=1,
            out_k=lanes << ratio,
            splits=1,
            full_tiles=True,
            residual=residual,
        )
        beats = len(work.jobs) * (lanes << ratio) * max(1, shape[0] * shape[1] // width)
        latency = 3 + 8 + 3  # of slot_reader, requantize and line_compressor
        if residual:
            latency += 11  # the first residual line comes
        assert beats + 3 + 8 + 3 <= await run(bench, work) <= beats + latency


@pytest.mark.parametrize("sim, lanes, sp_lanes, stages, layers", [("verilator", 4, 8, 3, 5), ("icarus", 4, 16, 2, 1)])
def test_streaming_processor(run_block, sim, lanes, sp_lanes, stages, layers):
    run_block(
        "spcore_streaming_processor",
        {"NumLanes": lanes, "SpLanes": sp_lanes, "NumStage": stages},
        sim=sim,
        env={"Layers": str(layers)},
    )
