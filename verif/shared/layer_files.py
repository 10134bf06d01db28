# SPDX-License-Identifier: Apache-2.0
"""Layers on their way from a command to the simulation, and what comes back."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from models.config import Config
from models.descriptor import Descriptor
from models.layer import Layer
from models.tiling import Plan

DIRECTORY = "SPARSECORE_LAYERS"  # environment: where a simulation finds its layers
INPUT = "layer{}.npz"
PLANS = "plans.json"
OUTPUT = "result{}.npz"
PROGRESS = "progress.json"
LOADING, COMPUTING, SENDING = "loading", "computing", "sending results"  # phases of a layer
SAMPLE_CYCLES = 64
BEATS_PER_LINE = 9  # at most: the bitmap and 64 bytes by eights


def save_layers(directory: Path, layers: list[tuple[Layer, Plan]]) -> None:
    """Write layers and their plans where `load_layers` finds them."""
    directory.mkdir(parents=True, exist_ok=True)
    for number, (layer, _) in enumerate(layers):
        layer.save(directory / INPUT.format(number))
    (directory / PLANS).write_text(json.dumps([asdict(plan) for _, plan in layers]))


def load_layers(directory: Path) -> list[tuple[Layer, Plan]]:
    """Read what `save_layers` wrote: nothing is planned again."""
    found = []
    for number, values in enumerate(json.loads((directory / PLANS).read_text())):
        config, descriptor = Config(**values.pop("config")), Descriptor(**values.pop("descriptor"))
        found.append((Layer.load(directory / INPUT.format(number)), Plan(config, descriptor, **values)))
    return found


def beats(plan: Plan) -> int:
    """Beats of a layer's streams, at most: weights, parameters, input and output lines."""
    d = plan.descriptor
    return d.vectors + d.out_k + BEATS_PER_LINE * (d.in_entries + d.out_entries)


@dataclass(frozen=True)
class Progress:
    """How far a simulation is: number of the layer, what it does since so many cycles; cycles simulated a second."""

    layer: int
    phase: str
    cycles: int
    speed: float

    def write(self, file: Path) -> None:
        """Replace the file at once: who reads it meanwhile finds it whole."""
        new = file.with_suffix(".new")
        new.write_text(json.dumps(asdict(self)))
        os.replace(new, file)

    @classmethod
    def read(cls, file: Path) -> Progress | None:
        """What was written last; None before."""
        try:
            return cls(**json.loads(file.read_text()))
        except FileNotFoundError:
            return None
