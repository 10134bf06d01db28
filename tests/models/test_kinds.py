# SPDX-License-Identifier: Apache-2.0
"""Layers of every kind against ONNX Runtime, and their files."""

from dataclasses import fields, replace

import numpy as np
import pytest

from models import grouping, km
from models.layer import KINDS, MAX_KERNEL, MAX_PADDING, MAX_POOL, MAX_STRIDE, Layer
from models.reference import RESIDUAL_SHIFT
from tests import judge


def integers(rng, dtype, shape):
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max + 1, shape).astype(dtype)


def random_layer(rng, kind, dtype, residual=None):
    """Any geometry, ragged numbers of channels; outputs fill about the range of 8 bits. residual: its dtype."""
    most = MAX_KERNEL if kind == "conv" else MAX_POOL
    kernel = tuple(int(n) for n in rng.integers(1, most + 1, 2))
    # ONNX has no windows in the padding alone.
    pads = [min(MAX_PADDING, size - 1) for size in kernel for _ in range(2)]
    padding = tuple(int(n) for n in rng.integers(0, np.array(pads) + 1))
    plane = (int(rng.integers(size, size + 18)) for size in kernel)
    geometry = {"stride": tuple(int(n) for n in rng.integers(1, MAX_STRIDE + 1, 2)), "padding": padding}
    number = int(rng.choice([1, 2, 3, 5, 7]))  # of groups
    activations = integers(rng, dtype, (number * int(rng.integers(1, 4)), *plane))
    if kind == "max_pool":
        return Layer.pool(kind, activations, kernel, **geometry)
    outputs = number * int(rng.integers(1, 6)) if kind == "conv" else len(activations)
    spread = np.prod(kernel) * (8000 if kind == "conv" else 100)
    shift = rng.integers(30, 33, outputs).astype(np.int32)
    numbers = {
        "bias": rng.integers(-spread, spread, outputs).astype(np.int32),
        "multiplier": np.rint(2.0**shift * 60 / spread).astype(np.int32),
        "shift": shift,
        "clamp": ((-128, 127), (0, 255), (-20, 100))[rng.integers(3)],
    }
    if kind == "average_pool":
        layer = Layer.pool(kind, activations, kernel, **numbers, **geometry)
    else:
        weights = integers(rng, np.int8, (outputs, len(activations) // number, *kernel))
        layer = Layer(activations, weights, groups=number, **numbers, **geometry)
    if residual is None:
        return layer
    other = {"residual_multiplier": int(rng.integers(2**29, 2**31)), "residual_shift": int(rng.integers(30, 33))}
    return replace(layer, residual=integers(rng, residual, layer.out_shape), **other)


@pytest.mark.parametrize("case", range(24))
@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
@pytest.mark.parametrize("kind", KINDS)
def test_outputs(kind, dtype, case, rng):
    layer = random_layer(rng, kind, dtype)
    np.testing.assert_array_equal(layer.sums, judge.sums(layer))
    assert layer.expected.dtype == (np.int8 if layer.clamp[0] < 0 else np.uint8)
    np.testing.assert_array_equal(layer.expected, judge.output(layer))


@pytest.mark.parametrize("case", range(8))
@pytest.mark.parametrize("residual", [np.uint8, np.int8])
@pytest.mark.parametrize("kind", ["conv", "average_pool"])
def test_outputs_beside_a_residual(kind, residual, case, rng):
    layer = random_layer(rng, kind, (np.uint8, np.int8)[case % 2], residual)
    np.testing.assert_array_equal(layer.expected, judge.output(layer))
    assert (layer.expected != replace(layer, residual=None).expected).any()


def test_a_sum_of_two_tensors_is_a_pool_of_one_position(rng):
    a, b = (integers(rng, np.uint8, (5, 7, 6)) for _ in range(2))
    half = {
        "bias": np.zeros(5, np.int32),
        "multiplier": np.full(5, 1 << 29, np.int32),
        "shift": np.full(5, 30, np.int32),
    }
    layer = Layer.pool("average_pool", a, (1, 1), **half, residual=b, residual_multiplier=1 << 29, residual_shift=30)
    np.testing.assert_array_equal(layer.expected, (a.astype(int) + b + 1) // 2)


def in_groups(rng):
    while (layer := random_layer(rng, "conv", np.uint8)).groups == 1:
        pass
    return layer


@pytest.mark.parametrize("k,m", km.MODES)
@pytest.mark.parametrize("outputs", [1, 2, 3, 4, 8])
def test_sparsity_of_groups(k, m, outputs, rng):
    """Outputs of several groups share m: each input channel's own outputs count."""
    number = 6
    numbers = [np.ones(number * outputs, np.int32)] * 3
    x = integers(rng, np.uint8, (2 * number, 4, 4))
    dense = rng.integers(1, 100, (number * outputs, 2, 3, 1)).astype(np.int8)
    sparse = grouping.gather(km.project(grouping.spread(dense, number), k, m, 0), number)
    Layer(x, sparse, *numbers, k=k, m=m, groups=number)
    if not np.array_equal(dense, sparse):
        with pytest.raises(ValueError, match=rf"weights: group .* non-zeros, {k}/{m} along dimension 0"):
            Layer(x, dense, *numbers, k=k, m=m, groups=number)


def test_spread_weights(rng):
    """As one convolution they give what the groups give."""
    layer = in_groups(rng)
    dense = grouping.spread(layer.weights, layer.groups)
    np.testing.assert_array_equal(replace(layer, weights=dense, groups=1).expected, layer.expected)
    np.testing.assert_array_equal(grouping.gather(dense, layer.groups), layer.weights)


def test_groups_are_convolutions_side_by_side(rng):
    layer = in_groups(rng)
    c, k = (n // layer.groups for n in (len(layer.activations), len(layer.weights)))
    for group in range(layer.groups):
        own = slice(group * k, group * k + k)
        numbers = {name: getattr(layer, name)[own] for name in ("weights", "bias", "multiplier", "shift")}
        alone = replace(layer, activations=layer.activations[group * c : group * c + c], groups=1, **numbers)
        np.testing.assert_array_equal(layer.expected[own], alone.expected)


@pytest.mark.parametrize(
    "kind,residual", [*((kind, None) for kind in KINDS), ("conv", np.int8), ("average_pool", np.uint8)]
)
def test_save_and_load(kind, residual, rng, tmp_path):
    layer = replace(random_layer(rng, kind, np.int8, residual), skip=False)
    layer.save(tmp_path / "layer.npz")
    names = np.load(tmp_path / "layer.npz").keys()
    assert ("weights" in names, "kernel" in names) == (kind == "conv", kind != "conv")
    loaded = Layer.load(tmp_path / "layer.npz")
    for field in fields(Layer):
        np.testing.assert_array_equal(getattr(loaded, field.name), getattr(layer, field.name))
    assert loaded.skip is False and loaded.kind == kind


def test_a_max_pool_needs_little(rng, tmp_path):
    x = integers(rng, np.int8, (3, 8, 9))
    np.savez(tmp_path / "pool.npz", kind="max_pool", activations=x, kernel=3, stride=2, padding=(1, 0, 1, 0))
    pool = Layer.load(tmp_path / "pool.npz")
    assert pool.kernel == (3, 3) and pool.clamp == (-128, 127) and pool.out_shape == (3, 4, 4)
    assert pool.expected[0, 0, 0] == x[0, :2, :2].max() and pool.expected.dtype == np.int8


@pytest.mark.parametrize(
    "kind,drop,changes,message",
    [
        ("conv", [], {"kind": "pool"}, "kind: pool, expected one of conv, max_pool, average_pool"),
        ("conv", [], {"groups": 4}, "groups: 4, expected a divisor of C = 6"),
        ("conv", [], {"groups": 0}, "groups: 0, expected a divisor of C = 6"),
        ("conv", [], {"groups": 6}, "groups: 6, expected a divisor of K = 4"),
        ("conv", [], {"groups": 1}, r"weights: shape \(4, 3, 3, 3\), expected C = 6 as in activations \(6, 9, 9\)"),
        ("conv", [], {"groups": np.ones(2, int)}, r"groups: shape \(2,\), expected \(\)"),
        ("conv", [], {"kernel": 3}, "kernel: unknown array, expected of kind conv only"),
        ("conv", ["residual_shift"], {}, "residual_shift: missing, expected of kind conv the arrays"),
        ("conv", ["residual"], {}, "residual: missing, expected of kind conv the arrays"),
        ("conv", [], {"residual": np.zeros((4, 7, 7), np.int16)}, "residual: dtype int16, expected int8 or uint8"),
        ("conv", [], {"residual": np.zeros((4, 7, 6), np.int8)}, r"residual: shape .*, expected \(K, Ho, Wo\) = "),
        ("conv", [], {"residual_multiplier": -1}, "residual_multiplier: -1, expected 0 to 2"),
        ("conv", [], {"residual_multiplier": 2**31}, "residual_multiplier: 2147483648, expected 0 to 2"),
        ("conv", [], {"residual_shift": 8}, "residual_shift: 8, expected 9 to 62"),
        ("conv", [], {"residual_shift": 63}, "residual_shift: 63, expected 9 to 62"),
        ("conv", [], {"shift": np.full(4, 8, np.int32)}, "shift: 8, expected 9 to 62 beside a residual"),
        (
            "max_pool",
            [],
            {"residual": np.zeros((6, 7, 7), np.int8)},
            "residual: unknown array, expected of kind max_pool",
        ),
        ("max_pool", [], {"bias": np.zeros(6, np.int32)}, "bias: unknown array, expected of kind max_pool only"),
        ("max_pool", ["kernel"], {}, "kernel: missing, expected of kind max_pool the arrays"),
        ("max_pool", [], {"kernel": (3, 0)}, r"kernel: \(3, 0\), expected \(R, S\), each 1 to"),
        ("max_pool", [], {"kernel": (3, MAX_POOL + 1)}, r"kernel: \(3, .*\), expected \(R, S\), each 1 to"),
        ("max_pool", [], {"kernel": (3, 3, 3)}, r"kernel: shape \(3,\), expected \(2,\)"),
        ("max_pool", [], {"activations": np.zeros((6, 2, 9), np.int8)}, r"kernel: kernel \(3, 3\), expected one that"),
        ("max_pool", [], {"activations": np.array(0, np.int8)}, r"activations: shape \(\), expected \(C, H, W\)"),
        ("max_pool", [], {"activations": np.zeros((6, 9, 9), np.int32)}, "activations: dtype int32, expected"),
        (
            "average_pool",
            [],
            {"weights": np.ones((6, 1, 3, 3), np.int8)},
            "weights: unknown array, expected of kind av",
        ),
        ("average_pool", ["clamp"], {}, "clamp: missing, expected of kind average_pool the arrays"),
    ],
)
def test_violations_of_the_file(kind, drop, changes, message, rng, tmp_path):
    x = integers(rng, np.uint8, (6, 9, 9))
    if kind == "max_pool":
        layer = Layer.pool(kind, x, (3, 3))
    else:
        k = 6 if kind == "average_pool" else 4
        numbers = np.zeros(k, np.int32), np.ones(k, np.int32), np.full(k, 9, np.int32)
        names = dict(zip(("bias", "multiplier", "shift"), numbers, strict=True))
        other = {"residual": np.zeros((k, 7, 7), np.int8), "residual_multiplier": 1, "residual_shift": RESIDUAL_SHIFT}
        if kind == "conv":
            layer = Layer(x, np.ones((4, 3, 3, 3), np.int8), **names, groups=2, **other)
        else:
            layer = Layer.pool(kind, x, (3, 3), **names, **other)
    layer.save(tmp_path / "layer.npz")
    arrays = {name: value for name, value in np.load(tmp_path / "layer.npz").items() if name not in drop} | changes
    np.savez(tmp_path / "layer.npz", **arrays)
    with pytest.raises(ValueError, match=f"^{message}") as error:
        Layer.load(tmp_path / "layer.npz")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "changes,message",
    [
        ({"weights": np.full((6, 1, 3, 3), 2, np.int8)}, "weights: others, expected ones"),
        ({"k": 1, "m": 2}, "k/m: 1/2, expected 1/1 of a max_pool"),
        ({"clamp": (0, 6)}, r"clamp: \(0, 6\), expected \(0, 255\), which leaves a max_pool's values"),
        ({"shift": np.full(6, 29, np.int32)}, "shift: .* which leaves a max_pool's values"),
        ({"residual": np.zeros((6, 7, 7), np.int8), "residual_shift": 9}, "residual: an array, expected none"),
        ({"kind": "pool"}, "kind: pool, expected one of conv, max_pool, average_pool"),
    ],
)
def test_violations_of_a_max_pool(changes, message, rng):
    with pytest.raises(ValueError, match=f"^{message}"):
        replace(Layer.pool("max_pool", integers(rng, np.uint8, (6, 9, 9)), (3, 3)), **changes)
