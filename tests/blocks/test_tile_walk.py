# SPDX-License-Identifier: Apache-2.0
"""tile_walk: every tile's window, lines and index address against plain Python, with stalls and without."""

from cocotb.triggers import FallingEdge
from cocotb.utils import get_sim_time

from tests.blocks.naive_geometry import expected_tiles, layer_fields, random_fields
from verif.shared.stalls import STALLS
from verif.shared.structs import struct
from verif.sim.kit import PERIOD_NS, Scoreboard, Sink, block_test, start
from verif.sim.seed import rng

LAYER, UNIT = struct("layer_t"), struct("unit_t")
BASE = 1000


def random_layer(gen) -> dict[str, int]:
    """A layer of at most 400 tiles."""
    while True:
        layer = random_fields(gen, largest=199) | {"in_idx_base": BASE}
        if layer["tiles_y"] * layer["tiles_x"] <= 400:
            return layer


class Walks:
    """A sink of tiles, and layers to walk."""

    def __init__(self, dut) -> None:
        self.dut, self.gen = dut, rng()
        self.sink = Sink(dut, "tile", {"tile": UNIT, "tile_last": None}, self.gen, lambda tile: None)

    async def walk(self, layer: dict[str, int]) -> int:
        """Walk one layer, check each tile; returns the cycles from the first tile to the last."""
        dut, tiles, times = self.dut, Scoreboard(f"tile of {layer}"), []

        def take(tile: dict) -> None:
            tiles.take(tile)
            times.append(get_sim_time("ns"))

        expected = expected_tiles(layer)
        tiles.expect(*(tile | {"tile_last": tile is expected[-1]} for tile in expected))
        self.sink.take = take
        dut.layer_i.value = LAYER.pack(layer)
        dut.prepare_i.value = 1
        await FallingEdge(dut.clk_i)
        dut.prepare_i.value = 0
        await tiles.complete()
        for _ in range(6):
            await FallingEdge(dut.clk_i)
            assert not dut.tile_valid_o.value
        return (times[-1] - times[0]) // PERIOD_NS


@block_test(us=500)
async def directed(dut):
    """Shapes that have gone wrong elsewhere, at full rate."""
    await start(dut)
    walks = Walks(dut)
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
        cycles = await walks.walk(layer | {"in_idx_base": BASE})
        assert cycles <= 2 * (layer["tiles_y"] * layer["tiles_x"] - 1), "expected a tile every other cycle"


@block_test(us=2000)
async def random_layers(dut):
    """Random geometries with random stalls."""
    await start(dut)
    walks = Walks(dut)
    for _ in range(150):
        walks.sink.stalls = STALLS[walks.gen.integers(len(STALLS))]
        await walks.walk(random_layer(walks.gen))


def test_tile_walk(run_block):
    run_block("spcore_tile_walk")
