# SPDX-License-Identifier: Apache-2.0
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper
from scipy.signal import correlate

from models import reference


def onnx_convolve(activations, weights, stride, padding):
    """int32 (K, Ho, Wo) by ONNX Runtime's ConvInteger."""
    top, bottom, left, right = padding
    kinds = {np.dtype(np.uint8): TensorProto.UINT8, np.dtype(np.int8): TensorProto.INT8}
    node = helper.make_node("ConvInteger", ["x", "w"], ["y"], strides=list(stride), pads=[top, left, bottom, right])
    graph = helper.make_graph(
        [node],
        "conv",
        [
            helper.make_tensor_value_info("x", kinds[activations.dtype], (1, *activations.shape)),
            helper.make_tensor_value_info("w", kinds[weights.dtype], weights.shape),
        ],
        [helper.make_tensor_value_info("y", TensorProto.INT32, ["n", "k", "h", "w"])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 10)], ir_version=8)
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": activations[None], "w": weights})[0][0]


def scipy_convolve(activations, weights, stride, padding):
    padded = np.pad(activations.astype(np.int64), [(0, 0), padding[:2], padding[2:]])
    full = [correlate(padded, kernel.astype(np.int64), mode="valid", method="direct")[0] for kernel in weights]
    return np.stack(full)[:, :: stride[0], :: stride[1]]


def random_case(rng, dtype):
    r, s = rng.integers(1, 8, 2)
    padding = tuple(int(p) for p in rng.integers(0, 4, 4))
    h = int(rng.integers(max(1, r - padding[0] - padding[1]), 20))
    w = int(rng.integers(max(1, s - padding[2] - padding[3]), 20))
    c, k = (int(v) for v in rng.integers(1, 9, 2))
    info = np.iinfo(dtype)
    activations = rng.integers(info.min, info.max + 1, (c, h, w)).astype(dtype)
    weights = rng.integers(-128, 128, (k, c, r, s)).astype(np.int8)
    return activations, weights, tuple(int(v) for v in rng.integers(1, 3, 2)), padding


@pytest.mark.parametrize("case", range(40))
def test_convolution_against_scipy(case, rng):
    layer = random_case(rng, np.int8 if case % 2 else np.uint8)
    found = reference.convolve(*layer)
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, scipy_convolve(*layer))


@pytest.mark.parametrize("case", range(40))
def test_convolution_against_onnxruntime(case, rng):
    # ConvInteger of ONNX Runtime takes unsigned activations; its weights are int8 here as in the core.
    layer = random_case(rng, np.uint8)
    np.testing.assert_array_equal(reference.convolve(*layer), onnx_convolve(*layer))


def test_figure_3_layer_against_onnxruntime(rng):
    activations = rng.integers(0, 256, (64, 64, 64)).astype(np.uint8)
    weights = rng.integers(-128, 128, (128, 64, 3, 3)).astype(np.int8)
    layer = activations, weights, (1, 1), (1, 1, 1, 1)
    np.testing.assert_array_equal(reference.convolve(*layer), onnx_convolve(*layer))


def test_accumulator_overflow_is_an_error():
    activations = np.full((1400, 7, 7), 255, np.uint8)
    weights = np.full((1, 1400, 7, 7), -128, np.int8)
    with pytest.raises(ValueError, match="accumulator: -2239104000 leaves int32"):
        reference.convolve(activations, weights)
    assert reference.convolve(activations[:1300], weights[:, :1300]).item() == -1300 * 49 * 255 * 128


def exact(acc, bias, multiplier, shift, low, high):
    """The formula in Python's unbounded integers."""
    return min(max(((acc + bias) * multiplier + (1 << (shift - 1))) >> shift, low), high)


@pytest.mark.parametrize(
    "low,high,dtype", [(0, 255, np.uint8), (0, 6, np.uint8), (-128, 127, np.int8), (-5, 5, np.int8)]
)
def test_requantize_against_unbounded_integers(low, high, dtype, rng):
    extremes = np.array([-(2**31), -(2**31) + 1, -1, 0, 1, 2**31 - 2, 2**31 - 1])
    acc = np.concatenate([extremes, rng.integers(-(2**31), 2**31, 40), rng.integers(-1000, 1000, 40)])
    k = 400
    bias = rng.choice(np.concatenate([extremes, rng.integers(-(2**31), 2**31, 20)]), k).astype(np.int32)
    scale = rng.choice(np.concatenate([[0, 1, 2**31 - 1], 2 ** rng.integers(0, 31, 20)]), k).astype(np.int32)
    shift = rng.choice(np.array([1, 2, 61, 62, *rng.integers(1, 63, 20)]), k).astype(np.int32)
    found = reference.requantize(np.tile(acc, (k, 1))[..., None], bias, scale, shift, low, high)
    assert found.dtype == dtype and found.shape == (k, len(acc), 1)
    for i in range(k):
        wanted = [exact(int(a), int(bias[i]), int(scale[i]), int(shift[i]), low, high) for a in acc]
        assert found[i, :, 0].tolist() == wanted


def test_requantize_rounds_half_up():
    acc = np.array([-3, -2, -1, 0, 1, 2, 3]).reshape(1, 1, 7)
    one = np.array([1], np.int32)
    assert reference.requantize(acc, 0 * one, one, one, -128, 127).tolist() == [[[-1, -1, 0, 0, 1, 1, 2]]]


