# SPDX-License-Identifier: Apache-2.0
"""tile_walk: every tile's window, lines and index address against plain Python, with stalls and without."""

from cocotb.triggers import FallingEdge, RisingEdge

from tests.blocks.naive_geometry import expected_tiles, layer_fields, random_fields
from verif.shared.structs import struct
from verif.sim.kit import block_test, start
from verif.sim.seed import rng

LAYER, UNIT = struct("layer_t"), struct("unit_t")
BASE = 1000


def random_layer(gen) -> dict[str, int]:
    """A layer of at most 400 tiles."""
    while True:
        layer = random_fields(gen, largest=199) | {"in_idx_base": BASE}
        if layer["tiles_y"] * layer["tiles_x"] <= 400:
            return layer


async def walk(dut, layer: dict, ready_rate: float, gen) -> int:
    """Walk one layer, check each tile; returns the cycles from the first tile to the last."""
    dut.layer_i.value = LAYER.pack(layer)
    dut.prepare_i.value = 1
    await FallingEdge(dut.clk_i)
    dut.prepare_i.value = 0
    expected = expected_tiles(layer)
    cycles = 0
    for number, tile in enumerate(expected):
        for _ in range(200):
            dut.tile_ready_i.value = gen.random() < ready_rate
            await RisingEdge(dut.clk_i)
            taken = dut.tile_valid_o.value and dut.tile_ready_i.value
            flat, last = dut.tile_o.value, dut.tile_last_o.value
            await FallingEdge(dut.clk_i)
            cycles += number > 0
            if taken:
                break
        else:
            raise AssertionError(f"tile {number} of {len(expected)} did not come within 200 cycles")
        found = UNIT.unpack(flat)
        wrong = {key: (found[key], want) for key, want in tile.items() if found[key] != want}
        assert not wrong, f"tile {number} of {layer}: (found, expected) {wrong}"
        assert last == (number == len(expected) - 1)
    dut.tile_ready_i.value = 1
    for _ in range(6):
        await FallingEdge(dut.clk_i)
        assert not dut.tile_valid_o.value
    return cycles


@block_test(us=500)
async def directed(dut):
    """Shapes that have gone wrong elsewhere, at full rate."""
    await start(dut)
    gen = rng()
    for layer in (
        layer_fields(64, 64, 3, 3, 1, 1, (1, 1, 1, 1), (1, 64), (1, 64)),
        layer_fields(7, 7, 3, 3, 1, 1, (1, 1, 1, 1), (7, 7), (7, 7)),
        layer_fields(14, 14, 3, 3, 1, 1, (1, 1, 1, 1), (4, 14), (4, 14)),
        layer_fields(1, 1, 1, 1, 1, 1, (0, 0, 0, 0), (1, 1), (1, 1)),
        layer_fields(1, 200, 1, 7, 1, 2, (3, 3, 3, 3), (1, 64), (1, 16)),  # rows 0-2 lie in the padding alone
        layer_fields(130, 1, 7, 1, 2, 1, (3, 3, 0, 0), (1, 1), (64, 1)),  # a window of 133 rows
        layer_fields(60000, 1, 1, 1, 1, 1, (0, 0, 0, 0), (61, 1), (61, 1)),  # reciprocals far out
        layer_fields(1, 65535, 1, 7, 1, 1, (0, 0, 3, 3), (1, 64), (1, 64)),  # the last window ends behind 2^16
        layer_fields(65535, 1, 7, 1, 1, 1, (3, 3, 0, 0), (64, 1), (64, 1)),
    ):
        cycles = await walk(dut, layer | {"in_idx_base": BASE}, 1.0, gen)
        assert cycles <= 2 * (layer["tiles_y"] * layer["tiles_x"] - 1), "expected a tile every other cycle"


@block_test(us=2000)
async def random_layers(dut):
    """Random geometries with random stalls."""
    await start(dut)
    gen = rng()
    for _ in range(150):
        await walk(dut, random_layer(gen), float(gen.choice([0.2, 0.7, 1.0])), gen)


def test_tile_walk(run_block):
    run_block("spcore_tile_walk")
