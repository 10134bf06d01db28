# SPDX-License-Identifier: Apache-2.0
"""`make systems`: the paper's Table 1 on the same layers, and docs/study.md."""

from __future__ import annotations

import csv
import re
from typing import Annotated

import typer
from rich.console import Console

from models.systems import compare, networks, tables, validate
from models.systems.system import Workload
from verif.host.benchmarks import BENCHMARKS, Benchmark
from verif.host.cli.phase import phase
from verif.shared.paths import BUILD, ROOT

PAGE = ROOT / "docs" / "study.md"
BENCHMARK_LAYERS = "benchmark layers"
WEIGHTS, ACTIVATIONS = [1.0, 0.5, 0.25], [1.0, 0.8, 0.6, 0.5, 0.4, 0.2, 0.1]
FIGURE_3 = ("64x64x64, 3x3x128, 2/4, half zero",)


def as_workload(benchmark: Benchmark, seed: int = 1) -> Workload:
    """The layer's non-zeros."""
    layer = benchmark.layer(seed)
    return Workload(
        name=benchmark.name,
        activations=layer.activations != 0,
        weights=layer.weights != 0,
        stride=benchmark.stride,
        padding=benchmark.padding,
        mode=benchmark.mode,
        out_density=float((layer.expected != 0).mean()),
    )


def measured_cycles() -> dict[str, int]:
    """The RTL's cycles by layer: the README's table, which is what `make figures` printed."""
    rows = re.findall(r"^\| ([^|]+) \| ([\d,]+) \|", (ROOT / "README.md").read_text(), re.MULTILINE)
    return {name: int(cycles.replace(",", "")) for name, cycles in rows}


def marks(name: str) -> tuple[str, str]:
    """The lines of a page between which a table stands."""
    return f"<!-- {name}: by make systems UPDATE=1 -->\n", "<!-- end -->\n"


def put(text: str, name: str, table: str) -> str:
    """The page with its table ``name`` replaced. Raises ValueError when the page has no place for it."""
    begin, end = marks(name)
    if begin not in text:
        raise ValueError(f"{PAGE.name}: no line {begin.strip()}")
    before, rest = text.split(begin)
    return f"{before}{begin}\n{table}\n{end}{rest.split(end, 1)[1]}"


def systems(
    update: Annotated[bool, typer.Option(help="Write the tables into docs/study.md as well.")] = False,
) -> None:
    """Compare the accelerators of the paper's Table 1 on the same layers, by models held against their own papers."""
    console, out = Console(highlight=False), BUILD / "systems"
    out.mkdir(parents=True, exist_ok=True)
    found: dict[str, str] = {}
    with phase(console, "models against their papers"):
        found["validation"] = tables.validation(validate.checks())
    with phase(console, "columns of Table 1"):
        found["traits"] = tables.traits(compare.traits())
    groups: dict[str, list[compare.Row]] = {}
    with phase(console, "layers on every system") as tell:
        # The others have neither pools nor a way of their own for groups of few channels.
        works = [as_workload(b) for b in BENCHMARKS if b.kind == "conv" and b.groups == 1]
        groups[BENCHMARK_LAYERS] = compare.layers(BENCHMARK_LAYERS, works, tell)
        for name in networks.NAMES:
            groups[name] = compare.layers(name, compare.network(name), tell)
    found["totals"] = tables.totals(groups)
    found["layers"] = tables.by_layer(groups[BENCHMARK_LAYERS], measured_cycles())
    found["energy"] = tables.energy([row for row in groups[BENCHMARK_LAYERS] if row.work.name in FIGURE_3])
    found["losses"] = tables.losses(groups)
    with phase(console, "surfaces of densities"):
        speeds = compare.surface(WEIGHTS, ACTIVATIONS)
    found["surfaces"] = tables.surfaces(speeds, WEIGHTS, ACTIVATIONS)
    with open(out / "layers.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(tables.csv_header())
        writer.writerows(tables.csv_row(row) for rows in groups.values() for row in rows)
    with open(out / "surfaces.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["system", "weights", "activations", "over dense"])
        for name, lines in speeds.items():
            for w, line in zip(WEIGHTS, lines, strict=True):
                writer.writerows([name, w, a, round(speed, 4)] for a, speed in zip(ACTIVATIONS, line, strict=True))
    (out / "tables.md").write_text("\n".join(f"## {name}\n\n{table}" for name, table in found.items()))
    if update:
        text = PAGE.read_text()
        for name, table in found.items():
            text = put(text, name, table)
        PAGE.write_text(text)
    for name in ("validation", "traits", "totals"):
        console.print(found[name], markup=False, soft_wrap=True)
    console.print(f"all tables: {out / 'tables.md'}, data: layers.csv and surfaces.csv beside it", soft_wrap=True)
