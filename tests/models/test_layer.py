# SPDX-License-Identifier: Apache-2.0
import dataclasses
import pickle
from io import BytesIO
from zipfile import ZipFile

import numpy as np
import pytest

from models import km, masks, reference
from models.layer import Layer


@pytest.fixture
def layer(rng):
    return Layer(
        activations=masks.activations(masks.clustered((5, 9, 8), 0.5, rng), rng, False),
        weights=km.project(rng.integers(-127, 128, (12, 5, 3, 2), np.int8), 2, 4, 0),
        bias=rng.integers(-1000, 1000, 12).astype(np.int32),
        multiplier=rng.integers(1, 2**30, 12).astype(np.int32),
        shift=rng.integers(38, 42, 12).astype(np.int32),
        stride=(2, 1),
        padding=(1, 0, 1, 2),
        k=2,
        m=4,
        clamp=(-128, 127),
    )


def test_expected(layer):
    assert layer.out_shape == (12, 4, 10)
    acc = reference.convolve(layer.activations, layer.weights, (2, 1), (1, 0, 1, 2))
    output = layer.expected
    assert output.shape == layer.out_shape and output.dtype == np.int8 and len(np.unique(output)) > 20
    np.testing.assert_array_equal(
        output, reference.requantize(acc, layer.bias, layer.multiplier, layer.shift, -128, 127)
    )


def test_save_and_load(layer, tmp_path):
    path = tmp_path / "layer.npz"
    dataclasses.replace(layer, skip=False).save(path)
    loaded = Layer.load(path)
    for field in dataclasses.fields(Layer):
        np.testing.assert_array_equal(
            getattr(loaded, field.name), getattr(dataclasses.replace(layer, skip=False), field.name)
        )
    assert loaded.skip is False and loaded.stride == (2, 1)


def stored(layer, tmp_path, drop=(), **changes):
    layer.save(tmp_path / "base.npz")
    arrays = dict(np.load(tmp_path / "base.npz")) | changes
    np.savez(tmp_path / "changed.npz", **{n: v for n, v in arrays.items() if n not in drop})
    return tmp_path / "changed.npz"


def test_scalars_and_default_skip(layer, tmp_path):
    loaded = Layer.load(stored(layer, tmp_path, drop=["skip"], stride=np.int64(2), padding=1))
    assert loaded.stride == (2, 2) and loaded.padding == (1, 1, 1, 1) and loaded.skip is True


@pytest.mark.parametrize(
    "changes,message",
    [
        ({"activations": np.zeros((5, 9, 8), np.int32)}, "activations: dtype int32, expected int8 or uint8"),
        ({"activations": np.zeros((5, 9), np.int8)}, r"activations: shape \(5, 9\), expected \(C, H, W\)"),
        ({"activations": np.zeros((6, 9, 8), np.int8)}, r"weights: shape \(12, 5, 3, 2\), expected C = 6"),
        ({"activations": np.zeros((5, 1, 8), np.int8)}, r"weights: kernel \(3, 2\), expected one that fits"),
        ({"weights": np.zeros((12, 5, 3, 2), np.uint8)}, "weights: dtype uint8, expected int8"),
        ({"weights": np.zeros((12, 5, 12, 2), np.int8)}, "weights: shape .*, expected a kernel of at most 11"),
        ({"weights": np.ones((12, 5, 3, 2), np.int8)}, r"weights: group 0 at \[0:4, 0, 0, 0\] has 4 non-zeros, 2/4"),
        ({"bias": np.zeros(12, np.int64)}, "bias: dtype int64, expected int32"),
        ({"bias": np.zeros(11, np.int32)}, r"bias: shape \(11,\), expected \(K,\) = \(12,\)"),
        ({"multiplier": np.full(12, -1, np.int32)}, "multiplier: -1, expected 0 to 2"),
        ({"shift": np.full(12, 63, np.int32)}, "shift: 63, expected 1 to 62"),
        ({"shift": np.zeros(12, np.int32)}, "shift: 0, expected 1 to 62"),
        ({"stride": (1, 5)}, r"stride: \(1, 5\), expected"),
        ({"padding": (0, 0, 0, 8)}, r"padding: \(0, 0, 0, 8\), expected"),
        ({"k": 3}, "k/m: 3/4 is not a mode"),
        ({"clamp": (0, 256)}, r"clamp: \(0, 256\), expected low <= high"),
        ({"clamp": (-1, 128)}, "clamp"),
        ({"clamp": (5, 4)}, "clamp"),
    ],
)
def test_violations(layer, changes, message):
    with pytest.raises(ValueError, match=message) as error:
        dataclasses.replace(layer, **changes)
    assert "\n" not in str(error.value)


def written(write, *args, **kwargs):
    """What ``write(file, ...)`` writes, as bytes."""
    file = BytesIO()
    write(file, *args, **kwargs)
    return file.getvalue()


def write_text(file):
    with ZipFile(file, "w") as archive:
        archive.writestr("activations", "no array")


WHOLE = written(np.savez_compressed, activations=np.arange(1000))


@pytest.mark.parametrize(
    "content,message",
    [
        (b"", "not an NPZ file"),
        (b"text", "not an NPZ file"),
        (pickle.dumps({"activations": 1}), "not an NPZ file"),
        (written(np.save, np.arange(3)), "not an NPZ file"),
        (written(np.savez, activations=np.array([None])), "not a sound NPZ file"),
        (WHOLE[:200] + bytes(200) + WHOLE[400:], "not a sound NPZ file"),
        (written(write_text), "weights: missing"),
    ],
    ids=["empty", "text", "pickle", "array", "object", "damaged", "no array"],
)
def test_files_of_another_kind(tmp_path, content, message):
    path = tmp_path / "layer.npz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"^{message}") as error:
        Layer.load(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "drop,changes,message",
    [
        (["bias"], {}, "bias: missing, expected of kind conv the arrays activations, weights"),
        ([], {"colour": 1}, "colour: unknown array, expected of kind conv only activations"),
        ([], {"stride": np.ones(3, int)}, r"stride: shape \(3,\), expected \(2,\)"),
        ([], {"k": np.array([2])}, r"k: shape \(1,\), expected \(\)"),
        ([], {"skip": 2}, "skip: 2, expected 0 or 1"),
        ([], {"clamp": np.array([0.0, 6.0])}, "clamp: dtype float64, expected integers"),
    ],
)
def test_violations_of_the_file(layer, tmp_path, drop, changes, message):
    with pytest.raises(ValueError, match=message):
        Layer.load(stored(layer, tmp_path, drop, **changes))
