# SPDX-License-Identifier: Apache-2.0
"""Layers, units and their activation lines for the tests of the PE's activation path, in plain Python.

Everything is derived position by position from the definitions in docs/architecture.md sections 1, 3 and 7.
"""

from dataclasses import dataclass
from itertools import zip_longest
from math import prod

import numpy as np

from models.lines import LineShape, compress
from tests.blocks.naive_geometry import derived_fields, line_step, meets_row, random_fields, tile_fields, window_size

CHANNEL_KINDS = ("empty", "sparse", "half", "dense", "blob")


@dataclass(frozen=True)
class StoredLine:
    """A line in memory: its index entry and its packed bytes."""

    bitmap: int
    ptr: int
    data: bytes


@dataclass(frozen=True)
class Case:
    """A layer (fields of layer_t and derived_t), its activations uint8 (C, H, W), its lines by index address, and its
    context."""

    layer: dict
    derived: dict
    tensor: np.ndarray
    lines: dict[int, StoredLine]
    ctx: int

    def word(self, address: int) -> int:
        """The 8-byte Activation Memory word at `address`; raises KeyError where no line has bytes."""
        for line in self.lines.values():
            at = (address - line.ptr) * 8
            if 0 <= at < len(line.data):
                return int.from_bytes(line.data[at : at + 8], "little")
        raise KeyError(address)


def vectors(layer: dict[str, int]) -> int:
    """Weight vectors from a channel to the next."""
    return 1 if layer["tap_shared"] else layer["kernel_r"] * layer["kernel_s"]


def random_layer(gen, region_pos: int) -> dict[str, int]:
    """Any layer whose plane has at most 5000 positions and whose windows a region buffer holds."""
    while True:
        modes = {"skip": int(gen.random() < 0.7), "tap_shared": int(gen.random() < 0.3)}
        layer = random_fields(gen, largest=149) | modes
        if layer["in_h"] * layer["in_w"] <= 5000 and prod(window_size(layer)) <= region_pos:
            return layer


def random_tensor(gen, channels: int, h: int, w: int, kinds=CHANNEL_KINDS) -> np.ndarray:
    """uint8 (C, H, W), each channel of a kind: empty, of some density, or non-zero in one corner only."""
    tensor = gen.integers(1, 256, (channels, h, w)).astype(np.uint8)
    for plane in tensor:
        kind = gen.choice(kinds)
        density = {"empty": 0.0, "sparse": 0.05, "half": 0.5, "dense": 1.0, "blob": 0.8}[kind]
        plane[gen.random((h, w)) >= density] = 0
        if kind == "blob":
            plane[gen.integers(h) :] = 0
            plane[:, gen.integers(w) :] = 0
    return tensor


