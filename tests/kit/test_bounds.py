# SPDX-License-Identifier: Apache-2.0
"""A block test that waits in vain fails at its bound, and says for what and in which state the block stands."""

import re

import cocotb
import pytest
from cocotb.triggers import FallingEdge

from tests.blocks.stream_ends import vector_source
from verif.host.runner import SimulationFailure
from verif.shared.paths import ROOT
from verif.shared.structs import struct
from verif.sim.kit import block_test, start


async def until(dut, signal: str) -> None:
    while not getattr(dut, signal).value:
        await FallingEdge(dut.clk_i)


@block_test(us=3)
async def in_vain(dut):
    """A load is started and its beats never come; a second task does the waiting."""
    await start(dut)
    vector_source(dut)
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
    """cocotb tests take `block_test`, those of pyuvm say `bound_us`, also where commands run them."""
    folders = [ROOT / "tests" / name for name in ("blocks", "core", "env", "kit")] + [ROOT / "verif" / "sim"]
    texts = {str(file.relative_to(ROOT)): file.read_text() for folder in folders for file in folder.rglob("*.py")}
    found = {
        name: [
            len(re.findall(f"^{line}", text, re.MULTILINE))
            for line in ("@cocotb.test", "@pyuvm.test", "    bound_us = ")
        ]
        for name, text in texts.items()
    }
    assert [name for name, (cocotb_tests, tests, bounds) in found.items() if cocotb_tests or tests != bounds] == []
