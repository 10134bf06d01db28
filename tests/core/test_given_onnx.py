# SPDX-License-Identifier: Apache-2.0
"""`make network ONNX=` as a user meets it: a network that another exporter made, on the core in one run."""

import numpy as np
import onnxruntime
from typer.testing import CliRunner

from verif.host.cli.__main__ import app
from verif.shared.paths import ROOT

MODEL = ROOT / "tests" / "importer" / "foreign" / "squeezenet.onnx"


def called(**options):
    arguments = [text for name, value in options.items() for text in (f"--{name}", str(value))]
    return CliRunner().invoke(app, ["network", *arguments])


def inputs(count):
    return np.random.default_rng(1).normal(size=(count, 3, 24, 24)).astype(np.float32)


def test_runs_on_the_core(tmp_path):
    np.save(tmp_path / "x.npy", inputs(2))
    done = called(onnx=MODEL, inputs=tmp_path / "x.npy", out=tmp_path / "y.npz", config="small")
    assert done.exit_code == 0, done.output
    assert "equal to the integer network: " in done.output
    (wanted,) = onnxruntime.InferenceSession(MODEL).run(["classes"], {"images": inputs(2)})
    with np.load(tmp_path / "y.npz") as found:
        assert set(found) == {"classes", "cycles"} and found["cycles"] > 0
        assert found["classes"].dtype == np.float32 and found["classes"].shape == wanted.shape
        assert np.abs(found["classes"] - wanted).max() < 0.1 * np.abs(wanted).max()


def test_bad_input_in_one_line(tmp_path):
    np.save(tmp_path / "x.npy", inputs(3))
    np.save(tmp_path / "wrong.npy", inputs(1)[:, :, 1:])
    good = {"onnx": MODEL, "inputs": tmp_path / "x.npy", "config": "small"}
    for options, text in (
        ({"npz": "a.npz"} | good, "expected one of them"),
        ({"onnx": MODEL}, "INPUT is empty, expected inputs"),
        (good | {"out": tmp_path / "x.npy"}, "OUT is INPUT itself, expected another file"),
        (good | {"out": tmp_path / "no" / "y.npz"}, "no does not exist"),
        (good | {"inputs": tmp_path / "wrong.npy"}, "shape (1, 3, 23, 24), expected (N, 3, 24, 24)"),
        (good | {"batch": 2}, "BATCH: 2, expected a divisor of the number of inputs, 3"),
        (good | {"check": "some"}, "CHECK: 'some', expected one of lines, all"),
    ):
        done = called(**options)
        assert done.exit_code == 1 and text in done.output and done.output.count("\n") <= 3, done.output
