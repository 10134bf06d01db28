# SPDX-License-Identifier: Apache-2.0
"""tile_mask: every tile, in time."""

import pytest
from cocotb.triggers import FallingEdge

from verif.sim.kit import block_test, start


@block_test(us=200)
async def every_tile(dut):
    """All heights, widths and pitches of tiles of up to 64 positions."""
    await start(dut)
    for pitch in range(1, 65):
        for height in range(1, 64 // pitch + 1):
            for width in sorted({1, 2, pitch // 2, pitch - 1, pitch} & set(range(1, pitch + 1))):
                dut.tile_h_i.value, dut.tile_w_i.value, dut.pitch_i.value = height, width, pitch
                dut.start_i.value = 1
                await FallingEdge(dut.clk_i)
                dut.start_i.value = 0
                for _ in range((height - 1).bit_length()):
                    assert not dut.done_o.value
                    await FallingEdge(dut.clk_i)
                assert dut.done_o.value
                assert dut.npos_o.value == (height - 1) * pitch + width
                want = sum(1 << y * pitch + x for y in range(height) for x in range(width))
                assert dut.mask_o.value == want, f"{height} x {width} at pitch {pitch}"


@pytest.mark.parametrize("sim", ["verilator", "icarus", "gates"])
def test_tile_mask(run_block, sim):
    run_block("spcore_tile_mask", sim=sim)
