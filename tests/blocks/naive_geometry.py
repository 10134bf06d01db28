# SPDX-License-Identifier: Apache-2.0
"""A layer's geometry for the tests of blocks: fields of layer_t, derived_t and unit_t, tables of tile and kernel.

Everything is written from the definitions in docs/architecture.md sections 1 and 7, position by position, and nothing
is taken from models/descriptor.py: the models of the whole core stand on that, and an error in it would be in all of
them. Only random shapes come from the common stimulus; what follows from a shape does not.
"""

from collections.abc import Mapping

from verif.shared.stimulus import random_geometry


def layer_fields(h, w, r, s, sy, sx, pad, line, tile, **more: int) -> dict[str, int]:
    """The fields of layer_t that say what a layer looks like; ``pad`` is (top, bottom, left, right), ``more`` replaces
    those of one chunk of one channel in mode 1/1."""
    out_h, out_w = (h + pad[0] + pad[1] - r) // sy + 1, (w + pad[2] + pad[3] - s) // sx + 1
    return {
        "k_log2": 0,
        "m_log2": 0,
        "skip": 1,
        "maximum": 0,
        "tap_shared": 0,
        "in_c": 1,
        "in_h": h,
        "in_w": w,
        "out_h": out_h,
        "out_w": out_w,
        "kernel_r": r,
        "kernel_s": s,
        "stride_y": sy - 1,
        "stride_x": sx - 1,
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
        "in_pitch": -(-h // line[0]) * -(-w // line[1]),
        "out_pitch": -(-out_h // tile[0]) * -(-out_w // tile[1]),
        "chunks": 1,
        "splits": 1,
        "split_c": 1,
        "groups": 1,
        "group_c": 1,
        "group_chunks": 1,
    } | more


def random_block(gen, plane_w: int) -> tuple[int, int]:
    """Rows and columns of at most 64 positions: of any width, of the plane's if it is not wider, or of 8."""
    width = int(gen.choice([gen.integers(1, 65), min(plane_w, 64), 8]))
    return int(gen.integers(1, 64 // width + 1)), width


def random_fields(gen, largest: int = 79) -> dict[str, int]:
    """`layer_fields` of any shape, line block and tile, also of strips: the first window begins inside the plane, index
    entries lie between the channels."""
    (h, w), (r, s), (sy, sx), pad = random_geometry(gen, largest)
    pad = list(pad)
    for side, size, kernel in ((0, h, r), (2, w, s)):
        most = min(64, size + pad[side + 1] - kernel)
        if most > 0 and gen.random() < 0.25:
            pad[side] = -int(gen.integers(1, most + 1))
    layer = layer_fields(h, w, r, s, sy, sx, pad, random_block(gen, w), random_block(gen, w))
    gap = int(gen.choice([0, gen.integers(1, 50)]))
    return layer | {"in_pitch": layer["in_pitch"] + gap}


def window_size(d: Mapping[str, int]) -> tuple[int, int]:
    """Rows and columns of the window of a whole tile."""
    win_h = (d["tile_h"] - 1) * (d["stride_y"] + 1) + d["kernel_r"]
    return win_h, (d["tile_w"] - 1) * (d["stride_x"] + 1) + d["kernel_s"]


def derived_fields(d: Mapping[str, int], lanes: int, region_pos: int = 0) -> dict[str, int]:
    """The fields of derived_t; without RegionPos no regions are half ones."""
    rs, ratio = d["kernel_r"] * d["kernel_s"], d["m_log2"] - d["k_log2"]
    win_h, win_w = window_size(d)
    last = {
        f"tile_{n}": d[f"out_{n}"] - (d[f"tiles_{axis}"] - 1) * d[f"tile_{n}"] for n, axis in (("h", "y"), ("w", "x"))
    }
    last_win_h, last_win_w = window_size(d | last)
    return {
        "ratio": ratio,
        "rs": rs,
        "win_h": win_h,
        "win_w": win_w,
        "last_win_h": last_win_h,
        "last_win_w": last_win_w,
        "chunk_k": lanes << ratio,
        "chunk_vectors": 0 if d["tap_shared"] else d["group_c"] * rs,
        "split_vectors": d["split_c"] * (1 if d["tap_shared"] else rs),
        "split_lines": d["split_c"] * d["in_pitch"],
        "group_lines": d["group_c"] * d["in_pitch"],
        "row_starts": sum(1 << b for b in range(0, 64, d["line_w"])),
        "tap_rows": sum(
            1 << 64 * phase + b
            for phase in range(4)
            for b in range(0, 64, d["line_w"])
            if meets_row(d, phase + b // d["line_w"])
        ),
        "line_shift": line_step(d).bit_length() - 1,
        "line_off": line_offsets(d["line_w"], win_w),
        "half_regions": int(region_pos >= 256 and rs == 1 and 2 * win_h * win_w <= region_pos),
        "last_word": last_words(tile_masks(d)),
    }


def meets_row(d: Mapping[str, int], row: int) -> bool:
    """Whether a tap meets a row, counted from the window's first; with stride 3 all count."""
    return d["stride_y"] == 2 or row % (d["stride_y"] + 1) < d["kernel_r"]


def line_step(d: Mapping[str, int]) -> int:
    """Lines from one that is looked up to the one below: more than 1 where each line is a row, a kernel too, and the
    plane's first row in the window is one that it meets."""
    if d["kernel_r"] > 1 or d["line_h"] > 1 or d["stride_y"] == 2:
        return 1
    return 1 if d["pad_top"] > 0 and d["pad_top"] % (d["stride_y"] + 1) else d["stride_y"] + 1


def _axis(d: Mapping[str, int], axis: str, tile: int) -> tuple[int, int, list[int]]:
    """Of a tile's rows ("y") or columns ("x"): outputs, first position of the window, line blocks that it meets."""
    size, kernel = ("h", "r") if axis == "y" else ("w", "s")
    count = min(d[f"tile_{size}"], d[f"out_{size}"] - tile * d[f"tile_{size}"])
    stride, pad = 1 + d[f"stride_{axis}"], d["pad_top" if axis == "y" else "pad_left"]
    origin = tile * d[f"tile_{size}"] * stride - pad
    step = line_step(d) if axis == "y" else 1
    window = range(origin, origin + (count - 1) * stride + d[f"kernel_{kernel}"], step)
    inside = {x // d[f"line_{size}"] for x in window if 0 <= x < d[f"in_{size}"]}
    return count, origin, sorted(inside)


def tile_fields(d: Mapping[str, int], row: int, column: int) -> dict[str, int]:
    """The fields of unit_t that a tile decides; without line and index address, which are free, where the window lies
    in the padding alone."""
    tile_h, win_y, blocks_y = _axis(d, "y", row)
    tile_w, win_x, blocks_x = _axis(d, "x", column)
    tile = {
        "out_line": row * d["tiles_x"] + column,
        "tile_h": tile_h,
        "tile_w": tile_w,
        "win_y": win_y,
        "win_x": win_x,
        "lines_y": len(blocks_y),
        "lines_x": len(blocks_x),
    }
    if blocks_y and blocks_x:
        tile |= {
            "line_y": blocks_y[0] * d["line_h"],
            "line_x": blocks_x[0] * d["line_w"],
            "idx_addr": d["in_idx_base"] + blocks_y[0] * d["lines_x"] + blocks_x[0],
        }
    return tile


def expected_tiles(d: Mapping[str, int]) -> list[dict[str, int]]:
    """`tile_fields` of every tile, in the order in which they are walked: the first and the last row at the end."""
    n = d["tiles_y"]
    rows = range(n) if n < 3 else [*range(1, n - 1), 0, n - 1]
    return [tile_fields(d, row, column) for row in rows for column in range(d["tiles_x"])]


def expected_units(d: Mapping[str, int], ctx: int = 0, first_job: int = 0) -> list[dict[str, int]]:
    """The fields of unit_t of every unit, in order, of a layer in context `ctx`."""
    rs = d["kernel_r"] * d["kernel_s"]
    units = []
    jobs = ((tile, chunk) for tile in expected_tiles(d) for chunk in range(d["chunks"]))
    for job, (tile, chunk) in enumerate(jobs, first_job):
        group_first = chunk // d["group_chunks"] * d["group_c"]
        group_c = min(d["group_c"], d["in_c"] - group_first)
        for split in range(d["splits"]):
            first = split * d["split_c"]
            vectors = first if d["tap_shared"] else (chunk * d["group_c"] + first) * rs
            unit = tile | {
                "ctx": ctx,
                "job": job,
                "split": int(d["splits"] > 1 or d.get("continue_slot", 0)),
                "chunk": chunk,
                "channels": max(0, min(d["split_c"], group_c - first)),
                "wgt_addr": d["wgt_base"] + vectors,
            }
            if "idx_addr" in tile:
                unit["idx_addr"] = tile["idx_addr"] + (group_first + first) * d["in_pitch"]
            if not unit["channels"]:
                unit["lines_y"] = 0
            units.append(unit)
    return units


def line_offsets(line_w: int, win_w: int) -> int:
    """`line_off` of derived_t: where bits 0, 8, ... of a line of rows of `line_w` lie in a region of pitch `win_w`."""
    return sum((bit // line_w * win_w + bit % line_w) % 512 << 9 * octet for octet, bit in enumerate(range(0, 64, 8)))


def tile_positions(d: Mapping[str, int], height: int, width: int) -> list[int]:
    """The region offset of each position of a tile of so many rows and columns, row by row."""
    _, win_w = window_size(d)
    pitch, step = win_w * (d["stride_y"] + 1), d["stride_x"] + 1
    return [ty * pitch + tx * step for ty in range(height) for tx in range(width)]


def tile_masks(d: Mapping[str, int]) -> list[int]:
    """By shape_t: a bit for each position of the tile, at its region offset."""
    last_h = d["out_h"] - (d["tiles_y"] - 1) * d["tile_h"]
    last_w = d["out_w"] - (d["tiles_x"] - 1) * d["tile_w"]
    return [
        sum(1 << q for q in tile_positions(d, height, width))
        for height in (d["tile_h"], last_h)
        for width in (d["tile_w"], last_w)
    ]


def last_words(masks: list[int]) -> int:
    """`last_word` of derived_t for the masks of all shapes."""
    return sum((mask.bit_length() - 1) // 64 << 3 * shape for shape, mask in enumerate(masks))


def mask_writes(masks: list[int]) -> list[dict[str, int]]:
    """The fields of mask_tab_write_t that bring the masks of all shapes into the table."""
    return [
        {"valid": 1, "shape": shape, "word": word, "bits": mask >> 64 * word & 2**64 - 1}
        for shape, mask in enumerate(masks)
        for word in range((mask.bit_length() - 1) // 64 + 1)
    ]
