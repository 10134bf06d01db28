# SPDX-License-Identifier: Apache-2.0
"""What is supported: one table of operators with their conditions, which the checker applies and the documentation
lists."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import onnx

from models.importer.forms import FORMS
from models.importer.onnx_graph import Graph, Operation
from models.importer.runtime import Array
from models.layer import MAX_KERNEL, MAX_PADDING, MAX_POOL, MAX_STRIDE
from models.reference import out_size

QUANTISERS = ("QuantizeLinear", "DequantizeLinear")
VIEWS = ("Identity", "Dropout", "Cast", "Flatten", "Reshape", "Squeeze", "Unsqueeze")
HOST = ("Softmax", "LogSoftmax", "ArgMax", "TopK")
_FLOATS = (np.dtype(np.float32), np.dtype(np.float64), np.dtype(np.float16))
_BYTES = (np.dtype(np.uint8), np.dtype(np.int8))


@dataclass(frozen=True)
class Window:
    """kernel as the core sees it, dilation included; padding: (top, bottom, left, right), as the output's size asks."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int]
    dilation: tuple[int, int]
    beyond: bool  # a last window reaches beyond the plane and its padding


class Use:
    """An operation in its graph, with what the conditions ask about."""

    def __init__(self, operation: Operation, graph: Graph, planes: dict[str, tuple[int, int, int]]):
        self.operation, self.graph, self.planes = operation, graph, planes

    def attribute(self, name: str, default: Any = None) -> Any:
        """An attribute, or its default."""
        return self.operation.attributes.get(name, default)

    def input(self, at: int) -> str:
        """Name of an input, "" where it is left out."""
        inputs = self.operation.inputs
        return inputs[at] if at < len(inputs) else ""

    def shape(self, at: int) -> tuple[int, ...]:
        """Shape of an input."""
        return self.graph.shapes[self.input(at)]

    @property
    def out_shape(self) -> tuple[int, ...]:
        """Shape of the first output."""
        return self.graph.shapes[self.operation.output]

    def constant(self, at: int) -> Array | None:
        """Value of an input that is constant."""
        return self.graph.constants.get(self.input(at))

    def plane(self, at: int) -> tuple[int, int, int]:
        """(C, H, W) of an input as the core has it: a flattened plane is still one."""
        return self.planes[self.input(at)]

    @property
    def tensors(self) -> list[int]:
        """The inputs that are no constants."""
        return [at for at, name in enumerate(self.operation.inputs) if name and name not in self.graph.constants]

    @cached_property
    def window(self) -> Window:
        """Of a convolution or pool on planes; axes that are not there count as 1."""
        shape, out = self.shape(0), self.out_shape
        if self.operation.operator == "Conv":
            kernel = tuple(self.shape(1)[2:])
        elif self.operation.operator.startswith("Global"):
            kernel = tuple(shape[2:])
        else:
            kernel = tuple(self.attribute("kernel_shape"))
        n = len(kernel)
        stride = tuple(self.attribute("strides") or (1,) * n)
        dilation = tuple(self.attribute("dilations") or (1,) * n)
        pads = tuple(self.attribute("pads") or (0,) * 2 * n)
        auto = self.attribute("auto_pad", "NOTSET")
        reach = [(size - 1) * step + 1 for size, step in zip(kernel, dilation, strict=True)]
        padding, beyond = [], False
        for axis in range(n):
            size = shape[2 + axis]
            before, after = pads[axis], pads[n + axis]
            if auto in ("SAME_UPPER", "SAME_LOWER"):
                whole = max((out[2 + axis] - 1) * stride[axis] + reach[axis] - size, 0)
                before = whole // 2 if auto == "SAME_UPPER" else whole - whole // 2
                after = whole - before
            elif auto == "VALID":
                before = after = 0
            needed = (out[2 + axis] - 1) * stride[axis] + reach[axis] - size - before
            beyond |= needed > after
            padding += [before, max(after, needed)]
        return Window(tuple(reach), stride, tuple(padding), dilation, beyond)


Test = Callable[[Use], object]


@dataclass(frozen=True)
class Condition:
    """subject: attribute, input or shape; expected: what is supported; wrong: what was found instead, None if all is
    well."""

    subject: str
    expected: str
    wrong: Test


