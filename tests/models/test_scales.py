# SPDX-License-Identifier: Apache-2.0
"""Numbers of other tools, against ONNX Runtime and TFLite's arithmetic."""

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from models import reference
from models.scales import bias_without_zero_point, fixed_point, of_tflite, shifted

X_SCALE, Y_SCALE = 0.037, 0.21


def qlinear_conv(x, zero, weights, w_scale, bias, y_zero, padding):
    """ONNX Runtime's QLinearConv on one image (C, H, W)."""
    arrays = {
        "x_scale": np.float32(X_SCALE),
        "x_zero": x.dtype.type(zero),
        "w": weights,
        "w_scale": w_scale.astype(np.float32),
        "w_zero": np.zeros(len(weights), np.int8),
        "y_scale": np.float32(Y_SCALE),
        "y_zero": x.dtype.type(y_zero),
        "bias": bias,
    }
    node = helper.make_node(
        "QLinearConv",
        ["x", "x_scale", "x_zero", "w", "w_scale", "w_zero", "y_scale", "y_zero", "bias"],
        ["y"],
        pads=[padding] * 4,
    )
    kind = TensorProto.UINT8 if x.dtype == np.uint8 else TensorProto.INT8
    graph = helper.make_graph(
        [node],
        "layer",
        [helper.make_tensor_value_info("x", kind, [1, *x.shape])],
        [helper.make_tensor_value_info("y", kind, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in arrays.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x[None]})[0][0]


def layer(rng, dtype):
    info = np.iinfo(dtype)
    x = rng.integers(info.min, info.max + 1, (5, 7, 6)).astype(dtype)
    # Seven bits: ONNX Runtime saturates pairs of uint8 by int8 products at 16 bits on CPUs without VNNI.
    weights = rng.integers(-63, 64, (6, 5, 3, 3)).astype(np.int8)
    bias = rng.integers(-3000, 3000, 6).astype(np.int32)
    return x, weights, rng.uniform(0.002, 0.02, 6), bias


def core(x, weights, w_scale, bias, padding, clamp):
    acc = reference.convolve(x[None], weights, (1, 1), (padding,) * 4)
    return reference.requantize(acc, bias, *fixed_point(X_SCALE * w_scale / Y_SCALE), *clamp)[0]


def same(found, wanted):
    """Equal, but for halves, which are rounded to even there: at most one step and hardly ever."""
    apart = np.abs(found.astype(int) - wanted.astype(int))
    return apart.max() <= 1 and (apart > 0).mean() < 0.01


@pytest.mark.parametrize("padding", [0, 1])
def test_int8_with_zero_point_minus_128(rng, padding):
    x, weights, w_scale, bias = layer(rng, np.int8)
    wanted = qlinear_conv(x, -128, weights, w_scale, bias, -128, padding)
    found = core(shifted(x, -128), weights, w_scale, bias, padding, (0, 255))
    assert 0 < (wanted > -128).mean() < 1
    assert same(found, wanted.astype(np.int16) + 128)


def test_any_zero_point_without_padding(rng):
    x, weights, w_scale, bias = layer(rng, np.uint8)
    wanted = qlinear_conv(x, 93, weights, w_scale, bias, 0, 0)
    assert same(core(x, weights, w_scale, bias_without_zero_point(bias, weights, 93), 0, (0, 255)), wanted)


def test_a_zero_point_with_padding(rng):
    x, weights, w_scale, bias = layer(rng, np.uint8)
    x = np.clip(x, 20, 140)
    wanted = qlinear_conv(x, 93, weights, w_scale, bias, 0, 1)
    moved = shifted(x, 93)
    assert moved.dtype == np.int8
    assert same(core(moved, weights, w_scale, bias, 1, (0, 255)), wanted)


def tflite(acc, multiplier, shift):
    """MultiplyByQuantizedMultiplier as TFLite has it with TFLITE_SINGLE_ROUNDING, in unbounded integers."""
    total = 31 - shift
    return [(int(a) * int(multiplier) + (1 << (total - 1))) >> total for a in acc]


@pytest.mark.parametrize("shift", [-20, -8, -1, 0, 3, 30])
def test_tflite(rng, shift):
    acc = rng.integers(-(2**20), 2**20, 200)
    multiplier = int(rng.integers(2**30, 2**31))
    own, right = of_tflite(np.array([multiplier]), np.array([shift]))
    found = reference.requantize(acc[None, None, None], np.zeros(1, np.int32), own, right, -128, 127)
    assert found.ravel().tolist() == np.clip(tflite(acc, multiplier, shift), -128, 127).tolist()


def test_errors(rng):
    with pytest.raises(ValueError, match=r"zero point: 3 leaves -3\.\.252"):
        shifted(np.array([0, 255], np.uint8), 3)
    with pytest.raises(ValueError, match="shift: .*expected -31 to 30"):
        of_tflite(np.array([1 << 30]), np.array([31]))
    with pytest.raises(ValueError, match="bias: .* expected 32 bits"):
        bias_without_zero_point(np.array([2**31 - 1], np.int32), np.full((1, 9, 1, 1), -127, np.int8), 200)
