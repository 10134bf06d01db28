# SPDX-License-Identifier: Apache-2.0
"""A compiled network on the simulated core in one run, and what is printed of it."""

from __future__ import annotations

from collections import defaultdict

from rich.console import Console

from models.compiler.engine_times import Timeline, line_beats, timeline
from models.config import load_config
from models.program import ENGINES, Program
from verif.host.cli.phase import phase
from verif.host.core import build_core
from verif.host.programs import run_program, with_read_outs
from verif.shared.paths import BUILD
from verif.shared.program_files import RunReport

CHECKS = ("lines", "all")
HEADER = (
    "| layer | input | output | k/m | images | parts | predicted | cycles | off | ALU utilisation |"
    "\n|---|---|---|---|---:|---:|---:|---:|---:|---:|"
)


def predicted(program: Program, stream_bytes: int) -> Timeline:
    """The program's timeline by the cycle model, with the lines of the first iteration's images and results."""
    loads = [line_beats(load.part.lines(program.images[load.part.image]), stream_bytes) for load in program.activations]
    results = [line_beats(program.expected_lines(transfer.part, 0), stream_bytes) for transfer in program.results]
    return timeline(program, (loads, results), program.iterations)


def rows(program: Program, times: Timeline, report: RunReport, alus: int) -> list[str]:
    """A line for each node: the layers of all its parts and images together."""
    ends = [end for _, end in times.spans[ENGINES.index("layers")]]
    forecast = [end - start for start, end in zip([0, *ends], ends, strict=False)]
    found: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    steps = [step for _ in range(program.iterations) for step in program.layers]
    for step, cycles, seen in zip(steps, forecast, report.layers, strict=True):
        found[step.node] = [a + b for a, b in zip(found[step.node], (cycles, seen.cycles, seen.macs), strict=True)]
    lines = []
    for node, (due, cycles, macs) in found.items():
        parts = [step for step in program.layers if step.node == node and step.part.image == 0]
        d = parts[0].descriptor
        channels = sum(step.descriptor.out_k for step in parts if step.part.top == 0)
        rows_out = max(step.part.bottom for step in parts)
        lines.append(
            f"| {node} | {d.in_c}x{d.in_h}x{d.in_w} | {channels}x{rows_out}x{d.out_w} | {d.k}/{d.m} "
            f"| {len(program.images)} | {len(parts)} | {due:,} | {cycles:,} | {100 * (due / cycles - 1):+.1f} % "
            f"| {100 * macs / (alus * cycles):.1f} % |"
        )
    return lines


def check_check(check: str) -> None:
    """Raise ValueError unless CHECK is one of CHECKS."""
    if check not in CHECKS:
        raise ValueError(f"CHECK: {check!r}, expected one of {', '.join(CHECKS)}")


def run_compiled(
    console: Console, name: str, program: Program, config: str, sim: str, check: str, rerun: str
) -> RunReport:
    """Run a program with its images, every line that the core writes and every result compared; print the table.

    check "all": every tensor is read out after its layer as well. Raises SimulationFailure, which shows ``rerun``.
    """
    configuration = load_config(config)
    if check == "all":
        program = with_read_outs(program)
    with phase(console, f"building {config} with {sim}"):
        design = build_core(config, sim)
    with phase(console, f"simulating {name} on {config} with {sim}") as tell:
        directory = BUILD / "program" / f"{name}-{config}-{sim}"
        report = run_program(design, config, program, directory, rerun, configuration.NumPe, tell)
    times = predicted(program, configuration.StreamBytes)
    alus, images = configuration.NumPe * configuration.NumLanes, len(program.images)
    macs = sum(layer.macs for layer in report.layers)
    vectors = sum(load.count for load in program.weights) * program.iterations
    lines = [
        HEADER,
        *rows(program, times, report, alus),
        f"{report.cycles:,} cycles, {report.cycles // images:,} an image ({times.cycles:,} predicted), utilisation "
        f"{100 * macs / (alus * report.cycles):.1f} %; {vectors:,} weight vectors and parameters loaded; "
        f"{report.cycles / report.seconds:,.0f} cycles a second",
        f"equal to the integer network: {report.lines:,} lines of {len(report.layers)} layers when they were written, "
        f"{report.packets:,} result lines",
    ]
    console.print("\n".join(lines), markup=False, soft_wrap=True)
    return report
