# SPDX-License-Identifier: Apache-2.0
"""requantize: exact against Python's integers over the whole range of its operands, with pauses."""

import itertools
import os
from collections import deque

import pytest
from cocotb.triggers import FallingEdge, RisingEdge

from verif.shared.structs import struct
from verif.sim.kit import block_test, start
from verif.sim.seed import rng

PARAM, TAG = struct("param_t"), struct("line_tag_t")
INT32 = 2**31
LATENCY = 7


def expected(acc: int, bias: int, multiplier: int, shift: int, low: int, high: int) -> int:
    """The output byte: the formula in unbounded integers."""
    value = ((acc + bias) * multiplier + (1 << (shift - 1))) >> shift
    return max(low, min(high, value)) & 0xFF


async def run(dut, beats, low: int, high: int, valid_rate: float, run_rate: float, gen) -> int:
    """Send beats (accumulators, bias, multiplier, shift), check what comes back; returns the cycles it took."""
    dut.clamp_lo_i.value, dut.clamp_hi_i.value = low & 0x1FF, high & 0x1FF
    waiting, pipe = deque(enumerate(beats)), [None] * LATENCY
    cycles = 0
    while waiting or any(pipe):
        valid = bool(waiting) and gen.random() < valid_rate
        number, (acc, bias, multiplier, shift) = waiting[0] if valid else (0, beats[0])
        dut.acc_i.value = sum((a & 0xFFFFFFFF) << (32 * i) for i, a in enumerate(acc))
        dut.par_i.value = PARAM.pack({"bias": bias, "multiplier": multiplier, "shift": shift})
        dut.tag_i.value = TAG.pack({"job": number & 0xFFFF, "line_end": number & 1})
        dut.valid_i.value = valid
        move = gen.random() < run_rate
        dut.run_i.value = move
        await RisingEdge(dut.clk_i)
        due = pipe[-1]
        assert dut.valid_o.value == (due is not None)
        if due:
            number, bytes_ = due
            tag = TAG.unpack(dut.tag_o.value)
            assert (tag["job"], tag["line_end"]) == (number & 0xFFFF, number & 1)
            found = list(int(dut.data_o.value).to_bytes(len(bytes_), "little"))
            assert found == bytes_, f"{beats[number]} clamped to {low}..{high}"
        if move:
            sent = None
            if valid:
                number = waiting.popleft()[0]
                sent = number, [expected(a, bias, multiplier, shift, low, high) for a in acc]
            pipe = [sent, *pipe[:-1]]
        await FallingEdge(dut.clk_i)
        cycles += 1
    return cycles


@block_test(us=50)
async def extremes(dut):
    """Every combination of the operands' extremes and their neighbours."""
    await start(dut)
    lanes = int(os.environ["SpLanes"])
    gen = rng()
    values = [-INT32, -INT32 + 1, -1, 0, 1, INT32 - 1]
    for low, high in ((-128, 127), (0, 255), (3, 3), (-128, -128)):
        beats = [
            (gen.permuted((values * lanes)[:lanes]).tolist(), bias, multiplier, shift)
            for bias, multiplier, shift in itertools.product(
                values, (0, 1, 2, 2**30, 2**31 - 1), (1, 2, 30, 31, 32, 33, 54, 55, 61, 62)
            )
        ]
        cycles = await run(dut, beats, low, high, 1, 1, gen)
        assert cycles <= len(beats) + LATENCY, "a beat a cycle"


@block_test(us=500)
async def random_beats(dut):
    """Random operands of every magnitude around the point where results neither vanish nor are clamped."""
    await start(dut)
    lanes = int(os.environ["SpLanes"])
    gen = rng()
    for valid_rate, run_rate in itertools.product((0.2, 0.8, 1), (0.2, 0.8, 1)):
        beats = []
        for _ in range(150):
            bits = int(gen.integers(1, 32))
            multiplier = int(gen.integers(2**31)) >> int(gen.integers(31))
            acc = [int(a) >> (32 - bits) for a in gen.integers(-INT32, INT32, lanes)]
            bias = int(gen.integers(-INT32, INT32)) >> int(gen.integers(32))
            shift = bits + multiplier.bit_length() - int(gen.integers(4, 12))
            beats.append((acc, bias, multiplier, min(62, max(1, shift))))
        low, high = sorted(int(x) for x in gen.integers(-128, 128, 2))
        await run(dut, beats, *((low, high) if gen.random() < 0.5 else (0, 255)), valid_rate, run_rate, gen)


@block_test(us=5)
async def ties_round_up(dut):
    """Halves go up, also below zero: 0.5 -> 1, -0.5 -> 0, -1.5 -> -1."""
    await start(dut)
    lanes = int(os.environ["SpLanes"])
    acc = ([1, -1, -3, 3, 5, -5, 0, 2] * lanes)[:lanes]
    assert [expected(a, 0, 1, 1, -128, 127) for a in acc[:6]] == [1, 0, 0xFF, 2, 3, 0xFE]
    await run(dut, [(acc, 0, 1, 1), (acc, 0, 2**30, 31)], -128, 127, 1, 1, rng())


@pytest.mark.parametrize("sim, lanes", [("verilator", 8), ("verilator", 32), ("icarus", 8)])
def test_requantize(run_block, sim, lanes):
    run_block("spcore_requantize", {"SpLanes": lanes}, sim=sim)
