# SPDX-License-Identifier: Apache-2.0
"""Layers for stimulus: with given or random geometry, sparsity and number formats, and random cuts of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil, prod
from typing import Any, NamedTuple

import numpy as np

from models import grouping, km, lines, masks, reference
from models.config import Config
from models.descriptor import Descriptor
from models.layer import MAX_KERNEL, MAX_PADDING, MAX_POOL, MAX_STRIDE, Layer
from models.lines import LINE_BITS, LineShape
from models.masks import Shape
from models.reference import RESIDUAL_SHIFT, Bytes, Int64
from models.tiling import Cut, Plan, channel_groups, chunk_channels, make_plan, max_tile, region_size
from verif.shared.stalls import NO_STALLS, Stalls

_MASKS = ("bernoulli", "clustered", *masks.ADVERSARIAL)
RANDOM_KINDS = ("conv", "groups", "max_pool", "average_pool")
_SHARES, _SHARES_OF_MODES = (0.4, 0.2, 0.2, 0.2), (0.7, 0.3, 0, 0)
_CLAMPS = ((0, 255), (0, 255), (0, 96), (3, 200), (-128, 127), (-128, 127), (-20, 45))


class Geometry(NamedTuple):
    """What an output position meets: plane (H, W), kernel (R, S), stride and padding as in `Layer`."""

    plane: tuple[int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int]

    @property
    def out(self) -> tuple[int, int]:
        """(Ho, Wo); 0 or less where the kernel does not fit."""
        ends = self.padding[:2], self.padding[2:]
        ho, wo = map(reference.out_size, self.plane, self.kernel, self.stride, *zip(*ends, strict=True))
        return ho, wo


def random_geometry(rng: np.random.Generator, largest: int = 79, largest_kernel: int = MAX_KERNEL) -> Geometry:
    """Any geometry with an output, on planes of at most ``largest`` rows and columns; small ones are frequent."""
    while True:
        most = int(rng.choice([5, largest_kernel]))
        kernel = (int(rng.integers(1, most + 1)), int(rng.integers(1, most + 1)))
        if rng.random() < 0.4:
            kernel = (3, 3) if rng.random() < 0.6 else (1, 1)
        height, width = (
            int(rng.choice([1, int(rng.integers(2, 17)), int(rng.integers(17, largest + 1))], p=p))
            for p in ((0.08, 0.77, 0.15), (0.08, 0.67, 0.25))
        )
        sy, sx = (int(s) for s in rng.choice(range(1, MAX_STRIDE + 1), 2, p=[0.45, 0.3, 0.12, 0.13]))
        most = int(rng.choice([0, 3, MAX_PADDING], p=[0.3, 0.4, 0.3]))
        top, bottom, left, right = (int(p) for p in rng.integers(0, most + 1, 4))
        found = Geometry((height, width), kernel, (sy, sx), (top, bottom, left, right))
        if min(found.out) > 0:
            return found


def _activations(rng: np.random.Generator, shape: Shape, mask: str, density: float, signed: bool) -> Bytes:
    """Random int8 or uint8 activations (C, H, W); mask: a generator of models/masks.py, density: for the first two."""
    if mask in masks.ADVERSARIAL:
        nonzero = masks.ADVERSARIAL[mask](shape, rng)
    else:
        nonzero = getattr(masks, mask)(shape, density, rng)
    return masks.activations(nonzero, rng, signed)


def _numbers(rng: np.random.Generator, sums: Int64, clamp: tuple[int, int]) -> dict[str, Any]:
    """bias, multiplier, shift and clamp with which sums (K, Ho, Wo) spread over the clamp's range."""
    channels = len(sums)
    spread = max(1.0, float(sums.std(dtype=np.float64)))
    multiplier = rng.integers(1 << 20, 1 << 30, channels).astype(np.int32)
    gain = np.log2(multiplier * spread / max(24, (clamp[1] - clamp[0]) / 3))
    shift = np.clip(np.rint(gain + rng.normal(0, 0.5, channels)), RESIDUAL_SHIFT, 62).astype(np.int32)
    bias = np.rint(rng.normal(0, spread, channels)).astype(np.int32)
    return {"bias": bias, "multiplier": multiplier, "shift": shift, "clamp": clamp}