@dataclass(frozen=True)
class Rule:
    """becomes: what the operator is on the core."""

    becomes: str
    conditions: tuple[Condition, ...] = ()


def _outside(values: Iterable[int], low: int, high: int) -> object:
    values = tuple(int(value) for value in values)
    return None if all(low <= value <= high for value in values) else values


def _unless(ok: bool, found: object) -> object:
    return None if ok else found


def _unequal(name: str, wanted: object) -> Test:
    def test(use: Use) -> object:
        found = use.attribute(name, wanted)
        return _unless(found == wanted, found)

    return test


def constants(*at: int) -> Test:
    """Whether inputs, where given, are constants."""

    def test(use: Use) -> object:
        bad = [use.input(n) for n in at if use.input(n) and use.constant(n) is None]
        return f"{bad[0]} (no constant)" if bad else None

    return test


def _rank(*ranks: int) -> Condition:
    names = {2: "(batch, F)", 4: "(batch, C, H, W)"}
    expected = " or ".join(names[rank] for rank in sorted(ranks, reverse=True))

    def test(use: Use) -> object:
        shape = use.shape(use.tensors[0])
        return _unless(len(shape) in ranks, f"shape {shape}")

    return Condition("input", expected, test)


def per_channel(value: Array, logical: tuple[int, ...], plane: tuple[int, int, int]) -> Array | None:
    """float64 (C,) of a constant beside a tensor of a shape, None unless it has one value for each channel."""
    try:
        whole = np.broadcast_to(np.asarray(value, np.float64), (1, *logical[1:]))
    except ValueError:
        return None
    channels = whole.reshape(plane[0], -1)
    return channels[:, 0].copy() if (channels == channels[:, :1]).all() else None


def _scale_or_shift(use: Use) -> object:
    (tensor,) = use.tensors if len(use.tensors) == 1 else (None,)
    if tensor is None:
        return "two tensors"
    value = use.constant(1 - tensor)
    assert value is not None
    return _unless(
        use.out_shape == use.shape(tensor) and per_channel(value, use.shape(tensor), use.plane(tensor)) is not None,
        f"a constant of shape {value.shape}",
    )


def _sum(use: Use) -> object:
    if len(use.tensors) == 1:
        return _scale_or_shift(use)
    planes = [use.plane(0), use.plane(1)]
    return _unless(planes[0] == planes[1] and use.shape(0) == use.shape(1), f"{planes[0]} and {planes[1]}")


def _divisor(use: Use) -> object:
    if use.constant(0) is not None:
        return f"{use.input(0)} (a constant)"
    value = use.constant(1)
    return None if value is None else _unless(bool((np.asarray(value) != 0).all()), "0")


def _bounds(use: Use) -> object:
    wrong = constants(1, 2)(use)
    if wrong is not None:
        return wrong
    low, high = bounds(use)
    return _unless(low <= high, f"{low}, {high}")


def bounds(use: Use) -> tuple[float, float]:
    """Of a Clip."""
    values = []
    for at, name, open_end in ((1, "min", -np.inf), (2, "max", np.inf)):
        constant = use.constant(at)
        value = use.attribute(name, open_end) if constant is None or not constant.size else constant
        values.append(float(np.asarray(value).reshape(())))
    return values[0], values[1]


