# SPDX-License-Identifier: Apache-2.0
"""fifo: order, level, full throughput, stalls on both sides, clear and reset."""

import os
from collections import deque

import cocotb
import pytest
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, RisingEdge

from verif.sim.kit import block_test
from verif.sim.seed import rng


async def start(dut) -> tuple[int, int]:
    """Start the clock, reset, and return (Width, Depth)."""
    cocotb.start_soon(Clock(dut.clk_i, 10, "ns").start())
    dut.rst_ni.value = 0
    for port in (dut.clear_i, dut.valid_i, dut.ready_i, dut.data_i):
        port.value = 0
    await FallingEdge(dut.clk_i)
    await FallingEdge(dut.clk_i)
    dut.rst_ni.value = 1
    return int(os.environ["Width"]), int(os.environ["Depth"])


async def cycle(dut, model: deque, depth: int, push: int | None, pop: bool, clear: bool = False) -> bool:
    """Drive one cycle from the falling edge, check every output against `model`; True if pushed."""
    dut.valid_i.value = push is not None
    dut.data_i.value = push or 0
    dut.ready_i.value = pop
    dut.clear_i.value = clear
    await RisingEdge(dut.clk_i)  # outputs as they were before this edge
    assert dut.level_o.value == len(model)
    assert dut.ready_o.value == (len(model) < depth)
    assert dut.valid_o.value == (len(model) > 0)
    if model:
        assert dut.data_o.value == model[0]
    accepted = push is not None and len(model) < depth
    if pop and model:
        model.popleft()
    if accepted:
        model.append(push)
    if clear:
        model.clear()
    await FallingEdge(dut.clk_i)
    return accepted


@block_test(us=5)
async def fill_and_drain(dut):
    """Fill past full, drain past empty: nothing is lost, overwritten or invented."""
    width, depth = await start(dut)
    model: deque = deque()
    for word in range(depth + 3):
        await cycle(dut, model, depth, (word + 1) % 2**width, pop=False)
    assert len(model) == depth
    for _ in range(depth + 3):
        await cycle(dut, model, depth, None, pop=True)
    assert not model


@block_test(us=5)
async def full_throughput(dut):
    """With both sides always willing, one word passes every cycle after the first."""
    width, depth = await start(dut)
    model: deque = deque()
    accepted = 0
    for word in range(4 * depth):
        accepted += await cycle(dut, model, depth, word % 2**width, pop=True)
    assert accepted == 4 * depth


@block_test(us=5)
async def clear_and_reset(dut):
    """clear_i empties the buffer and wins over a push; reset empties it at once."""
    _, depth = await start(dut)
    model: deque = deque()
    for _ in range(depth):
        await cycle(dut, model, depth, 1, pop=False)
    await cycle(dut, model, depth, 1, pop=True, clear=True)
    await cycle(dut, model, depth, 0, pop=False)
    assert len(model) == 1
    dut.rst_ni.value = 0
    model.clear()
    dut.valid_i.value = 0
    await FallingEdge(dut.clk_i)
    assert dut.level_o.value == 0
    dut.rst_ni.value = 1
    await cycle(dut, model, depth, 1, pop=False)
    await cycle(dut, model, depth, None, pop=True)


@block_test(us=200)
async def random_stalls(dut):
    """Random data with every mix of input and output stalls, and rare clears."""
    width, depth = await start(dut)
    gen = rng()
    model: deque = deque()
    for push_rate in (0.1, 0.5, 1.0):
        for pop_rate in (0.1, 0.5, 1.0):
            for _ in range(300):
                word = int(gen.integers(2**width)) if gen.random() < push_rate else None
                await cycle(dut, model, depth, word, gen.random() < pop_rate, gen.random() < 0.01)


@pytest.mark.parametrize("sim", ["verilator", "icarus", "gates"])
@pytest.mark.parametrize("width, depth", [(8, 4), (33, 5), (1, 2)])
def test_fifo(run_block, width, depth, sim):
    run_block("spcore_fifo", {"Width": width, "Depth": depth}, sim=sim)


@pytest.mark.parametrize("sim", ["verilator", "icarus"])
def test_parameter_check(run_block, sim):
    with pytest.raises(RuntimeError, match="Depth = 1, expected at least 2"):
        run_block("spcore_fifo", {"Width": 8, "Depth": 1}, sim=sim)
