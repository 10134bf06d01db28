# SPDX-License-Identifier: Apache-2.0
"""Every condition of the table of operators refuses what it says, in one line."""

import re

import numpy as np
import pytest

from models.importer.operators import RULES, Use, check, table
from models.importer.passes import bring
from models.importer.read import read
from tests.importer.graphs import OPSET, floats, model, node
from verif.shared.paths import ROOT

PLANE, LONG, VECTOR = ("n", 4, 12, 12), ("n", 4, 12), ("n", 6)
ONE = np.float32(1)
STEP, ZERO = np.float32(0.1), np.uint8(0)


def alone(operator, shape, inputs="x", before=(), **options):
    """A node behind a ReLU, so that the host does not take it; the arrays among the options are constants. Three
    dimensions reach it as they are."""
    constants = {name: value for name, value in options.items() if isinstance(value, np.ndarray | np.generic)}
    attributes = {name: value for name, value in options.items() if name not in constants}
    opset, output = attributes.pop("opset", OPSET), attributes.pop("output", "y")
    first = [node("Relu", "x", "r")] if shape != LONG else []
    return model(
        [*first, *before, node(operator, inputs.replace("x", "r") if first else inputs, output, **attributes)],
        shape,
        opset=opset,
        **constants,
    )


def conv(shape=PLANE, kernel=(3, 3), inputs="x w", before=(), **options):
    return alone("Conv", shape, inputs, before, w=floats(4, 4, *kernel), **options)


def pool(operator, shape=PLANE, **options):
    return alone(operator, shape, **{"kernel_shape": (2, 2)} | options)


FLAT = [node("Flatten", "r", "f")]
WAVES = [node("Add", "r r", "v")]


def flattened(operator, **options):
    """Behind a flattened plane, brought back to four dimensions."""
    views = [*FLAT, node("Reshape", "f s", "g")]
    inputs = options.pop("inputs", "g")
    return alone(operator, ("n", 4, 2, 2), inputs, views, s=np.array([-1, 16, 1, 1]), **options)


