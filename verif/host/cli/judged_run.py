# SPDX-License-Identifier: Apache-2.0
"""Planned layers on a configuration of the core, for the commands that hold the cycle model to it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rich.console import Console

from models.layer import Layer
from models.tiling import Plan
from verif.host.cli.phase import phase
from verif.host.core import build_core
from verif.host.layers import run_layers
from verif.host.model_errors import Judged, judge


def run_judged(
    console: Console, config: str, layers: Mapping[str, tuple[Layer, Plan]], directory: Path, rerun: str
) -> list[Judged]:
    """Build the configuration, run the layers, by name, in one simulation, every output checked, and predict each.

    ``directory``, ``rerun``: as of `run_layers`.
    """
    with phase(console, f"building {config}"):
        design = build_core(config)
    with phase(console, f"simulating {len(layers)} layers on {config}") as tell:
        results = run_layers(design, config, list(layers.values()), directory, rerun, tell)
    return judge(layers, results)
