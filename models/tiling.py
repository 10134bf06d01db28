# SPDX-License-Identifier: Apache-2.0
"""The plan of a layer: how it is cut into work units and where it lies in the memories.

The result is the layer descriptor, and the place of the input.
"""

from dataclasses import dataclass, replace
from math import ceil, isqrt, lcm
from typing import NamedTuple

import numpy as np

from models import lines, reference
from models.config import Config
from models.descriptor import Descriptor
from models.layer import Layer
from models.lines import LineShape

MAX_DIM = 2**16 - 1  # of the descriptor's dimensions and counts


@dataclass(frozen=True)
class Cut:
    """How a layer is cut: the input's line block, the output's tile (its line block) and the splits of a job."""

    line: LineShape
    tile: LineShape
    splits: int = 1


@dataclass(frozen=True)
class Plan:
    """A layer on a configuration: its descriptor, and the input's section [in_act_base, in_act_limit) in words, and
    the words that its output takes.

    The residual, if there is one, has the section [in_act_limit, res_act_limit).

    predicted: cycles by the cycle model for this or similar data, where the planner asked it.
    """

    config: Config
    descriptor: Descriptor
    in_act_base: int
    in_act_limit: int
    res_act_limit: int
    out_words: int
    predicted: int | None = None

    @property
    def cut(self) -> Cut:
        """How the layer is cut."""
        return Cut(self.descriptor.line, self.descriptor.tile, self.descriptor.splits)


def chunk_channels(config: Config, k: int, m: int) -> int:
    """Consecutive output channels that one weight vector covers: L * m / k."""
    return config.NumLanes * m // k


class Groups(NamedTuple):
    """Groups as the core has them: their number, and of each the input channels and the chunks (the last: fewer)."""

    groups: int
    channels: int
    chunks: int


