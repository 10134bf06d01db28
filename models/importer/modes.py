# SPDX-License-Identifier: Apache-2.0
"""Modes of a network's convolutions: one for all, a table, or the sparsest that the weights satisfy; and pruning to
them."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np

from models import grouping, km
from models.importer.float_network import FloatNetwork, Floats, Step

AUTO = "auto"
Mode = tuple[int, int]


@dataclass(frozen=True)
class Cut:
    """What pruning took of a layer: shares of the weights that were not zero, and of the sum of their magnitudes."""

    weights: float
    magnitude: float


def parse(text: str, network: FloatNetwork) -> dict[str, Mode]:
    """Modes by the names of convolutions: ``auto``, ``2/4``, ``conv1=1/1,conv2=2/4`` or ``2/4,conv1=1/1``.

    Convolutions that are not named have the mode without a name, or none: auto. Raises ValueError for an unknown name
    or mode.
    """
    convolutions = {step.name: step for step in network.steps if step.kind == "conv"}
    every: Mode | None = None
    table: dict[str, Mode | None] = {}
    for entry in filter(None, text.split(",")):
        name, equals, value = entry.rpartition("=")
        mode = _mode(value)
        if not equals:
            every = mode
        elif name in convolutions:
            table[name] = mode
        else:
            raise ValueError(f"MODE: {name}: no such convolution, expected one of {', '.join(convolutions)}")
    modes = dict.fromkeys(convolutions, every) | table
    return {name: mode for name, mode in modes.items() if mode is not None}


def _mode(text: str) -> Mode | None:
    if text == AUTO:
        return None
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if match is None:
        raise ValueError(f"MODE: {text!r}, expected auto, a mode such as 2/4, or NAME=MODE")
    mode = int(match[1]), int(match[2])
    km.check_mode(*mode)
    return mode


def _direct(step: Step, m: int) -> bool:
    """Whether k/m holds for the weights as they are, not for those of one convolution over all groups."""
    return len(step.kernels) // step.groups % m == 0


def apply(network: FloatNetwork, modes: dict[str, Mode], prune: bool) -> tuple[FloatNetwork, dict[str, Cut]]:
    """The network with weights that satisfy the modes, and what that cut off each convolution that broke its.

    Raises ValueError, which names the node, for weights that break a mode unless they may be pruned.
    """
    steps, cuts = [], {}
    for step in network.steps:
        if step.name in modes:
            step, cut = _applied(step, *modes[step.name], prune)
            if cut is not None:
                cuts[step.name] = cut
        steps.append(step)
    return network.with_steps(steps), cuts


def _applied(step: Step, k: int, m: int, prune: bool) -> tuple[Step, Cut | None]:
    weights = step.kernels
    whole: Floats = weights if _direct(step, m) else grouping.spread(weights, step.groups)
    try:
        km.check(whole, k, m, 0, "weights")
        return step, None
    except ValueError as error:
        if not prune:
            raise ValueError(f"{step.name}: {error}; PRUNE=1 removes what breaks it") from None
    kept = km.project(whole, k, m, 0)
    kept = kept if _direct(step, m) else grouping.gather(kept, step.groups)
    before, after = np.count_nonzero(weights), np.count_nonzero(kept)
    magnitude = float(np.abs(kept).sum() / np.abs(weights).sum())
    return replace(step, weights=kept), Cut(1 - after / before, 1 - magnitude)
