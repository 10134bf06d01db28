# SPDX-License-Identifier: Apache-2.0
"""weight_queue: vectors in the order of their addresses, never a request without room, urgency, full rate."""

import os

import pytest
from cocotb.triggers import FallingEdge, RisingEdge

from tests.blocks.memory_port import LATENCY, MemoryPort
from verif.shared.stalls import NO_STALLS, Stalls
from verif.sim.kit import Scoreboard, Source, block_test, start
from verif.sim.seed import rng


def vector_at(address: int) -> int:
    """The contents of the memory: 48 bits that depend on the address."""
    return (address * 0x9E3779B97F4A7C15) % 2**48


class Bench:
    """A source of addresses and the memory; the scanner is the test's."""

    def __init__(self, dut) -> None:
        self.dut, self.gen, self.depth = dut, rng(), int(os.environ["Depth"])
        self.source = Source(dut, "addr", {"addr": None}, self.gen)
        self.memory = MemoryPort(dut, "", self.gen)
        self.requests, self.vectors = Scoreboard("request"), Scoreboard("vector")

    async def traffic(self, count: int, grant_rate: float, pop_rate: float) -> int:
        """Send `count` addresses through, check every output; returns the cycles from the first vector to the last."""
        dut, gen, memory, requests, vectors = self.dut, self.gen, self.memory, self.requests, self.vectors
        addresses = gen.integers(0, 2**24, count).tolist()
        self.source.send(*({"addr": address} for address in addresses))
        requests.expect(*addresses)
        vectors.expect(*(vector_at(address) for address in addresses))
        first = cycle = 0
        urgent = there = False
        while vectors.due:
            waiting = requests.due - len(self.source.waiting)  # addresses that were taken and not yet requested
            ready = there and gen.random() < pop_rate
            dut.ready_i.value = ready
            dut.waiting_i.value = gen.random() < 0.5
            memory.drive(grant_rate)
            await RisingEdge(dut.clk_i)
            assert memory.urgent == urgent
            address = memory.sample(vector_at)
            if address is not None:
                requests.take(address)
                waiting -= 1
            # Places for `depth` vectors, and one at the memory's output.
            held = requests.came - vectors.came
            assert held <= self.depth + 1, "a request without room for its vector"
            assert dut.addr_ready_o.value or waiting >= 1, "no address is taken although none waits"
            level = int(dut.level_o.value)
            assert level <= held
            urgent = bool(dut.waiting_i.value) and not level
            if ready:
                first = cycle if vectors.due == count else first
                vectors.take(int(dut.vector_o.value))
            there = level > ready
            await FallingEdge(dut.clk_i)
            cycle += 1
        assert dut.level_o.value == 0
        return cycle - 1 - first


@block_test(us=50)
async def full_rate(dut):
    """With everyone willing, a vector a cycle where the depth covers the memory's latency and the way through."""
    await start(dut)
    bench = Bench(dut)
    cycles = await bench.traffic(200, 1.0, 1.0)
    if bench.depth >= LATENCY + 2:
        assert cycles == 199


@block_test(us=5)
async def runs_ahead(dut):
    """While the scanner stalls, as many vectors are requested as there are places, and one more at the output."""
    await start(dut)
    memory, requested = MemoryPort(dut, "", rng()), 0
    dut.addr_valid_i.value = 1
    for _ in range(40):
        memory.drive(1.0)
        await RisingEdge(dut.clk_i)
        requested += memory.sample(vector_at) is not None
        await FallingEdge(dut.clk_i)
    assert requested == int(os.environ["Depth"]) + 1


@block_test(us=500)
async def random_stalls(dut):
    """Every mix of slow and fast addresses, grants and scanner."""
    await start(dut)
    bench = Bench(dut)
    for bench.source.stalls in (Stalls(1, 4), NO_STALLS):
        for grant_rate in (0.1, 0.6, 1.0):
            for pop_rate in (0.1, 0.6, 1.0):
                await bench.traffic(60, grant_rate, pop_rate)


@pytest.mark.parametrize("sim", ["verilator", "icarus", "gates"])
@pytest.mark.parametrize("depth", [2, 5, 6])
def test_weight_queue(run_block, depth, sim):
    run_block("spcore_weight_queue", {"NumLanes": 4, "Depth": depth}, sim=sim)


def test_parameter_check(run_block):
    with pytest.raises(RuntimeError, match="Depth = 1, expected at least 2"):
        run_block("spcore_weight_queue", {"NumLanes": 4, "Depth": 1})
