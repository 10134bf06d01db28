# SPDX-License-Identifier: Apache-2.0
"""An independent judge of a layer's output: ONNX Runtime's integers and, behind them, Python's unbounded ones."""

from __future__ import annotations

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

from models.layer import Layer


def _run(op: str, inputs: list[np.ndarray], opset: int, result: int, **attributes: object) -> np.ndarray:
    """What one operator makes of arrays, the first of which is (1, C, H, W): (K, Ho, Wo)."""
    names = [f"input{number}" for number in range(len(inputs))]
    infos = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
        for name, value in zip(names, inputs, strict=True)
    ]
    output = helper.make_tensor_value_info("y", result, ["n", "k", "h", "w"])
    graph = helper.make_graph([helper.make_node(op, names, ["y"], **attributes)], "operator", infos, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, dict(zip(names, inputs, strict=True)))[0][0]


def sums(layer: Layer) -> np.ndarray:
    """What is requantised, exact integers (K, Ho, Wo).

    ConvInteger takes unsigned activations: signed ones are moved to a zero point of 128. Means in float32 times their
    divisor are next to the sum.
    """
    top, bottom, left, right = layer.padding
    window = {"strides": layer.stride, "pads": (top, left, bottom, right), "kernel_shape": layer.kernel}
    x = layer.activations[None]
    if layer.kind == "max_pool":
        return _run("MaxPool", [x], 12, helper.np_dtype_to_tensor_dtype(x.dtype), **window)
    if layer.kind == "average_pool":
        means = _run("AveragePool", [x.astype(np.float32)], 11, TensorProto.FLOAT, count_include_pad=1, **window)
        return np.rint(means * np.prod(layer.kernel)).astype(np.int64)
    zero = np.array(128 if layer.signed else 0, np.uint8)
    unsigned = (x.astype(np.int16) + zero).astype(np.uint8)
    return _run("ConvInteger", [unsigned, layer.weights, zero], 10, TensorProto.INT32, group=layer.groups, **window)


def output(layer: Layer) -> np.ndarray:
    """int8 or uint8 (K, Ho, Wo) by docs/numbers.md."""
    bias, multiplier, shift = (
        np.array([int(n) for n in numbers], object)[:, None, None]
        for numbers in (layer.bias, layer.multiplier, layer.shift)
    )
    products = (sums(layer).astype(object) + bias) * multiplier
    if layer.residual is None:
        wide = (products + 2 ** (shift - 1)) // 2**shift
    else:
        own = (products // 2 ** (shift - 9) + 1) // 2
        other = (layer.residual.astype(object) * layer.residual_multiplier // 2 ** (layer.residual_shift - 9) + 1) // 2
        wide = (np.clip(own, -(2**23), 2**23 - 1) + np.clip(other, -(2**23), 2**23 - 1) + 128) // 256
    return np.clip(wide, *layer.clamp).astype(np.int8 if layer.clamp[0] < 0 else np.uint8)