def test_a_batch_is_its_images(rng):
    images = rng.integers(0, 256, (2, 3, 5, 9, 8), np.uint8)
    weights = rng.integers(-128, 128, (4, 5, 3, 2)).astype(np.int8)
    found = reference.convolve(images, weights, (2, 1), (1, 0, 2, 1))
    assert found.shape == (2, 3, 4, 4, 10)
    for i in range(2):
        for j in range(3):
            np.testing.assert_array_equal(found[i, j], reference.convolve(images[i, j], weights, (2, 1), (1, 0, 2, 1)))


@pytest.mark.parametrize("value", [1, 127])
def test_sums_beyond_single_precision_are_exact(value):
    """2^24 + 1 is no float32: layers whose sums may leave its mantissa are added in doubles."""
    activations = np.full((600, 1, 1), 255, np.uint8)
    weights = np.full((1, 600, 1, 1), value, np.int8)
    weights[0, 0] = 1
    assert reference.convolve(activations, weights).item() == 255 * (599 * value + 1)


def exact_residual(acc, bias, multiplier, shift, residual, residual_multiplier, residual_shift, low, high):
    """docs/numbers.md section 3 in Python's unbounded integers."""
    total = 0
    for p, s in (((acc + bias) * multiplier, shift), (residual * residual_multiplier, residual_shift)):
        total += min(max((p + (1 << (s - 9))) >> (s - 8) if s > 8 else p, -(2**23)), 2**23 - 1)
    return min(max((total + 128) >> 8, low), high)


@pytest.mark.parametrize("low,high,dtype", [(0, 255, np.uint8), (-128, 127, np.int8)])
@pytest.mark.parametrize("residual_type", [np.uint8, np.int8])
def test_residual_against_unbounded_integers(low, high, dtype, residual_type, rng):
    extremes = np.array([-(2**31), -1, 0, 1, 2**31 - 1])
    k, positions = 200, 30
    acc = np.concatenate([np.tile(extremes, (k, 1)), rng.integers(-(2**20), 2**20, (k, positions - 5))], 1)[..., None]
    bias = rng.choice(np.concatenate([extremes, rng.integers(-(2**20), 2**20, 20)]), k).astype(np.int32)
    multiplier = rng.choice(np.array([0, 1, 2**30, 2**31 - 1]), k).astype(np.int32)
    shift = rng.choice(np.array([9, 10, 40, 44, 62]), k).astype(np.int32)
    info = np.iinfo(residual_type)
    residual = rng.integers(info.min, info.max + 1, acc.shape).astype(residual_type)
    for own, own_shift in ((0, 9), (2**31 - 1, 9), (2**30 + 12345, 31), (2**30, 62)):
        numbers = bias, multiplier, shift, residual, own, own_shift, low, high
        found = reference.requantize_residual(acc, *numbers)
        assert found.dtype == dtype and found.shape == acc.shape
        for i, j in np.ndindex(k, positions):
            channel = (int(v[i]) for v in (bias, multiplier, shift))
            wanted = exact_residual(int(acc[i, j, 0]), *channel, int(residual[i, j, 0]), own, own_shift, low, high)
            assert found[i, j, 0] == wanted


def test_residual_is_rounded_once():
    """Two halves make a whole: operands are not rounded to output steps before they are added."""
    one, zero = np.array([1], np.int32), np.array([0], np.int32)
    half = np.array([1 << 8], np.int32), np.array([9], np.int32)
    residual = np.ones((1, 1, 1), np.uint8)
    found = reference.requantize_residual(np.ones((1, 1, 1), np.int64), zero, *half, residual, 1 << 8, 9, 0, 255)
    assert found.item() == 1
    assert reference.requantize(np.ones((1, 1, 1), np.int64), zero, *half, 0, 255).item() == 1
    with pytest.raises(ValueError, match="shift: 8, expected at least 9 beside a residual"):
        reference.requantize_residual(np.ones((1, 1, 1), np.int64), zero, one, one + 7, residual, 1, 9, 0, 255)


def onnx_pool(op, x, kernel, stride, padding, kind, **attributes):
    top, bottom, left, right = padding
    node = helper.make_node(
        op, ["x"], ["y"], kernel_shape=kernel, strides=stride, pads=[top, left, bottom, right], **attributes
    )
    values = [helper.make_tensor_value_info(name, kind, ["n", "c", "h" + name, "w" + name]) for name in "xy"]
    model = helper.make_model(
        helper.make_graph([node], "pool", values[:1], values[1:]),
        opset_imports=[helper.make_opsetid("", 12)],
        ir_version=8,
    )
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


@pytest.mark.parametrize("kernel,stride,padding", [((2, 2), (2, 2), (0, 0, 0, 0)), ((3, 2), (2, 1), (1, 1, 0, 1))])
@pytest.mark.parametrize("dtype,kind", [(np.uint8, TensorProto.UINT8), (np.int8, TensorProto.INT8)])
def test_pools_against_onnxruntime(kernel, stride, padding, dtype, kind, rng):
    info = np.iinfo(dtype)
    x = rng.integers(info.min, info.max + 1, (3, 4, 9, 7)).astype(dtype)
    found = reference.max_pool(x, kernel, stride, padding)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, onnx_pool("MaxPool", x, kernel, stride, padding, kind))
    sums = onnx_pool(
        "AveragePool", x.astype(np.float32), kernel, stride, padding, TensorProto.FLOAT, count_include_pad=1
    )
    np.testing.assert_allclose(reference.sum_pool(x, kernel, stride, padding), sums * np.prod(kernel), atol=1e-3)


def test_max_pool_ignores_the_padding():
    x = np.full((1, 2, 2), -5, np.int8)
    assert (reference.max_pool(x, (3, 3), (1, 1), (1, 1, 1, 1)) == -5).all()
