# SPDX-License-Identifier: Apache-2.0
"""The node tests that the package onnx ships, through the importer and the integer network."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from models.importer.forms import FORMS
from models.importer.operators import HOST, RULES
from models.importer.passes import Imported, bring
from models.importer.read import OPSETS
from models.importer.runtime import Tensors

_DOMAINS = ("", "ai.onnx")
_OF_TENSORS = ("Add", "Concat")
_NEAR = 0.02  # of the largest expected value: two steps of eight bits, and the weights' rounding
PASSED, FAILED, OUT = "passed", "failed", "out of scope"


@dataclass(frozen=True)
class Outcome:
    """Of one case: its operator, passed, failed or out of scope, and why; trial: of one that passed or failed."""

    case: str
    operator: str
    result: str
    why: str = ""
    trial: Trial | None = None


@dataclass(frozen=True)
class Trial:
    """A case that the importer takes: what it is as integers, its inputs, and the outputs that ONNX expects."""

    imported: Imported
    inputs: Tensors
    expected: Sequence[Any]

    def wrong(self, given: Tensors) -> str:
        """What is wrong with outputs; nothing if they are near enough."""
        for name, expected in zip(self.imported.graph.outputs, self.expected, strict=True):
            wanted = np.asarray(expected).astype(np.float64)
            apart = float(np.abs(given[name].reshape(wanted.shape) - wanted).max(initial=0))
            # Bytes: a step, where rounding decides.
            limit = 1 if expected.dtype.itemsize == 1 else _NEAR * float(np.abs(wanted).max(initial=0))
            if not apart <= limit:
                return f"{name}: {apart:.3g} apart, expected at most {limit:.3g}"
        return ""


def cases() -> list[Any]:
    """All node tests with one node and plain tensors."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        from onnx.backend.test.case.node import collect_testcases

        return [case for case in collect_testcases(None) if case.model is not None and len(case.model.graph.node) == 1]


def _with_inputs(case: Any) -> tuple[onnx.ModelProto, Tensors]:
    """The model, but for sums and concatenations with all inputs but the first as constants, and the inputs' values."""
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    names = [value.name for value in model.graph.input]
    inputs = {name: np.asarray(value) for name, value in zip(names, case.data_sets[0][0], strict=True)}
    kept = len(names) if model.graph.node[0].op_type in _OF_TENSORS else 1
    for name in names[kept:]:
        model.graph.initializer.append(numpy_helper.from_array(inputs.pop(name), name))
    del model.graph.input[kept:]
    for entry in model.opset_import:
        entry.version = max(entry.version, OPSETS[0])  # an older operator is the same there
    return model, inputs


def run(case: Any) -> Outcome:
    """One case. What the importer refuses is out of scope, for the reason that it gives."""
    node = case.model.graph.node[0]
    operator = node.op_type
    if node.domain not in _DOMAINS or (operator not in RULES and ("", operator) not in FORMS):
        return Outcome(case.name, operator, OUT, "no rule for the operator")
    if operator in HOST:
        return Outcome(case.name, operator, OUT, "the host's")
    try:
        model, inputs = _with_inputs(case)
        found = bring(model, inputs)
        given = found.run(inputs)
    except ValueError as error:
        return Outcome(case.name, operator, OUT, str(error))
    except (TypeError, NotImplementedError) as error:  # sequences, optionals, types that numpy lacks
        return Outcome(case.name, operator, OUT, f"inputs: {error}")
    trial = Trial(found, inputs, case.data_sets[0][1])
    wrong = trial.wrong(given)
    return Outcome(case.name, operator, FAILED if wrong else PASSED, wrong, trial)


def table(outcomes: list[Outcome]) -> str:
    """Each case of an operator that has a rule, and how many of others there are."""
    lines = ["| operator | case | result | why |", "|---|---|---|---|"]
    ruled = [outcome for outcome in outcomes if outcome.why != "no rule for the operator"]
    for outcome in sorted(ruled, key=lambda outcome: (outcome.operator, outcome.case)):
        why = outcome.why.replace("|", "\\|")
        lines.append(f"| {outcome.operator} | {outcome.case.removeprefix('test_')} | {outcome.result} | {why} |")
    return "\n".join([*lines, "", *summary(outcomes)]) + "\n"


def summary(outcomes: list[Outcome]) -> Iterator[str]:
    """Counts, a line each."""
    ruled = Counter(outcome.result for outcome in outcomes if outcome.why != "no rule for the operator")
    others = sum(outcome.why == "no rule for the operator" for outcome in outcomes)
    yield f"{sum(ruled.values())} cases of operators with a rule: " + ", ".join(
        f"{ruled[result]} {result}" for result in (PASSED, FAILED, OUT)
    )
    yield f"{others} cases of operators without a rule"
