"""tile_walk: every tile's window, lines and index address against plain Python, with stalls and without."""

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, RisingEdge

from verif.kit import block_test
from verif.runner import run_block
from verif.seed import rng
from verif.structs import struct

LAYER, UNIT = struct("layer_t"), struct("unit_t")
BASE = 1000


def tile_rows(n: int) -> list[int]:
    """Tile rows in the order they are walked."""
    return list(range(n)) if n < 3 else [*range(1, n - 1), 0, n - 1]


def axis(tile: int, size: int, out: int, plane: int, stride: int, pad: int, kernel: int, block: int) -> dict:
    """One axis of a tile, from the definitions."""
    count = min(size, out - tile * size)
    origin = tile * size * stride - pad
    inside = [x for x in range(origin, origin + (count - 1) * stride + kernel) if 0 <= x < plane]
    blocks = sorted({x // block for x in inside})
    return {"size": count, "origin": origin, "blocks": blocks, "first": blocks[0] if blocks else None}


def expected_tiles(layer: dict) -> list[dict]:
    """The unit_t fields of every tile, in order; None where the value is free (window in the padding alone)."""
    sy, sx = 1 + layer["stride_y2"], 1 + layer["stride_x2"]
    tiles = []
    for row in tile_rows(layer["tiles_y"]):
        y = axis(
            row,
            layer["tile_h"],
            layer["out_h"],
            layer["in_h"],
            sy,
            layer["pad_top"],
            layer["kernel_r"],
            layer["line_h"],
        )
        for col in range(layer["tiles_x"]):
            x = axis(
                col,
                layer["tile_w"],
                layer["out_w"],
                layer["in_w"],
                sx,
                layer["pad_left"],
                layer["kernel_s"],
                layer["line_w"],
            )
            tile = {
                "out_line": row * layer["tiles_x"] + col,
                "tile_h": y["size"],
                "tile_w": x["size"],
                "win_y": y["origin"],
                "win_x": x["origin"],
                "lines_y": len(y["blocks"]),
                "lines_x": len(x["blocks"]),
            }
            if y["blocks"] and x["blocks"]:
                tile |= {
                    "line_y": y["first"] * layer["line_h"],
                    "line_x": x["first"] * layer["line_w"],
                    "idx_addr": layer["in_idx_base"] + y["first"] * layer["lines_x"] + x["first"],
                }
            tiles.append(tile)
    return tiles


def geometry(h, w, r, s, sy, sx, pad, line, tile) -> dict:
    """Descriptor fields of one geometry; `pad` is (top, bottom, left, right)."""
    out_h = (h + pad[0] + pad[1] - r) // sy + 1
    out_w = (w + pad[2] + pad[3] - s) // sx + 1
    return {
        "in_h": h,
        "in_w": w,
        "out_h": out_h,
        "out_w": out_w,
        "kernel_r": r,
        "kernel_s": s,
        "stride_y2": sy - 1,
        "stride_x2": sx - 1,
        "pad_top": pad[0],
        "pad_left": pad[2],
        "line_h": line[0],
        "line_w": line[1],
        "lines_y": -(-h // line[0]),
        "lines_x": -(-w // line[1]),
        "tile_h": tile[0],
        "tile_w": tile[1],
        "tiles_y": -(-out_h // tile[0]),
        "tiles_x": -(-out_w // tile[1]),
        "in_idx_base": BASE,
    }


def random_geometry(gen) -> dict:
    while True:
        h, w = (int(gen.choice([gen.integers(1, 12), gen.integers(1, 200)])) for _ in range(2))
        r, s = (int(x) for x in gen.integers(1, 8, 2))
        sy, sx = (int(x) for x in gen.integers(1, 3, 2))
        pad = [int(x) for x in gen.integers(0, 4, 4)]
        if h + pad[0] + pad[1] < r or w + pad[2] + pad[3] < s:
            continue
        blocks = []
        for _ in range(2):
            bw = int(gen.integers(1, 65))
            blocks.append((int(gen.integers(1, 64 // bw + 1)), bw))
        found = geometry(h, w, r, s, sy, sx, pad, *blocks)
        if found["tiles_y"] * found["tiles_x"] <= 400:
            return found


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


async def start(dut):
    cocotb.start_soon(Clock(dut.clk_i, 10, "ns").start())
    dut.rst_ni.value = 0
    for port in (dut.prepare_i, dut.layer_i, dut.tile_ready_i):
        port.value = 0
    await FallingEdge(dut.clk_i)
    await FallingEdge(dut.clk_i)
    dut.rst_ni.value = 1
    await FallingEdge(dut.clk_i)


@block_test(us=500)
async def directed(dut):
    """Shapes that have gone wrong elsewhere, at full rate."""
    await start(dut)
    gen = rng()
    for layer in (
        geometry(64, 64, 3, 3, 1, 1, (1, 1, 1, 1), (1, 64), (1, 64)),
        geometry(7, 7, 3, 3, 1, 1, (1, 1, 1, 1), (7, 7), (7, 7)),
        geometry(14, 14, 3, 3, 1, 1, (1, 1, 1, 1), (4, 14), (4, 14)),
        geometry(1, 1, 1, 1, 1, 1, (0, 0, 0, 0), (1, 1), (1, 1)),
        geometry(1, 200, 1, 7, 1, 2, (3, 3, 3, 3), (1, 64), (1, 16)),  # rows 0-2 lie in the padding alone
        geometry(130, 1, 7, 1, 2, 1, (3, 3, 0, 0), (1, 1), (64, 1)),  # a window of 133 rows
        geometry(60000, 1, 1, 1, 1, 1, (0, 0, 0, 0), (61, 1), (61, 1)),  # reciprocals far out
        geometry(1, 65535, 1, 7, 1, 1, (0, 0, 3, 3), (1, 64), (1, 64)),  # the last window ends behind 2^16
        geometry(65535, 1, 7, 1, 1, 1, (3, 3, 0, 0), (64, 1), (64, 1)),
    ):
        cycles = await walk(dut, layer, 1.0, gen)
        assert cycles <= 2 * (layer["tiles_y"] * layer["tiles_x"] - 1), "expected a tile every other cycle"


@block_test(us=2000)
async def random_layers(dut):
    """Random geometries with random stalls."""
    await start(dut)
    gen = rng()
    for _ in range(150):
        await walk(dut, random_geometry(gen), float(gen.choice([0.2, 0.7, 1.0])), gen)


def test_tile_walk():
    run_block("spcore_tile_walk")
