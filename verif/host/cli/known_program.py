# SPDX-License-Identifier: Apache-2.0
"""`make program`: a network of known shapes, compiled, on the simulated core in one run."""

from __future__ import annotations

import shlex
from collections import defaultdict

import numpy as np
from rich.console import Console

from models.compiler import compile_network
from models.compiler.timing import Timeline, line_beats, timeline
from models.config import load_config
from models.networks import known
from models.networks.builder import images
from models.program import ENGINES, Program
from verif.host.cli.phase import phase
from verif.host.core import build_core
from verif.host.programs import run_program, with_read_outs
from verif.host.runner.build import check_simulator
from verif.host.runner.run import default_seed
from verif.shared.paths import BUILD
from verif.shared.program_files import RunReport

CALIBRATION = 2**31  # seeds of the images that cuts are chosen from, apart from those that run
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


def program(net: str, batch: int = 1, config: str = "paper", sim: str = "verilator", check: str = "lines") -> None:
    """Compile the network NET for batches of BATCH images and run one on CONFIG: every line that the core writes and
    every result is compared. CHECK=all reads every tensor out after its layer as well, which takes longer."""
    console, seed = Console(highlight=False), default_seed()
    if not net:
        raise ValueError(f"NET is empty, expected one of {', '.join(known.NAMES)}: make program NET=resnet18")
    if check not in CHECKS:
        raise ValueError(f"CHECK: {check!r}, expected one of {', '.join(CHECKS)}")
    configuration, network = load_config(config), known.build(net, seed)
    check_simulator(sim)
    shape = network.example.shape
    with phase(console, f"compiling {net} for {config}, a batch of {batch}"):
        calibration = images(shape, 1, np.random.default_rng(seed + CALIBRATION))
        compiled = compile_network(network, configuration, batch, calibration)
        compiled = compiled.with_images(images(shape, batch, np.random.default_rng(seed)))
    if check == "all":
        compiled = with_read_outs(compiled)
    with phase(console, f"building {config} with {sim}"):
        design = build_core(config, sim)
    again = ["make", "program", f"NET={net}", f"BATCH={batch}", f"CONFIG={config}", f"SIM={sim}", f"SEED={seed}"]
    if check != CHECKS[0]:
        again.append(f"CHECK={check}")
    with phase(console, f"simulating {net} on {config} with {sim}") as tell:
        directory = BUILD / "program" / f"{net}-{config}-{sim}"
        report = run_program(design, config, compiled, directory, shlex.join(again), configuration.NumPe, tell)
    times = predicted(compiled, configuration.StreamBytes)
    alus = configuration.NumPe * configuration.NumLanes
    console.print("\n".join([HEADER, *rows(compiled, times, report, alus)]), markup=False, soft_wrap=True)
    macs = sum(layer.macs for layer in report.layers)
    console.print(
        f"{report.cycles:,} cycles, {report.cycles // batch:,} an image ({times.cycles:,} predicted), "
        f"utilisation {100 * macs / (alus * report.cycles):.1f} %; {sum(load.count for load in compiled.weights):,} "
        f"weight vectors and parameters loaded; {report.cycles / report.seconds:,.0f} cycles a second",
        markup=False,
        soft_wrap=True,
    )
    console.print(
        f"equal to the integer network: {report.lines:,} lines of {len(report.layers)} layers when they were written, "
        f"{report.packets:,} result lines",
        markup=False,
        soft_wrap=True,
    )
