# SPDX-License-Identifier: Apache-2.0
"""`make bench`: the same program on the same model through pyuvm and from a bare C++ loop."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import typer
from filelock import FileLock
from rich.console import Console
from rich.table import Table

from models.config import load_config
from models.planner import choose_plan
from verif.host.benchmarks import FIGURE_3
from verif.host.cli.phase import phase
from verif.host.core import build_core, run_core
from verif.host.runner.run import default_seed
from verif.host.speed.profile import record_profile
from verif.host.speed.replay import ports_of, replay
from verif.shared.layer_files import DIRECTORY, save_layers
from verif.shared.paths import BUILD
from verif.shared.variables import MARKS_FILE, PORTS, RECORD, TRACE_FILE

REPEATS = 8
STRETCHES = {"layer": ("layer_begin", "layer_end"), "loads, layer and results": ("begin", "end")}
ASKED_RATIO = 0.8
ASKED_BUILD_S = 240

Marks = dict[str, tuple[int, float]]  # name to (cycle, seconds)


def _speed(runs: list[Marks], begin: str, end: str) -> tuple[int, float]:
    """(cycles, cycles per second of processor time) of a stretch: each piece between two marks has its best time.

    Other load only slows pieces down, and rarely the same one in all runs.
    """
    names = list(runs[0])
    names = names[names.index(begin) : names.index(end) + 1]
    seconds = sum(min(marks[b][1] - marks[a][1] for marks in runs) for a, b in pairwise(names))
    cycles = runs[0][end][0] - runs[0][begin][0]
    return cycles, cycles / seconds


def bench(
    config: str = "paper",
    update: Annotated[bool, typer.Option(help="record first which code runs often: verif/host/speed")] = False,
) -> None:
    """Cycles per second of CONFIG on the Figure 3 layer, pyuvm and C++, and their ratio; exit 1 when it is too low."""
    console, seed = Console(highlight=False), default_seed()
    if update:
        with phase(console, "recording a profile"):
            record_profile(seed, "make bench UPDATE=1")
    directory = BUILD / "bench"
    directory.mkdir(parents=True, exist_ok=True)
    with phase(console, "planning the layer"):
        layer = FIGURE_3.layer(seed)
        layers = [(layer, choose_plan(load_config(config), layer))]
    with phase(console, f"building {config}"):
        design = build_core(config)
    console.print(f"model of {config}: built in {design.seconds:.0f} s (asked: at most {ASKED_BUILD_S} s)")
    env = {PORTS: json.dumps(ports_of(design)), DIRECTORY: str(directory)}

    def run_pyuvm(name: str, extra: dict[str, str]) -> tuple[Marks, Path]:
        done = run_core(
            config,
            design,
            "verif.sim.programs.timed_layer",
            env=env | extra,
            results_dir=directory / name,
            rerun=f"make bench CONFIG={config} SEED={seed}",
        )
        return json.loads((done.path / MARKS_FILE).read_text()), done.path / TRACE_FILE

    pyuvm_runs, cpp_runs = [], []
    with FileLock(directory / ".lock"):
        save_layers(directory, layers)
        with phase(console, "recording the stimulus"):
            _, trace = run_pyuvm("record", {RECORD: "1"})
        for repeat in range(REPEATS):
            with phase(console, f"timing, {repeat + 1} of {REPEATS}"):
                pyuvm_runs.append(run_pyuvm(f"run{repeat}", {})[0])
                result = replay(design, trace)
                cpp_runs.append(result.marks)
            if result.mismatched:
                raise RuntimeError(f"{result.mismatched} output changes differ between pyuvm and C++")
    console.print(f"C++ replayed {result.cycles} cycles, all {result.matched} output changes as recorded")

    table = Table("stretch", "cycles", "pyuvm cycles/s", "C++ cycles/s", "ratio")
    for label, (begin, end) in STRETCHES.items():
        cycles, pyuvm_speed = _speed(pyuvm_runs, begin, end)
        cpp_cycles, cpp_speed = _speed(cpp_runs, begin, end)
        if cycles != cpp_cycles:
            raise RuntimeError(f"{label} took {cycles} cycles through pyuvm and {cpp_cycles} in C++")
        table.add_row(
            label, f"{cycles:,}", f"{pyuvm_speed:,.0f}", f"{cpp_speed:,.0f}", f"{pyuvm_speed / cpp_speed:.2f}"
        )
    console.print(table)
    _, pyuvm_speed = _speed(pyuvm_runs, *STRETCHES["layer"])
    _, cpp_speed = _speed(cpp_runs, *STRETCHES["layer"])
    ratio = pyuvm_speed / cpp_speed
    console.print(f"pyuvm / C++ on the Figure 3 layer: {ratio:.2f} (asked: at least {ASKED_RATIO})")
    missed = [f"ratio {ratio:.2f}"] if ratio < ASKED_RATIO else []
    missed += [f"build in {design.seconds:.0f} s"] if design.seconds > ASKED_BUILD_S else []
    if missed:
        raise RuntimeError(f"not what is asked: {', '.join(missed)}")
