# SPDX-License-Identifier: Apache-2.0
"""Builds quantised networks of random weights node by node, with a chosen density of each layer's output.

Weights are k/m-sparse and have one scale a layer. One offset a layer is added to all of its outputs, chosen on the
images so that the asked share of them stays above zero: how densities spread over channels and positions is the
network's own.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from models import km, reference
from models.network import INPUT, Input, Network, Node
from models.reference import RESIDUAL_SHIFT, Bytes, Int64
from models.scales import fixed_point

STEP = 1 / 32  # value of an output step
INPUT_STEP = 1 / 255
_SPREAD = 40  # standard deviation of a layer's sums in output steps: few exceed 255
_BLOCK = 64  # outputs, whole groups of every mode
_SHARE = 0.7  # of it that a residual keeps, and that the convolution beside it gets: their sum has no more


def images(shape: tuple[int, int, int], count: int, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Random images uint8 (count, C, H, W) with the spectrum of photographs (amplitude falls with frequency)."""
    c, h, w = shape
    frequency = np.hypot(np.fft.fftfreq(h)[:, None], np.fft.rfftfreq(w)[None])
    field = np.fft.rfft2(rng.standard_normal((count, c, h, w))) / np.maximum(frequency, 1 / max(h, w))
    plane = np.fft.irfft2(field, s=(h, w))
    # Colours go together.
    plane = plane + 2 * plane.mean(1, keepdims=True)
    plane /= np.maximum(plane.std((1, 2, 3), keepdims=True), 1e-9)
    found: npt.NDArray[np.uint8] = np.clip(np.rint(118 + 58 * plane), 0, 255).astype(np.uint8)
    return found


def images_of(network: Network, count: int, rng: np.random.Generator) -> dict[str, Bytes]:
    """Random images of each input of a network whose inputs are uint8."""
    return {name: images(network.shapes[name], count, rng) for name in network.inputs}


