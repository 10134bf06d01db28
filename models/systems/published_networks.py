# SPDX-License-Identifier: Apache-2.0
"""Layers of networks.toml as workloads: masks with the published densities."""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from models import km, masks
from models.masks import Mask
from models.systems.system import Workload

FILE = Path(__file__).with_name("networks.toml")
NAMES = ("ResNet-18", "ResNet-50", "AlexNet", "VGG-16", "GoogLeNet")
MODES = {1.0: (1, 1), 0.5: (2, 4), 0.25: (1, 4)}  # by density


@dataclass(frozen=True)
class Shape:
    """A convolution of a network with its densities; see networks.toml."""

    name: str
    channels: int
    plane: int
    kernel: int
    stride: int
    padding: int
    out_channels: int
    groups: int
    count: int
    weights: float
    inputs: float
    outputs: float

    @property
    def mode(self) -> tuple[int, int]:
        """The mode of the core whose density is nearest to the weights'."""
        return MODES[min(MODES, key=lambda density: abs(density - self.weights))]


@cache
def _tables() -> dict[str, Any]:
    return tomllib.loads(FILE.read_text())


def source(network: str) -> str:
    """Where the densities come from."""
    return str(_tables()[network]["source"])


def _inception(table: dict[str, Any]) -> Iterator[list[Any]]:
    """Rows of the modules' six convolutions."""
    modules = table["modules"]
    for number, (name, c, plane, n1, r3, n3, r5, n5, pool) in enumerate(modules):
        at = number / (len(modules) - 1)
        weights, inputs = (
            [(1 - at) * a + at * b for a, b in zip(table[f"first_{what}"], table[f"last_{what}"], strict=True)]
            for what in ("weights", "inputs")
        )
        kinds = [("1x1", c, 1, n1), ("3x3 reduce", c, 1, r3), ("3x3", r3, 3, n3)]
        kinds += [("5x5 reduce", c, 1, r5), ("5x5", r5, 5, n5), ("pool", c, 1, pool)]
        for (kind, channels, kernel, out), w, a in zip(kinds, weights, inputs, strict=True):
            yield [f"{name} {kind}", channels, plane, kernel, 1, kernel // 2, out, 1, 1, w, a]


def shapes(network: str) -> list[Shape]:
    """The convolutions of a network of networks.toml, in order."""
    table = _tables()[network]
    rows = [*table["layers"], *_inception(table["inception"])] if "inception" in table else table["layers"]
    after = [row[-1] for row in rows[1:]] + [table["last"]]
    return [Shape(*[*row, density]) for row, density in zip(rows, after, strict=True)]


def activation_mask(shape: tuple[int, int, int], density: float, rng: np.random.Generator, clustered: bool) -> Mask:
    """Masks like a trained network's, or independent ones; full at density 1."""
    if density >= 1:
        return masks.full(shape, rng)
    return (masks.clustered if clustered else masks.bernoulli)(shape, density, rng)


def structured(size: tuple[int, int, int, int], mode: tuple[int, int], rng: np.random.Generator) -> Mask:
    """Weights (K, C, R, S) with exactly k of m along K, at random places."""
    return km.project(rng.random(size, np.float32) + 1, *mode, 0) > 0


def workload(
    shape: Shape, seed: int = 0, *, density: float | None = None, clustered: bool = True, free: bool = False
) -> Workload:
    """Masks of a layer.

    density: of the inputs, in place of the table's; free: weights at the table's density without structure, in place of
    the nearest mode's. In ratio 1 they have the table's density either way.
    """
    rng = np.random.default_rng([seed, *shape.name.encode()])
    size = (shape.out_channels, shape.channels // shape.groups, shape.kernel, shape.kernel)
    inputs = shape.inputs if density is None else density
    if free or shape.mode == (1, 1):
        weights = rng.random(size, np.float32) < shape.weights
    else:
        weights = structured(size, shape.mode, rng)
    return Workload(
        name=shape.name,
        activations=activation_mask((shape.channels, shape.plane, shape.plane), inputs, rng, clustered),
        weights=weights,
        stride=shape.stride,
        padding=shape.padding,
        groups=shape.groups,
        mode=(1, 1) if free else shape.mode,
        out_density=shape.outputs,
        count=shape.count,
    )
