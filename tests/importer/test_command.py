# SPDX-License-Identifier: Apache-2.0
"""`make compile` as a user meets it."""

import numpy as np
import onnx
import pytest
from typer.testing import CliRunner

from models.program import Program
from tests.importer.graphs import floats, model, node, scene, scenes
from verif.host.cli import given_onnx
from verif.host.cli.__main__ import app


@pytest.fixture
def files(tmp_path):
    """A model and inputs for it."""
    nodes = [
        node("Conv", "x w", "c", pads=(1, 1, 1, 1)),
        node("Relu", "c", "r"),
        node("GlobalAveragePool", "r", "p"),
        node("Flatten", "p", "f"),
        node("Gemm", "f v", "y", transB=1),
    ]
    made = model(nodes, ("n", 2, 5, 5), w=floats(4, 2, 3, 3), v=floats(6, 4))
    onnx.save(made, tmp_path / "small.onnx")
    np.save(tmp_path / "inputs.npy", floats(12, 2, 5, 5, seed=1))
    np.savez(tmp_path / "two.npz", a=np.zeros(1), b=np.zeros(1))
    return tmp_path


def called(*arguments):
    return CliRunner().invoke(app, ["compile", *map(str, arguments)])


def test_explains_and_compiles(files, monkeypatch):
    monkeypatch.setattr(given_onnx, "BUILD", files / "build")
    monkeypatch.setattr(given_onnx, "ROOT", files)
    done = called(
        files / "small.onnx", "--calib", files / "inputs.npy", "--config", "small", "--mode", "2/4", "--prune"
    )
    assert done.exit_code == 0, done.output
    for text in (
        "| conv | conv 3x3 | 2x5x5 | 4x5x5 | 2/4 | 72 | 0.50 |",
        "pruned: conv: 50.0 % of the weights",
        "% from ONNX Runtime's; the largest is ONNX Runtime's for",
        "| conv | conv 3x3 | 2x5x5 | 4x5x5 | 2/4 | 0.50 |",
        "cut: nothing: every layer runs whole",
        "| BATCH=2 |",
        "cycles an image in batches of 1",
        "program: build/compile/small-small.npz, memory map: build/compile/small-small.md, report: ",
    ):
        assert text in done.output
    report = (files / "build" / "compile" / "small-small.html").read_text()
    assert report.count("<svg") == 2 and "What a change would bring" in report and "src=" not in report
    assert len(Program.load(files / "build" / "compile" / "small-small.npz").layers) == 3


def test_until(files):
    done = called(files / "small.onnx", "--until", "relu")
    assert done.exit_code == 0 and "output r: " in done.output and "compiling" not in done.output
    assert "scales: by " in done.output and "noise: give calibration inputs (CALIB=)" in done.output


@pytest.mark.parametrize(
    "calib,problem",
    [
        ("none.npy", "CALIB: {}: no such file"),
        ("small.onnx", "CALIB: {}: no NPY or NPZ file, or one that is cut short"),
        ("two.npz", "CALIB: a: no input of the network has that name, expected x float32 (N, 2, 5, 5)"),
    ],
)
def test_bad_calibration(files, calib, problem):
    done = called(files / "small.onnx", "--calib", files / calib)
    assert done.exit_code == 1 and done.stderr == problem.format(files / calib) + "\n"


def test_several_inputs(tmp_path, monkeypatch):
    monkeypatch.setattr(given_onnx, "BUILD", tmp_path / "build")
    monkeypatch.setattr(given_onnx, "ROOT", tmp_path)
    onnx.save(scene(), tmp_path / "scene.onnx")
    np.savez(tmp_path / "calibration.npz", **scenes(12))
    done = called(tmp_path / "scene.onnx", "--calib", tmp_path / "calibration.npz", "--config", "small", "--batch", 2)
    assert done.exit_code == 0, done.output
    for text in (
        "host: input picture in steps of 0.00392157 as uint8",
        "host: input depth in steps of ",
        "unused: input mask: no output depends on it, and it needs no array",
        "output classes: ",
        "output features: ",
        "cycles an image in batches of 2",
    ):
        assert text in done.output
    places = (tmp_path / "build" / "compile" / "scene-small.md").read_text()
    assert all(f"| {name} | {image} |" in places for name in ("picture", "depth", "map") for image in (0, 1))
    program = Program.load(tmp_path / "build" / "compile" / "scene-small.npz")
    assert list(program.images) == ["picture", "depth", "map"] and program.iterations == 1
    done = called(tmp_path / "scene.onnx", "--until", "measured")
    assert "input depth in steps" in done.output and "input picture in steps" not in done.output
    assert "unused: input picture: " in done.output


def test_no_file():
    done = called("")
    assert done.exit_code == 1 and done.stderr.startswith("ONNX is empty, expected a network: make compile ONNX=")
