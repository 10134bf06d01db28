# SPDX-License-Identifier: Apache-2.0
"""A quantised network as ONNX in QDQ form: what other tools read, and an independent judge of the arithmetic."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from models.network import INPUT, Network, Node

OPSET = 13


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
        self, name: str, integers: str, scale: npt.NDArray[np.floating], kind: type, **attributes: Any
    ) -> str:
        """A tensor of integers of ``kind`` with zero point 0, as values; scale: one, or one a channel."""
        inputs = [
            integers,
            self.constant(f"{name}.scale", scale.astype(np.float32)),
            self.constant(f"{name}.zero", np.zeros(scale.shape, kind)),
        ]
        return self.node("DequantizeLinear", inputs, name, **attributes)

    def quantised(self, tensor: str, name: str, node: Node) -> str:
        kind = np.int8 if node.clamp[0] < 0 else np.uint8
        inputs = [
            tensor,
            self.constant(f"{name}.step", np.array(node.scale, np.float32)),
            self.constant(f"{name}.origin", np.array(0, kind)),
        ]
        return self.node("QuantizeLinear", inputs, name)


def _window(node: Node) -> dict[str, tuple[int, ...]]:
    top, bottom, left, right = node.padding
    return {"kernel_shape": node.kernel, "strides": node.stride, "pads": (top, left, bottom, right)}


def _values(build: _Builder, node: Node, source: str, source_scale: float) -> str:
    """The node's result before its residual, as values."""
    if node.op == "max_pool":
        return build.node("MaxPool", [source], f"{node.name}.pool", **_window(node))
    if node.op == "sum_pool":
        return build.node("AveragePool", [source], f"{node.name}.pool", count_include_pad=1, **_window(node))
    assert node.weight_scale is not None
    weights = build.constant(f"{node.name}.weights.integers", node.kernels)
    bias = build.constant(f"{node.name}.bias.integers", node.numbers[0])
    inputs = [
        source,
        build.dequantised(f"{node.name}.weights", weights, node.weight_scale, np.int8, axis=0),
        build.dequantised(f"{node.name}.bias", bias, node.weight_scale * source_scale, np.int32, axis=0),
    ]
    return build.node("Conv", inputs, f"{node.name}.conv", **_window(node))


def qdq(network: Network) -> onnx.ModelProto:
    """The ONNX model: uint8 images (N, C, H, W) in, the last node's integers out, named as in the network.

    A tensor between a convolution and the addition that is fused with it stays in float, as it is exact on the core.
    """
    build = _Builder()
    scales = {INPUT: network.scale} | {node.name: node.scale for node in network.nodes}
    values = {INPUT: build.dequantised(f"{INPUT}.value", INPUT, np.array(network.scale), np.uint8)}
    for node in network.nodes:
        tensor = _values(build, node, values[node.source], scales[node.source])
        if node.residual is not None:
            tensor = build.node("Add", [tensor, values[node.residual]], f"{node.name}.sum")
        if node.op == "conv" and node.clamp[0] == 0:
            tensor = build.node("Relu", [tensor], f"{node.name}.relu")
        integers = build.quantised(tensor, node.name, node)
        kind = np.int8 if node.clamp[0] < 0 else np.uint8
        values[node.name] = build.dequantised(f"{node.name}.value", integers, np.array(node.scale), kind)
    last = network.nodes[-1]
    used = {name for node in build.nodes for name in node.input}
    nodes = [node for node in build.nodes if node.output[0] in used or node.output[0] == last.name]
    element = TensorProto.INT8 if last.clamp[0] < 0 else TensorProto.UINT8
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["n", *network.example.shape])],
        [helper.make_tensor_value_info(last.name, element, ["n", "k", "h", "w"])],
        [constant for constant in build.constants if constant.name in {i for node in nodes for i in node.input}],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    onnx.checker.check_model(model)
    return model
