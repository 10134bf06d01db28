# SPDX-License-Identifier: Apache-2.0
"""line_expander: every position of lines of any length and density, beat by beat, with pauses."""

import os
from collections import deque

import numpy as np
import pytest
from cocotb.triggers import FallingEdge, RisingEdge

from verif.sim.kit import block_test, start
from verif.sim.seed import rng

LATENCY = 3


def pack(values: np.ndarray) -> tuple[int, int]:
    """Bitmap and packed bytes of the values of up to 64 positions."""
    bitmap = sum(1 << int(b) for b in np.flatnonzero(values))
    return bitmap, int.from_bytes(values[values != 0].astype(np.uint8).tobytes(), "little")


async def run(dut, lines, gen, valid_rate: float = 1, run_rate: float = 1) -> int:
    """Send lines (values (64,), positions that are asked for), check each beat; returns the cycles it took."""
    lanes = int(os.environ["SpLanes"])
    beats = deque()
    for values, n in lines:
        bitmap, packed = pack(values)
        for first in range(0, n, lanes):
            end = first + lanes >= n
            beats.append((bitmap if first == 0 else None, packed, end, values[first : first + lanes].tolist()))
    pipe: list[tuple | None] = [None] * LATENCY  # the last is at the output
    cycles = 0
    while beats or any(pipe):
        valid = bool(beats) and gen.random() < valid_rate
        bitmap, _, end, _ = beats[0] if valid else (None, 0, False, [])
        # The bitmap counts at the first beat, the bytes two cycles behind each beat.
        dut.bitmap_i.value = int.from_bytes(gen.bytes(8), "little") if bitmap is None else bitmap
        dut.bytes_i.value = pipe[1][1] if pipe[1] else int.from_bytes(gen.bytes(64), "little")
        move = gen.random() < run_rate
        dut.line_end_i.value, dut.valid_i.value, dut.run_i.value = end, valid, move
        await RisingEdge(dut.clk_i)
        assert dut.bitmap_take_o.value == (bitmap is not None)
        assert bool(dut.bytes_take_o.value) == bool(pipe[1] and pipe[1][2])
        if pipe[-1]:
            assert list(int(dut.data_o.value).to_bytes(lanes, "little")) == pipe[-1][3]
        if move:
            pipe = [beats.popleft() if valid else None, *pipe[:-1]]
        await FallingEdge(dut.clk_i)
        cycles += 1
        assert cycles < 100 * (len(lines) + 10) / min(valid_rate, run_rate), "stuck"
    return cycles


def random_line(gen):
    """A line of any density, of which any number of positions is asked for: the rest may hold anything."""
    density = gen.choice([0, 0.1, 0.5, 0.9, 1])
    return gen.integers(1, 256, 64) * (gen.random(64) < density), int(gen.choice([1, 63, 64, gen.integers(1, 65)]))


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
    ones = np.arange(64) + 1
    lines = [(ones * 0, 64), (ones, 64)]
    for p in range(64):
        lines += [(ones * (np.arange(64) == p), 64), (ones * (np.arange(64) != p), 64)]
    await run(dut, lines, rng())


@block_test(us=50)
async def full_throughput(dut):
    """A beat a cycle, and so a line a cycle when it is one beat."""
    await start(dut)
    lanes = int(os.environ["SpLanes"])
    gen = rng()
    for n in (lanes, 64):
        lines = [(gen.integers(0, 3, 64), n) for _ in range(100)]
        assert await run(dut, lines, gen) <= 100 * (n // lanes) + LATENCY


@pytest.mark.parametrize("sim, lanes", [("verilator", 8), ("verilator", 32), ("verilator", 64), ("icarus", 16)])
def test_line_expander(run_block, sim, lanes):
    run_block("spcore_line_expander", {"SpLanes": lanes}, sim=sim)
