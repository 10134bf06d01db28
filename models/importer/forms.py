# SPDX-License-Identifier: Apache-2.0
"""Quantised operators taken apart: each becomes DequantizeLinear, the plain operator and QuantizeLinear."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

MICROSOFT = "com.microsoft"
_AXES = 13  # the first opset whose DequantizeLinear has an axis


@dataclass
class _Parts:
    """What a node becomes. The plain operator keeps its name."""

    node: onnx.NodeProto
    floating: set[str]  # tensors that stand for integers but are values
    opset: int
    makers: dict[str, onnx.NodeProto]  # what tensors are by a DequantizeLinear that the opset lacks
    nodes: list[onnx.NodeProto] = field(default_factory=list)

    def input(self, at: int) -> str:
        return self.node.input[at] if at < len(self.node.input) else ""

    def add(self, operator: str, inputs: list[str], suffix: str, **attributes: Any) -> str:
        """A node beside the plain operator; returns its output."""
        output = f"{self.node.name}/{suffix}"
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def constant(self, value: np.ndarray, suffix: str) -> str:
        return self.add("Constant", [], suffix, value=numpy_helper.from_array(value))

    def value(self, integers: str, scale: str, zero: str, suffix: str, axis: int | None = None, rank: int = 1) -> str:
        """Integers as values; with an axis, constants of a rank that may have a scale for each index of it."""
        inputs = [integers, scale, zero] if zero else [integers, scale]
        if axis is None:
            return self.add("DequantizeLinear", inputs, suffix)
        if self.opset >= _AXES:
            return self.add("DequantizeLinear", inputs, suffix, axis=axis)
        shape = self.constant(np.array([1] * axis + [-1] + [1] * (rank - axis - 1), np.int64), f"{suffix}.shape")
        value = self.add("Cast", [integers], f"{suffix}.cast", to=onnx.TensorProto.FLOAT)
        if zero:
            zeros = self.add("Cast", [zero], f"{suffix}.zero", to=onnx.TensorProto.FLOAT)
            value = self.add("Sub", [value, self.add("Reshape", [zeros, shape], f"{suffix}.zeros")], f"{suffix}.around")
        value = self.add("Mul", [value, self.add("Reshape", [scale, shape], f"{suffix}.scales")], suffix)
        self.makers[value] = helper.make_node("DequantizeLinear", inputs, [value], axis=axis)
        return value

    def plain(self, operator: str, inputs: list[str], without: tuple[str, ...] = (), **more: Any) -> str:
        """The plain operator with the node's attributes."""
        output = f"{self.node.name}/value"
        made = helper.make_node(operator, inputs, [output], name=self.node.name, **more)
        made.attribute.extend(attribute for attribute in self.node.attribute if attribute.name not in without)
        self.nodes.append(made)
        return output

    def quantised(self, tensor: str, scale: str, zero: str) -> None:
        """The node's output."""
        inputs = [tensor, scale, zero] if zero else [tensor, scale]
        self.nodes.append(
            helper.make_node("QuantizeLinear", inputs, list(self.node.output), name=f"{self.node.name}/step")
        )

    def passed_on(self, tensor: str) -> None:
        self.nodes.append(
            helper.make_node("Identity", [tensor], [self.node.output[0]], name=f"{self.node.name}/integers")
        )
        self.floating.add(self.node.output[0])

    def bias(self, at: int, scales: tuple[int, int]) -> list[str]:
        """A bias in steps of the product of two scales, where there is one."""
        if not self.input(at):
            return []
        step = self.add("Mul", [self.input(scales[0]), self.input(scales[1])], "bias.scale")
        return [self.value(self.input(at), step, "", "bias", axis=0)]


def _convolution(parts: _Parts) -> None:
    i = parts.input
    inputs = [
        parts.value(i(0), i(1), i(2), "x"),
        parts.value(i(3), i(4), i(5), "w", axis=0, rank=4),
        *parts.bias(8, (1, 4)),
    ]
    parts.quantised(parts.plain("Conv", inputs), i(6), i(7))


def _product(parts: _Parts) -> None:
    i = parts.input
    inputs = [parts.value(i(0), i(1), i(2), "a"), parts.value(i(3), i(4), i(5), "b", axis=1, rank=2)]
    parts.quantised(parts.plain("MatMul", inputs), i(6), i(7))


def _gemm(parts: _Parts) -> None:
    i = parts.input
    flags = {attribute.name: helper.get_attribute_value(attribute) for attribute in parts.node.attribute}
    inputs = [
        parts.value(i(0), i(1), i(2), "a"),
        parts.value(i(3), i(4), i(5), "b", axis=0 if flags.get("transB") else 1, rank=2),
        *parts.bias(6, (1, 4)),
    ]
    # The bias is in steps of alpha times the product of scales.
    result = parts.plain("Gemm", inputs, beta=float(flags.get("alpha", 1.0)))
    if i(7):
        parts.quantised(result, i(7), i(8))
    else:
        parts.passed_on(result)


