# SPDX-License-Identifier: Apache-2.0
"""`make figures`: every layer that the project is measured on, as the tables of README and docs/performance.md."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import Annotated

import numpy as np
import typer
from rich.console import Console

from models import cycle_model
from models.config import load_config
from models.tiling import Plan
from verif.host.benchmarks import BENCHMARKS, DENSE, Benchmark, planned
from verif.host.cli.figure3 import STATE_LABELS
from verif.host.cli.judged_run import run_judged
from verif.host.cli.phase import phase
from verif.host.layers import LayerResult
from verif.host.paper import measured
from verif.host.runner.run import default_seed
from verif.shared.paths import BUILD, ROOT

SEEDS = 3  # of activations and weights; a figure is their mean
HEADER = "| layer | cycles | cycle model | ALU utilisation | over dense | asked |\n|---|---:|---:|---:|---:|---|"
SHARES_HEADER = (
    "| layer | tile, splits | cycles | busy | no weight | no activation | drain | no unit |\n"
    "|---|---|---:|---:|---:|---:|---:|---:|"
)


@dataclass(frozen=True)
class Figure:
    """A benchmark with what was measured over the seeds: means, and the model's error that is furthest from 0."""

    benchmark: Benchmark
    plan: Plan
    results: list[LayerResult]
    model_error: float

    @property
    def cycles(self) -> float:
        return float(np.mean([result.cycles for result in self.results]))

    @property
    def utilization(self) -> float:
        return float(np.mean([result.utilization for result in self.results]))

    @property
    def judged_utilization(self) -> float:
        """What `Benchmark.utilization` is about."""
        return self.utilization / (1 - self.share("NO_UNIT")) if self.benchmark.tail_apart else self.utilization

    def share(self, state: str) -> float:
        """Mean share of all PE-cycles that were in ``state``."""
        return float(
            np.mean([r.counters[state] / sum(r.counters[other] for other in STATE_LABELS) for r in self.results])
        )


def asked(benchmark: Benchmark) -> str:
    """The requirement in words."""
    parts = []
    if benchmark.utilization:
        without = " without the tail" if benchmark.tail_apart else ""
        parts.append(f"utilisation{without} >= {100 * benchmark.utilization:.0f} %")
    if benchmark.speedup:
        parts.append(f">= {benchmark.speedup}x")
    if benchmark.cycles:
        parts.append(f"<= {benchmark.cycles:,} cycles")
    return ", ".join(parts)


def reaches(figure: Figure, dense: float | None) -> bool:
    """Whether the measured figures are what is asked."""
    benchmark = figure.benchmark
    return (
        (benchmark.utilization is None or figure.judged_utilization >= benchmark.utilization)
        and (benchmark.speedup is None or (dense is not None and dense / figure.cycles >= benchmark.speedup))
        and (benchmark.cycles is None or figure.cycles <= benchmark.cycles)
    )


def meets(figure: Figure, dense: float | None) -> bool:
    """Whether, besides, the cycle model is within its bounds."""
    return reaches(figure, dense) and abs(figure.model_error) <= cycle_model.bound(figure.cycles)


def _name(benchmark: Benchmark) -> str:
    return benchmark.name + ("" if benchmark.config == "paper" else f" ({benchmark.config})")


def row(figure: Figure, dense: float | None) -> str:
    """One line of the table; ``dense``: cycles of the same layer in dense mode."""
    benchmark = figure.benchmark
    speed = f"{dense / figure.cycles:.2f}x" if dense and benchmark is not DENSE else ""
    verdict = asked(benchmark)
    if not meets(figure, dense):
        verdict += " (cycle model missed)" if reaches(figure, dense) else " (missed)"
    if benchmark.tail_apart:
        verdict += f": {100 * figure.judged_utilization:.1f} %"
    return (
        f"| {_name(benchmark)} | {figure.cycles:,.0f} | {100 * figure.model_error:+.1f} % "
        f"| {100 * figure.utilization:.1f} % | {speed} | {verdict} |"
    )


def shares_row(figure: Figure) -> str:
    """One line of the table of what PE-cycles went into."""
    tile, splits = figure.plan.cut.tile, figure.plan.cut.splits
    shares = " | ".join(f"{100 * figure.share(state):.1f}" for state in STATE_LABELS)
    return f"| {_name(figure.benchmark)} | {tile.line_h}x{tile.line_w}, {splits} | {figure.cycles:,.0f} | {shares} |"


def figures(
    update: Annotated[bool, typer.Option(help="keep the core's counters in docs/study/rtl.json")] = False,
) -> None:
    """Run all benchmark layers, check every output, print the tables and write them to build/figures/table.md."""
    console, seed = Console(highlight=False), default_seed()
    found: list[Figure] = []
    for config, group in groupby(BENCHMARKS, key=lambda benchmark: benchmark.config):
        rows, configuration = list(group), load_config(config)
        with phase(console, f"planning {len(rows)} layers"):
            layers_of = {benchmark: planned(configuration, benchmark, seed, SEEDS) for benchmark in rows}
        layers = {f"{one.name} {n}": layer for one, own in layers_of.items() for n, layer in enumerate(own)}
        directory = BUILD / "figures" / config
        judged = iter(run_judged(console, config, layers, directory, f"make figures SEED={seed}"))
        for benchmark, of_benchmark in layers_of.items():
            own = [next(judged) for _ in of_benchmark]
            error = max((one.error for one in own), key=abs)
            found.append(Figure(benchmark, own[0].plan, [one.core for one in own], error))
    if update:
        measured.FIGURES.write(
            (figure.benchmark, seed + number, figure.plan, result.counters)
            for figure in found
            for number, result in enumerate(figure.results)
        )
    dense = next(figure.cycles for figure in found if figure.benchmark is DENSE)
    same = [
        dense if (f.benchmark.shape, f.benchmark.out_channels) == (DENSE.shape, DENSE.out_channels) else None
        for f in found
    ]
    lines = [HEADER, *map(row, found, same), "", SHARES_HEADER, *map(shares_row, found)]
    path = BUILD / "figures" / "table.md"
    path.write_text("\n".join([*lines, ""]))
    console.print("\n".join(lines), markup=False, soft_wrap=True)
    met = sum(map(meets, found, same))
    console.print(f"{met} of {len(found)} layers meet what is asked; {path.relative_to(ROOT)}")
    raise typer.Exit(met < len(found))
