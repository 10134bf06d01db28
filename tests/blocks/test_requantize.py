# SPDX-License-Identifier: Apache-2.0
"""requantize: exact against Python's integers over the whole range of its operands, with pauses."""

import itertools
import os
from collections import deque
from typing import NamedTuple

import pytest
from cocotb.triggers import FallingEdge, RisingEdge

from verif.shared.structs import struct
from verif.sim.kit import block_test, start
from verif.sim.seed import rng

LAYER, PARAM, TAG = struct("layer_t"), struct("param_t"), struct("line_tag_t")
INT32, INT24 = 2**31, 2**23
LATENCY, RESIDUAL_LATENCY = 8, 3


class Residual(NamedTuple):
    """Its numbers, the same for a layer."""

    signed: bool
    multiplier: int
    shift: int


def expected(acc: int, bias: int, multiplier: int, shift: int, low: int, high: int) -> int:
    """The output byte: the formula in unbounded integers."""
    value = ((acc + bias) * multiplier + (1 << (shift - 1))) >> shift
    return max(low, min(high, value)) & 0xFF


def expected_sum(
    acc: int, bias: int, multiplier: int, shift: int, byte: int, res: Residual, low: int, high: int
) -> int:
    """The same with a residual: docs/numbers.md section 3."""
    r = byte - 256 if res.signed and byte >= 128 else byte
    parts = (
        (((product >> (by - 9)) + 1) >> 1)
        for product, by in (((acc + bias) * multiplier, shift), (r * res.multiplier, res.shift))
    )
    total = sum(max(-INT24, min(INT24 - 1, part)) for part in parts)
    return max(low, min(high, (total + 128) >> 8)) & 0xFF


async def run(
    dut, beats, low: int, high: int, valid_rate: float, run_rate: float, gen, residual: Residual | None = None
) -> int:
    """Send beats (accumulators, bias, multiplier, shift), check what comes back; returns the cycles it took."""
    layer = {"clamp_lo": low, "clamp_hi": high}
    if residual:
        layer |= {"residual": 1, "res_signed": residual.signed}
        layer |= {"res_multiplier": residual.multiplier, "res_shift": residual.shift}
    dut.layer_i.value = LAYER.pack(layer)
    await FallingEdge(dut.clk_i)
    waiting, pipe = deque(enumerate(beats)), [None] * LATENCY
    others: list = [None] * RESIDUAL_LATENCY  # residuals of the beats whose turn has not come
    cycles = 0
    while waiting or any(pipe):
        valid = bool(waiting) and gen.random() < valid_rate
        number, (acc, bias, multiplier, shift) = waiting[0] if valid else (0, beats[0])
        dut.acc_i.value = sum((a & 0xFFFFFFFF) << (32 * i) for i, a in enumerate(acc))
        dut.par_i.value = PARAM.pack({"bias": bias, "multiplier": multiplier, "shift": shift})
        dut.tag_i.value = TAG.pack({"job": number & 0xFFFF, "line_end": number & 1})
        dut.valid_i.value = valid
        dut.residual_i.value = int.from_bytes(others[-1] or gen.bytes(len(acc)), "little")
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
            assert found == bytes_, f"{beats[number]} clamped to {low}..{high}, {residual}"
        if move:
            sent = other = None
            if valid:
                number = waiting.popleft()[0]
                numbers = bias, multiplier, shift
                if residual:
                    other = bytes(gen.choice([0, 1, 127, 128, 255, int(gen.integers(256))], len(acc)).tolist())
                    pairs = zip(acc, other, strict=True)
                    sent = number, [expected_sum(a, *numbers, r, residual, low, high) for a, r in pairs]
                else:
                    sent = number, [expected(a, *numbers, low, high) for a in acc]
            pipe = [sent, *pipe[:-1]]
            others = [other, *others[:-1]]
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


@block_test(us=100)
async def extremes_with_residual(dut):
    """Extremes of the operands beside extremes of the residual's: both saturate, cancel or vanish."""
    await start(dut)
    lanes = int(os.environ["SpLanes"])
    gen = rng()
    values = [-INT32, -INT32 + 1, -1, 0, 1, INT32 - 1]
    for signed, multiplier, shift in itertools.product(
        (False, True), (0, 1, 2**30, 2**31 - 1), (9, 10, 17, 24, 31, 32, 40, 41, 48, 62)
    ):
        beats = [
            (gen.permuted((values * lanes)[:lanes]).tolist(), bias, int(m), int(s))
            for bias, m, s in zip(
                gen.choice(values, 20).tolist(),
                gen.choice([0, 1, 2, 2**30, 2**31 - 1], 20),
                gen.choice([9, 10, 30, 31, 39, 40, 41, 55, 61, 62], 20),
                strict=True,
            )
        ]
        low, high = ((-128, 127), (0, 255), (-20, 5))[gen.integers(3)]
        await run(dut, beats, low, high, 1, 1, gen, Residual(signed, multiplier, shift))


@block_test(us=500)
async def random_beats_with_residual(dut):
    """Operands of every magnitude, both of the size of an output, with pauses."""
    await start(dut)
    lanes = int(os.environ["SpLanes"])
    gen = rng()
    for valid_rate, run_rate in itertools.product((0.3, 1), (0.3, 1)):
        for signed in (False, True):
            other = int(gen.integers(2**31)) >> int(gen.integers(23))
            residual = Residual(signed, other, max(9, other.bit_length() - int(gen.integers(-2, 2))))
            beats = []
            for _ in range(100):
                bits = int(gen.integers(10, 32))
                multiplier = int(gen.integers(2**31)) >> int(gen.integers(20))
                acc = [int(a) >> (32 - bits) for a in gen.integers(-INT32, INT32, lanes)]
                bias = int(gen.integers(-INT32, INT32)) >> int(gen.integers(32))
                shift = bits + multiplier.bit_length() - int(gen.integers(4, 12))
                beats.append((acc, bias, multiplier, min(62, max(9, shift))))
            low, high = sorted(int(x) for x in gen.integers(-128, 128, 2))
            bounds = (low, high) if gen.random() < 0.3 else (-128, 127) if signed else (0, 255)
            await run(dut, beats, *bounds, valid_rate, run_rate, gen, residual)


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
