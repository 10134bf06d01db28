# SPDX-License-Identifier: Apache-2.0
"""A block test that waits in vain fails at its bound, and says for what and in which state the block stands."""

import cocotb
import pytest
from cocotb.triggers import FallingEdge

from tests.blocks.stream_ends import reset, vector_source
from verif.host.runner import SimulationFailure
from verif.shared.paths import ROOT
from verif.shared.structs import struct
from verif.sim.kit import block_test


async def until(dut, signal: str) -> None:
    while not getattr(dut, signal).value:
        await FallingEdge(dut.clk_i)


@block_test(us=3)
async def in_vain(dut):
    """A load is started and its beats never come; a second task does the waiting."""
    await reset(dut, vector_source, cmd_i=0)
    dut.cmd_i.value = struct("wgt_cmd_t").pack({"start_weights": 1, "count": 1})
    await FallingEdge(dut.clk_i)
    dut.cmd_i.value = 0
    await cocotb.start_soon(until(dut, "wgt_we_o"))


@pytest.mark.parametrize("sim", ["verilator", "icarus"])
def test_a_hang_is_explained(run_block, sim):
    with pytest.raises(SimulationFailure) as failure:
        run_block("spcore_weight_loader", {"NumLanes": 4}, sim=sim)
    text = str(failure.value)
    assert "not done after 3 us" in text
    assert 'await cocotb.start_soon(until(dut, "wgt_we_o"))' in text
    assert "until: await FallingEdge(dut.clk_i)" in text
    assert ".state_q = StWeights" in text


def test_every_test_has_a_bound():
    """Tests of blocks take `block_test`, those of the core say `bound_us`."""
    blocks = [file.name for file in (ROOT / "tests" / "blocks").glob("*.py") if "@cocotb.test" in file.read_text()]
    core = [
        file.name
        for file in (ROOT / "tests" / "core").glob("*.py")
        if file.read_text().count("@pyuvm.test(") != file.read_text().count("    bound_us = ")
    ]
    assert blocks + core == []
