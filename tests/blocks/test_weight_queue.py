# SPDX-License-Identifier: Apache-2.0
"""weight_queue: vectors in the order of their addresses, never a request without room, urgency, full rate."""

import os

import pytest
from cocotb.triggers import FallingEdge, RisingEdge

from tests.blocks.memory_port import LATENCY, MemoryPort
from verif.sim.kit import block_test, start
from verif.sim.seed import rng


def vector_at(address: int) -> int:
    """The contents of the memory: 48 bits that depend on the address."""
    return (address * 0x9E3779B97F4A7C15) % 2**48


def memory_of(dut, gen) -> MemoryPort:
    return MemoryPort(dut.req_o, dut.rsp_i, dut.rdata_i, gen)


async def traffic(
    dut, memory: MemoryPort, gen, count: int, push_rate: float, grant_rate: float, pop_rate: float
) -> int:
    """Send `count` addresses through, check every output every cycle; returns the cycles from first to last vector."""
    depth = int(os.environ["Depth"])
    pushed = requested = popped = first = cycle = 0
    offered = urgent = there = False
    addresses = [int(a) for a in gen.integers(0, 2**24, count)]
    while popped < count:
        if not offered and pushed < count:
            offered = bool(gen.random() < push_rate)
            dut.addr_i.value = addresses[pushed]
        dut.addr_valid_i.value = offered
        ready = there and gen.random() < pop_rate
        dut.ready_i.value = ready
        dut.waiting_i.value = gen.random() < 0.5
        memory.drive(grant_rate)
        await RisingEdge(dut.clk_i)
        assert memory.urgent == urgent
        address = memory.sample(vector_at)
        if address is not None:
            assert address == addresses[requested], "requests are in the order of the addresses"
            requested += 1
        # Places for `depth` vectors, and one at the memory's output.
        assert requested - popped <= depth + 1, "a request without room for its vector"
        assert dut.addr_ready_o.value or pushed - requested >= 1, "no address is taken although none waits"
        push = offered and bool(dut.addr_ready_o.value)
        level = int(dut.level_o.value)
        assert level <= requested - popped
        urgent = bool(dut.waiting_i.value) and not level
        if ready:
            assert dut.vector_o.value == vector_at(addresses[popped])
            first = first if popped else cycle
            popped += 1
        there = level > ready
        pushed += push
        await FallingEdge(dut.clk_i)
        offered = offered and not push
        cycle += 1
        assert cycle < 200 * count, f"stuck after {popped} of {count}: {pushed} addresses taken, {requested} requested"
    assert dut.level_o.value == 0
    return cycle - 1 - first


@block_test(us=50)
async def full_rate(dut):
    """With everyone willing, a vector a cycle where the depth covers the memory's latency and the way through."""
    await start(dut)
    gen = rng()
    cycles = await traffic(dut, memory_of(dut, gen), gen, 200, 1.0, 1.0, 1.0)
    if int(os.environ["Depth"]) >= LATENCY + 2:
        assert cycles == 199


@block_test(us=5)
async def runs_ahead(dut):
    """While the scanner stalls, as many vectors are requested as there are places, and one more at the output."""
    await start(dut)
    gen = rng()
    memory = memory_of(dut, gen)
    requested = 0
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
    gen = rng()
    memory = memory_of(dut, gen)
    for push_rate in (0.2, 1.0):
        for grant_rate in (0.1, 0.6, 1.0):
            for pop_rate in (0.1, 0.6, 1.0):
                await traffic(dut, memory, gen, 60, push_rate, grant_rate, pop_rate)


@pytest.mark.parametrize("sim", ["verilator", "icarus", "gates"])
@pytest.mark.parametrize("depth", [2, 5, 6])
def test_weight_queue(run_block, depth, sim):
    run_block("spcore_weight_queue", {"NumLanes": 4, "Depth": depth}, sim=sim)


def test_parameter_check(run_block):
    with pytest.raises(RuntimeError, match="Depth = 1, expected at least 2"):
        run_block("spcore_weight_queue", {"NumLanes": 4, "Depth": 1})
