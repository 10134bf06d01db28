# SPDX-License-Identifier: Apache-2.0
"""`make tradeoffs`: what sizes of the core cost in gates and gain in cycles, one size at a time.

Gates are those of synthesis, cycles those of the cycle model, with each layer cut anew for each variant: to build and
simulate them all would take hours. `make figures` says how far the model is off on these layers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from rich.console import Console

from models.config import load_config
from verif.host.benchmarks import BENCHMARKS, Benchmark, calibrated
from verif.host.cli.phase import phase
from verif.host.core import TOP
from verif.host.runner.run import default_seed
from verif.host.runner.sources import sources_of
from verif.host.synth.flow import Flow
from verif.host.synth.hierarchy import elaborate
from verif.host.synth.library import DEFAULT_LIBERTY, Library
from verif.host.synth.report import core_ge
from verif.shared.paths import BUILD, ROOT

BASE = "paper"
VARIANTS = (
    "RegionPos=256",
    "NumRegions=2",
    "NumRegions=3",
    "WgtQueueDepth=4",
    "WgtQueueDepth=8",
    "NumSp=1",
    "NumSp=4",
    "SpLanes=16",
    "NumStage=3",
    "NumStage=4",
    "WgtBanks=16,WgtDepth=1365",
    "ActBanks=8,ActDepth=24576",
    "IdxBanks=16,IdxDepth=3072",
)
# Those that take long and depend on little but the PEs' multipliers are left out.
MEASURED = tuple(b for b in BENCHMARKS if b.config == BASE and b.mask != "full")


@dataclass(frozen=True)
class Variant:
    """A configuration with its area in GE, all but the banks of the large memories, and each layer's cycles by name."""

    name: str
    area: float
    cycles: Mapping[str, int]


def row(variant: Variant, base: Variant) -> str:
    """A line of the table: area and cycles, and what changed in percent against the base."""
    ratios = {name: cycles / base.cycles[name] for name, cycles in variant.cycles.items()}
    groups = [[r for name, r in ratios.items() if ("1x1" in name) == small] for small in (False, True)]
    worst = max(ratios, key=ratios.__getitem__)
    means = " | ".join(f"{100 * (float(np.exp(np.mean(np.log(group)))) - 1):+.1f} %" for group in groups)
    return (
        f"| {variant.name} | {variant.area / 1000:,.0f} | {100 * (variant.area / base.area - 1):+.1f} % | {means} "
        f"| {100 * (ratios[worst] - 1):+.1f} %: {worst} |"
    )


HEADER = "| sizes | kGE | against paper | cycles, 3x3 | cycles, 1x1 | most |\n|---|---:|---:|---:|---:|---|"


def measure(name: str, layers: tuple[Benchmark, ...], console: Console) -> Variant:
    """Synthesise a configuration and predict the layers on it, each cut for it."""
    configuration, seed = load_config(name), default_seed()
    top = elaborate(TOP, sources_of(TOP), configuration.parameters())
    with phase(console, f"area of {name}"):
        area = core_ge(top, Flow(Library(DEFAULT_LIBERTY)).measure(top.tree()))
    with phase(console, f"planning {len(layers)} layers on {name}"):
        plans = [calibrated(configuration, benchmark, seed) for benchmark in layers]
    return Variant(name, area, {b.name: plan.predicted or 0 for b, plan in zip(layers, plans, strict=True)})


def tradeoffs() -> None:
    """Measure all variants, print the table and write it to build/tradeoffs/table.md."""
    console = Console(highlight=False)
    base = measure(BASE, MEASURED, console)
    lines = [HEADER, row(base, base)]
    table = BUILD / "tradeoffs" / "table.md"
    table.parent.mkdir(parents=True, exist_ok=True)
    for change in VARIANTS:
        variant = measure(f"{BASE},{change}", MEASURED, console)
        lines.append(row(variant, base))
        console.print(lines[-1], markup=False, soft_wrap=True)
        table.write_text("\n".join([*lines, ""]))
    console.print("\n".join(lines), markup=False, soft_wrap=True)
    console.print(f"cycles of the cycle model; {table.relative_to(ROOT)}")
