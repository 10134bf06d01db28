# SPDX-License-Identifier: Apache-2.0
"""`make layer` and `make program` as a user meets them: a layer judged by scipy, one line for each thing that may be
wrong with it, and a small network."""

import json
import re

import numpy as np
import pytest
from scipy.signal import correlate
from typer.testing import CliRunner

from models import km
from verif.host.cli.__main__ import app


def arrays(**changes):
    """A small layer as the arrays of an NPZ file."""
    rng = np.random.default_rng(11)
    mask = rng.random((10, 15, 17)) < 0.4
    good = {
        "activations": (rng.integers(-128, 128, mask.shape) * mask).astype(np.int8),
        "weights": km.project(rng.integers(-127, 128, (20, 10, 3, 5)).astype(np.int8), 2, 8, 0),
        "bias": rng.integers(-5000, 5000, 20).astype(np.int32),
        "multiplier": np.full(20, 1 << 30, np.int32),
        "shift": np.full(20, 37, np.int32),
        "stride": [2, 1],
        "padding": [1, 0, 2, 3],
        "k": 2,
        "m": 8,
        "clamp": [-128, 127],
    }
    return {name: value for name, value in (good | changes).items() if value is not None}


def command(npz, out, config="small"):
    return CliRunner().invoke(app, ["layer", str(npz), str(out), "--config", config])


def test_a_layer(tmp_path):
    layer = arrays()
    np.savez(tmp_path / "layer.npz", **layer)
    done = command(tmp_path / "layer.npz", tmp_path / "result.npz")
    assert done.exit_code == 0, done.stdout + done.stderr
    result = np.load(tmp_path / "result.npz")
    padded = np.pad(layer["activations"].astype(np.int64), [(0, 0), (1, 0), (2, 3)])
    acc = np.stack([correlate(padded, kernel.astype(np.int64), "valid")[0][::2] for kernel in layer["weights"]])
    scaled = (acc + layer["bias"][:, None, None]) * (1 << 30) + (1 << 36) >> 37
    assert result["output"].dtype == np.int8
    assert np.array_equal(result["output"], np.clip(scaled, -128, 127))
    assert len(np.unique(result["output"])) > 100
    counters = json.loads(str(result["counters"]))
    assert result["cycles"] == counters["CYCLES"] and result["macs"] == counters["MACS"]
    assert result["utilization"] == pytest.approx(result["macs"] / (result["cycles"] * 16))


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"weights": np.ones((20, 10, 3, 5), np.int8)}, "weights: group 0 at [0:8, 0, 0, 0] has 8 non-zeros, 2/8"),
        ({"weights": np.zeros((20, 9, 3, 5), np.int8)}, "weights: shape (20, 9, 3, 5), expected C = 10"),
        ({"bias": np.zeros(19, np.int32)}, "bias: shape (19,), expected"),
        ({"shift": np.zeros(20, np.int32)}, "shift: 0, expected 1 to 62"),
        ({"m": 5}, "k/m: 2/5 is not a mode"),
        ({"stride": 5}, "stride: (5, 5), expected"),
        ({"activations": np.ones((10, 300, 300), np.uint8)}, "does not fit"),
        ({"clamp": None}, "clamp: missing"),
    ],
)
def test_what_is_wrong_with_a_layer_is_said_in_one_line(changes, message, tmp_path):
    np.savez(tmp_path / "layer.npz", **arrays(**changes))
    done = command(tmp_path / "layer.npz", tmp_path / "result.npz")
    assert done.exit_code == 1
    assert message in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert not (tmp_path / "result.npz").exists()


def test_a_file_that_is_no_layer(tmp_path):
    (tmp_path / "text.npz").write_text("no zip file")
    for name in ("text.npz", "nothing.npz"):
        done = command(tmp_path / name, tmp_path / "result.npz")
        assert done.exit_code == 1 and done.stderr.startswith(str(tmp_path / name)) and done.stderr.count("\n") == 1
    done = command(tmp_path / "text.npz", tmp_path / "result.npz", config="huge")
    assert done.exit_code == 1 and "configuration 'huge' is unknown" in done.stderr


def test_a_program():
    done = CliRunner().invoke(app, ["program", "tiny", "--batch", "2", "--config", "small", "--check", "all"])
    assert done.exit_code == 0, done.stdout + done.stderr
    row = r"^\| block\.conv2 \| conv 3x3 \+ block\.short \| 16x4x4 \| 16x4x4 \| 2/4 \| 0\.50 \| 0\.\d\d \| 1 \| "
    assert re.search(row, done.stdout, re.MULTILINE)
    assert re.search(r"^equal to the integer network: \d+ lines of 1\d layers when they", done.stdout, re.MULTILINE)
    off = re.search(r"^cycle model on these images: [\d,]+ cycles, ([+-]\d\.\d)%; ", done.stdout, re.MULTILINE)
    assert off and abs(float(off[1])) <= 2, done.stdout