CASES = {
    ("Conv", "input"): lambda: alone("Conv", LONG, "x w", w=floats(4, 4, 3)),
    ("Conv", "weights"): lambda: alone("Conv", ("n", 4, 4, 4), "x x"),
    ("Conv", "bias"): lambda: alone(
        "Conv", ("n", 4, 1, 1), "x w v", [node("Reshape", "r s", "v")], w=floats(4, 4, 1, 1), s=np.array([4])
    ),
    ("Conv", "kernel_shape"): lambda: conv(kernel=(12, 3)),
    ("Conv", "strides"): lambda: conv(strides=(5, 1)),
    ("Conv", "pads"): lambda: conv(pads=(0, 8, 0, 0)),
    ("Gemm", "transA"): lambda: alone("Gemm", (6, 6), "x w", w=floats(6, 5), transA=1),
    ("Gemm", "weights"): lambda: alone("Gemm", (6, 6), "x x"),
    ("Gemm", "C"): lambda: alone("Gemm", (3, 6), "x w c", w=floats(6, 5), c=floats(3, 5)),
    ("Gemm", "flattened plane"): lambda: alone("Gemm", PLANE, "f w", FLAT, w=floats(576, 5)),
    ("MatMul", "input"): lambda: alone("MatMul", PLANE, "x w", w=floats(12, 5)),
    ("MatMul", "B"): lambda: alone("MatMul", (6, 6), "x x"),
    ("MatMul", "flattened plane"): lambda: alone("MatMul", PLANE, "f w", FLAT, w=floats(576, 5)),
    ("MaxPool", "input"): lambda: pool("MaxPool", LONG, kernel_shape=(2,)),
    ("MaxPool", "kernel_shape"): lambda: pool("MaxPool", ("n", 4, 40, 40), kernel_shape=(23, 2)),
    ("MaxPool", "strides"): lambda: pool("MaxPool", strides=(1, 5)),
    ("MaxPool", "pads"): lambda: pool("MaxPool", kernel_shape=(9, 9), pads=(8, 0, 0, 0)),
    ("MaxPool", "dilations"): lambda: pool("MaxPool", dilations=(2, 1)),
    ("MaxPool", "Indices"): lambda: pool("MaxPool", output="y i"),
    ("AveragePool", "input"): lambda: pool("AveragePool", LONG, kernel_shape=(2,)),
    ("AveragePool", "kernel_shape"): lambda: pool("AveragePool", ("n", 4, 40, 40), kernel_shape=(2, 23)),
    ("AveragePool", "strides"): lambda: pool("AveragePool", strides=(1, 5)),
    ("AveragePool", "pads"): lambda: pool("AveragePool", kernel_shape=(9, 9), pads=(0, 0, 8, 0), count_include_pad=1),
    ("AveragePool", "count_include_pad"): lambda: pool("AveragePool", kernel_shape=(12, 3), pads=(5, 1, 1, 1)),
    ("AveragePool", "ceil_mode"): lambda: pool(
        "AveragePool", kernel_shape=(3, 3), strides=(2, 2), count_include_pad=1, ceil_mode=1
    ),
    ("AveragePool", "dilations"): lambda: pool("AveragePool", opset=19, dilations=(2, 1)),
    ("GlobalAveragePool", "input"): lambda: alone("GlobalAveragePool", LONG),
    ("GlobalAveragePool", "plane"): lambda: alone("GlobalAveragePool", ("n", 4, 12, 23)),
    ("GlobalMaxPool", "input"): lambda: alone("GlobalMaxPool", LONG),
    ("GlobalMaxPool", "plane"): lambda: alone("GlobalMaxPool", ("n", 4, 23, 12)),
    ("ReduceMean", "input"): lambda: alone("ReduceMean", LONG, axes=[2]),
    ("ReduceMean", "axes"): lambda: alone("ReduceMean", PLANE, axes=[1]),
    ("ReduceMean", "plane"): lambda: alone("ReduceMean", ("n", 4, 12, 23), axes=[2, 3]),
    ("Add", "operands"): lambda: alone("Add", PLANE, "x b", b=floats(12, 12)),
    ("Sub", "channels"): lambda: alone("Sub", PLANE, "x v", WAVES),
    ("Mul", "channels"): lambda: alone("Mul", PLANE, "x b", b=floats(12)),
    ("Div", "channels"): lambda: alone("Div", PLANE, "x v", WAVES),
    ("Div", "divisor"): lambda: alone("Div", PLANE, "b x", b=ONE),
    ("BatchNormalization", "scale, B, mean, var"): lambda: alone(
        "BatchNormalization",
        ("n", 6),
        "x b b b v",
        [node("Reshape", "r s", "v")],
        b=np.ones(6, np.float32),
        s=np.array([6]),
    ),
    ("BatchNormalization", "training_mode"): lambda: alone(
        "BatchNormalization", PLANE, "x b b b b", output="y m v", training_mode=1, b=np.ones(4, np.float32)
    ),
    ("Clip", "min, max"): lambda: alone("Clip", PLANE, "x a b", a=ONE, b=np.float32(0)),
    ("Pad", "input"): lambda: alone("Pad", LONG, "x p", p=np.array([0, 0, 1, 0, 0, 1])),
    ("Pad", "mode"): lambda: alone("Pad", PLANE, "x p", p=np.array([0, 0, 1, 1, 0, 0, 1, 1]), mode="reflect"),
    ("Pad", "pads"): lambda: alone("Pad", PLANE, "x p", p=np.array([0, 0, -1, 1, 0, 0, 1, 1])),
    ("Pad", "constant_value"): lambda: alone("Pad", PLANE, "x p b", p=np.array([0, 0, 1, 1, 0, 0, 1, 1]), b=ONE),
    ("Concat", "axis"): lambda: alone("Concat", PLANE, "x x", axis=2),
    ("Concat", "inputs"): lambda: alone("Concat", (1, 4, 12, 12), "x b", b=floats(1, 4, 12, 12), axis=1),
    ("Dropout", "training_mode"): lambda: alone("Dropout", PLANE, "x b t", b=np.float32(0.5), t=np.array(True)),
    ("Cast", "to"): lambda: alone("Cast", PLANE, to=6),
    ("Flatten", "shape"): lambda: alone("Flatten", PLANE, axis=2),
    ("Reshape", "shape"): lambda: alone("Reshape", PLANE, "x s", s=np.array([-1, 2, 24, 12])),
    ("Squeeze", "shape"): lambda: alone("Squeeze", ("n", 1, 12, 12), "x s", s=np.array([1])),
    ("Unsqueeze", "shape"): lambda: alone("Unsqueeze", VECTOR, "x s", s=np.array([1])),
    ("Transpose", "perm"): lambda: alone("Transpose", PLANE, perm=(0, 2, 3, 1)),
    ("QuantizeLinear", "scale and zero point"): lambda: model(
        [
            node("Relu", "x", "r"),
            node("QuantizeLinear", "r s z", "q", axis=1),
            node("DequantizeLinear", "q s z", "y", axis=1),
        ],
        ("n", 4, 3, 3),
        s=np.full(4, STEP),
        z=np.full(4, ZERO),
    ),
    ("QuantizeLinear", "type"): lambda: model(
        [node("Relu", "x", "r"), node("QuantizeLinear", "r s z", "q"), node("DequantizeLinear", "q s z", "y")],
        ("n", 4, 3, 3),
        opset=21,
        s=STEP,
        z=np.uint16(0),
    ),
    ("DequantizeLinear", "scale and zero point"): lambda: model(
        [node("DequantizeLinear", "x s z", "v", axis=1), node("Relu", "v", "y")],
        ("n", 4, 3, 3),
        kind=2,
        s=np.full(4, STEP),
        z=np.full(4, ZERO),
    ),
    ("DequantizeLinear", "type"): lambda: model(
        [node("DequantizeLinear", "x s", "v"), node("Relu", "v", "y")], ("n", 4, 3, 3), kind=6, s=STEP
    ),
    **{
        (operator, "input"): lambda operator=operator, more=more: alone(operator, LONG, **more)
        for operator, more in {
            "Add": {"inputs": "x b", "b": ONE},
            "Sub": {"inputs": "x b", "b": ONE},
            "Mul": {"inputs": "x b", "b": ONE},
            "Div": {"inputs": "x b", "b": ONE},
            "BatchNormalization": {"inputs": "x b b b b", "b": np.ones(4, np.float32)},
            "Clip": {"inputs": "x b", "b": ONE},
            "Concat": {"inputs": "x x", "axis": 1},
        }.items()
    },
    ("Relu", "input"): lambda: alone("Relu", LONG),
    **{
        (operator, "flattened plane"): lambda operator=operator, more=more: flattened(operator, **more)
        for operator, more in {
            "Conv": {"inputs": "g w", "w": floats(4, 16, 1, 1)},
            "MaxPool": {"kernel_shape": (1, 1)},
            "AveragePool": {"kernel_shape": (1, 1)},
            "GlobalAveragePool": {},
            "GlobalMaxPool": {},
            "ReduceMean": {"axes": [2, 3]},
            "Pad": {"inputs": "g p", "p": np.zeros(8, int)},
        }.items()
    },
    **{
        (operator, "output"): lambda operator=operator: model(
            [node("Relu", "x", "r"), node(operator, "r", "v"), node("Clip", "v", "y")], VECTOR
        )
        for operator in ("Softmax", "LogSoftmax")
    },
    ("ArgMax", "output"): lambda: model(
        [node("Relu", "x", "r"), node("ArgMax", "r", "v", axis=1), node("Clip", "v", "y")], VECTOR
    ),
    ("TopK", "output"): lambda: model(
        [node("Relu", "x", "r"), node("TopK", "r k", "v i"), node("Clip", "v", "y")], VECTOR, k=np.array([2])
    ),
}

