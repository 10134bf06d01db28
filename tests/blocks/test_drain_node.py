# SPDX-License-Identifier: Apache-2.0
"""drain_node: the selected PE's rows a cycle later, whatever the others drive; data stay while it is not enabled."""

import os

import numpy as np
import pytest
from cocotb.triggers import FallingEdge

from tests.blocks.output_jobs import from_flat, to_flat
from verif.shared.structs import struct
from verif.sim.kit import block_test, start
from verif.sim.seed import rng

ROW = struct("drain_row_t")


@block_test(us=50)
async def random_rows(dut):
    inputs, banks = int(os.environ["NumIn"]), int(os.environ["NumBanks"])
    gen = rng()
    await start(dut)
    assert dut.row_o.value == 0
    kept = None
    for _ in range(500):
        data = gen.integers(0, 2**32, (inputs, banks), dtype=np.uint32)
        rows = gen.integers(0, 1 << ROW.width, inputs).tolist()
        enable, chosen = gen.random() < 0.7, int(gen.integers(inputs + 1))  # the last: none
        dut.data_i.value = to_flat(data.reshape(-1))
        dut.row_i.value = sum(row << (ROW.width * i) for i, row in enumerate(rows))
        dut.en_i.value, dut.sel_i.value = enable, (1 << chosen) & ((1 << inputs) - 1)
        await FallingEdge(dut.clk_i)
        assert dut.row_o.value == (rows[chosen] if enable and chosen < inputs else 0)
        if enable:
            kept = data[chosen] if chosen < inputs else np.zeros(banks, np.uint32)
        if kept is not None:
            assert (from_flat(dut.data_o.value, banks) == kept).all()


@pytest.mark.parametrize("sim, inputs, banks", [("verilator", 8, 64), ("verilator", 1, 16), ("icarus", 3, 16)])
def test_drain_node(run_block, sim, inputs, banks):
    run_block("spcore_drain_node", {"NumIn": inputs, "NumBanks": banks}, sim=sim)
