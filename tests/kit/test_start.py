# SPDX-License-Identifier: Apache-2.0
"""A block test starts in reset, with inputs that are known, and no edge of the clock before it."""

import pytest
from cocotb.triggers import FallingEdge, ReadOnly

from verif.host.runner import SimulationFailure
from verif.shared.paths import ROOT
from verif.sim.kit import block_test, start


@block_test(us=1)
async def known_inputs(dut):
    await start(dut, data_i=5, ready_i=1)
    assert not dut.clk_i.value and not dut.rst_ni.value
    assert (dut.data_i.value, dut.ready_i.value, dut.valid_i.value, dut.clear_i.value) == (5, 1, 0, 0)
    await ReadOnly()
    assert dut.rst_ni.value == 1 and dut.level_o.value == 0, "reset was here, and is over"


@block_test(us=1)
async def started_again(dut):
    """In the middle of things: nothing of them is left."""
    await start(dut, valid_i=1)
    await FallingEdge(dut.clk_i)
    assert dut.level_o.value == 1
    await start(dut)
    await FallingEdge(dut.clk_i)
    assert dut.level_o.value == 0


@block_test(us=1)
async def no_such_input(dut):
    await start(dut, date_i=5)


@block_test(us=1)
async def without_reset(dut):
    await start(dut, we_i=1, wdata_i=3)
    await FallingEdge(dut.clk_i)
    assert dut.we_i.value == 1


@pytest.mark.parametrize("sim", ["verilator", "icarus"])
def test_start(run_block, sim):
    run_block("spcore_fifo", {"Width": 8, "Depth": 4}, sim=sim, testcase=["known_inputs", "started_again"])
    run_block("spcore_mem_1r1w", {"DataWidth": 8, "NumWords": 16}, sim=sim, testcase="without_reset")


def test_a_name_that_is_no_input_fails(run_block):
    with pytest.raises(SimulationFailure, match="no inputs of spcore_fifo: date_i"):
        run_block("spcore_fifo", {"Width": 8, "Depth": 4}, testcase="no_such_input")


def test_every_block_test_starts_so():
    own = [file.name for file in (ROOT / "tests" / "blocks").glob("*.py") if "Clock(" in file.read_text()]
    assert own == []