# Nothing that is supported makes a tensor of one dimension.
UNREACHED = [("Conv", "bias"), ("BatchNormalization", "scale, B, mean, var")]


def conditions():
    return [
        (operator, condition.subject, condition.expected)
        for operator, rule in RULES.items()
        for condition in rule.conditions
    ]


def test_every_condition_has_a_case():
    assert sorted(CASES) == sorted((operator, subject) for operator, subject, _ in conditions())


@pytest.mark.parametrize("operator,subject,expected", conditions())
def test_a_condition_refuses_what_it_says(operator, subject, expected):
    problem = rf"^{operator.lower()}: {operator}: {re.escape(subject)} = .+, supported: {re.escape(expected)}$"
    case = CASES[operator, subject]()
    with pytest.raises(ValueError, match=problem):
        if (operator, subject) in UNREACHED:
            graph = read(case)
            check(Use(graph.operations[-1], graph, dict.fromkeys(graph.shapes, (4, 1, 1))))
        else:
            bring(case)


def test_operator_that_has_no_rule():
    with pytest.raises(ValueError, match=r"^elu: operator Elu is not supported, supported are Add, ArgMax, .*Conv, "):
        bring(alone("Elu", PLANE))


def test_the_documentation_lists_the_rules():
    assert table() in (ROOT / "docs" / "onnx.md").read_text()
