# SPDX-License-Identifier: Apache-2.0
"""fifo: order, level, full throughput, stalls on both sides, clear and reset."""

import os
from collections import deque
from itertools import product

import cocotb
import pytest
from cocotb.triggers import ClockCycles, FallingEdge, RisingEdge, Timer

from verif.shared.stalls import STALLS
from verif.sim.kit import Scoreboard, Sink, Source, block_test, start
from verif.sim.seed import rng

DATA = {"data": None}  # the payload: data_i and data_o, plain numbers


async def watch(dut, depth: int) -> None:
    """The level is what went in and did not come out; ready and valid follow from it, in every cycle."""
    level = 0
    while True:
        await RisingEdge(dut.clk_i)  # outputs as they were before this edge
        assert dut.level_o.value == level
        assert dut.ready_o.value == (level < depth)
        assert dut.valid_o.value == (level > 0)
        level += int(dut.valid_i.value and level < depth) - int(dut.ready_i.value and level > 0)


class Bench:
    """A source of words that have to come out, and the watch; the sink is the test's."""

    def __init__(self, dut) -> None:
        self.width, self.depth = int(os.environ["Width"]), int(os.environ["Depth"])
        self.gen, self.words = rng(), Scoreboard("word")
        self.source = Source(dut, "", DATA, self.gen)
        cocotb.start_soon(watch(dut, self.depth))

    def send(self, count: int) -> None:
        words = [{"data": int.from_bytes(self.gen.bytes(9), "little") % 2**self.width} for _ in range(count)]
        self.words.expect(*words)
        self.source.send(*words)


@block_test(us=5)
async def fill_and_drain(dut):
    """Fill past full, drain past empty: nothing is lost, overwritten or invented."""
    await start(dut)
    bench = Bench(dut)
    bench.send(bench.depth + 3)
    await ClockCycles(dut.clk_i, bench.depth + 5)
    assert dut.level_o.value == bench.depth and len(bench.source.waiting) == 3
    Sink(dut, "", DATA, bench.gen, bench.words.take)
    await bench.words.complete()
    await ClockCycles(dut.clk_i, 5)


@block_test(us=5)
async def full_throughput(dut):
    """With both sides always willing, one word passes every cycle after the first."""
    await start(dut)
    bench = Bench(dut)
    Sink(dut, "", DATA, bench.gen, bench.words.take)
    bench.send(4 * bench.depth)
    await ClockCycles(dut.clk_i, 2 + 4 * bench.depth, FallingEdge)
    assert bench.words.due == 0


@block_test(us=500)
async def random_stalls(dut):
    """Random data with every mix of stalls on both sides."""
    await start(dut)
    bench = Bench(dut)
    sink = Sink(dut, "", DATA, bench.gen, bench.words.take)
    for bench.source.stalls, sink.stalls in product(STALLS, STALLS):
        bench.send(100)
        await bench.words.complete()


@block_test(us=50)
async def clear_and_reset(dut):
    """clear_i empties the buffer and wins over a push, at any level; reset empties it at once."""
    await start(dut)
    gen, width, depth = rng(), int(os.environ["Width"]), int(os.environ["Depth"])
    model: deque[int] = deque()
    for _ in range(1000):
        push, pop, clear = (bool(gen.random() < rate) for rate in (0.7, 0.5, 0.05))
        word = int.from_bytes(gen.bytes(9), "little") % 2**width
        dut.valid_i.value, dut.data_i.value, dut.ready_i.value, dut.clear_i.value = push, word, pop, clear
        await RisingEdge(dut.clk_i)
        assert (dut.level_o.value, dut.valid_o.value) == (len(model), bool(model))
        assert not model or dut.data_o.value == model[0]
        accepted = push and len(model) < depth
        if pop and model:
            model.popleft()
        if accepted:
            model.append(word)
        if clear:
            model.clear()
        await FallingEdge(dut.clk_i)
    dut.valid_i.value, dut.clear_i.value = 1, 0
    await FallingEdge(dut.clk_i)
    assert dut.level_o.value != 0
    dut.rst_ni.value = 0
    await Timer(1, "ns")
    assert dut.level_o.value == 0


@pytest.mark.parametrize("sim", ["verilator", "icarus", "gates"])
@pytest.mark.parametrize("width, depth", [(8, 4), (33, 5), (1, 2)])
def test_fifo(run_block, width, depth, sim):
    run_block("spcore_fifo", {"Width": width, "Depth": depth}, sim=sim)


@pytest.mark.parametrize("sim", ["verilator", "icarus"])
def test_parameter_check(run_block, sim):
    with pytest.raises(RuntimeError, match="Depth = 1, expected at least 2"):
        run_block("spcore_fifo", {"Width": 8, "Depth": 1}, sim=sim)
