# SPDX-License-Identifier: Apache-2.0
"""The commands as a user meets them: errors in one line, seeds, and how a failure is run again."""

import os
import shlex
import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from models.config import load_config
from verif.host.cli.__main__ import app
from verif.host.cli.figure3 import fitting
from verif.host.runner.run import MAX_SEED, default_seed, rerun_test
from verif.shared.paths import ROOT


@pytest.mark.parametrize(
    "command", [["verilog", "--config"], ["bench", "--config"], ["run", "--config"], ["lint", "--top"]]
)
def test_unknown_name(command):
    done = CliRunner().invoke(app, [*command, "nope"])
    assert done.exit_code == 1 and "'nope'" in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "options, message",
    [
        ([""], "NET is empty, expected one of"),
        (["nope"], "network 'nope' is unknown, expected one of"),
        (["tiny", "--check", "some"], "CHECK: 'some', expected one of lines, all"),
        (["tiny", "--config", "nope"], "configuration 'nope' is unknown"),
        (["tiny", "--config", "small", "--batch", "0"], "batch: 0, expected at least 1"),
        (["tiny", "--config", "small", "--sim", "nope"], "simulator 'nope' is unknown"),
    ],
)
def test_programs_that_cannot_run(options, message):
    done = CliRunner().invoke(app, ["program", *options])
    assert done.exit_code == 1 and done.stderr.startswith(message) and done.stderr.count("\n") == 1


def test_no_configuration():
    done = CliRunner().invoke(app, ["run", "--config", ""])
    assert done.exit_code == 1 and done.stderr.startswith("configuration '' is unknown, expected one of small")


def test_benchmark_that_does_not_fit():
    done = CliRunner().invoke(app, ["bench", "--config", "small"])
    assert done.exit_code == 1 and done.stderr.startswith("layer does not fit") and done.stderr.count("\n") == 1


@pytest.mark.parametrize("seed", ["x", "0", "-1", "1.5", str(MAX_SEED + 1), "9" * 5000])
def test_seed_out_of_range(seed, monkeypatch):
    monkeypatch.setenv("SEED", seed)
    done = CliRunner().invoke(app, ["figures"])
    assert done.exit_code == 1 and done.stderr == f"SEED: '{seed}', expected a whole number from 1 to {MAX_SEED}\n"


def test_seeds(monkeypatch):
    for text, seed in (("", 1), ("7", 7), (str(MAX_SEED), MAX_SEED)):
        monkeypatch.setenv("SEED", text)
        assert default_seed() == seed


def pytest_in(directory, seed):
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "tests.conftest",
            "-c",
            os.devnull,
            "--rootdir",
            directory,
            directory,
        ],
        cwd=ROOT,
        env=os.environ | {"SEED": seed},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_failed_test_says_how_to_run_it_again(tmp_path):
    (tmp_path / "test_it.py").write_text(
        "import pytest\n@pytest.mark.parametrize('x', ['2/4', r'a \\d b'])\ndef test_x(x): assert x == '2/4'\n"
    )
    done = pytest_in(tmp_path, "7")
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("rerun with: ")]
    words = shlex.split(line.removeprefix("rerun with: "))
    assert words == ["make", "test", r"TEST=test_it.py::test_x[a \\d b]", "SEED=7"]
    assert line.removeprefix("rerun with: ") == rerun_test(r"test_it.py::test_x[a \\d b]", 7)
    assert "\nseed 7\n" in done.stdout


def test_pytest_refuses_a_seed(tmp_path):
    done = pytest_in(tmp_path, "many")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert done.stderr.strip() == f"ERROR: SEED: 'many', expected a whole number from 1 to {MAX_SEED}"


@pytest.mark.parametrize(
    "out,message", [("gone/result.npz", "directory gone does not exist"), (".", "a directory, expected a file")]
)
def test_result_that_cannot_be_written(out, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("layer.npz", activations=1)
    done = CliRunner().invoke(app, ["layer", "layer.npz", out, "--config", "small"])
    assert done.exit_code == 1 and done.stderr == f"{out}: {message}\n"


def test_unknown_simulator(tmp_path):
    done = CliRunner().invoke(
        app, ["layer", "layer.npz", str(tmp_path / "result.npz"), "--config", "small", "--sim", "x"]
    )
    assert done.exit_code == 1 and done.stderr == "simulator 'x' is unknown, expected one of verilator, icarus\n"


def test_the_layer_of_make_run_is_made_to_fit():
    benchmark, why, ((layer, sparse), (dense, dense_plan)) = fitting(load_config("small"), "verilator", 1)
    assert benchmark.name == "16x16x16, 3x3x32, 2/4, half zero" and "the Weight Memory holds at most 4096" in why
    assert layer.activations.shape == (16, 16, 16) and sparse.descriptor.skip and not dense_plan.descriptor.skip
    assert np.array_equal(layer.expected, dense.expected)
    benchmark, why, _ = fitting(load_config("small"), "icarus", 1)
    assert benchmark.name == "8x8x8, 3x3x16, 2/4, half zero" and "Icarus" in why
