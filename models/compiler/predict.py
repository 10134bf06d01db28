# SPDX-License-Identifier: Apache-2.0
"""What the cycle model says of the layers of a program, on what runs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models import cycle_model, work
from models.config import Config
from models.cycle_model import Cycles
from models.network import Node
from models.program import LayerStep, Program
from models.reference import Bytes
from models.tiling import Plan
from models.work import Counts, Work


@dataclass(frozen=True)
class _Tensors:
    """What a layer reads. Its weights matter for the products alone."""

    activations: Bytes
    residual: Bytes | None
    weight_counts: Counts


def _weight_counts(node: Node, step: LayerStep) -> Counts:
    """Non-zero weights of a step's input channels and taps over its outputs, int64 (C, R*S); 1 where it has none."""
    inputs, outputs = step.source, step.part
    if node.op != "conv":
        return np.ones((inputs.last - inputs.first, step.descriptor.taps), np.int64)
    k, group_c, *_ = node.kernels.shape
    own = np.zeros((k, group_c, step.descriptor.taps), np.int64)
    own[outputs.first : outputs.last] = node.kernels.reshape(own.shape)[outputs.first : outputs.last] != 0
    counts: Counts = own.reshape(node.groups, k // node.groups, *own.shape[1:]).sum(1).reshape(-1, own.shape[-1])
    return counts[inputs.first : inputs.last]


def measured(config: Config, node: Node, step: LayerStep, tensors: dict[str, Bytes]) -> tuple[Plan, Work]:
    """A layer step's plan and its work on the tensors of an iteration."""
    d, image = step.descriptor, step.part.image
    residual = None if step.residual is None else step.residual.cut(tensors[step.residual.tensor][image])
    source = step.source.cut(tensors[step.source.tensor][image])
    read = _Tensors(source, residual, _weight_counts(node, step))
    words = 0 if d.keep_slot else int(step.part.lines(tensors[step.part.tensor][image]).words.sum())
    return Plan(config, d, 0, 0, 0, words), work.measure(d, read)


def actual(program: Program, config: Config, iteration: int = 0, image: int | None = None) -> list[Cycles]:
    """The prediction for each layer step of an iteration, or those of one image of its batch, on what its images
    bring."""
    tensors, nodes = program.tensors(iteration), {node.name: node for node in program.network.nodes}
    steps = [step for step in program.layers if image is None or step.part.image == image]
    return [cycle_model.predict(*measured(config, nodes[step.node], step, tensors)) for step in steps]
