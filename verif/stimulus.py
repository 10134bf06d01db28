"""Layers for stimulus: with given or random geometry, sparsity and number formats, and random cuts of them."""

from __future__ import annotations

from math import ceil

import numpy as np

from models import km, masks, reference
from models.config import Config
from models.layer import MAX_KERNEL, MAX_PADDING, Layer
from models.lines import LINE_BITS, LineShape
from models.tiling import Cut, Plan, make_plan, max_tile, region_size

_MASKS = ("bernoulli", "clustered", *masks.ADVERSARIAL)
_CLAMPS = ((0, 255), (0, 255), (0, 96), (3, 200), (-128, 127), (-128, 127), (-20, 45))


def make_layer(
    rng: np.random.Generator,
    shape: tuple[int, int, int],
    out_channels: int,
    kernel: tuple[int, int],
    *,
    mode: tuple[int, int] = (2, 4),
    mask: str = "bernoulli",
    density: float = 0.5,
    signed: bool = False,
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int, int, int] = (0, 0, 0, 0),
    clamp: tuple[int, int] = (0, 255),
    skip: bool = True,
) -> Layer:
    """A layer with random values; weights are random with some groups short of k, outputs spread over the clamp's range.

    shape: (C, H, W); kernel: (R, S); mode: (k, m); mask: a generator of models/masks.py; density: for the first two.
    """
    weights = rng.integers(-127, 128, (out_channels, shape[0], *kernel)).astype(np.int8)
    weights[rng.random(weights.shape) < 0.05] = 0
    weights = km.project(weights, *mode, 0)
    if mask in masks.ADVERSARIAL:
        nonzero = masks.ADVERSARIAL[mask](shape, rng)
    else:
        nonzero = getattr(masks, mask)(shape, density, rng)
    activations = masks.activations(nonzero, rng, signed)
    acc = reference.convolve(activations, weights, stride, padding)
    spread = max(1.0, float(acc.std(dtype=np.float64)))
    multiplier = rng.integers(1 << 20, 1 << 30, out_channels).astype(np.int32)
    gain = np.log2(multiplier * spread / max(24, (clamp[1] - clamp[0]) / 3))
    shift = np.clip(np.rint(gain + rng.normal(0, 0.5, out_channels)), 1, 62).astype(np.int32)
    bias = np.rint(rng.normal(0, spread, out_channels)).astype(np.int32)
    return Layer(
        activations=activations, weights=weights, bias=bias, multiplier=multiplier, shift=shift, stride=stride,
        padding=padding, k=mode[0], m=mode[1], clamp=clamp, skip=skip,
    )  # fmt: skip


def random_cut(rng: np.random.Generator, config: Config, layer: Layer) -> Cut:
    """Any legal cut: line block, tile and splits of every shape, not only those that a planner would choose."""
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
    c = layer.activations.shape[0]
    splits = 1 if rng.random() < 0.5 else int(rng.integers(1, c + 1))
    return Cut(line, tile, splits)


def random_plan(rng: np.random.Generator, config: Config, layer: Layer) -> Plan:
    """A plan with a random cut that fits the memories; raises ValueError when twenty cuts did not."""
    for _ in range(20):
        try:
            return make_plan(config, layer, random_cut(rng, config, layer))
        except ValueError as error:
            problem = error
    raise problem


def random_layer(
    rng: np.random.Generator, config: Config, mode: tuple[int, int], work: int = 60_000, skip: bool = True
) -> tuple[Layer, Plan]:
    """A random layer and plan that fit the configuration, of at most about ``work`` lane-cycles when dense."""
    while True:
        kernel = (int(rng.integers(1, MAX_KERNEL + 1)), int(rng.integers(1, MAX_KERNEL + 1)))
        if rng.random() < 0.4:
            kernel = (3, 3) if rng.random() < 0.6 else (1, 1)
        height, width = (int(rng.choice([1, int(rng.integers(2, 17)), int(rng.integers(17, 80))], p=p)) for p in (
            (0.08, 0.77, 0.15), (0.08, 0.67, 0.25)))  # fmt: skip
        stride = tuple(int(s) for s in rng.integers(1, 3, 2))
        padding = tuple(int(p) for p in rng.integers(0, MAX_PADDING + 1, 4)) if rng.random() < 0.7 else (0, 0, 0, 0)
        ho = reference.out_size(height, kernel[0], stride[0], *padding[:2])
        wo = reference.out_size(width, kernel[1], stride[1], *padding[2:])
        if ho < 1 or wo < 1:
            continue
        channels = int(rng.integers(1, 41))
        out_channels = int(rng.integers(1, 2 * config.NumLanes * 4 + 2))
        chunk = config.NumLanes * mode[1] // mode[0]
        if ho * wo * channels * kernel[0] * kernel[1] * ceil(out_channels / chunk) * config.NumLanes > work:
            continue
        layer = make_layer(
            rng, (channels, height, width), out_channels, kernel,
            mode=mode, mask=str(rng.choice(_MASKS, p=[0.4, 0.3] + [0.3 / (len(_MASKS) - 2)] * (len(_MASKS) - 2))),
            density=float(rng.uniform(0.02, 0.98)), signed=bool(rng.integers(2)), stride=stride, padding=padding,
            clamp=_CLAMPS[rng.integers(len(_CLAMPS))], skip=skip,
        )  # fmt: skip
        try:
            return layer, random_plan(rng, config, layer)
        except ValueError:
            continue
