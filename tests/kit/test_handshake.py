# SPDX-License-Identifier: Apache-2.0
"""Sources and sinks: under all stalls everything passes once, what waits stays; a block that breaks this is seen."""

from itertools import product
from pathlib import Path

import cocotb
import pytest
from cocotb.triggers import ClockCycles, RisingEdge

from verif.host.runner import SimulationFailure
from verif.shared.stalls import NO_STALLS, Stalls
from verif.sim.kit import Scoreboard, Sink, Source, block_test, start
from verif.sim.seed import rng

FICKLE = Path(__file__).parent / "hdl" / "fickle.sv"
DATA, NUMBER = {"data": None}, {"number": None}


async def watch(dut, seen: dict) -> None:
    """The conduct of the source: what it offers it keeps until it is taken. Notes the cycles of each kind."""
    waits = None
    while True:
        await RisingEdge(dut.clk_i)
        valid, data = bool(dut.valid_i.value), int(dut.data_i.value)
        assert waits in (None, (valid, data)), f"{waits} changed to {(valid, data)}"
        waits = (valid, data) if valid and not dut.ready_o.value else None
        seen["waits"] += waits is not None
        seen["idle"] += not valid
        seen["noise"] += not valid and data != 0
        seen["cycles"] += 1


@block_test(us=200)
async def everything_passes(dut):
    """Random words under every mix of stalls."""
    await start(dut)
    gen, words, seen = rng(), Scoreboard("word"), dict.fromkeys(("waits", "idle", "noise", "cycles"), 0)
    source, sink = Source(dut, "", DATA, gen), Sink(dut, "", DATA, gen, words.take)
    cocotb.start_soon(watch(dut, seen))
    for source.stalls, sink.stalls in product((NO_STALLS, Stalls(2, 1), Stalls(1, 4)), repeat=2):
        before = seen["cycles"]
        items = [{"data": int(gen.integers(2**16))} for _ in range(50)]
        words.expect(*items)
        source.send(*items)
        await words.complete()
        cycles = seen["cycles"] - before
        if source.stalls == sink.stalls == NO_STALLS:
            assert cycles == 52, "a word a cycle"
        else:
            assert cycles > 60
    assert seen["waits"] > 50 and seen["idle"] > 50 and seen["noise"] > 0.9 * seen["idle"]


@block_test(us=5)
async def numbers(dut):
    """The items of `fickle`, as they should be."""
    await start(dut)
    taken = Scoreboard("number")
    taken.expect(*({"number": n} for n in range(20)))
    Sink(dut, "", NUMBER, rng(), taken.take).stalls = Stalls(1, 1)
    await taken.complete()


@block_test(us=5)
async def changed(dut):
    await start(dut, change_i=1)
    Sink(dut, "", NUMBER, rng(), lambda item: None).stalls = Stalls(1, 4)
    await ClockCycles(dut.clk_i, 20)


@block_test(us=5)
async def withdrawn(dut):
    await start(dut, withdraw_i=1)
    Sink(dut, "", NUMBER, rng(), lambda item: None).stalls = Stalls(1, 4)
    await ClockCycles(dut.clk_i, 20)


@block_test(us=1)
async def unknown_name(dut):
    await start(dut)
    Source(dut, "", DATA, rng()).send({"date": 1})


@pytest.mark.parametrize("sim", ["verilator", "icarus"])
def test_everything_passes(run_block, sim):
    run_block("spcore_fifo", {"Width": 16, "Depth": 4}, sim=sim, testcase="everything_passes")
    run_block("fickle", sim=sim, testcase="numbers", extra_sources=[FICKLE])


@pytest.mark.parametrize("testcase", ["changed", "withdrawn"])
def test_an_item_that_does_not_wait_fails(run_block, testcase):
    with pytest.raises(SimulationFailure, match="what waits at valid_o changed from"):
        run_block("fickle", testcase=testcase, extra_sources=[FICKLE])


def test_a_name_outside_the_payload_fails(run_block):
    with pytest.raises(SimulationFailure, match=r"the payload has no \['date'\], expected some of \['data'\]"):
        run_block("spcore_fifo", {"Width": 16, "Depth": 4}, testcase="unknown_name")
