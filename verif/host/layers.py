# SPDX-License-Identifier: Apache-2.0
"""Runs given layers on the simulated core and returns what came out, for `make run`, `make layer`, `make figures`."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.layer import Layer
from models.tiling import Plan
from verif.host.core import run_core
from verif.host.runner import Build
from verif.host.runner.lock import held
from verif.host.runner.run import LIMIT_S
from verif.shared.layer_files import COMPUTING, DIRECTORY, OUTPUT, PROGRESS, Progress, beats, save_layers

POLL_S = 1.0


@dataclass(frozen=True)
class LayerResult:
    """What the core made of a layer.

    output: int8 or uint8 (K, Ho, Wo); counters: the core's, by name; seconds: wall time from the layer's push to its
    end; states: uint8 (samples, PEs), pe_state_e every SAMPLE_CYCLES cycles meanwhile.
    """

    output: np.ndarray
    counters: dict[str, int]
    seconds: float
    states: np.ndarray
    lanes: int

    @property
    def cycles(self) -> int:
        """From the first work unit's start to the last line written."""
        return self.counters["CYCLES"]

    @property
    def utilization(self) -> float:
        """Useful multiplications over all lane-cycles."""
        return self.counters["MACS"] / (self.lanes * self.states.shape[1] * self.cycles)


def time_limit(sim: str, plans: list[Plan]) -> int:
    """Seconds that a simulation of layers takes at most, also on a busy machine: from their cycles were they dense."""
    cycles = 0
    for plan in plans:
        d = plan.descriptor
        passes = d.passes // min(d.jobs * d.splits, plan.config.NumPe)
        cycles += passes * d.tile_h * d.tile_w + beats(plan)
    # Icarus' speed is that of small (4 PEs), some 80 cycles a second, divided by the size.
    speed = 1000 if sim == "verilator" else 80 / plans[0].config.NumPe
    return LIMIT_S + int(cycles / speed)


def progress_line(progress: Progress, predictions: Sequence[int | None]) -> str:
    """How far a simulation of layers is, in words, with the cycle model's prediction beside the cycles, and the time
    that the layers still take where all are predicted."""
    predicted, behind = predictions[progress.layer], [cycles or 0 for cycles in predictions[progress.layer + 1 :]]
    of = f" of about {predicted:,}" if predicted and progress.phase == COMPUTING else ""
    speed = f", {progress.speed:,.0f} a second" if progress.speed > 0 else ""
    if predicted and all(behind) and progress.speed > 0:
        left = max(0, predicted - progress.cycles) + sum(behind)
        speed += f", {_duration(left / progress.speed)} left"
    return f"layer {progress.layer + 1} of {len(predictions)}, {progress.phase}: {progress.cycles:,}{of} cycles{speed}"


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


@contextmanager
def followed(file: Path, predictions: Sequence[int | None], tell: Callable[[str], None]) -> Iterator[None]:
    """Within, ``tell`` hears every POLL_S seconds, from a thread of its own, how far the simulation says to be.

    ``predictions``: cycles of its layers, as far as they are known.
    """
    file.unlink(missing_ok=True)
    over = threading.Event()

    def follow() -> None:
        while not over.wait(POLL_S):
            if progress := Progress.read(file):
                tell(progress_line(progress, predictions))

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def run_layers(
    design: Build,
    config: str,
    layers: list[tuple[Layer, Plan]],
    directory: Path,
    rerun: str,
    tell: Callable[[str], None] = lambda text: None,
    limit_s: int | None = None,
) -> list[LayerResult]:
    """Run layers one after another in one simulation, every output checked by the scoreboard.

    ``directory`` takes what goes in and comes out, from one run at a time: others say so and wait. ``tell`` hears every
    second how far the simulation is. It takes at most ``limit_s`` seconds, by default what `time_limit` says.
    Raises SimulationFailure, which shows the command ``rerun``, when results are wrong or the simulation fails.
    """
    directory = directory.resolve()
    directory.mkdir(parents=True, exist_ok=True)
    simulation, plans = directory / "simulation", [plan for _, plan in layers]
    with held(directory.with_suffix(".lock"), rerun):
        save_layers(directory, layers)
        with followed(simulation / PROGRESS, [plan.predicted for plan in plans], tell):
            done = run_core(
                config,
                design,
                "verif.sim.programs.given_layers",
                "GivenLayers",
                env={DIRECTORY: str(directory)},
                results_dir=simulation,
                rerun=rerun,
                limit_s=limit_s or time_limit(design.sim, plans),
            )
        found = []
        for number in range(len(layers)):
            with np.load(done.path / OUTPUT.format(number)) as npz:
                found.append(
                    LayerResult(
                        output=npz["output"],
                        counters=json.loads(str(npz["counters"])),
                        seconds=float(npz["seconds"]),
                        states=npz["states"],
                        lanes=layers[number][1].config.NumLanes,
                    )
                )
        return found
