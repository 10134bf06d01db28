# SPDX-License-Identifier: Apache-2.0
"""Random small networks: branches, residuals, pools, groups, concatenations, several inputs and results."""

from __future__ import annotations

from typing import Any

import numpy as np

from models import km
from models.network import INPUT, Network
from models.networks.builder import Builder

_MOST_CHANNELS = 24


class _Random:
    def __init__(self, rng: np.random.Generator):
        self.rng = rng
        shape = self.shape()
        self.build = Builder(shape, rng, 2)
        self.made = [INPUT]
        for n in range(int(rng.choice(3, p=(0.5, 0.3, 0.2)))):
            other = shape if self.chance(0.5) else (*self.shape()[:1], *shape[1:]) if self.chance(0.5) else self.shape()
            self.made.append(self.build.input(f"{INPUT}{n}", other))

    def shape(self) -> tuple[int, int, int]:
        """Of an input."""
        rng = self.rng
        return int(rng.integers(1, 5)), int(rng.integers(3, 21)), int(rng.integers(3, 21))

    def chance(self, share: float) -> bool:
        """True with a probability."""
        return bool(self.rng.random() < share)

    def pick(self) -> str:
        """A tensor, the latest as often as all others."""
        return self.made[-1] if self.chance(0.5) else str(self.rng.choice(self.made))

    def like(self, tensor: str, channels: bool) -> list[str]:
        """Other tensors with the same plane, and with `channels` the same channels."""
        build, found = self.build, []
        for other in self.made:
            same = build.plane(other) == build.plane(tensor) and other != tensor
            if same and (not channels or build.channels(other) == build.channels(tensor)):
                found.append(other)
        return found

    def window(self, source: str) -> tuple[tuple[int, int], dict[str, Any]]:
        """Kernel, and stride and padding, that leave at least one output."""
        rng, plane = self.rng, self.build.plane(source)
        kernel = int(rng.integers(1, 6)), int(rng.integers(1, 6))
        if self.chance(0.6):
            kernel = (3, 3) if self.chance(0.6) else (1, 1)
        stride = (1, 1) if self.chance(0.7) else (int(rng.integers(1, 4)), int(rng.integers(1, 4)))
        half = kernel[0] // 2, kernel[1] // 2
        padding = half[0], half[0], half[1], half[1]
        if self.chance(0.2):
            top, left, bottom, right = (int(rng.integers(0, n)) for n in (*kernel, *kernel))
            padding = top, bottom, left, right
        need = [max(0, kernel[n] - plane[n] - padding[2 * n] - padding[2 * n + 1]) for n in (0, 1)]
        padding = padding[0] + need[0], padding[1], padding[2] + need[1], padding[3]
        return kernel, {"stride": stride, "padding": padding}

    def conv(self, name: str) -> str:
        """A convolution, often with a residual, sometimes in groups."""
        rng, build, source = self.rng, self.build, self.pick()
        kernel, options = self.window(source)
        outputs, groups = int(rng.integers(1, _MOST_CHANNELS + 1)), 1
        channels = build.channels(source)
        mode = km.MODES[int(rng.integers(len(km.MODES)))]
        if channels > 1 and self.chance(0.25):
            divisors = [n for n in range(2, channels + 1) if channels % n == 0]
            groups, mode = int(rng.choice(divisors)), (1, 1)
            outputs = groups * int(rng.integers(1, max(2, _MOST_CHANNELS // groups)))
        residual = None
        if self.chance(0.4) and (others := self.like(source, False)):
            residual = str(rng.choice(others))
            options = {"padding": (kernel[0] // 2, (kernel[0] - 1) // 2, kernel[1] // 2, (kernel[1] - 1) // 2)}
            outputs = build.channels(residual)
            if outputs % groups:
                groups = 1
        density = None if self.chance(0.2) else float(rng.uniform(0.1, 0.9))
        return build.conv(
            name, source, outputs, kernel, mode=mode, density=density, groups=groups, residual=residual, **options
        )

    def max_pool(self, name: str) -> str:
        """A max pool."""
        source = self.pick()
        kernel, options = self.window(source)
        least = min(kernel)
        # Every window meets the plane.
        padding = tuple(min(n, least - 1) for n in options["padding"])
        rows, columns = self.build.plane(source)
        if rows + padding[0] + padding[1] < least or columns + padding[2] + padding[3] < least:
            least, padding = 1, (0, 0, 0, 0)
        return self.build.max_pool(name, source, least, stride=options["stride"], padding=padding)

    def other(self, name: str) -> str:
        """An average pool, a sum of two tensors or a concatenation, as there are tensors for it."""
        source = self.pick()
        kind = self.rng.integers(3)
        if kind:
            alike = self.like(source, kind == 1)
            if kind == 1 and alike:
                return self.build.add(name, source, str(self.rng.choice(alike)))
            alike = [other for other in alike if self.build.tensors[other].dtype == self.build.tensors[source].dtype]
            if kind == 2 and alike:
                count = min(len(alike), int(self.rng.integers(1, 4)))
                return self.build.concat(name, source, *map(str, self.rng.permutation(alike)[:count]))
        rows, columns = self.build.plane(source)
        kernel = None if max(rows, columns) <= 7 and self.chance(0.5) else (min(rows, 2), min(columns, 3))
        return self.build.average(name, source, kernel)


def random_network(rng: np.random.Generator, layers: int) -> Network:
    """A network of about so many layers."""
    state = _Random(rng)
    for n in range(layers):
        kind = rng.random()
        make = state.conv if n == 0 or kind < 0.6 else state.max_pool if kind < 0.75 else state.other
        state.made.append(make(f"n{n}"))
    if rng.random() < 0.5:
        state.made.append(state.build.conv("last", state.made[-1], int(rng.integers(1, 13)), 1))
    extra = [node.name for node in state.build.nodes[:-1] if rng.random() < 0.15]
    return state.build.network(*extra)
