"""`make layer`: a layer from an NPZ file on the simulated core."""

from __future__ import annotations

import json
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import typer
from rich.console import Console

from models.config import load_config
from models.layer import Layer
from models.planner import plan
from verif.core import build_core
from verif.layers import run_layers
from verif.runner import SimulationFailure
from verif.runner.build import SIMULATORS
from verif.runner.paths import BUILD


def layer(npz: str, out: str, config: str = "paper", sim: str = "verilator") -> None:
    """Run the layer in NPZ on CONFIG with SIM and write output, cycles, macs, utilization and counters to OUT."""
    console, errors = Console(highlight=False), Console(stderr=True, highlight=False)
    for name, value in (("NPZ", npz), ("OUT", out)):
        if not value:
            errors.print(f"{name} is empty, expected a file: make layer NPZ=layer.npz OUT=result.npz")
            raise typer.Exit(1)
    try:
        if sim not in SIMULATORS:
            raise ValueError(f"simulator {sim!r} is unknown, expected one of {', '.join(SIMULATORS)}")
        core = load_config(config)
        found = Layer.load(npz)
        with console.status("planning the layer"):
            layers = [(found, plan(core, found))]
    except (ValueError, OSError, BadZipFile) as error:
        errors.print(f"{npz}: {getattr(error, 'strerror', None) or error}", markup=False, soft_wrap=True)
        raise typer.Exit(1) from None
    try:
        with console.status(f"building {config} with {sim}"):
            design = build_core(config, sim)
        with console.status(f"simulating on {config} with {sim}"):
            (result,) = run_layers(
                design, config, layers, BUILD / "layer" / f"{config}-{sim}",
                f"make layer NPZ={npz} OUT={out} CONFIG={config} SIM={sim}",
            )  # fmt: skip
    except (RuntimeError, SimulationFailure) as error:
        errors.print(str(error), markup=False, soft_wrap=True)
        raise typer.Exit(1) from None
    np.savez(
        Path(out), output=result.output, cycles=result.cycles, macs=result.counters["MACS"],
        utilization=result.utilization, counters=json.dumps(result.counters),
    )  # fmt: skip
    shape = "x".join(str(n) for n in result.output.shape)
    console.print(
        f"{out}: output {shape} {result.output.dtype}, {result.cycles:,} cycles, {result.counters['MACS']:,} MACs, "
        f"utilisation {100 * result.utilization:.1f} %",
        soft_wrap=True,
    )
