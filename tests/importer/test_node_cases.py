# SPDX-License-Identifier: Apache-2.0
"""All node tests of the package onnx in the integer model; on the core: tests/core/test_node_cases_run.py."""

from models.importer import node_cases
from models.importer.node_cases import FAILED, OUT, PASSED, Outcome

EVERY = {
    "Concat": 2,
    "Conv": 6,
    "Gemm": 8,
    "GlobalAveragePool": 2,
    "GlobalMaxPool": 2,
    "MaxPool": 11,
    "QLinearMatMul": 4,
}


def test_node_tests():
    outcomes = [node_cases.run(case) for case in node_cases.cases()]
    assert [outcome for outcome in outcomes if outcome.result == FAILED] == []
    passed = [outcome.operator for outcome in outcomes if outcome.result == PASSED]
    assert {operator: passed.count(operator) for operator in EVERY} == EVERY
    assert {"AveragePool", "BatchNormalization", "ConvInteger", "MatMul", "MatMulInteger", "QLinearConv"} <= {*passed}
    assert all(outcome.why for outcome in outcomes if outcome.result == OUT)


def test_table():
    outcomes = [
        Outcome("test_a", "Conv", PASSED),
        Outcome("test_b", "Conv", OUT, "a | b"),
        Outcome("test_c", "Elu", OUT, "no rule for the operator"),
    ]
    assert node_cases.table(outcomes).splitlines()[2:] == [
        "| Conv | a | passed |  |",
        "| Conv | b | out of scope | a \\| b |",
        "",
        "2 cases of operators with a rule: 1 passed, 0 failed, 1 out of scope",
        "1 cases of operators without a rule",
    ]


def test_a_wrong_result_fails():
    case = next(case for case in node_cases.cases() if case.name == "test_matmul_2d")
    ((inputs, (expected,)),) = case.data_sets
    case.data_sets = [(inputs, [expected + 0.2])]
    outcome = node_cases.run(case)
    assert outcome.result == FAILED and "apart" in outcome.why
