# SPDX-License-Identifier: Apache-2.0
"""The PEs of the plain dense machine: their steps are a layer's, and their sums are right."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models import reference
from verif.host.cli.power import DENSE_HDL, DENSE_TOP
from verif.host.runner import build, run, sources_of
from verif.host.runner.run import SimulationFailure
from verif.shared.dense_windows import STEPS, DenseSteps
from verif.shared.stimulus import make_layer

PES, LANES = 3, 4


@pytest.fixture(scope="module")
def layer():
    """Two groups of channels, a stride, a padded plane of 3x4 positions."""
    return make_layer(np.random.default_rng(3), (2, 5, 8), 2 * LANES, (3, 3), stride=(2, 2), padding=(1, 1, 1, 0))


def test_steps_are_the_layer(layer) -> None:
    steps = DenseSteps.of(layer, PES, LANES)
    out = reference.convolve(layer.activations, layer.weights, layer.stride, layer.padding)
    sums = (steps.activations.astype(np.int64).transpose(0, 2, 1) @ steps.weights).astype(np.int32)
    assert (sums == steps.sums).all()
    for number, found in enumerate(sums):
        group, at = divmod(number * PES, out[0].size)
        want = out[group * LANES : (group + 1) * LANES].reshape(LANES, -1)[:, at : at + PES]
        assert (found == want.T).all()


def test_what_does_not_fit_is_refused(layer) -> None:
    with pytest.raises(ValueError, match=r"^outputs: \(8, 3, 4\), expected multiples of 4 channels and 5 positions$"):
        DenseSteps.of(layer, 5, LANES)
    signed = replace(layer, activations=layer.activations.astype(np.int8))
    with pytest.raises(ValueError, match="^activations: int8, expected uint8$"):
        DenseSteps.of(signed, PES, LANES)


def _run(steps: DenseSteps, directory: Path) -> None:
    parameters = {"NumPe": PES, "NumLanes": LANES}
    design = build(DENSE_TOP, sources_of(DENSE_TOP, DENSE_HDL), parameters, "icarus")
    steps.save(directory / "steps.npz")
    run(design, "verif.sim.programs.dense_steps", env={STEPS: str(directory / "steps.npz")})


def test_sums(layer, tmp_path, skip_without) -> None:
    skip_without("icarus")
    _run(DenseSteps.of(layer, PES, LANES), tmp_path)


def test_a_wrong_sum_is_found(layer, tmp_path, skip_without) -> None:
    skip_without("icarus")
    steps = DenseSteps.of(layer, PES, LANES)
    steps.sums[2, 1, 3] += 1
    with pytest.raises(SimulationFailure, match=r"window 2: sums \[7\] are"):
        _run(steps, tmp_path)
