# SPDX-License-Identifier: Apache-2.0
"""Scales of a network's tensors: those of the file where the core can keep them, else chosen from calibration."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from models.importer.float_network import FloatNetwork, Floats, Quant, Step
from models.importer.runtime import Session, Tensors
from models.scales import least_error_step

METHODS = ("error", "percentile")
_PERCENTILE = 99.99
_SAMPLE = 200_000  # values of a tensor that its scale is chosen from
_AT_ONCE = 8  # images


@dataclass(frozen=True)
class Range:
    """scale: value of a step; unsigned: uint8, else int8; most: the largest integer (127 beside int8 in one
    concatenation)."""

    scale: float
    unsigned: bool
    most: int

    @property
    def limits(self) -> tuple[int, int]:
        """Least and largest integer."""
        return (0 if self.unsigned else -128), self.most


def one_scale(network: FloatNetwork) -> FloatNetwork:
    """The network with what a concatenation takes in one scale: where the file's differ, the parts are made in that of
    the result, or copied."""
    steps: dict[str, Step] = {}
    readers: dict[str, int] = {}
    for step in network.steps:
        for name in step.all_reads:
            readers[name] = readers.get(name, 0) + step.reads.count(name) + (step.residual == name)
    for step in network.steps:
        if step.kind == "concat":
            step = _with_parts(step, steps, readers, network)
        steps[step.output] = step
    return network.with_steps(steps.values())


def _with_parts(step: Step, steps: dict[str, Step], readers: dict[str, int], network: FloatNetwork) -> Step:
    usable = step.quant if step.quant is not None and step.quant.unsigned is not None else None
    parts = [steps[name].quant if name in steps else network.quants[name] for name in step.reads]
    if usable is None and len(set(parts)) == 1:
        return step  # one scale, or none has one
    reads = []
    for name, quant in zip(step.reads, parts, strict=True):
        part = steps.get(name)
        if quant == usable:
            reads.append(name)
        elif part is not None and part.kind in ("conv", "mean_pool") and readers[name] == 1:
            low, high = quant.range if quant is not None else (-np.inf, np.inf)
            steps[name] = replace(part, quant=usable, low=max(part.low, low), high=min(part.high, high))
            reads.append(name)
        else:
            copy = f"{name}/for/{step.output}"
            shape = network.shapes[name]
            steps[copy] = Step(f"{step.name}/{name}", "mean_pool", (name,), copy, shape, quant=usable)
            reads.append(copy)
    return replace(step, reads=tuple(reads))


def record(network: FloatNetwork, values: Tensors) -> dict[str, Floats]:
    """Samples of all tensors, their extremes among them, from float values (N, C, H, W) of those that are given."""
    names = [step.output for step in network.steps if step.kind in ("conv", "mean_pool")]
    session, rng = Session(network.model(names)), np.random.default_rng(0)
    count = len(next(iter(values.values())))
    share = max(1, _SAMPLE * _AT_ONCE // count)
    found: dict[str, list[Floats]] = {name: [] for name in [*values, *names]}
    for first in range(0, count, _AT_ONCE):
        some = {name: array[first : first + _AT_ONCE] for name, array in values.items()}
        for name, tensor in (some | session.run({given.feed: some[given.tensor] for given in network.inputs})).items():
            flat = tensor.reshape(-1).astype(np.float64)
            chosen = flat if flat.size <= share else rng.choice(flat, share)
            found[name] += [chosen, np.array([flat.min(), flat.max()])]
    return {name: np.concatenate(parts) for name, parts in found.items()}


def _step_of(values: Floats, levels: int, method: str) -> float:
    if method == "error":
        return least_error_step(values, levels)
    largest = float(np.percentile(np.abs(values), _PERCENTILE)) or float(np.abs(values).max())
    return largest / levels if largest else 1.0


def _families(network: FloatNetwork) -> dict[str, str]:
    """For each tensor the one that stands for all that have to have its scale: a max pool's two, a concatenation's."""
    parent: dict[str, str] = {given.tensor: given.tensor for given in network.inputs}

    def find(name: str) -> str:
        while parent[name] != name:
            name = parent[name]
        return name

    for step in network.steps:
        parent[step.output] = step.output
        if step.kind in ("max_pool", "concat"):
            for name in step.reads:
                parent[find(name)] = find(step.output)
    return {name: find(name) for name in parent}


def unsigned(network: FloatNetwork, lowest: dict[str, float]) -> dict[str, bool]:
    """Whether a tensor has no negative values; lowest: the least of those that are given."""
    found = {
        given.tensor: (lowest[given.tensor] if given.quant is None else given.quant.range[0]) >= 0
        for given in network.inputs
    }
    for step in network.steps:
        clamped = step.low >= 0 or (step.quant is not None and step.quant.range[0] >= 0)
        found[step.output] = clamped or (step.kind != "conv" and all(found[name] for name in step.all_reads))
    return found


def choose(network: FloatNetwork, samples: dict[str, Floats], method: str) -> dict[str, Range]:
    """The range of every tensor, of inputs too; method: one of METHODS, for those that the file has none for."""
    inputs = [given.tensor for given in network.inputs]
    positive = unsigned(network, {name: float(samples[name].min()) for name in inputs})
    families, quants = _families(network), network.quants
    ranges: dict[str, Range] = {}
    for head in dict.fromkeys(families.values()):
        members = [name for name, other in families.items() if other == head]
        all_positive = all(positive[name] for name in members)
        levels = 255 if all_positive else 127
        fixed = _of_file([quants[name] for name in members], all_positive)
        if fixed is not None:
            scale = fixed
        else:
            values = np.concatenate([samples[name] for name in members if name in samples])
            grid = head in inputs and levels == 255 and _is_image(values)
            scale = 1 / 255 if grid else _step_of(values, levels, method)
        for name in members:
            ranges[name] = Range(scale, positive[name], levels)
    return ranges


def _of_file(quants: Iterable[Quant | None], all_positive: bool) -> float | None:
    """The one scale that a file gives tensors, if the core can keep it."""
    found = {(quant.scale, quant.unsigned) for quant in quants if quant is not None}
    if len(found) != 1:
        return None
    ((scale, kind),) = found
    # Bytes without a sign that hold negative numbers nowhere: 0..255, else up to 127.
    return scale if kind is not None and (not kind or all_positive) else None


def _is_image(values: Floats) -> bool:
    """Whether values are bytes over 255."""
    steps = values * 255
    return bool(values.max() <= 1 and np.abs(steps - np.rint(steps)).max() < 1e-3)


def needs_calibration(network: FloatNetwork) -> str | None:
    """What has no scale of the file that the core can keep, None if everything has."""
    given = [(given.tensor, given.quant) for given in network.inputs]
    given += [(s.output, s.quant) for s in network.steps if s.kind in ("conv", "mean_pool")]
    for name, quant in given:
        if quant is None:
            return f"{name}: no scale"
        if quant.unsigned is None:
            return f"{name}: zero point {quant.zero} of {'uint8' if quant.low >= 0 else 'int8'}"
    return None
