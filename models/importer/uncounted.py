# SPDX-License-Identifier: Apache-2.0
"""Average pools that do not count their padding, as layers whose divisor is one for each channel.

Windows at the border hold fewer positions of the plane. For each number of positions that occurs there is a layer that
divides by it and is 0 at the positions with another number: a mask, which is negative there, is added before the clamp.
The sum of these layers is exact, because at each position one of them alone is not 0. Masks follow from the numbers
themselves, which a sum pool of ones counts on the core; they are exact for the windows of convolutions, 11x11 at most.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from models.importer.float_network import Plane, Step
from models.importer.ranges import Range
from models.network import Node
from models.reference import out_size
from models.scales import fixed_point

_STEEP = 128  # of a mask: it has its least value, -128, wherever it is not 0
_MASK = 256.0  # output steps that a step of a mask is: with _STEEP as much as the core's sums beside a residual can be


def positions(step: Step, plane: Plane) -> list[int]:
    """The numbers of positions of a plane (C, H, W) that a pool's windows hold, the largest first."""
    top, bottom, left, right = step.padding
    axes = []
    for size, kernel, stride, before, after in zip(
        plane[1:], step.kernel, step.stride, (top, left), (bottom, right), strict=True
    ):
        firsts = np.arange(out_size(size, kernel, stride, before, after)) * stride - before
        axes.append(np.minimum(firsts + kernel, size) - np.maximum(firsts, 0))
    return sorted({int(count) for count in np.outer(*axes).ravel()}, reverse=True)


@dataclass(frozen=True)
class _Layers:
    """Makes the layers of one pool: of c channels each, on tensors of one shape but for the first."""

    name: str
    c: int
    nodes: list[Node]

    def depthwise(
        self, what: str, source: str, source_scale: float, own: Node, weight_scale: float, bias: int = 0
    ) -> str:
        """A convolution of weights 1, or -1 for a negative scale, in groups of one channel; own: what differs from a
        plain one: kernel, scale, clamp and such."""
        ratio = np.full(self.c, source_scale * abs(weight_scale) / own.scale)
        multiplier, shift = fixed_point(ratio)
        sign = 1 if weight_scale > 0 else -1
        node = replace(
            own,
            name=f"{self.name}/{what}" if what else self.name,
            source=source,
            groups=self.c,
            weights=np.full((self.c, 1, *own.kernel), sign, np.int8),
            weight_scale=np.full(self.c, abs(weight_scale)),
            bias=np.full(self.c, bias, np.int32),
            multiplier=multiplier,
            shift=shift,
        )
        self.nodes.append(node)
        return node.name

    def summed(self, what: str, source: str, **more: Any) -> str:
        """A sum pool that keeps integers."""
        one: dict[str, Any] = {"multiplier": np.full(self.c, 1 << 30, np.int32), "shift": np.full(self.c, 30, np.int32)}
        self.nodes.append(
            Node(f"{self.name}/{what}", "sum_pool", source, bias=np.zeros(self.c, np.int32), **one, **more)
        )
        return self.nodes[-1].name


def _added(residual: str, ratio: float) -> dict[str, Any]:
    multiplier, shift = fixed_point(ratio)
    return {"residual": residual, "residual_multiplier": int(multiplier), "residual_shift": int(shift)}


def uncounted(step: Step, source: str, plane: Plane, read: Range, own: Range, clamp: tuple[int, int]) -> list[Node]:
    """The layers of a mean pool that does not count its padding; the last has its name, scale and clamp.

    plane: (C, H, W) of what it reads.
    """
    window: dict[str, Any] = {"kernel": step.kernel, "stride": step.stride, "padding": step.padding}
    size, counts = step.kernel[0] * step.kernel[1], positions(step, plane)
    layers = _Layers(step.name, plane[0], [])
    ones = layers.summed("ones", source, kernel=(1, 1), clamp=(1, 1), scale=read.scale)
    number = layers.summed("positions", ones, **window, scale=read.scale / size)
    parts = []
    for count in counts:
        mean = Node("", "conv", "", **window, scale=own.scale)
        if len(counts) > 1:
            mask = _mask(layers, number, read.scale / size, count, counts, _MASK * own.scale)
            mean = replace(mean, **_added(mask, _MASK))
        # A clamp at 0 leaves what is positive, so means of both signs are made in two.
        for sign, what in ((1, "of"), (-1, "less, of"))[: 1 if own.unsigned else 2]:
            parts.append((sign, layers.depthwise(f"{what} {count}", source, read.scale, mean, sign / count)))
    between = (0, 255) if own.unsigned else (-128, 127)
    whole: str | None = None
    for at, (sign, part) in enumerate(parts, 1):
        final = at == len(parts)
        total = Node("", "conv", "", (1, 1), scale=own.scale, clamp=clamp if final else between)
        if whole is not None:
            total = replace(total, **_added(whole, 1.0))
        whole = layers.depthwise("" if final else f"to {part}", part, own.scale, total, sign)
    return layers.nodes


def _mask(layers: _Layers, number: str, number_scale: float, count: int, counts: list[int], scale: float) -> str:
    """A tensor that is 0 where a window holds so many positions, and -128 elsewhere."""
    mask = Node("", "conv", "", (1, 1), scale=scale, clamp=(-128, 0))
    slope = _STEEP * scale / number_scale
    if count == counts[-1]:
        return layers.depthwise(f"not {count}", number, number_scale, mask, -slope, count)
    if count == counts[0]:
        return layers.depthwise(f"not {count}", number, number_scale, mask, slope, -count)
    large = replace(mask, scale=_MASK * scale)
    below = layers.depthwise(f"below {count}", number, number_scale, large, _MASK * slope, -count)
    mask = replace(mask, **_added(below, _MASK))
    return layers.depthwise(f"not {count}", number, number_scale, mask, -slope, count)
