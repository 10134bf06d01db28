# SPDX-License-Identifier: Apache-2.0
"""What the RTL did, from docs/study: written by `make figures UPDATE=1` and `make sweep UPDATE=1`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from models import work
from models.config import load_config
from models.layer import Layer
from models.lines import LineShape
from models.systems.sparsecore import counted
from models.systems.system import Result
from models.tiling import Cut, Plan, make_plan
from models.work import Work
from verif.host.benchmarks import BENCHMARKS, SWEEP, Benchmark
from verif.shared.paths import ROOT

_DIRECTORY = ROOT / "docs" / "study"


@dataclass(frozen=True)
class Measured:
    """A benchmark layer of one seed on the RTL, with its cut and the core's counters."""

    benchmark: Benchmark
    seed: int
    cut: Cut
    counters: Mapping[str, int]

    @cached_property
    def layer(self) -> Layer:
        return self.benchmark.layer(self.seed)

    @cached_property
    def plan(self) -> Plan:
        return make_plan(load_config(self.benchmark.config), self.layer, self.cut)

    @cached_property
    def work(self) -> Work:
        return work.measure(self.plan.descriptor, self.layer)

    @property
    def result(self) -> Result:
        """As the models of other systems have it."""
        counts = {name.lower(): value for name, value in self.counters.items()}
        return counted(self.layer, self.plan, self.work, counts)


@dataclass(frozen=True)
class Record:
    """A file of runs, the command that writes it, and the layers that it may have."""

    path: Path
    command: str
    layers: Sequence[Benchmark]

    def write(self, runs: Iterable[tuple[Benchmark, int, Plan, Mapping[str, int]]]) -> None:
        """Keep runs: layer, seed, plan, counters."""
        entries = [
            {
                "layer": benchmark.name,
                "config": benchmark.config,
                "seed": seed,
                "line": [plan.cut.line.line_h, plan.cut.line.line_w],
                "tile": [plan.cut.tile.line_h, plan.cut.tile.line_w],
                "splits": plan.cut.splits,
                "counters": dict(counters),
            }
            for benchmark, seed, plan, counters in runs
        ]
        lines = ",\n".join(f" {json.dumps(entry)}" for entry in entries)
        self.path.write_text(f'{{"command": "{self.command}", "runs": [\n{lines}\n]}}\n')

    def read(self) -> list[Measured]:
        """All runs of layers that there still are."""
        by_name = {benchmark.name: benchmark for benchmark in self.layers}
        return [
            Measured(
                by_name[entry["layer"]],
                entry["seed"],
                Cut(LineShape(*entry["line"]), LineShape(*entry["tile"]), entry["splits"]),
                entry["counters"],
            )
            for entry in json.loads(self.path.read_text())["runs"]
            if entry["layer"] in by_name
        ]


FIGURES = Record(_DIRECTORY / "rtl.json", "make figures UPDATE=1", BENCHMARKS)
SWEPT = Record(_DIRECTORY / "sweep.json", "make sweep UPDATE=1", SWEEP)


def mean_cycles(runs: Iterable[Measured]) -> dict[str, int]:
    """Cycles by layer, means over the seeds."""
    found: dict[str, list[int]] = {}
    for run in runs:
        found.setdefault(run.benchmark.name, []).append(run.counters["CYCLES"])
    return {name: round(float(np.mean(cycles))) for name, cycles in found.items()}
