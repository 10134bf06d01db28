# SPDX-License-Identifier: Apache-2.0
"""`make network`: the trained network of the tree or an ONNX network in one run of the simulated core, or a network of
this project's node by node."""

from __future__ import annotations

import shlex

import numpy as np
from rich.console import Console

from models.config import Config, load_config
from models.layer import Layer
from models.network import Network
from models.planner import choose_plan
from models.tiling import Plan
from verif.host.cli.given_onnx import run_onnx
from verif.host.cli.phase import phase
from verif.host.cli.trained_network import run_trained
from verif.host.core import build_core
from verif.host.layers import LayerResult, run_layers
from verif.host.runner.build import check_simulator
from verif.host.runner.run import default_seed
from verif.shared.paths import BUILD

HEADER = (
    "| node | kind | input | output | k/m | density | cycles | ALU utilisation |\n|---|---|---|---|---|---:|---:|---:|"
)


def _planned(configuration: Config, layers: dict[str, Layer]) -> tuple[dict[str, tuple[Layer, Plan]], list[str]]:
    """The layers that the core can run, with their plans, and a line for each other one."""
    planned, refused = {}, []
    for name, layer in layers.items():
        try:
            planned[name] = layer, choose_plan(configuration, layer)
        except ValueError as error:
            refused.append(f"{name}: {error}")
    return planned, refused


def row(name: str, layer: Layer, result: LayerResult) -> str:
    """One line of the table."""
    shapes = ("x".join(map(str, shape)) for shape in (layer.activations.shape, layer.out_shape))
    density = np.count_nonzero(layer.activations) / layer.activations.size
    return (
        f"| {name} | {layer.title} | {' | '.join(shapes)} | {layer.k}/{layer.m} | {density:.2f} | {result.cycles:,} "
        f"| {100 * result.utilization:.1f} % |"
    )


def network(
    npz: str = "",
    onnx: str = "",
    inputs: str = "",
    calib: str = "",
    out: str = "",
    mode: str = "auto",
    prune: bool = False,
    batch: int = 1,
    config: str = "paper",
    sim: str = "verilator",
    check: str = "lines",
    until: str = "",
    images: int = 100,
) -> None:
    """Run the trained network of the tree on IMAGES test images, in one run of CONFIG, every line and result compared.

    Or run the network in the file ONNX on the inputs in INPUT, in one run of CONFIG, every line and result compared;
    OUT takes its outputs by name and the cycles an image, with CHECK=all every tensor. CALIB: inputs to calibrate on,
    else INPUT's; UNTIL: the node or tensor at which to stop.

    Or the nodes of the network in NPZ one after another, each on what its example brings; those that the core cannot
    run are named.
    """
    if npz and onnx:
        raise ValueError(
            f"NPZ={npz} ONNX={onnx}: expected one of them: make network ONNX=model.onnx INPUT=x.npy, or make network "
            "NPZ=models/checkpoints/name.npz"
        )
    if onnx:
        run_onnx(onnx, inputs, calib, out, mode, prune, batch, until, config, sim, check)
    elif npz:
        run_nodes(npz, config, sim)
    elif unused := [name for name, value in (("INPUT", inputs), ("CALIB", calib), ("OUT", out)) if value]:
        raise ValueError(f"{unused[0]}: expected with a network: make network ONNX=model.onnx INPUT=x.npy")
    else:
        run_trained(images, batch, config, sim, check)


def run_nodes(npz: str, config: str, sim: str) -> None:
    """Run the nodes of the network in NPZ one by one; see `network`."""
    console = Console(highlight=False)
    configuration, layers = load_config(config), Network.load(npz).layers()
    check_simulator(sim)
    with phase(console, f"planning {len(layers)} layers"):
        planned, refused = _planned(configuration, layers)
    if not planned:
        raise ValueError(f"{npz}: no node runs on {config}; {refused[0]}")
    with phase(console, f"building {config} with {sim}"):
        design = build_core(config, sim)
    again = ["make", "network", f"NPZ={npz}", f"CONFIG={config}", f"SIM={sim}", f"SEED={default_seed()}"]
    with phase(console, f"simulating {len(planned)} layers on {config} with {sim}") as tell:
        directory = BUILD / "network" / f"{config}-{sim}"
        results = run_layers(design, config, list(planned.values()), directory, shlex.join(again), tell)
    rows = [row(name, layer, result) for (name, (layer, _)), result in zip(planned.items(), results, strict=True)]
    console.print("\n".join([HEADER, *rows]), markup=False, soft_wrap=True)
    for line in refused:
        console.print(f"not run: {line}", markup=False, soft_wrap=True)
    cycles = sum(result.cycles for result in results)
    console.print(f"{len(planned)} of {len(layers)} nodes equal the integer network; {cycles:,} cycles")