class Builder:
    """A network that grows: `input` adds an input, each other method a node; they give its name."""

    def __init__(self, shape: tuple[int, int, int], rng: np.random.Generator, count: int = 1):
        """shape: of an image of the input INPUT; count: images on which offsets are chosen."""
        self.rng, self.count = rng, count
        self.tensors: dict[str, Bytes] = {}
        self.steps: dict[str, float] = {}
        self.nodes: list[Node] = []
        self.inputs: list[str] = []
        self.input(INPUT, shape)

    def input(self, name: str, shape: tuple[int, int, int]) -> str:
        """A further input."""
        self.tensors[name], self.steps[name] = images(shape, self.count, self.rng), INPUT_STEP
        self.inputs.append(name)
        return name

    def _add(self, node: Node, output: Bytes | None = None) -> str:
        self.nodes.append(node)
        self.tensors[node.name] = node.run(self.tensors) if output is None else output
        self.steps[node.name] = node.scale
        return node.name

    def channels(self, tensor: str) -> int:
        """Channels of a tensor."""
        return len(self.tensors[tensor][0])

    def plane(self, tensor: str) -> tuple[int, int]:
        """Rows and columns of a tensor."""
        _, _, h, w = self.tensors[tensor].shape
        return h, w

    def conv(
        self,
        name: str,
        source: str,
        outputs: int,
        kernel: int | tuple[int, int],
        *,
        mode: tuple[int, int] = (2, 4),
        density: float | None = None,
        residual: str | None = None,
        groups: int = 1,
        **options: Any,
    ) -> str:
        """A convolution; padding as of "same" unless the options (stride, padding) say otherwise.

        density: share of non-zeros of its uint8 output; None: int8 without an offset.
        """
        r, s = (kernel, kernel) if isinstance(kernel, int) else kernel
        options = {"padding": (r // 2, r // 2, s // 2, s // 2)} | options
        weights = self._weights((outputs, self.channels(source) // groups, r, s), mode if groups == 1 else (1, 1))
        acc = reference.convolve(
            self.tensors[source], weights, options.get("stride", (1, 1)), options["padding"], groups
        )
        share = 1.0 if residual is None else _SHARE
        ratio = share * _SPREAD / max(1.0, float(acc.std()))
        beside = None if residual is None else self.tensors[residual].astype(np.int64)
        bias = 0 if density is None else self._offset(acc, ratio, beside, density)
        multiplier, shift = fixed_point(np.full(outputs, ratio))
        added: dict[str, Any] = {}
        if residual is not None:
            factor = fixed_point(np.full(1, _SHARE))
            added = {"residual": residual}
            added |= dict(zip(("residual_multiplier", "residual_shift"), (int(v[0]) for v in factor), strict=True))
        numbers = np.full(outputs, bias, np.int32), multiplier, shift
        clamp = (-128, 127) if density is None else (0, 255)
        node = Node(
            name,
            "conv",
            source,
            (r, s),
            clamp=clamp,
            scale=STEP,
            k=mode[0],
            m=mode[1],
            groups=groups,
            weights=weights,
            weight_scale=np.full(outputs, ratio * STEP / self.steps[source]),
            bias=numbers[0],
            multiplier=numbers[1],
            shift=numbers[2],
            **added,
            **options,
        )
        if beside is None:
            return self._add(node, reference.requantize(acc, *numbers, *clamp))
        other = self.tensors[residual or ""], added["residual_multiplier"], added["residual_shift"]
        return self._add(node, reference.requantize_residual(acc, *numbers, *other, *clamp))

    def _weights(self, shape: tuple[int, int, int, int], mode: tuple[int, int]) -> npt.NDArray[np.int8]:
        """Random weights int8 (K, C, R, S) in a mode, some outputs after the other: large layers have 100 M of them."""
        weights = np.empty(shape, np.int8)
        for first in range(0, len(weights), _BLOCK):
            block = weights[first : first + _BLOCK]
            normal = np.rint(40 * self.rng.standard_normal(block.shape, np.float32))
            block[:] = km.project(np.clip(normal, -127, 127).astype(np.int8), *mode, 0)
        return weights

    @staticmethod
    def _offset(acc: Int64, ratio: float, beside: Int64 | None, density: float) -> int:
        """The bias with which the share `density` of the outputs rounds to more than zero."""
        values = acc * ratio if beside is None else acc * ratio + _SHARE * beside
        return round((0.5 - float(np.quantile(values, 1 - density))) / ratio)

    def max_pool(self, name: str, source: str, kernel: int, **options: Any) -> str:
        """A max pool; options: stride, padding."""
        info = np.iinfo(self.tensors[source].dtype)
        clamp = int(info.min), int(info.max)
        return self._add(
            Node(name, "max_pool", source, (kernel, kernel), clamp=clamp, scale=self.steps[source], **options)
        )

    def average(self, name: str, source: str, kernel: tuple[int, int] | None = None, **options: Any) -> str:
        """An average pool, over the plane unless a kernel is given, whose output fills the range of 8 bits better."""
        kernel = kernel or self.plane(source)
        gain = 2.0 if kernel == self.plane(source) else 1.0
        return self._sum(name, source, kernel, gain / (kernel[0] * kernel[1]), self.steps[source] / gain, **options)

    def add(self, name: str, source: str, residual: str) -> str:
        """A sum of two tensors that no convolution makes."""
        multiplier, shift = fixed_point(np.full(1, 0.5))
        factors = {"residual_multiplier": int(multiplier[0]), "residual_shift": int(shift[0])}
        return self._sum(name, source, (1, 1), 0.5, STEP, residual=residual, **factors)

    def _sum(self, name: str, source: str, kernel: tuple[int, int], ratio: float, scale: float, **options: Any) -> str:
        channels = self.channels(source)
        multiplier, shift = fixed_point(np.full(channels, ratio))
        assert shift.min() >= RESIDUAL_SHIFT
        info = np.iinfo(self.tensors[source].dtype)
        clamp = int(info.min), int(info.max)
        numbers: dict[str, Any] = {"bias": np.zeros(channels, np.int32), "multiplier": multiplier, "shift": shift}
        return self._add(Node(name, "sum_pool", source, kernel, clamp=clamp, scale=scale, **numbers, **options))

    def concat(self, name: str, source: str, *others: str) -> str:
        """Channels of the others behind the source's."""
        clamp = (-128, 127) if self.tensors[source].dtype == np.int8 else (0, 255)
        scale = self.steps[source]
        return self._add(Node(name, "concat", source, (1, 1), clamp=clamp, scale=scale, others=others))

    def network(self, *outputs: str) -> Network:
        """What was built; outputs: results besides the last node's."""
        last = self.nodes[-1].name
        inputs = {name: Input(self.tensors[name][0], INPUT_STEP) for name in self.inputs}
        return Network(tuple(self.nodes), inputs, (*outputs, last))
