# SPDX-License-Identifier: Apache-2.0
"""`make layer` on a layer file of every kind, as a user writes them: the output is ONNX Runtime's."""

import numpy as np
import pytest
from typer.testing import CliRunner

from models import km
from models.layer import Layer
from tests import judge
from verif.host.cli.__main__ import app


def activations(rng, dtype, shape):
    """Half of them zeros."""
    info = np.iinfo(dtype)
    return (rng.integers(info.min, info.max + 1, shape) * rng.integers(0, 2, shape)).astype(dtype)


def numbers(rng, channels, terms, size, low=0):
    """bias, multiplier, shift and clamp for sums of so many terms of about a size."""
    step = np.sqrt(terms) * size / 60
    return {
        "bias": rng.integers(-50, 50, channels).astype(np.int32),
        "multiplier": np.full(channels, round(2**30 / step), np.int32),
        "shift": np.full(channels, 30, np.int32),
        "clamp": (low, 255 if low == 0 else 127),
    }


def convolution(rng, channels, outputs, groups=1, mode=(2, 4), dtype=np.uint8, **others):
    weights = km.project(rng.integers(-127, 128, (outputs, channels // groups, 3, 3)).astype(np.int8), *mode, 0)
    common = {"k": mode[0], "m": mode[1], "stride": 1, "padding": 1, "weights": weights}
    x = activations(rng, dtype, (channels, 9, 11))
    return {"activations": x} | common | numbers(rng, outputs, weights[0].size, 5000) | others


def residual(rng, dtype, shape):
    other = {"residual_multiplier": 3 << 28, "residual_shift": 30}
    return {"residual": activations(rng, dtype, shape)} | other


FILES = {
    "convolution": lambda rng: convolution(rng, 6, 10),
    "groups of ragged sizes": lambda rng: convolution(rng, 15, 21, groups=3),
    "depthwise": lambda rng: convolution(rng, 10, 10, groups=10, mode=(1, 1), stride=2),
    "depthwise, two outputs each": lambda rng: convolution(rng, 5, 10, groups=5, mode=(1, 1), dtype=np.int8),
    "residual": lambda rng: convolution(rng, 6, 10, **residual(rng, np.int8, (10, 9, 11))),
    "residual behind groups": lambda rng: convolution(rng, 6, 9, groups=3, **residual(rng, np.uint8, (9, 9, 11))),
    "max pool": lambda rng: {
        "activations": activations(rng, np.uint8, (7, 9, 11)),
        "kernel": 3,
        "stride": 2,
        "padding": 1,
    },
    "max pool of int8": lambda rng: {
        "activations": (activations(rng, np.uint8, (5, 9, 8)) // 2 - 128).astype(np.int8),  # half -128, none above -1
        "kernel": (2, 3),
        "stride": (2, 1),
        "padding": (0, 1, 1, 0),
    },
    "average pool": lambda rng: {
        "activations": activations(rng, np.uint8, (7, 9, 11)),
        "kernel": 2,
        "stride": 2,
        "padding": 0,
        **numbers(rng, 7, 16, 20),
    },
    "global average pool of int8": lambda rng: {
        "activations": activations(rng, np.int8, (9, 7, 7)),
        "kernel": 7,
        "stride": 1,
        "padding": 0,
        **numbers(rng, 9, 49, 50, low=-128),
    },
    "sum of two tensors": lambda rng: {
        "activations": activations(rng, np.uint8, (6, 5, 9)),
        "kernel": 1,
        "stride": 1,
        "padding": 0,
        **numbers(rng, 6, 1, 60),
        **residual(rng, np.uint8, (6, 5, 9)),
    },
}


def write(path, name):
    """The layer file: arrays alone, nothing of the models."""
    arrays = FILES[name](np.random.default_rng(list(name.encode())))
    kind = "max_pool" if "max" in name else "average_pool" if "kernel" in arrays else "conv"
    groups = {} if kind != "conv" else {"groups": arrays["activations"].shape[0] // arrays["weights"].shape[1]}
    np.savez(path, kind=kind, **arrays, **groups)


@pytest.mark.parametrize("name", FILES)
def test_layer_file(name, tmp_path):
    source, target = tmp_path / "layer.npz", tmp_path / "result.npz"
    write(source, name)
    done = CliRunner().invoke(app, ["layer", str(source), str(target), "--config", "small"])
    assert done.exit_code == 0, done.output
    with np.load(target) as result:
        wanted = judge.output(Layer.load(source))
        assert len(np.unique(wanted)) > 8
        np.testing.assert_array_equal(result["output"], wanted)
        assert result["output"].dtype == wanted.dtype and result["macs"] > 0