def make_case(gen, layer: dict, tensor: np.ndarray, half: int = 0, ctx: int | None = None) -> Case:
    """Store `tensor` as the input of `layer`, its lines in random order in the Activation Memory.

    half: its regions are half ones; ctx: its context, any by default.
    """
    layer = layer | {
        "in_c": len(tensor),
        "split_c": len(tensor),
        "group_c": len(tensor),
        "in_idx_base": int(gen.integers(5000)),
        "wgt_base": int(gen.integers(5000)),
    }
    compressed = compress(tensor, LineShape(layer["line_h"], layer["line_w"]))
    bitmaps, packed = compressed.bitmaps.ravel(), compressed.packed()
    stored, ptr = {}, int(gen.integers(1000))
    for number in gen.permutation(len(bitmaps)):
        data = packed[number].tobytes()
        channel, line = divmod(int(number), bitmaps.size // len(tensor))
        stored[layer["in_idx_base"] + channel * layer["in_pitch"] + line] = StoredLine(int(bitmaps[number]), ptr, data)
        ptr += -(-len(data) // 8)
    derived = derived_fields(layer, lanes=4) | {"half_regions": half}
    return Case(layer, derived, tensor, stored, int(gen.integers(2)) if ctx is None else ctx)


def random_case(gen, region_pos: int, ctx: int | None = None) -> Case:
    """Any layer, also with a larger kernel, may have half regions where its windows fit."""
    layer = random_layer(gen, region_pos)
    half = int(region_pos >= 256 and 2 * prod(window_size(layer)) <= region_pos and gen.random() < 0.6)
    tensor = random_tensor(gen, int(gen.integers(1, 7)), layer["in_h"], layer["in_w"])
    return make_case(gen, layer, tensor, half, ctx)


def make_unit(case: Case, tile_row: int, tile_col: int, first_channel: int, channels: int) -> dict:
    """The fields of unit_t for one tile and channel range; job and chunk are arbitrary but distinct."""
    layer = case.layer
    tile = {"line_y": 0, "line_x": 0, "idx_addr": layer["in_idx_base"]} | tile_fields(layer, tile_row, tile_col)
    return tile | {
        "ctx": case.ctx,
        "job": 7 * tile_row + 5 * tile_col + first_channel,
        "split": channels & 1,
        "chunk": tile_col + 1,
        "channels": channels,
        "wgt_addr": layer["wgt_base"] + first_channel * vectors(case.layer),
        "idx_addr": tile["idx_addr"] + first_channel * case.layer["in_pitch"],
    }


def random_unit(gen, case: Case) -> dict:
    layer, channels = case.layer, len(case.tensor)
    first = int(gen.integers(channels))
    return make_unit(
        case,
        int(gen.integers(layer["tiles_y"])),
        int(gen.integers(layer["tiles_x"])),
        first,
        int(gen.integers(1, channels - first + 1)),
    )


def window(case: Case, unit: dict) -> list[tuple[int, int]]:
    """Positions (y, x) of the unit's window that lie inside the plane, in rows that a tap meets."""
    layer = case.layer
    win_h, win_w = window_size(layer | {"tile_h": unit["tile_h"], "tile_w": unit["tile_w"]})
    return [
        (y, x)
        for y in range(max(0, unit["win_y"]), min(layer["in_h"], unit["win_y"] + win_h))
        if meets_row(layer, y - unit["win_y"])
        for x in range(max(0, unit["win_x"]), min(layer["in_w"], unit["win_x"] + win_w))
    ]


def tile_shape(layer: dict, unit: dict) -> int:
    """A shape_t: how the plane cuts the unit's tile short."""
    return 2 * (unit["tile_h"] < layer["tile_h"]) + (unit["tile_w"] < layer["tile_w"])


def unit_lines(case: Case, unit: dict) -> list[tuple[int, int]]:
    """Row and column in the grid of lines of those that are looked up."""
    layer = case.layer
    if not unit["lines_y"] or not unit["lines_x"]:
        return []
    first_y, first_x = unit["line_y"] // layer["line_h"], unit["line_x"] // layer["line_w"]
    step = line_step(layer)
    return [(first_y + y * step, first_x + x) for y in range(unit["lines_y"]) for x in range(unit["lines_x"])]


def expected_entries(case: Case, unit: dict) -> tuple[list[int], list[dict]]:
    """What line_walk does for a unit: the index addresses it requests and the fields of line_entry_t it hands on."""
    layer, derived = case.layer, case.derived
    need_of = dict.fromkeys(unit_lines(case, unit), 0)
    for y, x in window(case, unit):
        line = (y // layer["line_h"], x // layer["line_w"])
        need_of[line] |= 1 << (y % layer["line_h"] * layer["line_w"] + x % layer["line_w"])
    if not need_of:
        mark = dict.fromkeys(("bitmap", "need", "ptr", "origin", "any", "words"), 0)
        return [], [mark | {"last_of_channel": 1, "last_of_unit": 1}]

    first_channel = (unit["wgt_addr"] - layer["wgt_base"]) // vectors(layer)
    addresses, entries = [], []
    for channel in range(unit["channels"]):
        for line_y, line_x in sorted(need_of):
            address = (
                layer["in_idx_base"]
                + (first_channel + channel) * layer["in_pitch"]
                + line_y * layer["lines_x"]
                + line_x
            )
            stored = case.lines[address]
            offset = (
                (line_y * layer["line_h"] - unit["win_y"]) * derived["win_w"] + line_x * layer["line_w"] - unit["win_x"]
            )
            need = need_of[line_y, line_x] & (stored.bitmap if layer["skip"] else -1)
            last_of_channel = (line_y, line_x) == max(need_of)
            addresses.append(address)
            entries.append(
                {
                    "bitmap": stored.bitmap,
                    "need": need,
                    "ptr": stored.ptr,
                    "origin": offset % 512,
                    "any": int(need != 0),
                    "words": int(need & stored.bitmap != 0),
                    "last_of_channel": int(last_of_channel),
                    "last_of_unit": int(last_of_channel and channel == unit["channels"] - 1),
                }
            )
    return addresses, entries


def expected_lines(case: Case, unit: dict) -> tuple[list[dict], list[int], list[int]]:
    """What line_fetch does for a unit: the lines it hands on, and the index and word addresses it requests.

    A line is the fields of fetched_line_t and "bytes", the bytes that its positions need, by rank.
    """
    layer = case.layer
    addresses, entries = expected_entries(case, unit)
    handed_on, words = [], []
    wgt_addr, open_channel = unit["wgt_addr"], False
    for address, entry in zip_longest(addresses, entries):  # a mark has no address
        bitmap, need, ptr = entry["bitmap"], entry["need"], entry["ptr"]
        if need or (entry["last_of_channel"] and open_channel) or entry["last_of_unit"]:
            open_channel = True
            ranks = [(bitmap & ((1 << bit) - 1)).bit_count() for bit in range(64) if need & bitmap & 1 << bit]
            if ranks:
                words += range(ptr + ranks[0] // 8, ptr + ranks[-1] // 8 + 1)
            handed_on.append(
                {
                    "bitmap": bitmap,
                    "need": need,
                    "origin": entry["origin"],
                    "last_of_channel": entry["last_of_channel"],
                    "last_of_unit": entry["last_of_unit"],
                    "wgt_addr": wgt_addr,
                    "shape": tile_shape(layer, unit),
                    "ctx": case.ctx,
                    "bytes": {rank: case.lines[address].data[rank] for rank in ranks},
                }
            )
        if entry["last_of_channel"]:
            wgt_addr, open_channel = wgt_addr + vectors(case.layer), False
    return handed_on, addresses, words


def expected_regions(case: Case, unit: dict) -> list[dict]:
    """The regions that region_loader delivers for a unit: fields of region_t, "bytes" by offset, "half" or not."""
    layer, derived = case.layer, case.derived
    positions, met = window(case, unit), unit_lines(case, unit)
    first_channel = (unit["wgt_addr"] - layer["wgt_base"]) // vectors(layer)
    regions = []
    for channel in range(unit["channels"]):
        plane = case.tensor[first_channel + channel]
        marked = {
            (y - unit["win_y"]) * derived["win_w"] + x - unit["win_x"]: int(plane[y, x])
            for y, x in positions
            if plane[y, x] or not layer["skip"]
        }
        last = channel == unit["channels"] - 1 or not met
        if marked or last:
            regions.append(
                {
                    "empty": int(not marked),
                    "last_of_unit": int(last),
                    "bytes": marked,
                    "wgt_addr": unit["wgt_addr"] + channel * vectors(layer),
                    "shape": tile_shape(layer, unit),
                    "ctx": case.ctx,
                    "half": derived["half_regions"],
                }
            )
        if not met:
            break
    return regions
