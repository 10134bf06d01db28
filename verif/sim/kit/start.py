# SPDX-License-Identifier: Apache-2.0
"""How every test of a block begins."""

from __future__ import annotations

import re
from typing import Any

from cocotb.clock import Clock
from cocotb.handle import Immediate
from cocotb.triggers import ClockCycles, FallingEdge

PERIOD_NS = 10
_INPUT = re.compile(r"\w+_n?i")


async def start(dut: Any, **inputs: int) -> None:
    """Run the clock and reset the block, with all inputs (`*_i`, so no AXI ports) 0 or as given.

    Returns at the falling edge at which the reset ends, or after two cycles where the block has none.
    """
    dut.clk_i.set(Immediate(0))  # before the first evaluation, for which a random value would be an edge
    for port in dut:
        if _INPUT.fullmatch(port._name) and port._name != "clk_i":
            port.value = inputs.pop(port._name, 0)
    assert not inputs, f"no inputs of {dut._name}: {', '.join(inputs)}"
    Clock(dut.clk_i, PERIOD_NS, "ns").start(start_high=False)
    await ClockCycles(dut.clk_i, 2, FallingEdge)
    if hasattr(dut, "rst_ni"):
        dut.rst_ni.value = 1