def with_residual(rng: np.random.Generator, layer: Layer, *, signed: bool = False, density: float = 0.5) -> Layer:
    """The layer with a random residual of about the output's size."""
    residual = _activations(rng, layer.out_shape, "bernoulli", density, signed)
    shift = int(rng.integers(RESIDUAL_SHIFT + 8, 32))
    multiplier = min(2**31 - 1, int(rng.uniform(0.2, 2) * 2**shift))
    return replace(layer, residual=residual, residual_multiplier=multiplier, residual_shift=shift)


def make_layer(
    rng: np.random.Generator,
    shape: Shape,
    out_channels: int,
    kernel: tuple[int, int],
    *,
    mode: tuple[int, int] = (2, 4),
    groups: int = 1,
    mask: str = "bernoulli",
    density: float = 0.5,
    signed: bool = False,
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int, int, int] = (0, 0, 0, 0),
    clamp: tuple[int, int] = (0, 255),
    skip: bool = True,
    zero_weights: float = 0.05,
) -> Layer:
    """A convolution with random values whose outputs spread over the clamp's range.

    shape: (C, H, W); kernel: (R, S); mode: (k, m); mask, density: as for `_activations`;
    zero_weights: share of weights that are zero before the projection to k/m, so that some groups have fewer than k.
    """
    size = (out_channels, shape[0] // groups, *kernel)
    weights = (rng.integers(1, 128, size) * rng.choice([-1, 1], size)).astype(np.int8)
    weights[rng.random(weights.shape) < zero_weights] = 0
    weights = grouping.gather(km.project(grouping.spread(weights, groups), *mode, 0), groups)
    activations = _activations(rng, shape, mask, density, signed)
    sums = reference.convolve(activations, weights, stride, padding, groups)
    return Layer(
        activations=activations,
        weights=weights,
        stride=stride,
        padding=padding,
        k=mode[0],
        m=mode[1],
        groups=groups,
        skip=skip,
        **_numbers(rng, sums, clamp),
    )


def make_pool(
    rng: np.random.Generator,
    kind: str,
    shape: Shape,
    kernel: tuple[int, int],
    *,
    mask: str = "bernoulli",
    density: float = 0.5,
    signed: bool = False,
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int, int, int] = (0, 0, 0, 0),
    clamp: tuple[int, int] = (0, 255),
    skip: bool = True,
) -> Layer:
    """A pool of random activations; the outputs of an average pool spread over the clamp's range."""
    activations = _activations(rng, shape, mask, density, signed)
    geometry: dict[str, Any] = {"stride": stride, "padding": padding, "skip": skip}
    if kind == "average_pool":
        geometry |= _numbers(rng, reference.sum_pool(activations, kernel, stride, padding), clamp)
    return Layer.pool(kind, activations, kernel, **geometry)


