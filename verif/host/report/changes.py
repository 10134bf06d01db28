# SPDX-License-Identifier: Apache-2.0
"""What of a network did not fit as it is, how the compiler has cut it, and what a change would bring, as Markdown."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from models.compiler.what_if import Trial
from models.config import Config
from models.network import Images
from models.program import LayerStep, Part, Program


def cuts(program: Program, config: Config) -> list[str]:
    """A line for each node that runs in parts or strips."""
    steps: dict[str, list[LayerStep]] = {}
    for step in program.layers:
        if step.part.image == 0:
            steps.setdefault(step.node, []).append(step)
    lines = []
    for node, own in steps.items():
        parts, strips = len({step.part.first for step in own}), len({step.part.top for step in own})
        if parts > 1:
            vectors = sum({step.part.first: step.descriptor.vectors for step in own}.values())
            channels = program.network.shapes[node][0]
            lines.append(
                f"{node}: {parts} parts along K, because of its {vectors:,} weight vectors and {channels:,} "
                f"parameters: the memories hold {config.WgtBanks * config.WgtDepth:,} and {config.ParDepth:,}, and the "
                "next part is loaded while one runs"
            )
        if strips > 1:
            entries = sum(_entries(program, part) for part in (own[0].source, own[0].part))
            lines.append(
                f"{node}: {strips} strips of rows: its whole input and output take {entries:,} index entries, of "
                f"{config.IdxBanks * config.IdxDepth:,}, beside what else is there, and words of "
                f"{config.ActBanks * config.ActDepth:,}"
            )
    return lines or ["nothing: every layer runs whole"]


def _entries(program: Program, part: Part) -> int:
    """Index entries of a whole tensor."""
    c, h, w = program.network.shapes[part.tensor]
    rows, columns = part.block.grid(h, w)
    return c * rows * columns


HEADER = "| change | cycles an image | against now |\n|---|---:|---:|"


def changes(
    trials: Iterable[Trial], calibration: Images, now: float, seconds: float, tell: Callable[[str], None]
) -> str:
    """What each change would bring, by compiling again; those for which no time is left are named."""
    started, rows = time.monotonic(), []
    for trial in trials:
        if time.monotonic() - started > seconds:
            rows.append(f"| {trial.what} | not tried: {seconds:.0f} s were over | |")
            continue
        tell(trial.what)
        cycles = trial.cycles(calibration)
        found = "does not fit | " if cycles is None else f"{cycles:,.0f} | {cycles / now - 1:+.1%}"
        rows.append(f"| {trial.what} | {found} |")
    return "\n".join([HEADER, *rows])
