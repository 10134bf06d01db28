# SPDX-License-Identifier: Apache-2.0
"""From an ONNX graph to steps: what can be fused is, views and the rounding between layers disappear."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np

from models.importer import operators
from models.importer.float_network import FloatNetwork, Floats, Given, Quant, Step
from models.importer.host import Parts, Planes
from models.importer.onnx_graph import Graph, Operation
from models.importer.operators import VIEWS, Use
from models.importer.runtime import Array
from models.layer import MAX_PADDING

_KEEP_INTEGERS = (*VIEWS, "MaxPool", "Concat", "GlobalMaxPool", "Pad")


def fold(graph: Graph, parts: Parts, planes: Planes) -> tuple[FloatNetwork, dict[str, str]]:
    """The steps of a graph whose operations have been checked, and which of their tensors each end of the body is.

    Raises ValueError, which names the node.
    """
    folder = _Folder(graph, parts, planes)
    for operation in folder.operations:
        folder.take(operation)
    ends = {name: folder.tensor(name) for name in parts.ends}
    read, steps = set(ends.values()), []
    for step in reversed(folder.steps.values()):
        if step.output in read:
            read |= set(step.all_reads)
            steps.append(step)
    inputs = tuple(Given(name, start, planes[start], folder.given.get(start)) for name, start in parts.starts.items())
    outputs = tuple(name for name in dict.fromkeys(ends.values()) if name not in folder.starts)
    return FloatNetwork(inputs, tuple(reversed(steps)), outputs), ends


class _Folder:
    def __init__(self, graph: Graph, parts: Parts, planes: Planes):
        self.graph, self.parts, self.planes = graph, parts, planes
        self.same: dict[str, str] = {}  # a tensor that is another one
        self.steps: dict[str, Step] = {}  # by output
        self.starts = set(parts.starts.values())
        self.given: dict[str, Quant] = {}  # how what is given is quantised
        self.quants: dict[str, Quant] = {}  # of tensors of integers
        self.quantised: dict[tuple[str, Quant], str] = {}  # what a tensor is when quantised so
        self.operations = [operation for operation in parts.body if not self._view(operation)]
        reads = [self.tensor(name) for operation in self.operations for name in operation.inputs if name]
        self.readers = Counter([*reads, *map(self.tensor, parts.ends)])

    def tensor(self, name: str) -> str:
        """The tensor that a name stands for."""
        while name in self.same:
            name = self.same[name]
        return name

    def _view(self, operation: Operation) -> bool:
        """Whether an operation's output is its input, or the first such quantisation."""
        source = operation.inputs[0]
        if operation.operator in VIEWS:
            self.same[operation.output] = source
        elif operation.operator == "DequantizeLinear":
            quant = self._quant_of(operation, source)
            known = self.quants.get(self.tensor(source))
            if known is None and (start := self.tensor(source)) in self.starts:
                self.given[start] = self.quants[start] = known = quant
            if known is None or (known.scale, known.zero) != (quant.scale, quant.zero):
                raise ValueError(
                    f"{operation.name}: DequantizeLinear: scale = {quant.scale} and zero point {quant.zero}, "
                    "supported: those with which the tensor was quantised"
                )
            self.same[operation.output] = source
        elif operation.operator == "QuantizeLinear":
            quant = self._quant_of(operation, operation.output)
            key = self.tensor(source), quant
            if key not in self.quantised:
                self.quantised[key] = operation.output
                self.quants[operation.output] = quant
                return False
            self.same[operation.output] = self.quantised[key]
        else:
            if operation.operator in _KEEP_INTEGERS and self.tensor(source) in self.quants:
                self.quants[operation.output] = self.quants[self.tensor(source)]
            return False
        return True

    def _quant_of(self, operation: Operation, integers: str) -> Quant:
        scale = float(np.asarray(self.graph.constants[operation.inputs[1]]).reshape(()))
        zero = self.graph.constants.get(operation.inputs[2]) if len(operation.inputs) > 2 else None
        info = np.iinfo(self.graph.dtypes[integers])
        return Quant(scale, 0 if zero is None else int(np.asarray(zero).reshape(())), int(info.min), int(info.max))

    def take(self, operation: Operation) -> None:
        """Make an operation a step, or a part of one."""
        use = Use(operation, self.graph, self.planes)
        getattr(self, f"_{operation.operator.lower()}")(use)

    # Helpers

    def _alone(self, tensor: str) -> bool:
        return self.readers[tensor] == 1

    def _source(self, use: Use, at: int = 0) -> str:
        return self.tensor(use.operation.inputs[at])

    def _emit(self, step: Step) -> None:
        self.steps[step.output] = step

    def _extend(self, old: Step, new: Step) -> None:
        """A step goes on to a later tensor, and runs where that is made."""
        del self.steps[old.output]
        self.steps[new.output] = new

    def _new(self, use: Use, kind: str, *reads: str, **more: object) -> Step:
        shape = self.planes[use.operation.output]
        return Step(use.operation.name, kind, reads, use.operation.output, shape, **more)  # type: ignore[arg-type]

    # Layers

    def _conv(self, use: Use) -> None:
        weights = np.asarray(use.constant(1), np.float64)
        window, source = use.window, self._source(use)
        spread = np.zeros((*weights.shape[:2], *window.kernel))
        spread[:, :, :: window.dilation[0], :: window.dilation[1]] = weights
        padding, before = window.padding, self.steps.get(source)
        if before is not None and self._alone(source) and _pads_only(before):
            whole = tuple(a + b for a, b in zip(before.padding, padding, strict=True))
            if max(whole) <= MAX_PADDING:
                padding, source = whole, before.reads[0]  # type: ignore[assignment]
                del self.steps[before.output]
        bias = use.constant(2)
        self._emit(
            self._new(
                use,
                "conv",
                source,
                kernel=window.kernel,
                stride=window.stride,
                padding=padding,
                groups=use.attribute("group", 1),
                weights=spread,
                weight_scale=self._weight_scale(use.input(1), 0),
                bias=np.zeros(len(weights)) if bias is None else np.asarray(bias, np.float64),
            )
        )

    def _weight_scale(self, tensor: str, axis: int) -> Floats | None:
        """(K,) steps of weights that the file quantises, the output channels along an axis, where int8 holds them."""
        maker = self.graph.makers.get(tensor)
        while maker is not None and maker.op_type in ("Transpose", "Identity"):
            axis = 1 - axis if maker.op_type == "Transpose" else axis
            maker = self.graph.makers.get(maker.input[0])
        if maker is None or maker.op_type != "DequantizeLinear":
            return None
        found: list[Array | None] = [self.graph.constants.get(name) for name in maker.input]
        integers, scale, zero = (*found, None)[:3]
        if integers is None or scale is None:
            return None
        shape = [1] * integers.ndim
        if scale.size > 1:
            shape[axis] = scale.size
            given = next((attribute.i for attribute in maker.attribute if attribute.name == "axis"), 1)
            if scale.ndim > 1 or given % integers.ndim != axis or scale.size != integers.shape[axis]:
                return None
        around = integers.astype(np.int64) - (0 if zero is None else zero.astype(np.int64).reshape(shape))
        if around.min() < -128 or around.max() > 127:
            return None
        return np.broadcast_to(scale.astype(np.float64).reshape(-1), (integers.shape[axis],)).copy()

    def _dense(self, use: Use, weights: Floats, scale: Floats | None, bias: Floats) -> None:
        c, h, w = use.plane(0)
        kernels = weights.reshape(-1, c, h, w)
        more: dict[str, object] = {"kernel": (h, w), "weights": kernels, "weight_scale": scale, "bias": bias}
        self._emit(self._new(use, "conv", self._source(use), **more))

    def _gemm(self, use: Use) -> None:
        transposed = bool(use.attribute("transB", 0))
        weights = np.asarray(use.constant(1), np.float64)
        weights = weights if transposed else weights.T
        scale, alpha = self._weight_scale(use.input(1), 0 if transposed else 1), use.attribute("alpha", 1.0)
        bias = 0 if use.constant(2) is None else np.asarray(use.constant(2), np.float64) * use.attribute("beta", 1.0)
        self._dense(
            use,
            weights * alpha,
            None if scale is None else scale * abs(alpha),
            np.broadcast_to(bias, (1, len(weights)))[0].copy(),
        )

    def _matmul(self, use: Use) -> None:
        weights = np.asarray(use.constant(1), np.float64).T
        self._dense(use, weights, self._weight_scale(use.input(1), 1), np.zeros(len(weights)))

    def _pool(self, use: Use, kind: str, **more: object) -> None:
        window = use.window
        more |= {"kernel": window.kernel, "stride": window.stride, "padding": window.padding}
        self._emit(self._new(use, kind, self._source(use), **more))

    def _maxpool(self, use: Use) -> None:
        self._pool(use, "max_pool")

    def _averagepool(self, use: Use) -> None:
        counted = use.attribute("count_include_pad") == 1 or not any(use.window.padding)
        self._pool(use, "mean_pool", counted=counted)

    def _globalaveragepool(self, use: Use) -> None:
        _, h, w = use.plane(0)
        self._emit(self._new(use, "mean_pool", self._source(use), kernel=(h, w)))

    _reducemean = _globalaveragepool

    def _globalmaxpool(self, use: Use) -> None:
        _, h, w = use.plane(0)
        self._emit(self._new(use, "max_pool", self._source(use), kernel=(h, w)))

    def _concat(self, use: Use) -> None:
        self._emit(self._new(use, "concat", *map(self.tensor, use.operation.inputs)))

    def _pad(self, use: Use) -> None:
        before, after = operators.pads(use)
        padding = (before[2], after[2], before[3], after[3])
        integers = use.graph.dtypes[use.input(0)].kind in "iu"
        quant = self.quants.get(self._source(use)) if integers else None
        if quant is not None:
            given = use.constant(2)
            value = 0 if given is None or not given.size else int(np.asarray(given).reshape(()))
            if value != quant.zero:
                raise ValueError(
                    f"{use.operation.name}: Pad: constant_value = {value} of integers, supported: their zero point, "
                    f"{quant.zero}"
                )
        if not before[1] and not after[1]:
            self._emit(self._new(use, "mean_pool", self._source(use), padding=padding, quant=quant))
            return
        # Channels of zeros: a convolution that passes the others on.
        c = use.plane(0)[0]
        whole = before[1] + c + after[1]
        weights = np.eye(whole, c, -before[1])[:, :, None, None]
        self._emit(
            self._new(
                use, "conv", self._source(use), padding=padding, weights=weights, bias=np.zeros(whole), quant=quant
            )
        )

    # What becomes part of another step

    def _scaled(self, use: Use, tensor: str, scale: Floats, shift: Floats) -> None:
        """scale * tensor + shift for each channel, (C,)."""
        step = self._addend(tensor)
        if step is not None and step.kind == "conv":
            assert step.weights is not None and step.bias is not None
            steps = None
            if step.weight_scale is not None and scale.all():
                steps = step.weight_scale * np.abs(scale)
            more: dict[str, object] = {
                "output": use.operation.output,
                "weights": step.weights * scale[:, None, None, None],
                "weight_scale": steps,
                "bias": step.bias * scale + shift,
                "quant": None,
            }
            self._extend(step, replace(step, **more))  # type: ignore[arg-type]
            return
        weights = scale[:, None, None, None]
        self._emit(self._new(use, "conv", tensor, groups=len(scale), weights=weights, bias=shift))

    def _batchnormalization(self, use: Use) -> None:
        scale, shift, mean, variance = (np.asarray(use.constant(at), np.float64) for at in (1, 2, 3, 4))
        factor = scale / np.sqrt(variance + use.attribute("epsilon"))
        plane = use.plane(0)
        if plane[0] != len(factor):
            raise ValueError(
                f"{use.operation.name}: BatchNormalization: {len(factor)} features of a flattened plane {plane}, "
                "supported: one for each channel"
            )
        self._scaled(use, self._source(use), factor, shift - mean * factor)

    def _constant_beside(self, use: Use) -> tuple[str, Floats]:
        (at,) = use.tensors
        value = use.constant(1 - at)
        assert value is not None
        channels = operators.per_channel(value, use.shape(at), use.plane(at))
        assert channels is not None
        return self._source(use, at), channels

    def _mul(self, use: Use) -> None:
        tensor, value = self._constant_beside(use)
        self._scaled(use, tensor, value, np.zeros(len(value)))

    def _div(self, use: Use) -> None:
        tensor, value = self._constant_beside(use)
        self._scaled(use, tensor, 1 / value, np.zeros(len(value)))

    def _sub(self, use: Use) -> None:
        tensor, value = self._constant_beside(use)
        sign = 1.0 if use.tensors == [0] else -1.0
        self._scaled(use, tensor, np.full(len(value), sign), -sign * value)

    def _add(self, use: Use) -> None:
        if len(use.tensors) == 1:
            tensor, value = self._constant_beside(use)
            self._scaled(use, tensor, np.ones(len(value)), value)
            return
        first, second = self._source(use, 0), self._source(use, 1)
        made = list(self.steps)
        # Of two candidates the one that is made later: the other one then need not wait.
        order = sorted((first, second), key=lambda name: made.index(name) if name in made else -1, reverse=True)
        for own in order if first != second else ():
            step = self._addend(own)
            if step is not None:
                other = second if own == first else first
                self._extend(step, replace(step, output=use.operation.output, residual=other, quant=None))
                return
        self._emit(self._new(use, "mean_pool", first, residual=second))

    def _addend(self, tensor: str) -> Step | None:
        """The step of a tensor, if sums and products can still become part of it: what rounds the tensor between is
        left out."""
        step = self.steps.get(tensor)
        if (
            step is None
            or step.kind not in ("conv", "mean_pool")
            or not step.counted
            or not self._alone(tensor)
            or step.residual is not None
        ):
            return None
        clamps = np.isfinite([step.low, step.high]).any() or (step.quant is not None and step.quant.range[0] >= 0)
        return None if clamps else step

    def _bounded(self, use: Use, low: float, high: float) -> None:
        tensor = self._source(use)
        step = self.steps.get(tensor)
        if (
            step is not None
            and step.kind in ("conv", "mean_pool")
            and self._alone(tensor)
            and self._on_grid(step, low, high)
        ):
            low, high = (float(np.clip(bound, low, high)) for bound in (step.low, step.high))
            self._extend(step, replace(step, output=use.operation.output, low=low, high=high))
            return
        made = self.steps.get(tensor)
        limits = (made.low, made.high) if made is not None else (-np.inf, np.inf)
        if made is not None and made.quant is not None:
            limits = max(limits[0], made.quant.range[0]), min(limits[1], made.quant.range[1])
        if low <= limits[0] and limits[1] <= high:
            self._is(use, tensor)
        else:
            self._emit(self._new(use, "mean_pool", tensor, low=low, high=high))

    def _on_grid(self, step: Step, *bounds: float) -> bool:
        """Whether bounds are values that a step's output can have, so that rounding may come behind them."""
        quant = step.quant
        return quant is None or all(
            not quant.range[0] <= bound <= quant.range[1] or float(np.rint(bound / quant.scale)) * quant.scale == bound
            for bound in bounds
            if np.isfinite(bound)
        )

    def _is(self, use: Use, tensor: str) -> None:
        """The operation's output is a tensor that is there already."""
        self.same[use.operation.output] = tensor
        self.readers[tensor] += self.readers[use.operation.output] - 1

    def _relu(self, use: Use) -> None:
        self._bounded(use, 0.0, np.inf)

    def _clip(self, use: Use) -> None:
        self._bounded(use, *operators.bounds(use))

    def _quantizelinear(self, use: Use) -> None:
        tensor, quant = self._source(use), self.quants[use.operation.output]
        if tensor in self.starts and self.given.setdefault(tensor, quant) == quant:
            self._is(use, tensor)
            return
        step = self.steps.get(tensor)
        if step is not None and self._quant(step) == quant:
            self._is(use, tensor)
        elif step is not None and self._alone(tensor) and self._take_quant(step, quant):
            self._extend(self.steps[tensor], replace(self.steps[tensor], output=use.operation.output))
        else:
            self._emit(self._new(use, "mean_pool", tensor, quant=quant))

    def _quant(self, step: Step) -> Quant | None:
        """How the values of a step are quantised already: a max pool's are those that it reads."""
        if step.kind != "max_pool":
            return step.quant
        before = self.steps.get(step.reads[0])
        if before is None:
            return self.given.get(step.reads[0])
        return self._quant(before)

    def _take_quant(self, step: Step, quant: Quant) -> bool:
        """Have a step's values quantised, a max pool's where they are made. A rounding that is there already and that
        nobody else sees is left out."""
        if step.kind == "max_pool":
            before = self.steps.get(step.reads[0])
            return before is not None and self._alone(before.output) and self._take_quant(before, quant)
        if step.quant is not None:
            if step.kind == "concat":
                return False
            low, high = step.quant.range
            step = replace(step, low=max(step.low, low), high=min(step.high, high))
        self.steps[step.output] = replace(step, quant=quant)
        return True


def _pads_only(step: Step) -> bool:
    plain = Step(step.name, "mean_pool", step.reads, step.output, step.shape, padding=step.padding, quant=step.quant)
    return step == plain
