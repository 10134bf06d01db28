# SPDX-License-Identifier: Apache-2.0
"""A quantised network in the core's integer arithmetic: nodes in order, one implementation of docs/numbers.md.

Tensors are uint8 or int8 (N, C, H, W) with zero point 0. A node names the tensors that it reads: inputs, and the nodes
that make the others.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models import grouping, km, reference
from models.layer import Layer
from models.reference import Bytes, Int32, Int64

INPUT = "input"  # the name of the one input of networks that were not read from a file
_BATCH = 250
_ARRAYS = ("weights", "bias", "multiplier", "shift", "weight_scale")

Images = Mapping[str, Bytes]  # of each input, uint8 or int8 (N, C, H, W): image n of a network is image n of each


def count_of(images: Images) -> int:
    """How many images there are. Raises ValueError where inputs differ."""
    counts = {name: len(array) for name, array in images.items()}
    if len(set(counts.values())) != 1:
        text = ", ".join(f"{count} of {name}" for name, count in counts.items()) or "none"
        raise ValueError(f"images: {text}, expected as many of every input")
    return next(iter(counts.values()))


def taken(images: Images, which: slice | Sequence[int] | Int64) -> dict[str, Bytes]:
    """Some of the images, in any order."""
    return {name: array[which] for name, array in images.items()}


@dataclass(frozen=True)
class Node:
    """One layer.

    op: "conv", "max_pool", "sum_pool" (an average pool is a sum whose divisor lies in multiplier and shift) or "concat"
    (of the channels of source and others, which have one scale; int8 if one of them is, and then no value exceeds 127);
    source: the tensor read; kernel, stride: (rows, columns); padding: (top, bottom, left, right);
    clamp: (low, high), the output is uint8 for low >= 0, otherwise int8; scale: float value of an output step.
    weights: int8 (K, C / groups, R, S) and weight_scale: float64 (K,), for a convolution; bias, multiplier, shift:
    int32 (K,), not for a max pool. residual: a tensor of the output's shape that is added, with its multiplier and
    shift. k, m: the mode along the output depth that the weights satisfy.
    """

    name: str
    op: str
    source: str
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    clamp: tuple[int, int] = (0, 255)
    scale: float = 1.0
    k: int = 1
    m: int = 1
    groups: int = 1
    others: tuple[str, ...] = ()
    residual: str | None = None
    residual_multiplier: int = 0
    residual_shift: int = 0
    weights: npt.NDArray[np.int8] | None = None
    weight_scale: npt.NDArray[np.float64] | None = None
    bias: Int32 | None = None
    multiplier: Int32 | None = None
    shift: Int32 | None = None

    @property
    def reads(self) -> tuple[str, ...]:
        """The tensors that the node reads, each once."""
        names = (self.source, *self.others, self.residual)
        return tuple(dict.fromkeys(name for name in names if name is not None))

    @property
    def numbers(self) -> tuple[Int32, Int32, Int32]:
        """bias, multiplier and shift, where there are any."""
        assert self.bias is not None and self.multiplier is not None and self.shift is not None
        return self.bias, self.multiplier, self.shift

    @property
    def dtype(self) -> np.dtype[np.int8 | np.uint8]:
        """The output's type."""
        return np.dtype(np.int8 if self.clamp[0] < 0 else np.uint8)

    @property
    def kernels(self) -> npt.NDArray[np.int8]:
        """A convolution's weights."""
        assert self.weights is not None
        return self.weights

    def run(self, tensors: dict[str, Bytes]) -> Bytes:
        """The output, from the tensors made so far."""
        x = tensors[self.source]
        if self.op == "concat":
            return np.concatenate([x, *(tensors[name] for name in self.others)], 1, dtype=self.dtype, casting="unsafe")
        if self.op == "max_pool":
            return reference.max_pool(x, self.kernel, self.stride, self.padding)
        if self.op == "sum_pool":
            acc = reference.sum_pool(x, self.kernel, self.stride, self.padding)
        else:
            acc = reference.convolve(x, self.kernels, self.stride, self.padding, self.groups)
        numbers = self.numbers
        if self.residual is None:
            return reference.requantize(acc, *numbers, *self.clamp)
        other = tensors[self.residual], self.residual_multiplier, self.residual_shift
        return reference.requantize_residual(acc, *numbers, *other, *self.clamp)

    def layer(self, tensors: dict[str, Bytes]) -> Layer:
        """The node as a layer of the core, on the first image of the tensors that it reads.

        Raises ValueError, with the node's name, for one that the core has no layer for.
        """
        common: dict[str, Any] = {"stride": self.stride, "padding": self.padding}
        if self.op != "max_pool":
            common |= dict(zip(("bias", "multiplier", "shift"), self.numbers, strict=True)) | {"clamp": self.clamp}
        if self.residual is not None:
            common["residual"] = tensors[self.residual][0]
            common |= {name: getattr(self, name) for name in ("residual_multiplier", "residual_shift")}
        x = tensors[self.source][0]
        try:
            if self.op == "conv":
                return Layer(x, self.kernels, k=self.k, m=self.m, groups=self.groups, **common)
            return Layer.pool("max_pool" if self.op == "max_pool" else "average_pool", x, self.kernel, **common)
        except ValueError as error:
            raise ValueError(f"{self.name}: {error}") from None


@dataclass(frozen=True)
class Input:
    """What a network is given. example: an image, uint8 or int8 (C, H, W), which also says what shape and type images
    have; scale: value of a step."""

    example: Bytes
    scale: float


