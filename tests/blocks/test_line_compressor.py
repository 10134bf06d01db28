# SPDX-License-Identifier: Apache-2.0
"""line_compressor: bitmap, count and packed bytes of lines of any length and density, with pauses."""

import os
from collections import deque

import numpy as np
import pytest
from cocotb.triggers import FallingEdge, RisingEdge

from verif.shared.structs import struct
from verif.sim.kit import block_test, start
from verif.sim.seed import rng

TAG, LINE = struct("line_tag_t"), struct("packed_line_t")
LATENCY = 3


async def run(dut, lines, gen, valid_rate: float = 1, run_rate: float = 1) -> int:
    """Send lines (values (n,), mask (64,)), check what comes back; returns the cycles it took."""
    lanes = int(os.environ["SpLanes"])
    beats = deque()
    for number, (values, mask) in enumerate(lines):
        tag = {"ctx": number // 3 & 1, "job": number, "idx_addr": 3 * number, "job_end": number & 1}
        bits = sum(1 << int(b) for b in np.flatnonzero(mask))
        want = np.pad(values, (0, 64 - len(values))) * mask
        packed = want[want != 0].astype(np.uint8)
        line = tag | {
            "bitmap": sum(1 << int(b) for b in np.flatnonzero(want)),
            "count": len(packed),
            "bytes": int.from_bytes(packed.tobytes(), "little"),
        }
        for first in range(0, len(values), lanes):
            end = first + lanes >= len(values)
            data = values[first : first + lanes].astype(np.uint8).tobytes()
            # Lanes past the line's end hold anything.
            data = data.ljust(lanes, bytes([int(gen.integers(256))]))
            flat = TAG.pack(tag | {"mask": bits, "line_end": end})
            beats.append((int.from_bytes(data, "little"), flat, line if end else None))
    pipe: list[dict | None] = [None] * LATENCY  # the last is at the output
    cycles = 0
    while beats or any(pipe):
        valid = bool(beats) and gen.random() < valid_rate
        if valid:
            dut.data_i.value, dut.tag_i.value, _ = beats[0]
        move = gen.random() < run_rate
        dut.valid_i.value, dut.run_i.value = valid, move
        await RisingEdge(dut.clk_i)
        assert dut.valid_o.value == (pipe[-1] is not None)
        if pipe[-1]:
            assert LINE.unpack(dut.line_o.value) == pipe[-1]
        if move:
            pipe = [beats.popleft()[2] if valid else None, *pipe[:-1]]
        await FallingEdge(dut.clk_i)
        cycles += 1
        assert cycles < 100 * (len(lines) + 10) / min(valid_rate, run_rate), "stuck"
    return cycles


def random_line(gen):
    """Values and mask of a line of any length; positions past the length are outside the mask."""
    n = int(gen.choice([1, 63, 64, gen.integers(1, 65)]))
    mask = (gen.random(64) < gen.choice([0, 0.5, 0.9, 1])) * (np.arange(64) < n)
    return gen.integers(1, 256, n) * (gen.random(n) < gen.choice([0, 0.1, 0.5, 0.9, 1])), mask


@block_test(us=1000)
async def random_lines(dut):
    await start(dut)
    gen = rng()
    for valid_rate in (0.3, 1):
        for run_rate in (0.3, 1):
            await run(dut, [random_line(gen) for _ in range(150)], gen, valid_rate, run_rate)


@block_test(us=50)
async def one_and_all_but_one(dut):
    """A single non-zero, and a single zero, at each of the 64 positions; none and all."""
    await start(dut)
    full, ones = np.ones(64, int), np.arange(64) + 1
    lines = [(ones * 0, full), (ones, full), (ones, full * 0)]
    for p in range(64):
        lines += [(ones * (np.arange(64) == p), full), (ones * (np.arange(64) != p), full)]
    await run(dut, lines, rng())


@block_test(us=50)
async def full_throughput(dut):
    """A beat a cycle, and so a line a cycle when it is one beat."""
    await start(dut)
    lanes = int(os.environ["SpLanes"])
    gen = rng()
    for n in (lanes, 64):
        lines = [(gen.integers(0, 2, n), np.ones(64, int)) for _ in range(100)]
        assert await run(dut, lines, gen) <= 100 * (n // lanes) + LATENCY


@pytest.mark.parametrize("sim, lanes", [("verilator", 8), ("verilator", 32), ("verilator", 64), ("icarus", 16)])
def test_line_compressor(run_block, sim, lanes):
    run_block("spcore_line_compressor", {"SpLanes": lanes}, sim=sim)