def pads(use: Use) -> tuple[list[int], list[int]]:
    """Of a Pad, before and after each axis of its input."""
    rank = len(use.shape(0))
    values = [int(value) for value in np.asarray(use.constant(1)).reshape(-1)]
    given = use.constant(3)
    axes = range(rank) if given is None or not use.input(3) else [int(axis) % rank for axis in given.reshape(-1)]
    before, after = [0] * rank, [0] * rank
    for n, axis in enumerate(axes):
        before[axis], after[axis] = values[n], values[n + len(values) // 2]
    return before, after


def _pad_amounts(use: Use) -> object:
    wrong = constants(1, 3)(use)
    if wrong is not None:
        return wrong
    before, after = pads(use)
    ok = not before[0] and not after[0] and min(before + after) >= 0 and max(before[2:] + after[2:]) <= MAX_PADDING
    return _unless(ok, (*before, *after))


def _pad_value(use: Use) -> object:
    if not use.input(2) or use.graph.dtypes[use.input(0)] in _BYTES:  # integers: their zero point, seen by the fold
        return None
    value = use.constant(2)
    if value is None:
        return f"{use.input(2)} (no constant)"
    return _unless(not value.size or float(value.reshape(())) == 0, value)


def axes(use: Use) -> list[int]:
    """Of a reduction, Squeeze or Unsqueeze: from its attribute or its second input, counted from 0."""
    given = use.attribute("axes")
    if given is None:
        given = [] if use.constant(1) is None else np.asarray(use.constant(1)).reshape(-1)
    rank = len(use.shape(0))
    return sorted(int(axis) % rank for axis in given)


def _kept(use: Use) -> object:
    """A view that the core needs not move for: sizes 1 come and go behind the channels, or the plane is flattened."""
    before, after = use.shape(0), use.out_shape
    if use.operation.operator == "Flatten" and use.attribute("axis", 1) not in (1, 1 - len(before)):
        return f"axis {use.attribute('axis')}"
    plane = use.plane(0)
    flat = (before[0], int(np.prod(plane)))
    ok = len(after) in (2, 4) and (
        (*after, 1, 1)[:4] in ((before[0], *plane), (*flat, 1, 1)) or (len(after) == 4 and after[1:] == plane)
    )
    return _unless(ok, f"{before} to {after}")


def _per_tensor(use: Use) -> object:
    wrong = constants(1, 2)(use)
    if wrong is not None:
        return wrong
    scale = np.asarray(use.constant(1))
    return _unless(scale.size == 1, f"{scale.size} scales")


def _byte_type(use: Use) -> object:
    operator = use.operation.operator
    tensor = use.operation.output if operator == "QuantizeLinear" else use.input(0)
    dtype = use.graph.dtypes[tensor]
    return _unless(dtype in _BYTES, dtype)


def _cast(use: Use) -> object:
    before, after = use.graph.dtypes[use.input(0)], use.graph.dtypes[use.operation.output]
    leading = use.input(0) in use.graph.inputs and before in _BYTES
    return _unless((before in _FLOATS or leading) and after in _FLOATS, f"{before} to {after}")


def _at_the_end(use: Use) -> object:
    """What reads a result that is the host's has to be the host's as well."""
    for name in use.operation.outputs:
        for reader in use.graph.readers.get(name, []):
            if reader.operator not in (*HOST, *VIEWS, *QUANTISERS):
                return f"read by {reader.name} ({reader.operator})"
    return None


_WINDOWS = (
    Condition("strides", f"1 to {MAX_STRIDE}", lambda use: _outside(use.window.stride, 1, MAX_STRIDE)),
    Condition("pads", f"0 to {MAX_PADDING}", lambda use: _outside(use.window.padding, 0, MAX_PADDING)),
)
_POOL = Condition("kernel_shape", f"1 to {MAX_POOL} each way", lambda use: _outside(use.window.kernel, 1, MAX_POOL))
_PLANE = Condition("plane", f"at most {MAX_POOL}x{MAX_POOL}", lambda use: _outside(use.shape(0)[2:], 1, MAX_POOL))
_WHOLE = Condition("flattened plane", "none", lambda use: _unless(use.plane(0) == use.shape(0)[1:], use.plane(0)))
_VALUES = _rank(2, 4)
_WEIGHTS = Condition("weights", "constant", constants(1))
_FLATTENED = Condition(
    "flattened plane",
    f"at most {MAX_KERNEL}x{MAX_KERNEL}",
    lambda use: _outside(use.plane(use.tensors[0])[1:], 1, MAX_KERNEL),
)
_LINEAR = Condition(
    "channels",
    "a constant with one value, or one for each channel, beside one tensor",
    _scale_or_shift,
)
_TENSOR_SCALE = Condition("scale and zero point", "constant, one for the tensor", _per_tensor)
_TYPE = Condition("type", "uint8 or int8", _byte_type)
_VIEW = Condition("shape", "one that flattens the plane, or adds or removes sizes of 1 behind the channels", _kept)

RULES: dict[str, Rule] = {
    "Conv": Rule(
        "convolution, depthwise or in groups too",
        (
            _rank(4),
            _WHOLE,
            _WEIGHTS,
            Condition("bias", "constant", constants(2)),
            Condition(
                "kernel_shape",
                f"1 to {MAX_KERNEL} each way, dilation included",
                lambda use: _outside(use.window.kernel, 1, MAX_KERNEL),
            ),
            *_WINDOWS,
        ),
    ),
    "Gemm": Rule(
        "convolution on a 1x1 plane, or of a flattened plane's size",
        (
            Condition("transA", "0", _unequal("transA", 0)),
            _WEIGHTS,
            Condition(
                "C",
                "constant, (F,) or (1, F) or a scalar",
                lambda use: (
                    constants(2)(use)
                    or (_unless(int(np.prod((1, 1, *use.shape(2))[-2])) == 1, use.shape(2)) if use.input(2) else None)
                ),
            ),
            _FLATTENED,
        ),
    ),
    "MatMul": Rule(
        "convolution on a 1x1 plane, or of a flattened plane's size",
        (
            _rank(2),
            Condition(
                "B", "constant (F, K)", lambda use: constants(1)(use) or _unless(len(use.shape(1)) == 2, use.shape(1))
            ),
            _FLATTENED,
        ),
    ),
    "MaxPool": Rule(
        "max pool",
        (
            _rank(4),
            _WHOLE,
            _POOL,
            *_WINDOWS,
            Condition("dilations", "1", lambda use: _outside(use.window.dilation, 1, 1)),
            Condition(
                "Indices", "left out", lambda use: use.operation.outputs[1] if use.operation.outputs[1:] else None
            ),
        ),
    ),
    "AveragePool": Rule(
        "sum pool, the divisor in its scale",
        (
            _rank(4),
            _WHOLE,
            _POOL,
            *_WINDOWS,
            Condition("dilations", "1", lambda use: _outside(use.window.dilation, 1, 1)),
            Condition(
                "count_include_pad",
                f"1 where there is padding and the kernel exceeds {MAX_KERNEL}x{MAX_KERNEL}",
                lambda use: _unless(
                    use.attribute("count_include_pad") == 1
                    or not any(use.window.padding)
                    or max(use.window.kernel) <= MAX_KERNEL,
                    0,
                ),
            ),
            Condition(
                "ceil_mode",
                "windows within the plane and its padding, where this counts",
                lambda use: _unless(
                    not use.window.beyond or use.attribute("count_include_pad") != 1, use.attribute("ceil_mode")
                ),
            ),
        ),
    ),
    "GlobalAveragePool": Rule("sum pool, the divisor in its scale", (_rank(4), _WHOLE, _PLANE)),
    "GlobalMaxPool": Rule("max pool", (_rank(4), _WHOLE, _PLANE)),
    "ReduceMean": Rule(
        "sum pool, the divisor in its scale",
        (
            _rank(4),
            _WHOLE,
            Condition("axes", "2 and 3", lambda use: _unless(axes(use) == [2, 3], axes(use))),
            _PLANE,
        ),
    ),
    "Add": Rule(
        "residual of the convolution that makes one of the tensors, or a layer of its own; a constant: the bias",
        (
            _VALUES,
            Condition("operands", "tensors of one shape, or one with a constant for each channel", _sum),
        ),
    ),
    "Sub": Rule("the bias of a convolution", (_VALUES, _LINEAR)),
    "Mul": Rule("the scale of a convolution", (_VALUES, _LINEAR)),
    "Div": Rule(
        "the scale of a convolution",
        (_VALUES, _LINEAR, Condition("divisor", "a constant other than 0", _divisor)),
    ),
    "BatchNormalization": Rule(
        "scale and bias of a convolution",
        (
            _VALUES,
            Condition("scale, B, mean, var", "constant", constants(1, 2, 3, 4)),
            Condition("training_mode", "0", _unequal("training_mode", 0)),
        ),
    ),
    "Relu": Rule("clamp of a layer", (_VALUES,)),
    "Clip": Rule("clamp of a layer", (_VALUES, Condition("min, max", "constants in order", _bounds))),
    "Pad": Rule(
        "padding of the convolution behind it, else a layer of its own",
        (
            _rank(4),
            _WHOLE,
            Condition("mode", "constant", _unequal("mode", "constant")),
            Condition("pads", f"constant, 0 to {MAX_PADDING}, or any number of channels", _pad_amounts),
            Condition("constant_value", "0", _pad_value),
        ),
    ),
    "Concat": Rule(
        "nothing: the parts are placed side by side",
        (
            _VALUES,
            Condition(
                "axis", "1", lambda use: _unless(use.attribute("axis") % len(use.shape(0)) == 1, use.attribute("axis"))
            ),
            Condition(
                "inputs",
                "tensors of one plane",
                lambda use: (
                    f"{next(name for name in use.operation.inputs if name in use.graph.constants)} (a constant)"
                    if len(use.tensors) != len(use.operation.inputs)
                    else _unless(
                        len({use.plane(at)[1:] for at in use.tensors}) == 1, [use.plane(at) for at in use.tensors]
                    )
                ),
            ),
        ),
    ),
    "Identity": Rule("nothing"),
    "Dropout": Rule(
        "nothing",
        (
            Condition(
                "training_mode",
                "constant and false",
                lambda use: constants(2)(use) or _unless(use.constant(2) is None or not use.constant(2).any(), 1),  # type: ignore[union-attr]
            ),
        ),
    ),
    "Cast": Rule("nothing", (Condition("to", "a floating type, from one or from an input's bytes", _cast),)),
    **{operator: Rule("nothing", (_VIEW,)) for operator in ("Flatten", "Reshape", "Squeeze", "Unsqueeze")},
    "Transpose": Rule(
        "host, before the first layer",
        (Condition("perm", "any, before the first layer", lambda use: tuple(use.attribute("perm") or ())),),
    ),
    "QuantizeLinear": Rule("scale and clamp of a tensor", (_TENSOR_SCALE, _TYPE)),
    "DequantizeLinear": Rule("scale of a tensor", (_TENSOR_SCALE, _TYPE)),
    **{
        operator: Rule(
            "host, behind the last layer", (Condition("output", "one that the host alone reads", _at_the_end),)
        )
        for operator in HOST
    },
}


def known(node: onnx.NodeProto) -> None:
    """Raise ValueError, which names the node, for an operator that has no rule."""
    if node.domain not in ("", "ai.onnx") or node.op_type not in RULES:
        name = f"{node.domain}.{node.op_type}" if node.domain not in ("", "ai.onnx") else node.op_type
        names = ", ".join(sorted([*RULES, *(operator for _, operator in FORMS)]))
        raise ValueError(f"{node.name}: operator {name} is not supported, supported are {names}")


def check(use: Use) -> None:
    """Raise ValueError for the first condition that an operation breaks: one line with node, subject, value and what is
    supported."""
    operation = use.operation
    for condition in RULES[operation.operator].conditions:
        found = condition.wrong(use)
        if found is not None:
            raise ValueError(
                f"{operation.name}: {operation.operator}: {condition.subject} = {found}, "
                f"supported: {condition.expected}"
            )


def fits(window: Window, plane: tuple[int, int, int]) -> tuple[int, int]:
    """(Ho, Wo) of a window on a plane."""
    top, bottom, left, right = window.padding
    return (
        out_size(plane[1], window.kernel[0], window.stride[0], top, bottom),
        out_size(plane[2], window.kernel[1], window.stride[1], left, right),
    )


def table() -> str:
    """The operators as a Markdown table."""
    lines = ["| operator | on the core | supported |", "|---|---|---|"]
    for operator, rule in sorted(RULES.items()):
        conditions = "; ".join(f"{condition.subject}: {condition.expected}" for condition in rule.conditions)
        lines.append(f"| {operator} | {rule.becomes} | {conditions} |")
    for (domain, operator), form in sorted(FORMS.items()):
        name = f"{domain}.{operator}" if domain else operator
        lines.append(f"| {name} | as {form.plain}, with its scales | as {form.plain} |")
    return "\n".join(lines) + "\n"
