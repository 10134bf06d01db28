"""`make bench`: the same program on the same model through pyuvm and from a bare C++ loop."""

from __future__ import annotations

import json

import typer
from rich.console import Console
from rich.table import Table

from verif.bench.replay import ports_of, replay
from verif.bench.trace import MARKS_FILE, PORTS, RECORD, TRACE_FILE
from verif.core import build_core, run_core
from verif.runner.paths import BUILD
from verif.runner.run import default_seed

REPEATS = 3
STRETCHES = {"layer": ("layer_begin", "layer_end"), "loads, layer and results": ("begin", "end")}
ASKED_RATIO = 0.8

Marks = dict[str, tuple[int, float]]  # name to (cycle, seconds)


def _speed(runs: list[Marks], begin: str, end: str) -> tuple[int, float]:
    """(cycles, best cycles per second of processor time) of a stretch; other load only slows runs down."""
    cycles = runs[0][end][0] - runs[0][begin][0]
    return cycles, cycles / min(marks[end][1] - marks[begin][1] for marks in runs)


def bench(config: str = "paper") -> None:
    """Cycles per second of CONFIG on the Figure 3 layer, pyuvm and C++, and their ratio."""
    console = Console(highlight=False)
    with console.status(f"building {config}"):
        design = build_core(config)
    console.print(f"model of {config}: built in {design.seconds:.0f} s")
    env = {PORTS: json.dumps(ports_of(design))}

    def run_pyuvm(name: str, extra: dict[str, str]) -> tuple[Marks, str]:
        done = run_core(
            config, design, "verif.bench.program", env=env | extra, seed=default_seed(),
            results_dir=BUILD / "bench" / name, rerun=f"make bench CONFIG={config}",
        )  # fmt: skip
        return json.loads((done.path / MARKS_FILE).read_text()), str(done.path / TRACE_FILE)

    with console.status("recording the stimulus"):
        _, trace = run_pyuvm("record", {RECORD: "1"})
    pyuvm_runs, cpp_runs = [], []
    for repeat in range(REPEATS):
        with console.status(f"timing, {repeat + 1} of {REPEATS}"):
            pyuvm_runs.append(run_pyuvm(f"run{repeat}", {})[0])
            result = replay(design, trace)
            cpp_runs.append(result.marks)
        if result.mismatched:
            console.print(f"FAIL: {result.mismatched} output changes differ between pyuvm and C++")
            raise typer.Exit(1)
    console.print(f"C++ replayed {result.cycles} cycles, all {result.matched} output changes as recorded")

    table = Table("stretch", "cycles", "pyuvm cycles/s", "C++ cycles/s", "ratio")
    for label, (begin, end) in STRETCHES.items():
        cycles, pyuvm_speed = _speed(pyuvm_runs, begin, end)
        cpp_cycles, cpp_speed = _speed(cpp_runs, begin, end)
        if cycles != cpp_cycles:
            console.print(f"FAIL: {label} took {cycles} cycles through pyuvm and {cpp_cycles} in C++")
            raise typer.Exit(1)
        table.add_row(label, f"{cycles:,}", f"{pyuvm_speed:,.0f}", f"{cpp_speed:,.0f}", f"{pyuvm_speed / cpp_speed:.2f}")
    console.print(table)
    _, pyuvm_speed = _speed(pyuvm_runs, *STRETCHES["layer"])
    _, cpp_speed = _speed(cpp_runs, *STRETCHES["layer"])
    console.print(f"pyuvm / C++ on the Figure 3 layer: {pyuvm_speed / cpp_speed:.2f} (asked: at least {ASKED_RATIO})")
