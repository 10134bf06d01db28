# SPDX-License-Identifier: Apache-2.0
"""`make sweep`: the Figure 3 layer in modes of the weights and at densities of the activations, on the RTL."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from models.config import load_config
from verif.host.benchmarks import FIGURE_3, SWEEP, planned
from verif.host.cli.judged_run import run_judged
from verif.host.cli.phase import phase
from verif.host.model_errors import table
from verif.host.paper import measured
from verif.host.runner.run import default_seed
from verif.shared.paths import BUILD, ROOT


def sweep(
    update: Annotated[bool, typer.Option(help="keep the core's counters in docs/study/sweep.json")] = False,
) -> None:
    """Run all layers of the sweep, check every output, print their cycles and write them to build/sweep/table.md."""
    console, seed, directory = Console(highlight=False), default_seed(), BUILD / "sweep"
    configuration = load_config(FIGURE_3.config)
    with phase(console, f"planning {len(SWEEP)} layers"):
        layers = {benchmark.name: planned(configuration, benchmark, seed)[0] for benchmark in SWEEP}
    found = run_judged(console, FIGURE_3.config, layers, directory / "layers", f"make sweep SEED={seed}")
    if update:
        runs = zip(SWEEP, found, strict=True)
        measured.SWEPT.write((benchmark, seed, one.plan, one.core.counters) for benchmark, one in runs)
    path = directory / "table.md"
    path.write_text(table(found) + "\n")
    console.print(
        table(found), f"gains and energy: make paper; {path.relative_to(ROOT)}", sep="\n", markup=False, soft_wrap=True
    )
    raise typer.Exit(any(one.missed for one in found))
