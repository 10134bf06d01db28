# SPDX-License-Identifier: Apache-2.0
"""booth_mul: the product of every activation, signed and unsigned, and every weight, in both forms."""

from pathlib import Path

import pytest
from cocotb.triggers import Timer

from verif.sim.kit import block_test


@block_test(us=500)
async def all_products(dut):
    for act in range(-128, 256):
        dut.act_i.value = act & 0x1FF
        for weight in range(-128, 128):
            dut.weight_i.value = weight & 0xFF
            await Timer(1, "ns")
            assert int(dut.product_o.value) == (act * weight & 0xFFFF) * 0x10001, f"{act} * {weight}"


@pytest.mark.parametrize("sim", ["verilator", "icarus"])
def test_booth_mul(run_block, sim):
    run_block("booth_forms", sim=sim, extra_sources=[Path(__file__).parent / "hdl" / "booth_forms.sv"])