def random_cut(rng: np.random.Generator, config: Config, layer: Layer) -> Cut:
    """Any legal cut: line block, tile and splits of every shape, not only those that a planner would choose.

    Raises ValueError for a layer whose kernel alone exceeds a region.
    """
    if region_size(layer, LineShape(1, 1)) > config.RegionPos:
        raise ValueError(f"kernel {layer.kernel} has more positions than a region, {config.RegionPos}")
    _, h, w = layer.activations.shape
    _, ho, wo = layer.out_shape
    if rng.random() < 0.5:
        line_w = min(w, LINE_BITS)
    else:
        line_w = int(rng.integers(1, min(w, LINE_BITS) + 1))
    line = LineShape(int(rng.integers(1, min(h, LINE_BITS // line_w) + 1)), line_w)
    limit = max_tile(config, layer.k, layer.m)
    while True:
        tile_w = int(rng.integers(1, min(wo, limit) + 1))
        tile = LineShape(int(rng.integers(1, min(ho, limit // tile_w) + 1)), tile_w)
        if region_size(layer, tile) <= config.RegionPos:
            break
    c = channel_groups(config, layer).channels
    splits = 1 if rng.random() < 0.5 else int(rng.integers(1, c + 1))
    return Cut(line, tile, splits)


def strips(plan: Plan, count: int) -> list[Descriptor]:
    """The layer in up to ``count`` layers of some rows of tiles each, which read the lines that they meet and append
    their part of the same output to its section."""
    d = plan.descriptor
    # None begins behind the plane.
    rows = range(0, d.tiles_y, ceil(d.tiles_y / count))
    firsts = [row for row in rows if row == 0 or d.y.windows[row][0] < d.in_h]
    found = []
    for first, end in zip(firsts, [*firsts[1:], d.tiles_y], strict=True):
        begin, behind = d.y.windows[first][0], d.y.windows[end - 1][1]
        top = max(0, begin) // d.line_h
        lines_y = max(1, min(ceil(behind / d.line_h), d.lines_y) - top)
        found.append(
            replace(
                d,
                in_h=min(d.in_h - top * d.line_h, lines_y * d.line_h),
                lines_y=lines_y,
                pad_top=top * d.line_h - begin,
                in_idx_base=d.in_idx_base + top * d.lines_x,
                out_h=sum(d.y.counts[first:end]),
                tiles_y=end - first,
                out_idx_base=d.out_idx_base + first * d.tiles_x,
                res_idx_base=d.res_idx_base + first * d.tiles_x,
                out_append=int(first > 0),
            )
        )
    return found


def random_plan(rng: np.random.Generator, config: Config, layer: Layer) -> Plan:
    """A plan with a random cut that fits the memories; raises ValueError when twenty cuts did not."""
    for _ in range(20):
        try:
            return make_plan(config, layer, random_cut(rng, config, layer))
        except ValueError as error:
            problem = error
    raise problem


def _random_pool(rng: np.random.Generator) -> Geometry:
    """A pool's geometry; some pools are global."""
    if rng.random() < 0.75:
        return random_geometry(rng, largest_kernel=MAX_POOL)
    height, width = (int(n) for n in rng.integers(1, MAX_POOL + 1, 2))
    return Geometry((height, width), (height, width), (1, 1), (0, 0, 0, 0))


def _random_channels(
    rng: np.random.Generator, config: Config, mode: tuple[int, int], kind: str
) -> tuple[int, int, int]:
    """(C, K, groups) of a kind: one group, or some of few or of ragged numbers of channels; a pool's are one each."""
    if kind in ("max_pool", "average_pool"):
        channels = int(rng.integers(1, 41))
        return channels, channels, channels
    if kind == "conv":
        return int(rng.integers(1, 41)), int(rng.integers(1, 2 * config.NumLanes * 4 + 2)), 1
    groups = int(rng.integers(2, 13))
    group_c = 1 if rng.random() < 0.5 else int(rng.integers(1, 6))
    chunk_k = chunk_channels(config, *mode)
    group_k = int(rng.choice([1, int(rng.integers(1, 7)), int(rng.integers(1, 2 * chunk_k + 1))], p=(0.4, 0.4, 0.2)))
    return groups * group_c, groups * group_k, groups


def random_layer(
    rng: np.random.Generator,
    config: Config,
    mode: tuple[int, int],
    work: int = 60_000,
    skip: bool = True,
    kind: str | None = None,
) -> tuple[Layer, Plan]:
    """A random layer and a plan that fit the configuration, of at most about ``work`` lane-cycles when dense.

    kind: one of RANDOM_KINDS; drawn unless given, and then pools for 1/1 alone, as they have no mode.
    """
    given = kind
    while True:
        kind = given or str(rng.choice(RANDOM_KINDS, p=_SHARES if mode == (1, 1) else _SHARES_OF_MODES))
        shape = random_geometry(rng) if kind in ("conv", "groups") else _random_pool(rng)
        channels, out_channels, groups = _random_channels(rng, config, mode, kind)
        vectors = channels * prod(shape.kernel) * ceil(out_channels / groups / chunk_channels(config, *mode))
        if prod(shape.out) * vectors * config.NumLanes > work or prod(shape.kernel) > config.RegionPos:
            continue
        options: dict[str, Any] = {
            "mask": str(rng.choice(_MASKS, p=[0.4, 0.3] + [0.3 / (len(_MASKS) - 2)] * (len(_MASKS) - 2))),
            "density": float(rng.uniform(0.02, 0.98)),
            "signed": bool(rng.integers(2)),
            "stride": shape.stride,
            "padding": shape.padding,
            "clamp": _CLAMPS[rng.integers(len(_CLAMPS))],
            "skip": skip,
        }
        size = channels, *shape.plane
        if kind in ("conv", "groups"):
            layer = make_layer(rng, size, out_channels, shape.kernel, mode=mode, groups=groups, **options)
        else:
            layer = make_pool(rng, kind, size, shape.kernel, **options)
        if kind != "max_pool" and rng.random() < 0.25:
            layer = with_residual(rng, layer, signed=bool(rng.integers(2)), density=float(rng.uniform(0.02, 0.98)))
        try:
            return layer, random_plan(rng, config, layer)
        except ValueError:
            continue


def long_layer(rng: np.random.Generator, config: Config) -> tuple[Layer, Plan]:
    """A layer that keeps the small configuration busy for some ten thousand cycles."""
    layer = make_layer(rng, (16, 20, 20), 16, (3, 3), mode=(1, 1), density=0.9, padding=(1, 1, 1, 1))
    return layer, make_plan(config, layer, Cut(LineShape(3, 20), LineShape(3, 10)))


def random_stalls(rng: np.random.Generator) -> Stalls:
    """None at all, or bursts and waits of random mean lengths up to 16 cycles."""
    return NO_STALLS if rng.random() < 0.25 else Stalls(*(2 ** rng.uniform(0, 4, 2)))


@dataclass
class Memories:
    """The first free entry of each memory of the core, to keep several layers apart."""

    config: Config
    weights: int = 0
    parameters: int = 0
    entries: int = 0
    words: int = 0

    def random_layer(self, rng: np.random.Generator, mode: tuple[int, int], work: int) -> tuple[Layer, Plan]:
        """A random layer, placed; raises ValueError when a hundred of them did not fit."""
        for _ in range(100):
            layer, plan = random_layer(rng, self.config, mode, work)
            try:
                return layer, self.place(layer, plan)
            except ValueError as error:
                problem = error
        raise problem

    def place(
        self, layer: Layer, plan: Plan, input_from: Plan | None = None, residual_from: Plan | None = None
    ) -> Plan:
        """The plan moved to free memory, its output section just large enough.

        ``input_from``: the (placed) plan whose output is this layer's input; its tile has to be this plan's line.
        ``residual_from``: the same for the residual; its tile has to be this plan's.
        Raises ValueError when a memory has not enough left.
        """
        d = plan.descriptor
        in_entries = 0 if input_from else d.in_entries
        in_words = 0 if input_from else plan.in_act_limit - plan.in_act_base
        res_entries = 0 if residual_from else d.res_entries
        res_words = 0 if residual_from else plan.res_act_limit - plan.in_act_limit
        out_words = int(lines.compress(layer.expected, d.tile).words.sum())
        res_base = self.words + in_words
        out_base, out_entry = res_base + res_words, self.entries + in_entries + res_entries
        needs = {
            "WgtBanks*WgtDepth": self.weights + d.vectors,
            "ParDepth": self.parameters + d.out_k,
            "IdxBanks*IdxDepth": out_entry + d.out_entries,
            "ActBanks*ActDepth": out_base + out_words,
        }
        for size, need in needs.items():
            available = prod(getattr(self.config, name) for name in size.split("*"))
            if need > available:
                raise ValueError(f"the layers together need {need} of {size} = {available}")
        moved = replace(
            plan,
            in_act_base=self.words,
            in_act_limit=res_base,
            res_act_limit=out_base,
            descriptor=replace(
                d,
                wgt_base=self.weights,
                par_base=self.parameters,
                in_idx_base=input_from.descriptor.out_idx_base if input_from else self.entries,
                res_idx_base=residual_from.descriptor.out_idx_base if residual_from else self.entries + in_entries,
                out_idx_base=out_entry,
                out_act_base=out_base,
                out_act_limit=out_base + out_words,
            ),
        )
        self.weights += d.vectors
        self.parameters += d.out_k
        self.entries = out_entry + d.out_entries
        self.words = out_base + out_words
        return moved
