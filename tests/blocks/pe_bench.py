# SPDX-License-Identifier: Apache-2.0
"""What a test of a whole PE needs: random layers with their units and memories, and the accumulators to expect."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import numpy as np

from models import grouping, km, lines, reference
from models.config import Config
from models.layer import Layer
from models.lines import LineShape
from models.stream import weight_beats
from models.tiling import Cut, channel_groups, make_plan, max_tile, region_size
from tests.blocks.naive_geometry import derived_fields, expected_units, random_block, tile_positions, window_size
from verif.shared.stimulus import Geometry, random_geometry
from verif.shared.structs import struct

INDEX = struct("index_entry_t")
WORK = 12_000  # emissions of a random layer at most


def make_layer(
    gen, a: np.ndarray, out_k: int, kernel, mode, stride=(1, 1), padding=(0, 0, 0, 0), skip=True, fill=0.9, groups=1
) -> Layer:
    """A layer with these activations (C, H, W) and random weights, `fill` of those that k/m allows not 0."""
    shape = (out_k, a.shape[0] // groups, *kernel)
    weights = gen.integers(-128, 128, shape).astype(np.int8) * (gen.random(shape) < fill)
    weights = grouping.gather(km.project(grouping.spread(weights, groups), *mode, 0), groups)
    zeros = np.zeros(out_k, np.int32)
    return Layer(a, weights, zeros, zeros, zeros + 1, stride, padding, *mode, skip=skip, groups=groups)


def make_pool(a: np.ndarray, kind: str, shape: Geometry, skip: bool) -> Layer:
    """A pool of these activations (C, H, W)."""
    zeros = np.zeros(len(a), np.int32)
    numbers = {"bias": zeros, "multiplier": zeros, "shift": zeros + 1} if kind == "average_pool" else {}
    return Layer.pool(kind, a, shape.kernel, stride=shape.stride, padding=shape.padding, skip=skip, **numbers)


def random_activations(gen, shape, signed: bool, density: float) -> np.ndarray:
    """(C, H, W); some channels are zero altogether, non-zeros take all values."""
    low, high = (-128, 128) if signed else (0, 256)
    a = gen.integers(low, high, shape) * (gen.random(shape) < density) * (gen.random((shape[0], 1, 1)) < 0.8)
    return a.astype(np.int8 if signed else np.uint8)


def random_layer(gen, config: Config, mode: tuple[int, int]) -> tuple[Layer, Cut]:
    """A small layer of any kind and geometry that a PE of this configuration can compute; pools in mode 1/1 alone."""
    while True:
        shape = random_geometry(gen, largest=29)
        kind = str(gen.choice(["conv", "groups", *(["max_pool", "average_pool"] if mode == (1, 1) else [])]))
        groups = 1 if kind == "conv" else int(gen.integers(2, 7))
        out_k, channels = int(gen.integers(1, 2 * config.NumLanes * mode[1] // mode[0] + 1)), int(gen.integers(1, 6))
        if groups > 1:
            out_k, channels = -(-out_k // groups) * groups, groups * int(gen.integers(1, 3))
        if prod(shape.out) * prod(shape.kernel) * channels * -(-out_k * mode[0] // (mode[1] * config.NumLanes)) > WORK:
            continue
        density, skip = float(gen.choice([0.0, 0.1, 0.5, 1.0])), bool(gen.random() < 0.7)
        a = random_activations(gen, (channels, *shape.plane), bool(gen.integers(2)), density)
        if kind.endswith("pool"):
            layer = make_pool(a, kind, shape, skip)
        else:
            fill = float(gen.choice([0.3, 1.0]))
            layer = make_layer(gen, a, out_k, shape.kernel, mode, shape.stride, shape.padding, skip, fill, groups)
        blocks = [LineShape(*random_block(gen, shape.plane[1])) for _ in range(2)]
        fits = (
            blocks[1].line_h * blocks[1].line_w <= max_tile(config, *mode)
            and region_size(layer, blocks[1]) <= config.RegionPos
        )
        tiles = blocks[1].grid(*layer.out_shape[1:])
        if fits and tiles[0] * tiles[1] <= 12:
            return layer, Cut(*blocks, int(gen.integers(1, channel_groups(config, layer).channels + 1)))


@dataclass
class Work:
    """A layer as the PE sees it: descriptor and derived values, units in order, the three memories' contents, its
    context."""

    layer: Layer
    lanes: int
    descriptor: dict[str, int]
    derived: dict[str, int]
    units: list[dict]
    weights: dict[int, int]
    words: dict[int, int]
    index: dict[int, int]
    ctx: int

    def table(self) -> list[tuple[int, int]]:
        """(q, p) of each position of a full tile."""
        d = self.descriptor
        return [(q, p) for p, q in enumerate(tile_positions(d, d["tile_h"], d["tile_w"]))]

    def _part(self, unit: Mapping[str, int]):
        """Padded operands that the unit's outputs see, its weights (chunk_k, c, r, s), and the plane's positions."""
        d, layer = self.descriptor, self.layer
        chunk = unit["chunk"]
        channel_vectors = 1 if d["tap_shared"] else self.derived["rs"]
        before = (unit["wgt_addr"] - d["wgt_base"]) // channel_vectors - (
            0 if d["tap_shared"] else chunk * d["group_c"]
        )
        first = chunk // d["group_chunks"] * d["group_c"] + before
        channels = slice(first, first + unit["channels"])
        y, x = unit["out_line"] // d["tiles_x"] * d["tile_h"], unit["out_line"] % d["tiles_x"] * d["tile_w"]
        top, left = y * (d["stride_y"] + 1), x * (d["stride_x"] + 1)
        height, width = window_size(d | {"tile_h": unit["tile_h"], "tile_w": unit["tile_w"]})
        window = (channels, slice(top, top + height), slice(left, left + width))
        chunk_k = self.derived["chunk_k"]
        k = grouping.spread(layer.weights, layer.groups)[chunk * chunk_k : (chunk + 1) * chunk_k, channels]
        # To what may be negative and is compared the lanes add 128.
        operands = layer.activations.astype(np.int64) + (128 if d["maximum"] and layer.signed else 0)
        padded = reference.pad(operands, layer.padding)[window]
        inside = reference.pad(np.ones_like(layer.activations), layer.padding)[window]
        return padded, np.pad(k.astype(np.int64), [(0, chunk_k - len(k)), (0, 0), (0, 0), (0, 0)]), inside

    def _taps(self, unit: Mapping[str, int], shape: tuple[int, ...]):
        """(r, s) of each kernel position, and the part of a window (c, rows, columns) that it meets."""
        sy, sx = self.layer.stride
        for r, s in np.ndindex(shape):
            rows, columns = (r, r + (unit["tile_h"] - 1) * sy + 1, sy), (s, s + (unit["tile_w"] - 1) * sx + 1, sx)
            yield r, s, (slice(None), slice(*rows), slice(*columns))

    def accumulators(self, unit: Mapping[str, int]) -> np.ndarray:
        """int64 (rows, banks): what the unit's drain hands over."""
        padded, weights, _ = self._part(unit)
        acc = np.zeros((len(weights), unit["tile_h"], unit["tile_w"]), np.int64)
        for r, s, at in self._taps(unit, weights.shape[2:]):
            for channel, met in enumerate(padded[at]):
                products = weights[:, channel, r, s, None, None] * met
                acc = np.maximum(acc, products) if self.descriptor["maximum"] else acc + products
        share = 4 >> self.derived["ratio"]  # positions that lie side by side in a row
        count = (unit["tile_h"] - 1) * self.descriptor["tile_w"] + unit["tile_w"]
        rows = np.zeros((-(-count // share), 4 * self.lanes), np.int64)
        quad_k = 16 // share  # channels of a quad
        for channel in range(len(acc)):
            for ty, tx in np.ndindex(acc.shape[1:]):
                p = ty * self.descriptor["tile_w"] + tx
                bank = channel // quad_k * 16 + p % share * quad_k + channel % quad_k
                rows[p // share, bank] = acc[channel, ty, tx]
        return rows

    def emissions(self, unit: Mapping[str, int]) -> tuple[int, int]:
        """(positions emitted, MACs with two non-zero operands) of a unit."""
        padded, weights, inside = self._part(unit)
        seen = padded != 0 if self.descriptor["skip"] else inside != 0
        emitted = macs = 0
        for r, s, at in self._taps(unit, weights.shape[2:]):
            emitted += int(seen[at].sum())
            macs += int(((padded[at] != 0).sum((1, 2)) * (weights[:, :, r, s] != 0).sum(0)).sum())
        return emitted, macs


def make_work(gen, config: Config, layer: Layer, cut: Cut, ctx: int | None = None) -> Work:
    """Lay a layer out in memories, at random bases and with lines in random order, and list its units.

    ctx: its context, any by default; layers of different ones share no addresses.
    """
    ctx = int(gen.integers(2)) if ctx is None else ctx
    wgt_base, in_idx_base, free = (int(base) + (ctx << 20) for base in gen.integers(0, 1000, 3))
    bases = {"wgt_base": wgt_base, "in_idx_base": in_idx_base}
    d = make_plan(config, layer, cut).descriptor.as_dict() | bases
    derived = derived_fields(d, config.NumLanes, config.RegionPos)
    compressed = lines.compress(layer.activations, cut.line)
    packed, bitmaps = compressed.packed(), compressed.bitmaps.ravel().tolist()
    words, index = {}, {}
    for number in gen.permutation(len(bitmaps)).tolist():
        index[d["in_idx_base"] + number] = INDEX.pack({"bitmap": bitmaps[number], "ptr": free})
        data = packed[number].tobytes()
        for start in range(0, len(data), 8):
            words[free] = int.from_bytes(data[start : start + 8], "little")
            free += 1
    weights = dict(enumerate(weight_beats(config, layer), d["wgt_base"]))
    units = expected_units(d, ctx)
    return Work(layer, config.NumLanes, d, derived, units, weights, words, index, ctx)
