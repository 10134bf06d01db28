# SPDX-License-Identifier: Apache-2.0
"""`make cyclemodel`: the cycle model against the core, on layers drawn from networks' shapes, on six configurations."""

from __future__ import annotations

import typer
from rich.console import Console

from models.config import load_config
from verif.host.cli.phase import phase
from verif.host.core import build_core
from verif.host.drawn_layers import drawn_layers
from verif.host.layers import run_layers
from verif.host.model_errors import CONFIGS, judge, summary, table
from verif.host.runner.run import default_seed
from verif.shared.paths import BUILD, ROOT


def cyclemodel() -> None:
    """Run drawn layers, check every output, and compare their cycles with the predicted ones."""
    console, seed = Console(highlight=False), default_seed()
    directory, found = BUILD / "cycle_model", {}
    for name in CONFIGS:
        with phase(console, f"planning for {name}"):
            layers = drawn_layers(load_config(name), seed)
        with phase(console, f"building {name}"):
            design = build_core(name)
        with phase(console, f"simulating {len(layers)} layers on {name}") as tell:
            results = run_layers(
                design, name, list(layers.values()), directory / name, f"make cyclemodel SEED={seed}", tell
            )
        found[name] = judge(layers, results)
        (directory / f"{name}.md").write_text(table(found[name]) + "\n")
    console.print(summary({name: [(one.core.cycles, one.model.cycles) for one in found[name]] for name in found}))
    misses = [str(one) for judged in found.values() for one in judged if one.missed]
    console.print(*misses, f"all layers: {directory.relative_to(ROOT)}", sep="\n", markup=False, soft_wrap=True)
    raise typer.Exit(bool(misses))
