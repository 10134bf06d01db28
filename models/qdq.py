# SPDX-License-Identifier: Apache-2.0
"""A quantised network as ONNX in QDQ form: what other tools read, and an independent judge of the arithmetic."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from models.network import Network, Node

OPSET = 13
_LINEAR = {"conv": "conv", "concat": "whole"}  # suffix of a node's result before residual and requantisation


class _Builder:
    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, name: str, value: npt.NDArray[np.generic]) -> str:
        self.constants.append(numpy_helper.from_array(value, name))
        return name

    def node(self, op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def dequantised(
        self, name: str, integers: str, scale: npt.NDArray[np.floating], kind: npt.DTypeLike, **attributes: Any
    ) -> str:
        """A tensor of integers of ``kind`` with zero point 0, as values; scale: one, or one a channel."""
        inputs = [
            integers,
            self.constant(f"{name}.scale", scale.astype(np.float32)),
            self.constant(f"{name}.zero", np.zeros(scale.shape, kind)),
        ]
        return self.node("DequantizeLinear", inputs, name, **attributes)

    def quantised(self, tensor: str, name: str, node: Node) -> str:
        inputs = [
            tensor,
            self.constant(f"{name}.step", np.array(node.scale, np.float32)),
            self.constant(f"{name}.origin", np.array(0, node.dtype)),
        ]
        return self.node("QuantizeLinear", inputs, name)


def _window(node: Node) -> dict[str, tuple[int, ...]]:
    top, bottom, left, right = node.padding
    return {"kernel_shape": node.kernel, "strides": node.stride, "pads": (top, left, bottom, right)}


def _linear(build: _Builder, node: Node, source: str, source_scale: float) -> str:
    """The node's result before its residual, as values; source: values."""
    if node.op == "max_pool":
        return build.node("MaxPool", [source], f"{node.name}.pool", **_window(node))
    if node.op == "sum_pool":
        top, bottom, left, right = node.padding
        if max(top, bottom) >= node.kernel[0] or max(left, right) >= node.kernel[1]:  # no padding of a pool in ONNX
            pads = np.array([0, 0, top, left, 0, 0, bottom, right], np.int64)
            source = build.node("Pad", [source, build.constant(f"{node.name}.pads", pads)], f"{node.name}.padded")
            node = replace(node, padding=(0, 0, 0, 0))
        return build.node("AveragePool", [source], f"{node.name}.pool", count_include_pad=1, **_window(node))
    assert node.weight_scale is not None
    weights = build.constant(f"{node.name}.weights.integers", node.kernels)
    bias = build.constant(f"{node.name}.bias.integers", node.numbers[0])
    inputs = [
        source,
        build.dequantised(f"{node.name}.weights", weights, node.weight_scale, np.int8, axis=0),
        build.dequantised(f"{node.name}.bias", bias, node.weight_scale * source_scale, np.int32, axis=0),
    ]
    return build.node("Conv", inputs, f"{node.name}.conv", group=node.groups, **_window(node))


def _integers(build: _Builder, node: Node, values: dict[str, str], scales: dict[str, float]) -> str:
    """The node's integers, from the values of the tensors that it reads."""
    if node.op == "concat":
        tensor = build.node(
            "Concat", [values[name] for name in (node.source, *node.others)], f"{node.name}.whole", axis=1
        )
        return build.quantised(tensor, node.name, node)
    tensor = _linear(build, node, values[node.source], scales[node.source])
    if node.residual is not None:
        tensor = build.node("Add", [tensor, values[node.residual]], f"{node.name}.sum")
    if node.clamp[0] == 0 and node.op == "conv":
        tensor = build.node("Relu", [tensor], f"{node.name}.relu")
    info = np.iinfo(node.dtype)
    if node.op != "max_pool" and node.clamp != (info.min, info.max):
        bounds = [
            build.constant(f"{node.name}.{name}", np.array(value * node.scale, np.float32))
            for name, value in zip(("low", "high"), node.clamp, strict=True)
        ]
        tensor = build.node("Clip", [tensor, *bounds], f"{node.name}.clip")
    return build.quantised(tensor, node.name, node)


def _model(build: _Builder, inputs: list[onnx.ValueInfoProto], outputs: list[onnx.ValueInfoProto]) -> onnx.ModelProto:
    used = {name for node in build.nodes for name in node.input} | {output.name for output in outputs}
    nodes = [node for node in build.nodes if node.output[0] in used]
    read = {name for node in nodes for name in node.input}
    constants = [constant for constant in build.constants if constant.name in read]
    graph = helper.make_graph(nodes, "network", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def _info(name: str, kind: npt.DTypeLike, shape: list[str | int]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(kind)), shape)


def qdq(network: Network) -> onnx.ModelProto:
    """The ONNX model: images (N, C, H, W) of each input in, the integers of the outputs out, named as in the network.

    A tensor between a convolution and the addition that is fused with it stays in float, as it is exact on the core.
    """
    build = _Builder()
    scales = network.scales
    values = {
        name: build.dequantised(f"{name}.value", name, np.array(given.scale), given.example.dtype)
        for name, given in network.inputs.items()
    }
    for node in network.nodes:
        integers = _integers(build, node, values, scales)
        values[node.name] = build.dequantised(f"{node.name}.value", integers, np.array(node.scale), node.dtype)
    inputs = [_info(name, given.example.dtype, ["n", *given.example.shape]) for name, given in network.inputs.items()]
    outputs = [
        _info(node.name, node.dtype, ["n", *(f"{node.name}.{axis}" for axis in "khw")])
        for node in network.nodes
        if node.name in network.outputs
    ]
    return _model(build, inputs, outputs)


def node_qdq(network: Network, node: Node) -> onnx.ModelProto:
    """A node of `qdq` alone: the integers of the tensors that it reads in, its own integers out.

    A further output, float32, has its result before residual and requantisation: "NAME.conv", "NAME.pool" or
    "NAME.whole", of a concatenation.
    """
    build = _Builder()
    scales, kinds = network.scales, network.dtypes
    values = {
        name: build.dequantised(f"{name}.value", name, np.array(scales[name]), kinds[name]) for name in node.reads
    }
    _integers(build, node, values, scales)
    linear = f"{node.name}.{_LINEAR.get(node.op, 'pool')}"
    outputs = [_info(node.name, node.dtype, ["n", "k", "h", "w"]), _info(linear, np.float32, ["n", "k", "h", "w"])]
    inputs = [_info(name, kinds[name], ["n", f"{name}.c", f"{name}.h", f"{name}.w"]) for name in node.reads]
    return _model(build, inputs, outputs)
