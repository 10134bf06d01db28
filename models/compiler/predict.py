# SPDX-License-Identifier: Apache-2.0
"""The cycle model's cycles of the layers of a program, on what runs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models import cycle_model, work
from models.config import Config
from models.program import LayerStep, Program
from models.reference import Bytes
from models.tiling import Plan
from models.work import Counts


@dataclass(frozen=True)
class _Tensors:
    """What a layer reads. Its weights do not matter for the cycles."""

    activations: Bytes
    residual: Bytes | None
    weight_counts: Counts


def _cycles(config: Config, step: LayerStep, tensors: dict[str, Bytes]) -> int:
    d, image = step.descriptor, step.part.image
    residual = None if step.residual is None else step.residual.cut(tensors[step.residual.tensor][image])
    source = step.source.cut(tensors[step.source.tensor][image])
    read = _Tensors(source, residual, np.zeros((d.in_c, d.taps), np.int64))
    words = int(step.part.lines(tensors[step.part.tensor][image]).words.sum())
    return cycle_model.predict(Plan(config, d, 0, 0, 0, words), work.measure(d, read)).cycles


def actual_cycles(program: Program, config: Config, iteration: int = 0) -> list[int]:
    """Predicted cycles of each layer step of an iteration, on the tensors that its images bring."""
    tensors = program.tensors(iteration)
    return [_cycles(config, step, tensors) for step in program.layers]
