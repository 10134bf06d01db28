# SPDX-License-Identifier: Apache-2.0
"""`make cyclemodel`: the cycle model against the core, on layers drawn from networks' shapes, on six configurations."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from models.config import load_config
from verif.host import model_errors
from verif.host.cli.judged_run import run_judged
from verif.host.cli.phase import phase
from verif.host.drawn_layers import drawn_layers
from verif.host.model_errors import CONFIGS, Judged, summary, table
from verif.host.runner.run import default_seed
from verif.shared.paths import BUILD, ROOT


def cyclemodel(
    update: Annotated[
        bool, typer.Option(help="keep each configuration's cycles in docs/study/cycle_model.json when it has run")
    ] = False,
) -> None:
    """Run drawn layers, check every output, and compare their cycles with the predicted ones."""
    console, seed = Console(highlight=False), default_seed()
    directory, found = BUILD / "cycle_model", dict[str, list[Judged]]()
    for name in CONFIGS:
        with phase(console, f"planning for {name}"):
            layers = drawn_layers(load_config(name), seed)
        found[name] = run_judged(console, name, layers, directory / name, f"make cyclemodel SEED={seed}")
        (directory / f"{name}.md").write_text(table(found[name]) + "\n")
        if update:
            model_errors.record(name, seed, found[name])
    errors = summary({name: [(one.core.cycles, one.model.cycles) for one in found[name]] for name in found})
    misses = [str(one) for judged in found.values() for one in judged if one.missed]
    where = f"all layers: {directory.relative_to(ROOT)}"
    console.print(errors, *misses, where, sep="\n", markup=False, soft_wrap=True)
    raise typer.Exit(bool(misses))
