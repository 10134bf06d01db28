# SPDX-License-Identifier: Apache-2.0
"""Layers on their way from a command to the simulation, and names of what comes back."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from models.config import Config
from models.descriptor import Descriptor
from models.layer import Layer
from models.tiling import Plan

DIRECTORY = "SPARSECORE_LAYERS"  # environment: where a simulation finds its layers
INPUT = "layer{}.npz"
PLANS = "plans.json"
OUTPUT = "result{}.npz"
SAMPLE_CYCLES = 64


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
