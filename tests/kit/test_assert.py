# SPDX-License-Identifier: Apache-2.0
"""An assertion of the design that does not hold ends the simulation, at the clock edge and with its words."""

import os
from pathlib import Path

import pytest
from cocotb.triggers import ClockCycles

from verif.host.runner import SimulationFailure
from verif.sim.kit import block_test, start

COUNT = Path(__file__).parent / "hdl" / "bounded_count.sv"


@block_test(us=1)
async def count(dut):
    """So many cycles after reset."""
    await start(dut)
    await ClockCycles(dut.clk_i, int(os.environ["CYCLES"]))


@pytest.fixture
def run_cycles(run_block):
    def run_cycles(cycles: int) -> None:
        run_block("bounded_count", extra_sources=[COUNT], env={"CYCLES": str(cycles)})

    return run_cycles


def test_a_condition_that_holds_passes(run_cycles):
    run_cycles(5)


def test_a_condition_that_does_not_hold_fails(run_cycles):
    with pytest.raises(SimulationFailure, match=r"bounded_count.*: count is 5, expected less than 5"):
        run_cycles(7)
