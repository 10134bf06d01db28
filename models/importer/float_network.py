# SPDX-License-Identifier: Apache-2.0
"""A network in float as the core's layers: what is left of an ONNX graph when all that can be fused is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

Floats = npt.NDArray[np.float64]
Plane = tuple[int, int, int]
_OPSET = 17


@dataclass(frozen=True)
class Quant:
    """How a file quantises a tensor: value = (integer - zero) * scale, integers from low to high."""

    scale: float
    zero: int
    low: int
    high: int

    @property
    def range(self) -> tuple[float, float]:
        """Least and largest value."""
        return (self.low - self.zero) * self.scale, (self.high - self.zero) * self.scale

    @property
    def unsigned(self) -> bool | None:
        """Whether with a zero point of 0 the integers are uint8 or int8, None where they are neither."""
        low, high = self.low - self.zero, self.high - self.zero
        return True if (low, high) == (0, 255) else False if low >= -128 and high <= 127 else None


@dataclass(frozen=True)
class Step:
    """One layer in float, named after the ONNX node that it comes from.

    kind: "conv", "max_pool", "mean_pool" or "concat"; reads: one tensor, of a concatenation several; output: the
    tensor's name in the ONNX graph; shape: (K, Ho, Wo); padding: (top, bottom, left, right), zeros; counted: whether a
    mean counts them; weights: (K, C / groups, R, S), in steps of weight_scale (K,) where the file quantises them; bias:
    (K,); residual: a tensor that is added; low, high: bounds of the result; quant: how the file quantises the output.
    """

    name: str
    kind: str
    reads: tuple[str, ...]
    output: str
    shape: Plane
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    counted: bool = True
    groups: int = 1
    weights: Floats | None = None
    weight_scale: Floats | None = None
    bias: Floats | None = None
    residual: str | None = None
    low: float = -np.inf
    high: float = np.inf
    quant: Quant | None = None

    @property
    def all_reads(self) -> tuple[str, ...]:
        """The tensors read, the residual too, each once."""
        return tuple(dict.fromkeys((*self.reads, *((self.residual,) if self.residual else ()))))

    @property
    def kernels(self) -> Floats:
        """A convolution's weights."""
        assert self.weights is not None
        return self.weights


@dataclass(frozen=True)
class Given:
    """A tensor that is given to the first steps.

    name: of the file's input; tensor: what the host makes of that, by its name in the ONNX graph; quant: how the file
    quantises it.
    """

    name: str
    tensor: str
    shape: Plane
    quant: Quant | None = None

    @property
    def feed(self) -> str:
        """Its name among the inputs of `FloatNetwork.model`."""
        return f"{self.tensor}/given"


@dataclass(frozen=True)
class FloatNetwork:
    """Steps in an order in which they can run, from given tensors. outputs: the tensors that are read of it."""

    inputs: tuple[Given, ...]
    steps: tuple[Step, ...]
    outputs: tuple[str, ...]

    def step(self, output: str) -> Step:
        """The step that makes a tensor."""
        return next(step for step in self.steps if step.output == output)

    @property
    def quantised(self) -> bool:
        """Whether the file has steps for some tensor."""
        return any(quant is not None for quant in self.quants.values())

    @property
    def quants(self) -> dict[str, Quant | None]:
        """By tensor how the file quantises it where it is made."""
        return {given.tensor: given.quant for given in self.inputs} | {step.output: step.quant for step in self.steps}

    @property
    def shapes(self) -> dict[str, Plane]:
        """By tensor (C, H, W)."""
        return {given.tensor: given.shape for given in self.inputs} | {step.output: step.shape for step in self.steps}

    def quant_of(self, tensor: str) -> Quant | None:
        """How the file quantises a tensor's values: a max pool's are those that it reads."""
        if any(given.tensor == tensor for given in self.inputs):
            return self.quants[tensor]
        step = self.step(tensor)
        return self.quant_of(step.reads[0]) if step.kind == "max_pool" else step.quant

    def model(self, wanted: Iterable[str] | None = None) -> onnx.ModelProto:
        """As ONNX, float32 (batch, C, H, W) in, `Given.feed`; tensors that the file quantises are rounded to their
        steps."""
        build = _Builder()
        for given in self.inputs:
            build.nodes += build.rounded(given.feed, given.tensor, given.quant)
        for step in self.steps:
            build.step(step)
        inputs = [
            helper.make_tensor_value_info(given.feed, onnx.TensorProto.FLOAT, ["batch", *given.shape])
            for given in self.inputs
        ]
        outputs = [onnx.ValueInfoProto(name=name) for name in (self.outputs if wanted is None else wanted)]
        graph = helper.make_graph(build.nodes, "steps", inputs, outputs, build.constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=8)

    def with_steps(self, steps: Iterable[Step]) -> FloatNetwork:
        """The same with other steps."""
        return replace(self, steps=tuple(steps))


class _Builder:
    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, name: str, value: npt.NDArray[Any] | float) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(value, np.float32), name))
        return name

    def node(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def rounded(self, tensor: str, output: str, quant: Quant | None) -> list[onnx.NodeProto]:
        """The nodes that give a tensor, as the file quantises it, another name."""
        if quant is None:
            return [helper.make_node("Identity", [tensor], [output])]
        kind = np.uint8 if quant.low >= 0 else np.int8
        scale, zero = f"{output}/scale", f"{output}/zero"
        self.constant(scale, quant.scale)
        self.constants.append(numpy_helper.from_array(np.array(quant.zero, kind), zero))
        return [
            helper.make_node("QuantizeLinear", [tensor, scale, zero], [f"{output}/integers"]),
            helper.make_node("DequantizeLinear", [f"{output}/integers", scale, zero], [output]),
        ]

    def step(self, step: Step) -> None:
        out = step.output
        top, bottom, left, right = step.padding
        window: dict[str, Any] = {
            "kernel_shape": step.kernel,
            "strides": step.stride,
            "pads": (top, left, bottom, right),
        }
        tensor = f"{out}/linear"
        if step.kind == "concat":
            self.node("Concat", list(step.reads), tensor, axis=1)
        elif step.kind == "max_pool":
            self.node("MaxPool", [step.reads[0]], tensor, **window)
        elif step.kind == "mean_pool":
            # ONNX allows no padding beyond the kernel.
            if any(step.padding) and step.counted:
                pads = self.nodes_pads(f"{out}/pads", (0, 0, top, left, 0, 0, bottom, right))
                padded = self.node("Pad", [step.reads[0], pads], f"{out}/padded")
                window["pads"] = (0, 0, 0, 0)
            else:
                padded = step.reads[0]
            self.node("AveragePool", [padded], tensor, **window)
        else:
            assert step.bias is not None
            inputs = [
                step.reads[0],
                self.constant(f"{out}/weights", step.kernels),
                self.constant(f"{out}/bias", step.bias),
            ]
            self.node("Conv", inputs, tensor, group=step.groups, **window)
        if step.residual is not None:
            tensor = self.node("Add", [tensor, step.residual], f"{out}/sum")
        if np.isfinite(step.low) or np.isfinite(step.high):
            bounds = [self.constant(f"{out}/low", step.low), self.constant(f"{out}/high", step.high)]
            tensor = self.node("Clip", [tensor, *bounds], f"{out}/bounded")
        self.nodes += self.rounded(tensor, out, step.quant)

    def nodes_pads(self, name: str, pads: tuple[int, ...]) -> str:
        self.constants.append(numpy_helper.from_array(np.array(pads, np.int64), name))
        return name
