# SPDX-License-Identifier: Apache-2.0
"""`make network`: the convolutions of a quantised network on the simulated core, with its example's activations."""

from __future__ import annotations

import shlex

import numpy as np
from rich.console import Console

from models.config import Config, load_config
from models.layer import Layer
from models.network import Network
from models.planner import choose_plan
from models.tiling import Plan
from verif.host.cli.phase import phase
from verif.host.core import build_core
from verif.host.layers import run_layers
from verif.host.runner.build import check_simulator
from verif.host.runner.run import default_seed
from verif.shared.paths import BUILD

HEADER = "| layer | input | weights | k/m | density | cycles | ALU utilisation |\n|---|---|---|---|---:|---:|---:|"


def _planned(configuration: Config, name: str, layer: Layer) -> Plan:
    try:
        return choose_plan(configuration, layer)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def network(npz: str, config: str = "paper", sim: str = "verilator") -> None:
    """Run the convolutions of the network in NPZ on CONFIG one after another, check every output, print a table."""
    console = Console(highlight=False)
    if not npz:
        raise ValueError("NPZ is empty, expected a network: make network NPZ=models/checkpoints/name.npz")
    configuration, layers = load_config(config), Network.load(npz).layers()
    check_simulator(sim)
    with phase(console, f"planning {len(layers)} layers"):
        planned = [(layer, _planned(configuration, name, layer)) for name, layer in layers.items()]
    with phase(console, f"building {config} with {sim}"):
        design = build_core(config, sim)
    again = ["make", "network", f"NPZ={npz}", f"CONFIG={config}", f"SIM={sim}", f"SEED={default_seed()}"]
    with phase(console, f"simulating {len(layers)} layers on {config} with {sim}") as tell:
        directory = BUILD / "network" / f"{config}-{sim}"
        results = run_layers(design, config, planned, directory, shlex.join(again), tell)
    lines = [HEADER]
    for (name, layer), result in zip(layers.items(), results, strict=True):
        shape, weights = ("x".join(map(str, array.shape)) for array in (layer.activations, layer.weights))
        density = np.count_nonzero(layer.activations) / layer.activations.size
        lines.append(
            f"| {name} | {shape} | {weights} | {layer.k}/{layer.m} | {density:.2f} | {result.cycles:,} "
            f"| {100 * result.utilization:.1f} % |"
        )
    console.print("\n".join(lines), markup=False, soft_wrap=True)
    console.print(f"all {len(layers)} layers equal the integer network; {sum(r.cycles for r in results):,} cycles")
