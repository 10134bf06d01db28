# SPDX-License-Identifier: Apache-2.0
"""Layers drawn by seed from networks' shapes and from all kinds: what the cycle model is judged on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from models import km
from models.config import Config
from models.layer import Layer
from models.systems.published_networks import shapes
from models.tiling import Plan
from verif.host.benchmarks import Benchmark, planned

MOST_MACS = 200e6  # of a drawn layer, were it dense, for 1024 ALUs
# C, H = W, stride of the 3x3 depthwise convolutions of MobileNet v1; then of the 1x1 behind them C, H = W, K.
_DEPTHWISE = ((32, 112, 1), (64, 112, 2), (128, 56, 1), (128, 56, 2), (256, 28, 1), (256, 28, 2), (512, 14, 1))
_POINTWISE = ((32, 112, 64), (64, 56, 128), (128, 56, 128), (128, 28, 256), (256, 14, 512), (512, 14, 512))
# C, H = W, kernel, stride, padding: pools of VGG-16, ResNet, GoogLeNet, and global ones.
_MAX_POOLS = ((64, 224, 2, 2, 0), (256, 56, 2, 2, 0), (512, 14, 2, 2, 0), (64, 112, 3, 2, 1), (256, 28, 3, 1, 1))
_AVERAGE_POOLS = ((2048, 7, 7, 1, 0), (1024, 14, 14, 1, 0), (192, 28, 3, 1, 1))
_KINDS = ("ResNet-50", "VGG-16", "residual", "groups", "pointwise", "depthwise", "max pool", "average pool")
_SHARES = (0.25, 0.15, 0.15, 0.05, 0.1, 0.1, 0.1, 0.1)


def _of_kind(rng: np.random.Generator, kind: str) -> Benchmark:
    """A layer of one of _KINDS as networks have it."""
    if kind.endswith("pool"):
        table = _MAX_POOLS if kind == "max pool" else _AVERAGE_POOLS
        c, plane, kernel, stride, padding = table[int(rng.integers(len(table)))]
        return Benchmark(kind, (c, plane, plane), c, kernel, stride, padding, kind=kind.replace(" ", "_"), mode=(1, 1))
    if kind == "depthwise":
        c, plane, stride = _DEPTHWISE[int(rng.integers(len(_DEPTHWISE)))]
        return Benchmark(kind, (c, plane, plane), c, stride=stride, mode=(1, 1), groups=c)
    mode = km.MODES[int(rng.integers(len(km.MODES)))]
    if kind == "pointwise":
        c, plane, k = _POINTWISE[int(rng.integers(len(_POINTWISE)))]
        return Benchmark(kind, (c, plane, plane), k, 1, padding=0, mode=mode)
    found = [s for s in shapes("VGG-16" if kind == "VGG-16" else "ResNet-50") if kind != "groups" or s.kernel == 3]
    s = found[int(rng.integers(len(found)))]
    groups = s.channels // 4 if kind == "groups" and s.channels >= 4 else 1  # ResNeXt's width
    shape = (s.channels, s.plane, s.plane)
    return Benchmark(
        kind, shape, s.out_channels, s.kernel, s.stride, s.padding, mode, groups=groups, residual=kind == "residual"
    )


def _smaller(layer: Benchmark) -> Benchmark:
    """The plane halved where it is large, otherwise the channels; what belongs together stays so."""
    (c, plane, _), k = layer.shape, layer.out_channels
    if plane > 28 or (plane > 7 and plane * 8 > max(c, k)):
        half = (plane + 1) // 2
        kernel = half if layer.kernel == plane else layer.kernel
        return replace(layer, shape=(c, half, half), kernel=kernel)
    if layer.groups > 1 or layer.kind != "conv":
        return replace(layer, shape=(c // 2, plane, plane), out_channels=k // 2, groups=max(1, layer.groups // 2))
    return replace(layer, out_channels=k // 2) if k >= c else replace(layer, shape=(c // 2, plane, plane))


def _macs(layer: Benchmark) -> float:
    positions = (layer.shape[1] / layer.stride) ** 2
    channels = 1 if layer.kind != "conv" else layer.shape[0] // layer.groups
    return positions * layer.out_channels * channels * layer.kernel**2


def _sizes(rng: np.random.Generator, config: Config) -> Iterator[Benchmark]:
    """A drawn layer, then smaller and smaller ones of its kind, for configurations that it does not fit."""
    layer = _of_kind(rng, str(rng.choice(_KINDS, p=_SHARES)))
    mask = "clustered" if rng.random() < 0.7 else "bernoulli"
    layer = replace(layer, mask=mask, density=round(float(rng.uniform(0.25, 0.9)), 2))
    most = MOST_MACS * config.NumPe * config.NumLanes / 1024
    while min(layer.shape[0], layer.out_channels) > 2:
        if _macs(layer) <= most:
            yield replace(layer, name=_name(layer))
        layer = _smaller(layer)


def _name(layer: Benchmark) -> str:
    (c, plane, _), kernel = layer.shape, layer.kernel
    stride = f"/{layer.stride}" if layer.stride > 1 else ""
    k, m = layer.mode
    return (
        f"{layer.name} {c}x{plane}x{plane}, {kernel}x{kernel}{stride}x{layer.out_channels}, {k}/{m} at {layer.density}"
    )


def drawn_layers(config: Config, seed: int, count: int = 40) -> dict[str, tuple[Layer, Plan]]:
    """Layers by name, each of the largest size that fits, with a plan for other data of its kind."""
    rng = np.random.default_rng(seed)
    found: dict[str, tuple[Layer, Plan]] = {}
    while len(found) < count:
        for layer in _sizes(rng, config):
            try:
                found[layer.name] = planned(config, layer, seed)[0]
                break
            except ValueError:
                continue  # a smaller one may fit
    return found
