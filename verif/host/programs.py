# SPDX-License-Identifier: Apache-2.0
"""Runs programs on the simulated core and returns what was seen of the runs, for `make program`, `make network`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from models.program import ENGINES, ActivationLoad, LayerStep, Program, ResultTransfer, Wait, Waits
from models.reference import Bytes
from verif.host.core import run_core
from verif.host.layers import followed
from verif.host.runner import Build
from verif.host.runner.lock import held
from verif.host.runner.run import LIMIT_S
from verif.shared.layer_files import PROGRESS
from verif.shared.program_files import COUNT, DIRECTORY, PROGRAM, REPORT, RESULTS, RunReport

Run = tuple[RunReport, dict[str, Bytes]]  # what was seen of it; results by name, (images, C, H, W)
_LAYERS, _RESULTS = ENGINES.index("layers"), ENGINES.index("results")
# Cycles a second of the slowest machine, PEs times that.
_SLOWEST = {"verilator": 16_000, "icarus": 80}


def _transfers(step: LayerStep, number: int) -> Iterator[ResultTransfer]:
    """What reads a layer's tensor out: in one piece, or by channels where other lines lie between."""
    waits = (Wait(), Wait(), Wait(number + 1), Wait())
    part, d = step.part, step.descriptor
    channels = range(part.first, part.last)
    pieces = [part]
    if part.pitch != d.out_lines:
        pieces = [replace(part, first=c, last=c + 1, base=part.base + (c - part.first) * part.pitch) for c in channels]
    for piece in pieces:
        yield ResultTransfer(waits, piece.base, (piece.last - piece.first) * d.out_lines, piece)


def with_read_outs(program: Program) -> Program:
    """The program with every tensor read out right after its layer; who waits for layers to write lines waits for that.

    Its results come when they did: after the layers that they wait for.
    """
    results: list[ResultTransfer] = []
    places = [0]  # by number of retired results before, that of now
    ends = [0]  # by number of layers the results that bring their tensors
    left = list(program.results)
    for number, step in enumerate(program.layers):
        results += _transfers(step, number)
        ends.append(len(results))
        while left and left[0].waits[_LAYERS].count <= number + 1:
            results.append(left.pop(0))
            places.append(len(results))

    def moved(waits: Waits, least: Wait) -> Waits:
        """Waits for the results' new numbers, and for at least so many of them."""
        own = waits[_RESULTS]
        now = replace(own, count=places[own.count])
        # One of this iteration is the stronger.
        strongest = max(now, least, key=lambda wait: (wait.count > 0, not wait.previous, wait.count))
        a, b, c, _ = waits
        return a, b, c, strongest

    nothing = Wait()

    def least(step: LayerStep | ActivationLoad) -> Wait:
        """What brings the tensors of the layers that a layer, or a load of lines, waits for."""
        wait = step.waits[_LAYERS]
        return replace(wait, count=ends[wait.count])

    return replace(
        program,
        weights=tuple(replace(step, waits=moved(step.waits, nothing)) for step in program.weights),
        activations=tuple(replace(step, waits=moved(step.waits, least(step))) for step in program.activations),
        layers=tuple(replace(step, waits=moved(step.waits, least(step))) for step in program.layers),
        results=tuple(replace(step, waits=moved(step.waits, nothing)) for step in results),
    )


def time_limit(sim: str, programs: Sequence[Program], pes: int) -> int:
    """Seconds that a simulation of programs takes at most, also on a busy machine."""
    cycles = 0
    for program in programs:
        beats = sum(load.count for load in program.weights)
        cycles += program.iterations * (beats + sum(step.predicted for step in program.layers))
    return LIMIT_S + int(4 * cycles * pes / _SLOWEST[sim])


def run_programs(
    design: Build,
    config: str,
    programs: Sequence[Program],
    directory: Path,
    rerun: str,
    pes: int,
    tell: Callable[[str], None] = lambda text: None,
) -> list[Run]:
    """One run of each program, one after another in one simulation, every line and every result checked.

    ``directory`` takes what goes in and comes out, from one simulation at a time: others say so and wait. ``tell``
    hears every second how far the simulation is.
    Raises SimulationFailure, which shows the command ``rerun``, when anything is wrong or the simulation fails.
    """
    directory = directory.resolve()
    directory.mkdir(parents=True, exist_ok=True)
    simulation = directory / "simulation"
    predictions = [step.predicted for program in programs for _ in range(program.iterations) for step in program.layers]
    with held(directory.with_suffix(".lock"), rerun):
        for number, program in enumerate(programs):
            program.save(directory / PROGRAM.format(number))
        with followed(simulation / PROGRESS, predictions, tell):
            done = run_core(
                config,
                design,
                "verif.sim.programs.given_programs",
                "GivenPrograms",
                env={DIRECTORY: str(directory), COUNT: str(len(programs))},
                results_dir=simulation,
                rerun=rerun,
                limit_s=time_limit(design.sim, programs, pes),
            )
        return [_read(done.path, number) for number in range(len(programs))]


def _read(directory: Path, number: int) -> Run:
    with np.load(directory / RESULTS.format(number), allow_pickle=False) as results:
        tensors = {str(name): results[f"arr_{at}"] for at, name in enumerate(results["names"])}
    return RunReport.read(directory / REPORT.format(number)), tensors
