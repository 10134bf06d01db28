"""`make figures`: every layer that the project is measured on, as the table of the README."""

from __future__ import annotations

from itertools import groupby

import typer
from rich.console import Console

from models import cycle_model, work
from models.config import load_config
from models.cycle_model import LONG, LONG_ERROR
from models.planner import plan
from verif.cli.phase import phase
from verif.core import build_core
from verif.layers import LayerResult, run_layers
from verif.layers.benchmarks import BENCHMARKS, DENSE, Benchmark
from verif.runner.paths import BUILD, ROOT
from verif.runner.run import default_seed

HEADER = "| layer | cycles | cycle model | ALU utilisation | over dense | asked |\n|---|---:|---:|---:|---:|---|"


def asked(benchmark: Benchmark) -> str:
    """The requirement in words."""
    parts = []
    if benchmark.utilization:
        parts.append(f"utilisation >= {100 * benchmark.utilization:.0f} %")
    if benchmark.speedup:
        parts.append(f">= {benchmark.speedup}x")
    if benchmark.cycles:
        parts.append(f"<= {benchmark.cycles:,} cycles")
    return ", ".join(parts)


def meets(benchmark: Benchmark, result: LayerResult, predicted: int, dense: int | None) -> bool:
    """Whether the measured figures are what is asked, and long layers what the cycle model says."""
    return (
        (result.cycles <= LONG or abs(predicted / result.cycles - 1) <= LONG_ERROR)
        and (benchmark.utilization is None or result.utilization >= benchmark.utilization)
        and (benchmark.speedup is None or dense / result.cycles >= benchmark.speedup)
        and (benchmark.cycles is None or result.cycles <= benchmark.cycles)
    )


def row(benchmark: Benchmark, result: LayerResult, predicted: int, dense: int | None) -> str:
    """One line of the table; ``dense``: cycles of the same layer in dense mode."""
    speed = f"{dense / result.cycles:.2f}x" if dense and benchmark is not DENSE else ""
    note = "" if benchmark.config == "paper" else f" ({benchmark.config})"
    verdict = asked(benchmark) + ("" if meets(benchmark, result, predicted, dense) else " (missed)")
    return (
        f"| {benchmark.name}{note} | {result.cycles:,} | {100 * (predicted / result.cycles - 1):+.1f} % "
        f"| {100 * result.utilization:.1f} % | {speed} | {verdict} |"
    )


def figures() -> None:
    """Run all benchmark layers, check every output, print the table and write it to build/figures/table.md."""
    console, lines, missed, seed = Console(highlight=False), [HEADER], 0, default_seed()
    dense = None
    for config, group in groupby(BENCHMARKS, key=lambda benchmark: benchmark.config):
        rows, core = list(group), load_config(config)
        with phase(console, f"planning {len(rows)} layers"):
            layers = [(layer, plan(core, layer)) for layer in (benchmark.layer(seed) for benchmark in rows)]
            predicted = [cycle_model.predict(p, work.measure(layer, p)).cycles for layer, p in layers]
        with phase(console, f"building {config}"):
            design = build_core(config)
        with phase(console, f"simulating {len(rows)} layers on {config}"):
            results = run_layers(design, config, layers, BUILD / "figures" / config, f"make figures SEED={seed}")
        for benchmark, result, cycles in zip(rows, results, predicted, strict=True):
            if benchmark is DENSE:
                dense = result.cycles
            own = dense if benchmark.shape == DENSE.shape and benchmark.out_channels == DENSE.out_channels else None
            lines.append(row(benchmark, result, cycles, own))
            missed += not meets(benchmark, result, cycles, own)
    table = BUILD / "figures" / "table.md"
    table.write_text("\n".join([*lines, ""]))
    console.print("\n".join(lines), markup=False, soft_wrap=True)
    console.print(
        f"{len(BENCHMARKS) - missed} of {len(BENCHMARKS)} layers meet what is asked; {table.relative_to(ROOT)}"
    )
    raise typer.Exit(missed > 0)
