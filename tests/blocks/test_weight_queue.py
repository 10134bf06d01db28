"""weight_queue: vectors in the order of their addresses, never a request without room, urgency, full rate."""

import os
from collections import deque

import cocotb
import pytest
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, RisingEdge, Timer

from verif.runner import run_block
from verif.seed import rng


def vector_at(address: int) -> int:
    """The contents of the memory: 48 bits that depend on the address."""
    return (address * 0x9E3779B97F4A7C15) % 2**48


async def start(dut) -> None:
    dut.rst_ni.value = 0
    await Timer(1, "ns")  # no clock edge before the reset
    cocotb.start_soon(Clock(dut.clk_i, 10, "ns").start())
    for port in (dut.addr_valid_i, dut.addr_i, dut.gnt_i, dut.rvalid_i, dut.rdata_i, dut.waiting_i, dut.ready_i):
        port.value = 0
    await FallingEdge(dut.clk_i)
    await FallingEdge(dut.clk_i)
    dut.rst_ni.value = 1


async def traffic(dut, gen, count: int, push_rate: float, grant_rate: float, pop_rate: float) -> int:
    """Send `count` addresses through, check every output every cycle; returns the cycles from first to last vector."""
    depth = int(os.environ["Depth"])
    pushed, requested, held, arriving, offered = 0, 0, deque(), None, False
    addresses = [int(a) for a in gen.integers(0, 2**24, count)]
    popped, first, cycle = 0, 0, 0
    while popped < count:
        if not offered and pushed < count:
            offered = bool(gen.random() < push_rate)
            dut.addr_i.value = addresses[pushed]
        dut.addr_valid_i.value = offered
        dut.rvalid_i.value = arriving is not None
        if arriving is not None:
            dut.rdata_i.value = vector_at(arriving)
        dut.ready_i.value = gen.random() < pop_rate
        dut.waiting_i.value = gen.random() < 0.5
        await Timer(1, "ns")
        request = bool(dut.req_o.value)
        assert request == (requested < pushed)
        if request:
            assert dut.addr_o.value == addresses[requested]
        grant = request and gen.random() < grant_rate
        dut.gnt_i.value = grant
        await RisingEdge(dut.clk_i)
        assert dut.addr_ready_o.value == (pushed - popped < depth)
        assert dut.valid_o.value == bool(held)
        assert dut.urgent_o.value == (dut.waiting_i.value and not held)
        if held:
            assert dut.vector_o.value == vector_at(held[0])
        push = offered and bool(dut.addr_ready_o.value)
        if held and dut.ready_i.value:
            assert held.popleft() == addresses[popped]
            first = first if popped else cycle
            popped += 1
        if arriving is not None:
            held.append(arriving)
        arriving = addresses[requested] if grant else None
        requested += grant
        pushed += push
        await FallingEdge(dut.clk_i)
        offered = offered and not push
        cycle += 1
        assert cycle < 200 * count, f"stuck after {popped} of {count}"
    return cycle - 1 - first


@cocotb.test()
async def full_rate(dut):
    """With everyone willing, a vector a cycle as far as the depth covers the latency of two cycles and a pop."""
    await start(dut)
    cycles = await traffic(dut, rng(), 200, 1.0, 1.0, 1.0)
    if int(os.environ["Depth"]) >= 4:
        assert cycles == 199


@cocotb.test()
async def random_stalls(dut):
    """Every mix of slow and fast addresses, grants and scanner."""
    await start(dut)
    gen = rng()
    for push_rate in (0.2, 1.0):
        for grant_rate in (0.1, 0.6, 1.0):
            for pop_rate in (0.1, 0.6, 1.0):
                await traffic(dut, gen, 60, push_rate, grant_rate, pop_rate)


@pytest.mark.parametrize("sim", ["verilator", "icarus"])
@pytest.mark.parametrize("depth", [2, 4, 5])
def test_weight_queue(depth, sim):
    run_block("spcore_weight_queue", {"NumLanes": 4, "Depth": depth}, sim=sim)


def test_parameter_check():
    with pytest.raises(RuntimeError, match="Depth = 1, expected at least 2"):
        run_block("spcore_weight_queue", {"NumLanes": 4, "Depth": 1})
