# SPDX-License-Identifier: Apache-2.0
"""`make paper`: the paper's tables and figures beside what this project has, as one HTML file and docs/study.md."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from models.systems import tables as system_tables
from verif.host.cli.phase import phase
from verif.host.paper import page, pictures, study_tables
from verif.host.paper.study import FULL, Study, compute
from verif.shared.paths import BUILD, ROOT


def _rows(path: Path, header: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)


def write(study: Study, out: Path) -> dict[str, str]:
    """Everything into a directory: report.html, pictures as SVG, tables and raw figures as CSV. Returns the tables."""
    found, drawn = study_tables.everything(study), pictures.everything(study)
    out.mkdir(parents=True, exist_ok=True)
    text = page.filled(page.PAGE.read_text(), found)
    (out / "report.html").write_text(page.html(text, drawn))
    (out / "study.md").write_text(text)
    for name, table in found.items():
        if table.startswith("|"):
            (out / f"{name}.csv").write_text(page.as_csv(table))
    for name, svg in drawn.items():
        (out / f"{name}.svg").write_text(svg)
    rows = (system_tables.csv_row(row) for rows in study.groups.values() for row in rows)
    _rows(out / "counts.csv", system_tables.csv_header(), rows)
    return found


def paper(
    update: Annotated[bool, typer.Option(help="write docs/study.md and its pictures as well")] = False,
) -> None:
    """Compute the whole study and write build/paper/report.html with its data."""
    console, out = Console(highlight=False), BUILD / "paper"
    with phase(console, "the models on all layers") as tell:
        study = compute(FULL, tell)
    with phase(console, "writing"):
        found = write(study, out)
    if update:
        page.PAGE.write_text((out / "study.md").read_text())
        for name in pictures.PICTURES:
            (page.PICTURES / f"{name}.svg").write_text((out / f"{name}.svg").read_text())
    for name in ("closing", "asked"):
        console.print(found[name], markup=False, soft_wrap=True)
    console.print(f"{(out / 'report.html').relative_to(ROOT)}; tables, pictures and data beside it", soft_wrap=True)
