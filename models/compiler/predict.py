# SPDX-License-Identifier: Apache-2.0
"""The cycle model's cycles of a program's layers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from models import cycle_model, work
from models.config import Config
from models.program import LayerStep, Program
from models.reference import Bytes
from models.tiling import Plan
from models.work import Counts, Work

_Key = TypeVar("_Key")
_MANY_PASSES = 100_000  # a second or two: worth further processes


def _predict(job: tuple[Plan, Work]) -> int:
    return cycle_model.predict(*job).cycles


def predict_all(plans: Mapping[_Key, tuple[Plan, Work]]) -> dict[_Key, int]:
    """The cycle model's cycles of planned layers, on all processors."""
    longest = sorted(plans, key=lambda key: -plans[key][0].descriptor.passes)
    if sum(plan.descriptor.passes for plan, _ in plans.values()) < _MANY_PASSES:
        return {key: _predict(plans[key]) for key in longest}
    with ProcessPoolExecutor(min(len(longest), os.cpu_count() or 1)) as pool:
        return dict(zip(longest, pool.map(_predict, [plans[key] for key in longest]), strict=True))


@dataclass(frozen=True)
class _Tensors:
    """What a layer reads. Its weights do not matter for the cycles."""

    activations: Bytes
    residual: Bytes | None
    weight_counts: Counts


def _measured(program: Program, config: Config, step: LayerStep, tensors: dict[str, Bytes]) -> tuple[Plan, Work]:
    d, image = step.descriptor, step.part.image
    residual = None if step.residual is None else step.residual.cut(tensors[step.residual.tensor][image])
    source = step.source.cut(tensors[step.source.tensor][image])
    read = _Tensors(source, residual, np.zeros((d.in_c, d.taps), np.int64))
    words = int(step.part.lines(tensors[step.part.tensor][image]).words.sum())
    return Plan(config, d, 0, 0, 0, words), work.measure(d, read)


def actual_cycles(program: Program, config: Config, iteration: int = 0) -> list[int]:
    """Predicted cycles of each layer step of an iteration, on the tensors that its images bring."""
    tensors = program.tensors(iteration)
    plans = {number: _measured(program, config, step, tensors) for number, step in enumerate(program.layers)}
    cycles = predict_all(plans)
    return [cycles[number] for number in range(len(program.layers))]