def _integers(operator: str) -> Callable[[_Parts], None]:
    def form(parts: _Parts) -> None:
        inputs = []
        for at, suffix in ((0, "x"), (1, "w")):
            tensor, zero = parts.input(at), parts.input(at + 2)
            if tensor in parts.floating:
                zero = ""  # values already
            else:
                tensor = parts.add("Cast", [tensor], f"{suffix}.cast", to=onnx.TensorProto.FLOAT)
            if zero:
                zero = parts.add("Cast", [zero], f"{suffix}.zero", to=onnx.TensorProto.FLOAT)
                if operator == "Conv" and at:  # one, or one for each output channel
                    shape = parts.constant(np.array([-1, 1, 1, 1], np.int64), f"{suffix}.shape")
                    zero = parts.add("Reshape", [zero, shape], f"{suffix}.column")
                tensor = parts.add("Sub", [tensor, zero], suffix)
            inputs.append(tensor)
        parts.passed_on(parts.plain(operator, inputs))

    return form


def _dynamic(parts: _Parts) -> None:
    """Values stay values: with steps of 1 from 0 on, what follows calculates the same without rounding."""
    x = parts.input(0)
    y, scale, zero = parts.node.output
    parts.nodes.append(helper.make_node("Identity", [x], [y], name=parts.node.name))
    for name, value in ((scale, np.array(1, np.float32)), (zero, np.array(0, np.uint8))):
        if name:
            parts.nodes.append(
                helper.make_node("Constant", [], [name], value=numpy_helper.from_array(value), name=name)
            )
    parts.floating.add(y)


def _two(operator: str) -> Callable[[_Parts], None]:
    def form(parts: _Parts) -> None:
        i = parts.input
        inputs = [parts.value(i(0), i(1), i(2), "a"), parts.value(i(3), i(4), i(5), "b")]
        parts.quantised(parts.plain(operator, inputs), i(6), i(7))

    return form


def _concatenation(parts: _Parts) -> None:
    i = parts.input
    inputs = [parts.value(i(n), i(n + 1), i(n + 2), f"x{n}") for n in range(2, len(parts.node.input), 3)]
    parts.quantised(parts.plain("Concat", inputs), i(0), i(1))


def _pool(operator: str) -> Callable[[_Parts], None]:
    def form(parts: _Parts) -> None:
        i = parts.input
        value = parts.value(i(0), i(1), i(2), "x")
        parts.quantised(parts.plain(operator, [value], without=("channels_last", "opset")), i(3), i(4))

    return form


@dataclass(frozen=True)
class Form:
    """A quantised operator: the plain one in it, and how it is taken apart."""

    plain: str
    apart: Callable[[_Parts], None]


FORMS = {
    ("", "QLinearConv"): Form("Conv", _convolution),
    ("", "QLinearMatMul"): Form("MatMul", _product),
    ("", "ConvInteger"): Form("Conv", _integers("Conv")),
    ("", "MatMulInteger"): Form("MatMul", _integers("MatMul")),
    ("", "DynamicQuantizeLinear"): Form("Identity", _dynamic),
    (MICROSOFT, "QGemm"): Form("Gemm", _gemm),
    (MICROSOFT, "QLinearAdd"): Form("Add", _two("Add")),
    (MICROSOFT, "QLinearMul"): Form("Mul", _two("Mul")),
    (MICROSOFT, "QLinearConcat"): Form("Concat", _concatenation),
    (MICROSOFT, "QLinearAveragePool"): Form("AveragePool", _pool("AveragePool")),
    (MICROSOFT, "QLinearGlobalAveragePool"): Form("GlobalAveragePool", _pool("GlobalAveragePool")),
    (MICROSOFT, "QLinearSoftmax"): Form("Softmax", _pool("Softmax")),
}


@dataclass(frozen=True)
class Apart:
    """Of a model that was taken apart: tensors that are integers in it and values now, and tensors that are what a
    DequantizeLinear would make although several nodes do."""

    values: frozenset[str]
    makers: dict[str, onnx.NodeProto]


def take_apart(model: onnx.ModelProto, opset: int) -> Apart | None:
    """Rewrite the quantised operators of a model; None if there were none."""
    nodes: list[onnx.NodeProto] = []
    floating: set[str] = set()
    makers: dict[str, onnx.NodeProto] = {}
    rewritten = False
    for node in model.graph.node:
        domain = "" if node.domain == "ai.onnx" else node.domain
        form = FORMS.get((domain, node.op_type))
        if form is None:
            if node.op_type == "Cast" and node.input[0] in floating:
                floating.add(node.output[0])
            nodes.append(node)
            continue
        for attribute in node.attribute:
            if attribute.name == "channels_last" and attribute.i:
                raise ValueError(f"{node.name}: {node.op_type}: channels_last = 1, supported: 0")
        parts = _Parts(node, floating, opset, makers)
        form.apart(parts)
        nodes += parts.nodes
        rewritten = True
    kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(kept)
    return Apart(frozenset(floating), makers) if rewritten else None
