"""`make synth`: the units of a configuration as silicon, before layout."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from models.config import load_config
from verif.cli.phase import phase
from verif.core import TOP
from verif.runner.sources import sources_of
from verif.synth.flow import Flow
from verif.synth.hierarchy import elaborate
from verif.synth.library import DEFAULT_LIBERTY, Library
from verif.synth.rules import faults

PREFIX = "spcore_"


def synth(
    unit: Annotated[str, typer.Option(help="one module with what is below it, instead of all")] = "",
    config: str = "paper",
    liberty: Path = DEFAULT_LIBERTY,
    flat: Annotated[bool, typer.Option(help="the unit as one flat netlist as well")] = False,
    jobs: int = 2,
) -> None:
    """Map and time the units of a configuration; exit 1 on anything that cannot be built."""
    console = Console(highlight=False)
    library = Library(liberty)
    top = elaborate(TOP, sources_of(TOP), load_config(config).parameters())
    tops = [u for u in top.tree() if not unit or u.module.removeprefix(PREFIX) == unit.removeprefix(PREFIX)]
    if not tops:
        raise ValueError(
            f"no unit {unit} in configuration {config}, expected one of {sorted({u.module for u in top.tree()})}"
        )
    wanted = {id(u): u for t in tops for u in t.tree()}
    units = [u for u in top.tree() if id(u) in wanted]
    if flat:
        units += [t.flat() for t in tops]
    flow = Flow(library, jobs)
    with phase(console, f"{len(units)} units with {library.name}, FO4 {library.fo4_ps:.1f} ps"):
        measured = flow.measure(units, lambda text: console.print(text, soft_wrap=True))
    table = Table("unit", "kGE", "flip-flops", "arrays", "FO4", "levels", "ns", "worst path", box=None)
    for result in measured.values():
        worst = max(result.paths.values(), key=lambda path: path["fo4"], default=None)
        table.add_row(
            result.key, f"{result.area_ge / 1000:.2f}", str(result.flip_flops), str(len(result.arrays) or ""),
            *((f"{worst['fo4']:.1f}", str(worst["levels"]), f"{worst['ns']:.2f}", f"{worst['from']} -> {worst['to']}") if worst else ()),
        )  # fmt: skip
    console.print(table, soft_wrap=True)
    bad = 0
    for result in measured.values():
        for fault in faults(result):
            bad += 1
            console.print(f"FAIL {result.key}: {fault}", markup=False, soft_wrap=True)
    if bad:
        raise typer.Exit(1)
