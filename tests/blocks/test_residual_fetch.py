# SPDX-License-Identifier: Apache-2.0
"""residual_fetch: which lines are asked for, how many at once, that they come out in order; stalls all around."""

import os
from collections import deque

import pytest
from cocotb.triggers import FallingEdge, RisingEdge

from tests.blocks.region_sink import unpacked
from verif.shared.structs import struct
from verif.sim.kit import block_test, start
from verif.sim.seed import rng

LAYER, DERIVED = struct("layer_t"), struct("derived_t")
REQ, RSP = struct("line_read_req_t"), struct("line_read_rsp_t")
CHUNK_K, LATENCY = 8, 5


async def run(
    dut, gen, jobs: int, out_k: int, pitch: int, grant_rate: float, bitmap_rate: float, bytes_rate: float
) -> int:
    """Jobs of a layer in a row; returns the cycles until their last line was taken."""
    depth = int(os.environ["Depth"])
    dut.layer_i.value = LAYER.pack({"out_k": out_k, "res_pitch": pitch})
    dut.derived_i.value = DERIVED.pack({"chunk_k": CHUNK_K})
    waiting = deque()
    for _ in range(jobs):
        first = int(gen.integers(-(-out_k // CHUNK_K))) * CHUNK_K
        waiting.append((first, int(gen.integers(2**24))))
    due: deque[int] = deque()  # addresses that have to be asked for
    coming: deque[list] = deque()  # [cycles until the answer, line]
    lines: deque[tuple[int, int]] = deque()  # answered, not popped
    taken = cycles = asked = total = 0  # taken: bitmaps of `lines` that are taken already
    offered = None
    while waiting or due or coming or lines:
        begin_job = bool(waiting) and bool(dut.idle_o.value) and gen.random() < 0.7
        channel, address = waiting[0] if begin_job else (int(gen.integers(2**16)), int(gen.integers(2**24)))
        dut.start_i.value, dut.channel_i.value, dut.idx_addr_i.value = begin_job, channel, address
        grant = gen.random() < grant_rate
        answer = coming.popleft()[1] if coming and coming[0][0] <= 0 else None
        bitmap, packed = answer or (int.from_bytes(gen.bytes(8), "little"), int.from_bytes(gen.bytes(64), "little"))
        dut.lr_rsp_i.value = RSP.pack({"gnt": grant, "rvalid": answer is not None, "bitmap": bitmap, "bytes": packed})
        take = len(lines) > taken and gen.random() < bitmap_rate
        pop = taken > 0 and gen.random() < bytes_rate
        dut.bitmap_pop_i.value, dut.bytes_pop_i.value = take, pop
        await RisingEdge(dut.clk_i)
        if len(lines) > taken:
            assert int(dut.bitmap_o.value) == lines[taken][0]
        if lines:
            assert int(dut.bytes_o.value) == lines[0][1]
        request = unpacked(REQ, dut.lr_req_o.value)  # the address is undefined before the first job
        if offered is not None:
            assert request["valid"] and request["idx_addr"] == offered, "a request stays until it is taken"
        offered = request["idx_addr"] if request["valid"] else None
        for entry in coming:
            entry[0] -= 1
        if offered is not None:
            assert due and offered == due[0]
            if grant:
                asked += 1
                assert asked <= depth, "a line is asked for only with a place for it"
                due.popleft()
                coming.append(
                    [LATENCY, (int.from_bytes(gen.bytes(8), "little"), int.from_bytes(gen.bytes(64), "little"))]
                )
                offered = None
        if begin_job:
            waiting.popleft()
            count = min(CHUNK_K, out_k - channel)
            due += [(address + i * pitch) % 2**24 for i in range(count)]
            total += count
        taken += take
        if pop:
            lines.popleft()
            taken -= 1
            asked -= 1
        if answer:
            lines.append(answer)
        cycles += 1
        assert cycles < 1000 + 200 * total, f"stuck: {len(waiting)} jobs, {len(due)} lines to ask for"
        await FallingEdge(dut.clk_i)
    assert dut.idle_o.value
    return cycles


@block_test(us=500)
async def random_jobs(dut):
    await start(dut)
    gen = rng()
    for grant_rate in (0.2, 1):
        for bitmap_rate in (0.2, 1):
            for bytes_rate in (0.2, 1):
                await run(
                    dut, gen, 6, int(gen.integers(1, 30)), int(gen.integers(2**24)), grant_rate, bitmap_rate, bytes_rate
                )


@block_test(us=50)
async def rate(dut):
    """As many lines at once as there are places for: one that is given free is asked for again at once."""
    await start(dut)
    depth = int(os.environ["Depth"])
    cycles = await run(dut, rng(), 12, CHUNK_K, 1, 1, 1, 1)
    assert cycles <= 12 * max(CHUNK_K + 5, CHUNK_K * (LATENCY + 4) / depth) + 16


@pytest.mark.parametrize("sim, depth", [("verilator", 2), ("verilator", 4), ("verilator", 8), ("icarus", 4)])
def test_residual_fetch(run_block, sim, depth):
    run_block("spcore_residual_fetch", {"Depth": depth}, sim=sim)
