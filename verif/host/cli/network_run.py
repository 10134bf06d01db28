# SPDX-License-Identifier: Apache-2.0
"""A compiled network on the simulated core in one run, and what is printed of it."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from models.compiler.play import play
from models.config import load_config
from models.program import Program
from models.reference import Bytes
from verif.host.cli.phase import phase
from verif.host.core import build_core
from verif.host.programs import run_programs, with_read_outs
from verif.host.report import layer_table, network_page
from verif.host.report.layer_figures import Figures, figures
from verif.shared.paths import BUILD, ROOT

CHECKS = ("lines", "all")
_LARGE, _WITHIN = 5000, 0.05  # on layers of more cycles than that the cycle model is to be no further off


def model_line(found: Figures) -> str:
    """How far the cycle model is off, whole and by layer."""
    rows = [row for row in found.rows if row.cycles > _LARGE * found.images]
    close = sum(abs(row.predicted / row.cycles - 1) <= _WITHIN for row in rows)
    return (
        f"cycle model on these images: {found.forecast:,} cycles, {found.forecast / found.cycles - 1:+.1%}; {close} of "
        f"{len(rows)} layers of over {_LARGE:,} cycles an image within {_WITHIN:.0%}"
    )


def check_check(check: str) -> None:
    """Raise ValueError unless CHECK is one of CHECKS."""
    if check not in CHECKS:
        raise ValueError(f"CHECK: {check!r}, expected one of {', '.join(CHECKS)}")


def run_compiled(
    console: Console, name: str, program: Program, config: str, sim: str, check: str, rerun: str
) -> tuple[Figures, dict[str, Bytes]]:
    """Run a program with its images, every line that the core writes and every result compared; print the table.

    check "all": every tensor is read out after its layer as well. Returns the figures, and by name what the core has
    sent, (images, C, H, W). Raises SimulationFailure, which shows ``rerun``.
    """
    configuration = load_config(config)
    if check == "all":
        program = with_read_outs(program)
    with phase(console, f"building {config} with {sim}"):
        design = build_core(config, sim)
    with phase(console, f"simulating {name} on {config} with {sim}") as tell:
        directory = BUILD / "program" / f"{name}-{config}-{sim}"
        ((report, tensors),) = run_programs(design, config, [program], directory, rerun, configuration.NumPe, tell)
    with phase(console, "the cycle model on the same images"):
        times = play(program, configuration)
    found = figures(program, configuration, times, report)
    for line in (layer_table.table(found), *layer_table.summary(found)):
        console.print(line, markup=False, soft_wrap=True)
    return found, tensors


def write_report(console: Console, name: str, found: Figures, accuracy: Sequence[str], network: Sequence[str]) -> None:
    """Write the run's report as one HTML file beside the run, and say where."""
    path = BUILD / "network" / f"{name}-{found.config.name}.html"
    network_page.write(path, name, found, accuracy, network)
    console.print(f"report: {path.relative_to(ROOT)}", markup=False, soft_wrap=True)
