# SPDX-License-Identifier: Apache-2.0
"""`make synth`: the units of a configuration as silicon, before layout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from models.config import load_config
from models.study import silicon
from verif.host.cli.phase import phase
from verif.host.core import TOP
from verif.host.runner.sources import sources_of
from verif.host.synth import ratchet, report
from verif.host.synth.flow import Flow
from verif.host.synth.hierarchy import Unit, elaborate
from verif.host.synth.library import DEFAULT_LIBERTY, Library
from verif.host.synth.rules import faults
from verif.shared.paths import ROOT

_PREFIX = "spcore_"


def _chosen(top: Unit, name: str) -> list[Unit]:
    """The units of a module (prefix or not) with all below them, those below first; all of them for no name."""
    found = [u for u in top.tree() if not name or u.module.removeprefix(_PREFIX) == name.removeprefix(_PREFIX)]
    wanted = {id(u) for start in found for u in start.tree()}
    return [u for u in top.tree() if id(u) in wanted]


def synth(
    unit: Annotated[
        str,
        typer.Option(help="one module and the units below it, instead of all (outside the core: default parameters)"),
    ] = "",
    config: str = "paper",
    liberty: Annotated[Path, typer.Option(help="Liberty file, also .gz")] = DEFAULT_LIBERTY,
    update: Annotated[bool, typer.Option(help="enter today's figures into the ratchet")] = False,
    jobs: Annotated[int, typer.Option(help="units at a time")] = 2,
) -> None:
    """Map and time the units of a configuration; exit 1 on anything that cannot be built or has grown."""
    console = Console(highlight=False, width=None if Console().is_terminal else 240)
    library = Library(liberty)
    top = elaborate(TOP, sources_of(TOP), load_config(config).parameters())
    units = _chosen(top, unit)
    if not units:
        top = elaborate(unit, sources_of(unit), {})
        units = top.tree()
    pes = [u for u in units if u.module == report.PE]
    with phase(console, f"{len(units)} units of {config} with {library.name}"):
        measured = Flow(library, jobs).measure(units, lambda text: console.print(text, soft_wrap=True))
    console.print(report.units_table(top, measured))
    names = report.labels(top)
    named = {names[key]: result for key, result in measured.items()}
    found = [f"{label}: {fault}" for label, result in named.items() for fault in faults(result)]
    for pe in pes:
        budget = report.pe_budget(pe, measured)
        console.print(f"{names[pe.key]}: {budget}")
        if config == "paper" and budget.too_large:
            found.append(f"{names[pe.key]}: {budget}")
    key = f"{config} {library.name}"
    now = ratchet.figures(named)
    if update:
        ratchet.write(key, now if not unit else ratchet.read(key) | now)
    kept = ratchet.read(key)
    if kept:
        found += ratchet.grown(now, kept)
    rows = None
    if not unit:
        rows = report.table2(top, measured)
        console.print(report.table2_table(rows))
    console.print(
        f"figures before layout; 1 GE = {library.nand2.name}, {library.nand2.area:g}; "
        f"FO4 of {library.inverter.name} {library.fo4_ps:.1f} ps"
    )
    facts = {"name": library.name, "fo4_ps": round(library.fo4_ps, 1), "nand2_area": library.nand2.area}
    if update and rows and config == "paper" and liberty == DEFAULT_LIBERTY:
        kept_record = report.record("make synth UPDATE=1", facts, top, measured, rows)
        silicon.FILE.write_text(json.dumps(kept_record, indent=1) + "\n")
    for fault in found:
        console.print(f"FAIL {fault}", markup=False, soft_wrap=True)
    path = report.json_path(library.dir, f"{config}_{unit}" if unit else config)
    path.write_text(
        json.dumps(report.as_json(top, measured, found, facts) | ({"table2": rows} if rows else {}), indent=1)
    )
    console.print(f"{path.relative_to(ROOT)}: all figures; {len(found)} faults")
    if found:
        raise typer.Exit(1)
