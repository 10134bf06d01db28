# SPDX-License-Identifier: Apache-2.0
"""booth_mul: the product of every activation, signed and unsigned, and every weight."""

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
            assert int(dut.product_o.value) == act * weight & 0xFFFF, f"{act} * {weight}"


@pytest.mark.parametrize("sim", ["verilator", "icarus"])
def test_booth_mul(run_block, sim):
    run_block("spcore_booth_mul", sim=sim)
