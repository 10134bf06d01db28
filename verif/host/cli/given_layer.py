# SPDX-License-Identifier: Apache-2.0
"""`make layer`: a layer from an NPZ file on the simulated core."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path

from rich.console import Console

from models.config import Config, load_config
from models.layer import Layer
from models.planner import choose_plan
from models.tiling import Plan
from verif.host.cli.output_file import check_target, save_arrays
from verif.host.cli.phase import phase
from verif.host.core import build_core
from verif.host.layers import run_layers
from verif.host.runner.build import check_simulator
from verif.host.runner.run import default_seed
from verif.shared.paths import BUILD


def _check_files(npz: str, out: str) -> None:
    """Raises ValueError when a name is missing or OUT cannot be written."""
    for name, value in (("NPZ", npz), ("OUT", out)):
        if not value:
            raise ValueError(f"{name} is empty, expected a file: make layer NPZ=layer.npz OUT=result.npz")
    check_target(out, "NPZ", npz)


def _planned(configuration: Config, npz: str) -> tuple[Layer, Plan]:
    """The layer in a file and its plan; raises ValueError, which names the file, when there is none."""
    try:
        found = Layer.load(npz)
        return found, choose_plan(configuration, found)
    except OSError as error:
        raise ValueError(f"{npz}: {error.strerror} (looked in {Path.cwd()})") from None
    except ValueError as error:
        raise ValueError(f"{npz}: {error}") from None


def layer(npz: str, out: str, config: str = "paper", sim: str = "verilator") -> None:
    """Run the layer in NPZ on CONFIG with SIM and write output, cycles, macs, utilization and counters to OUT."""
    console = Console(highlight=False)
    _check_files(npz, out)
    configuration = load_config(config)
    check_simulator(sim)
    with phase(console, "planning the layer"):
        planned = _planned(configuration, npz)
    with phase(console, f"building {config} with {sim}"):
        design = build_core(config, sim)
    again = ["make", "layer", f"NPZ={npz}", f"OUT={out}", f"CONFIG={config}", f"SIM={sim}", f"SEED={default_seed()}"]
    directory = BUILD / "layer" / f"{config}-{sim}"
    with phase(console, f"simulating on {config} with {sim}") as tell:
        (result,) = run_layers(design, config, [planned], directory, shlex.join(again), tell)
    arrays = {
        "output": result.output,
        "cycles": result.cycles,
        "macs": result.counters["MACS"],
        "utilization": result.utilization,
        "counters": json.dumps(result.counters),
    }
    save_arrays(arrays, out, directory / f"out-{os.getpid()}.npz")
    shape = "x".join(str(n) for n in result.output.shape)
    console.print(
        f"{out}: {planned[0].title}, output {shape} {result.output.dtype}, {result.cycles:,} cycles, "
        f"{result.counters['MACS']:,} MACs, utilisation {100 * result.utilization:.1f} %",
        markup=False,
        soft_wrap=True,
    )