def channel_groups(config: Config, layer: Layer) -> Groups:
    """A layer's groups, joined so that each fills whole chunks; a pool's channels are groups of their own."""
    k, c = layer.weights.shape[0], layer.activations.shape[0]
    group_k, chunk_k = k // layer.groups, chunk_channels(config, layer.k, layer.m)
    joined = lcm(group_k, chunk_k) // group_k
    if joined >= layer.groups:
        return Groups(1, c, ceil(k / chunk_k))
    return Groups(ceil(layer.groups / joined), joined * c // layer.groups, joined * group_k // chunk_k)


def max_tile(config: Config, k: int, m: int) -> int:
    """Most positions of a tile: 4 L banks of AccDepth accumulators hold its L * m / k channels; a line at most 64."""
    return min(lines.LINE_BITS, 4 * config.AccDepth * k // m)


def region_size(layer: Layer, tile: LineShape) -> int:
    """Positions of the window of a whole tile in one channel, padding included."""
    rows, columns = map(reference.in_size, (tile.line_h, tile.line_w), layer.kernel, layer.stride)
    return rows * columns


def tile_fits(config: Config, layer: Layer, tile: LineShape) -> bool:
    """Whether a PE has accumulators and a region for a tile."""
    positions = tile.line_h * tile.line_w
    return positions <= max_tile(config, layer.k, layer.m) and region_size(layer, tile) <= config.RegionPos


def _require(found: int, available: int, what: str, where: str) -> None:
    if found > available:
        raise ValueError(f"layer does not fit: {found} {what}, {where} at most {available}")


def _residual_fields(layer: Layer, idx_base: int, pitch: int) -> dict[str, int]:
    """The descriptor's fields of a layer with a residual, whose lines follow each other from an index entry on."""
    assert layer.residual is not None
    return {
        "residual": 1,
        "res_signed": int(layer.residual.dtype == np.int8),
        "res_idx_base": idx_base,
        "res_pitch": pitch,
        "res_multiplier": layer.residual_multiplier,
        "res_shift": layer.residual_shift,
    }


def describe(config: Config, layer: Layer, cut: Cut) -> Descriptor:
    """The descriptor of a layer with a given cut: each tensor's lines follow each other, and everything lies at 0.

    Raises ValueError ("layer does not fit: ...") that names what is too large and the limit, or what the core lacks.
    """
    c, h, w = layer.activations.shape
    k, ho, wo = layer.out_shape
    r, s = layer.kernel
    # No count of lines, tiles, chunks or splits exceeds its dimension.
    for name, size in {"in_c": c, "in_h": h, "in_w": w, "out_k": k, "out_h": ho, "out_w": wo}.items():
        _require(size, MAX_DIM, f"as {name}", "the descriptor holds")
    positions = cut.tile.line_h * cut.tile.line_w
    _require(
        positions,
        max_tile(config, layer.k, layer.m),
        "positions of a tile",
        f"the accumulators hold at {layer.k}/{layer.m}",
    )
    _require(
        region_size(layer, cut.tile), config.RegionPos, "positions in the input window of a tile", "a region holds"
    )
    chunks = ceil(k / chunk_channels(config, layer.k, layer.m))
    groups, pool, maximum = channel_groups(config, layer), layer.kind != "conv", layer.kind == "max_pool"
    (lines_y, lines_x), (tiles_y, tiles_x) = cut.line.grid(h, w), cut.tile.grid(ho, wo)
    residual = {} if layer.residual is None else _residual_fields(layer, 0, tiles_y * tiles_x)
    descriptor = Descriptor(
        k_log2=layer.k.bit_length() - 1,
        m_log2=layer.m.bit_length() - 1,
        act_signed=int(layer.signed),
        out_signed=int(layer.clamp[0] < 0),
        skip=int(layer.skip and not (maximum and layer.signed)),  # every int8 inside the plane counts
        maximum=int(maximum),
        tap_shared=int(pool),
        in_c=c,
        in_h=h,
        in_w=w,
        out_k=k,
        out_h=ho,
        out_w=wo,
        kernel_r=r,
        kernel_s=s,
        stride_y=layer.stride[0] - 1,
        stride_x=layer.stride[1] - 1,
        pad_top=layer.padding[0],
        pad_left=layer.padding[2],
        line_h=cut.line.line_h,
        line_w=cut.line.line_w,
        lines_y=lines_y,
        lines_x=lines_x,
        tile_h=cut.tile.line_h,
        tile_w=cut.tile.line_w,
        tiles_y=tiles_y,
        tiles_x=tiles_x,
        chunks=chunks,
        splits=1,
        split_c=groups.channels,
        groups=groups.groups,
        group_c=groups.channels,
        group_chunks=groups.chunks,
        wgt_base=0,
        par_base=0,
        in_idx_base=0,
        out_idx_base=0,
        in_pitch=lines_y * lines_x,
        out_pitch=tiles_y * tiles_x,
        out_act_base=0,
        out_act_limit=0,
        clamp_lo=layer.clamp[0],
        clamp_hi=layer.clamp[1],
        **residual,
    )
    return split(descriptor, cut.splits)


def make_plan(config: Config, layer: Layer, cut: Cut) -> Plan:
    """The plan of a layer with a given cut.

    Weights and parameters lie at address 0; input, residual and output follow each other in Activation and Index
    Memory.
    Raises ValueError ("layer does not fit: ...") that names what is too large and the limit, or what the core lacks.
    """
    d = describe(config, layer, cut)
    _require(d.vectors, config.WgtBanks * config.WgtDepth, "weight vectors", "the Weight Memory holds")
    _require(d.out_k, config.ParDepth, "output channels", "the Parameter Memory holds")
    who = "input, residual and output" if d.residual else "input and output"
    entries = d.in_entries + d.res_entries + d.out_entries
    _require(entries, config.IdxBanks * config.IdxDepth, f"{who} lines", "the Index Memory holds")
    act_words = config.ActBanks * config.ActDepth
    in_words, res_words, out_words = (
        0 if tensor is None else int(lines.compress(tensor, shape).words.sum())
        for tensor, shape in ((layer.activations, cut.line), (layer.residual, cut.tile), (layer.expected, cut.tile))
    )
    _require(in_words + res_words + out_words, act_words, f"words of {who}", "the Activation Memory holds")
    descriptor = replace(
        d,
        res_idx_base=d.in_entries if d.residual else 0,
        out_idx_base=d.in_entries + d.res_entries,
        out_act_base=in_words + res_words,
        out_act_limit=act_words,
    )
    return Plan(config, descriptor, 0, in_words, in_words + res_words, out_words)


def split(d: Descriptor, splits: int) -> Descriptor:
    """The same layer with another number of splits, 1 to the channels of a group; rounded to equal shares of whole
    channels."""
    if not 1 <= splits <= d.group_c:
        of = "C" if d.groups == 1 else "channels of a group"
        raise ValueError(f"splits: {splits}, expected 1 to {of} = {d.group_c}")
    split_c = ceil(d.group_c / splits)
    return replace(d, splits=ceil(d.group_c / split_c), split_c=split_c)


def with_splits(plan: Plan, splits: int) -> Plan:
    """The same plan with another number of splits, as `split`."""
    return replace(plan, descriptor=split(plan.descriptor, splits))


def tile_candidates(config: Config, layer: Layer) -> list[LineShape]:
    """Tiles that fit: of each height the widest that fits, with the plane's rows and columns shared out evenly. Pools
    have few units, and read a weight vector once for a window: of them also narrower ones.

    Raises ValueError when not even a tile of one position fits.
    """
    _, ho, wo = layer.out_shape
    found: dict[LineShape, None] = {}
    for height in range(1, min(ho, lines.LINE_BITS) + 1):
        widths = range(min(wo, lines.LINE_BITS // height), 0, -1)
        width = next((n for n in widths if tile_fits(config, layer, LineShape(height, n))), None)
        if width is None:
            break
        # As many tiles as needed, but none of them a sliver where the rest is wide.
        columns = ceil(wo / width)
        for number in (columns,) if layer.kind == "conv" else range(columns, min(wo, 4 * columns) + 1):
            found[LineShape(ceil(ho / ceil(ho / height)), ceil(wo / number))] = None
    if not found:
        _require(
            region_size(layer, LineShape(1, 1)),
            config.RegionPos,
            "positions in the input window of one output",
            "a region holds",
        )
    return list(found)


def line_candidates(height: int, width: int) -> list[LineShape]:
    """Lines of at least three quarters of their positions, of each height up to a square, the columns shared out
    evenly."""
    found: dict[LineShape, None] = {}
    for rows in range(1, min(height, isqrt(lines.LINE_BITS)) + 1):
        most = min(width, lines.LINE_BITS // rows)
        for columns in range(ceil(width / most), width + 1):
            line = LineShape(rows, ceil(width / columns))
            if 4 * rows * line.line_w < 3 * rows * most:
                break
            found[line] = None
    return list(found)


def split_candidates(config: Config, d: Descriptor) -> list[int]:
    """Splits worth trying: few units profit from more, down to units of a few channels."""
    found: dict[int, None] = {}
    for splits in (1, 2, 3, 4, 6, 8, 12, 16, 24, 32):
        if splits <= max(1, d.group_c // 4) and (splits == 1 or d.jobs * splits <= 16 * config.NumPe):
            found[ceil(d.group_c / ceil(d.group_c / splits))] = None
    return list(found)