@dataclass(frozen=True)
class Network:
    """Nodes in the order in which they run.

    inputs: by name; outputs: the nodes whose outputs are the network's, the last one unless given.
    """

    nodes: tuple[Node, ...]
    inputs: dict[str, Input]
    outputs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.outputs:
            object.__setattr__(self, "outputs", (self.nodes[-1].name,))

    @property
    def example(self) -> dict[str, Bytes]:
        """The inputs' examples as one image, (1, C, H, W) each."""
        return {name: given.example[None] for name, given in self.inputs.items()}

    @property
    def scales(self) -> dict[str, float]:
        """Value of a step of every tensor."""
        given = {name: given.scale for name, given in self.inputs.items()}
        return given | {node.name: node.scale for node in self.nodes}

    @property
    def dtypes(self) -> dict[str, np.dtype[Any]]:
        """Type of every tensor."""
        given: dict[str, np.dtype[Any]] = {name: given.example.dtype for name, given in self.inputs.items()}
        return given | {node.name: node.dtype for node in self.nodes}

    @cached_property
    def shapes(self) -> dict[str, tuple[int, int, int]]:
        """(C, H, W) of every tensor."""
        found: dict[str, tuple[int, int, int]] = {}
        for name, given in self.inputs.items():
            c, h, w = given.example.shape
            found[name] = c, h, w
        for node in self.nodes:
            c, h, w = found[node.source]
            if node.op == "concat":
                found[node.name] = c + sum(found[name][0] for name in node.others), h, w
                continue
            top, bottom, left, right = node.padding
            rows = reference.out_size(h, node.kernel[0], node.stride[0], top, bottom)
            columns = reference.out_size(w, node.kernel[1], node.stride[1], left, right)
            found[node.name] = len(node.kernels) if node.op == "conv" else c, rows, columns
        return found

    def run(self, images: Images) -> dict[str, Bytes]:
        """All tensors by name, of images of the inputs' types."""
        tensors = {name: images[name] for name in self.inputs}
        for node in self.nodes:
            tensors[node.name] = node.run(tensors)
        return tensors

    def classify(self, images: Images) -> Int64:
        """int64 (N,): the class of each image by the first output, of equal ones the first."""
        last = self.outputs[0]
        firsts = range(0, count_of(images), _BATCH)
        parts = (self.run(taken(images, slice(first, first + _BATCH)))[last] for first in firsts)
        return np.concatenate([part.reshape(len(part), -1).argmax(1) for part in parts])

    def accuracy(self, images: Images, labels: npt.NDArray[np.integer]) -> float:
        """Share of the images that are classified as the labels say."""
        return float((self.classify(images) == labels).mean())

    def layers(self) -> dict[str, Layer]:
        """Every node but concatenations as a layer of the core, on what the example brings; raises ValueError as
        `Node.layer`."""
        tensors = self.run(self.example)
        return {node.name: node.layer(tensors) for node in self.nodes if node.op != "concat"}

    def pack(self) -> dict[str, Any]:
        """The network as named arrays."""
        arrays: dict[str, Any] = {}
        header = []
        for number, node in enumerate(self.nodes):
            values = {field.name: getattr(node, field.name) for field in fields(node)}
            arrays |= {f"{number}.{name}": values[name] for name in _ARRAYS if values[name] is not None}
            header.append({name: value for name, value in values.items() if name not in _ARRAYS})
        inputs = [{"name": name, "scale": given.scale} for name, given in self.inputs.items()]
        arrays |= {f"example.{number}": given.example for number, given in enumerate(self.inputs.values())}
        text = json.dumps({"inputs": inputs, "outputs": self.outputs, "nodes": header})
        return {"header": np.array(text), **arrays}

    @classmethod
    def unpack(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Network:
        """Inverse of `pack`. Raises KeyError, TypeError or ValueError for arrays that are no network."""
        header, nodes = json.loads(str(arrays["header"])), []
        for number, values in enumerate(header["nodes"]):
            own = {name: arrays[f"{number}.{name}"] for name in _ARRAYS if f"{number}.{name}" in arrays}
            tuples = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
            nodes.append(Node(**values | tuples | own))
        inputs = {
            given["name"]: Input(arrays[f"example.{number}"], given["scale"])
            for number, given in enumerate(header["inputs"])
        }
        return cls(tuple(nodes), inputs, tuple(header["outputs"]))

    def save(self, path: str | Path) -> None:
        """Write the network as one compressed NPZ file."""
        np.savez_compressed(path, **self.pack())

    @classmethod
    def load(cls, path: str | Path) -> Network:
        """Read what `save` wrote. Raises ValueError, which names the file, for one that is no network."""
        try:
            with np.load(path, allow_pickle=False) as npz:
                return cls.unpack(npz)
        except FileNotFoundError:
            raise ValueError(f"{path}: no such file") from None
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path}: no network of this project ({error})") from None


def sparsest_mode(weights: npt.NDArray[np.int8], number: int = 1) -> tuple[int, int]:
    """The mode of the core that weights (K, C / groups, R, S) in a number of groups satisfy with the fewest stored, and
    of those the one of smallest m."""
    weights = grouping.spread(weights, number)
    for k, m in sorted(km.MODES, key=lambda mode: (-(-len(weights) // mode[1]) * mode[0], mode[1])):
        try:
            km.check(weights, k, m, 0)
        except ValueError:
            continue
        return k, m
    return 1, 1
