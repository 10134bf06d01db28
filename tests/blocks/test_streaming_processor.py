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


def packed_lines(work: LayerOfJobs, job: Job) -> list[dict]:
    """The lines of a job, fields of packed_line_t."""
    lines = compress(np.stack(list(job.lines.values()))[:, None], LineShape(1, 64))
    return [
        {
            "job": job.number,
            "idx_addr": address,
            "job_end": i + 1 == len(job.lines),
            "bitmap": int(lines.bitmaps[i, 0]),
            "count": len(packed),
            "bytes": int.from_bytes(packed.tobytes(), "little"),
        }
        for i, (address, packed) in enumerate(zip(job.lines, lines.packed(), strict=True))
    ]


async def run(bench: SlotBench, work: LayerOfJobs, fill_rate: float = 1, run_rate: float = 1) -> int:
    """All jobs of a layer; returns the cycles from the first slot taken to the last line."""
    dut, gen = bench.dut, bench.gen
    bench.set_layer(work)
    bench.tell_rate = fill_rate
    waiting, due = deque(work.jobs), deque()
    cycles = idle = 0
    while waiting or due or len(bench.vacant) < bench.stages:
        for stage in bench.vacant:
            if waiting and gen.random() < fill_rate:
                bench.fill(stage, waiting.popleft())
        bench.run = gen.random() < run_rate
        bench.drive()
        await RisingEdge(dut.clk_i)
        took, _, _ = bench.observe()
        if took is not None:
            due += packed_lines(work, bench.jobs[took])
        idle += 1
        if dut.line_valid_o.value:
            assert due and LINE.unpack(dut.line_o.value) == due[0]
            if bench.run:
                due.popleft()
                idle = 0
        assert idle < 1000, f"stuck: {len(waiting)} jobs wait, {len(due)} lines are due"
        cycles += bool(cycles) or took is not None
        await FallingEdge(dut.clk_i)
    return cycles


@block_test(us=120)
async def random_layers(dut):
    """Any ratio, tile, K, parameters and clamp bounds; slots become full at any time, with pauses."""
    await start(dut)
    bench = SlotBench(dut, rng())
    for number in range(int(os.environ["Layers"])):
        work = LayerOfJobs(bench.gen, int(os.environ["NumLanes"]), ratio=(number + 1) % 3, splits=1)
        await run(bench, work, *bench.gen.choice([0.1, 0.5, 1], 2).tolist())


@block_test(us=30)
async def throughput(dut):
    """Full slots and a willing sink: SpLanes positions a cycle, all of the time."""
    await start(dut)
    bench = SlotBench(dut, rng())
    lanes, width = int(os.environ["NumLanes"]), int(os.environ["SpLanes"])
    for ratio, shape in enumerate([(8, 8), (1, 64), (4, 8)]):
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
        )
        beats = len(work.jobs) * (lanes << ratio) * max(1, shape[0] * shape[1] // width)
        latency = 3 + 7 + 3  # of slot_reader, requantize and line_compressor
        assert await run(bench, work) == beats + latency


@pytest.mark.parametrize("sim, lanes, sp_lanes, stages, layers", [("verilator", 4, 8, 3, 5), ("icarus", 4, 16, 2, 1)])
def test_streaming_processor(run_block, sim, lanes, sp_lanes, stages, layers):
    run_block(
        "spcore_streaming_processor",
        {"NumLanes": lanes, "SpLanes": sp_lanes, "NumStage": stages},
        sim=sim,
        env={"Layers": str(layers)},
    )
