# SPDX-License-Identifier: Apache-2.0
"""The node tests of the package onnx that the importer takes, on the core."""

from dataclasses import replace

import numpy as np
import pytest

from models.importer import node_cases
from models.importer.node_cases import FAILED, OUT, PASSED
from verif.host.cli import node_tests

FEW = 50  # at least so many pass


@pytest.fixture(scope="module")
def outcomes():
    return [outcome for outcome in map(node_cases.run, node_cases.cases()) if outcome.result == PASSED]


def test_all_of_them(outcomes):
    found = node_tests.on_core(outcomes, "small")
    assert len(found) >= FEW
    assert [outcome for outcome in found if outcome.result != PASSED] == []
    assert all("cycles on small" in outcome.why for outcome in found)


def test_what_fails_and_what_does_not_fit(outcomes, monkeypatch):
    pool, other = (next(o for o in outcomes if o.operator == name) for name in ("MaxPool", "Conv"))
    wrong = replace(pool, trial=replace(pool.trial, expected=[np.asarray(pool.trial.expected[0]) + 3]))
    compiled = node_tests._compiled
    monkeypatch.setattr(node_tests, "_compiled", lambda o, config: None if o is other else compiled(o, config))
    failed, out = node_tests.on_core([wrong, other], "small")
    assert failed.result == FAILED and "apart" in failed.why
    assert out.result == OUT and out.why == "does not fit small; its integers are right"
