# SPDX-License-Identifier: Apache-2.0
"""Cycles of a program: four engines, each working through its descriptors, that wait for each other.

Loads take a cycle a beat; layers what they are predicted to take. Two layers are open at a time: the younger one begins
with its units, as if all PEs did so at once, in the older one's tail; not so if either has to do with slots that are
kept. It is set up when there is room, from when the one before it has begun and the one before that has retired, also
while it waits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from models.lines import Lines
from models.program import ENGINES, LAYERS, OPEN, LayerStep, Program

# Cycles of a descriptor beside its beats or its layer's own cycles; of a layer, cycles of its set-up.
BEGIN = (12, 16, 8, 24)
SET_UP = 110


@dataclass(frozen=True)
class Timeline:
    """By engine and descriptor, all iterations one after another, the cycle in which it begins and that in which it has
    retired; images: of all iterations."""

    spans: tuple[list[tuple[int, int]], ...]
    images: int
    iterations: int

    @property
    def cycles(self) -> int:
        """From the start of the run to its end."""
        return max(span[-1][1] for span in self.spans if span)

    @property
    def per_image(self) -> float:
        """Cycles an image, start and end of the run included."""
        return self.cycles / self.images

    def busy(self, engine: int) -> int:
        """Cycles that an engine works."""
        return sum(end - begin for begin, end in self.spans[engine])


def alone(layers: Sequence[LayerStep], number: int) -> bool:
    """Whether a layer begins when the one before it has ended: it has to do with slots that are kept."""
    d = layers[number].descriptor
    return bool(d.keep_slot or d.continue_slot or layers[number - 1].descriptor.keep_slot)


def line_beats(found: Lines, stream_bytes: int) -> int:
    """Beats of lines on a stream."""
    return int((1 + -(-found.counts // stream_bytes)).sum())


def timeline(program: Program, beats: Sequence[Sequence[int]], iterations: int) -> Timeline:
    """When each engine does what.

    beats: of the activation loads and result transfers of an iteration. Raises ValueError for a program that stands
    still.
    """
    durations = ([load.count for load in program.weights], beats[0], [s.predicted for s in program.layers], beats[1])
    sizes = [len(steps) for steps in program.engines]
    spans: tuple[list[tuple[int, int]], ...] = ([], [], [], [])
    ready: list[int] = []  # of layers: set up and issued

    def begin_of(engine: int) -> int | None:
        """When the engine's next descriptor begins; None if that is not known yet."""
        iteration, number = divmod(len(spans[engine]), sizes[engine])
        time = spans[engine][-OPEN[engine]][1] if len(spans[engine]) >= OPEN[engine] else 0
        if engine == LAYERS and ready:
            time = max(time, ready[-1])
        for other, wait in enumerate(program.engines[engine][number].waits):
            waits = wait.count and iteration >= wait.previous
            count = (iteration - wait.previous) * sizes[other] + wait.count if waits else 0
            if other != engine and sizes[other]:  # none is more than an iteration ahead
                count = max(count, (iteration - 1) * sizes[other])
            if count > len(spans[other]):
                return None
            if count > 0:
                time = max(time, spans[other][count - 1][1])
        return time

    def end_of(engine: int, begin: int) -> int:
        """When the engine's next descriptor retires."""
        number, end = len(spans[engine]) % sizes[engine], spans[engine][-1][1] if spans[engine] else 0
        start = begin + BEGIN[engine]
        if engine == LAYERS:
            retired = spans[LAYERS][-OPEN[LAYERS]][1] if len(spans[LAYERS]) >= OPEN[LAYERS] else 0
            ready.append(max(start, max(retired, *ready[-1:], 0) + SET_UP))
            start = max(ready[-1], end - (0 if alone(program.layers, number) else program.layers[number - 1].tail))
        return max(start + durations[engine][number], end)

    left = [iterations * size for size in sizes]
    while any(left):
        moved = False
        for engine in range(len(ENGINES)):
            while left[engine] and (begin := begin_of(engine)) is not None:
                spans[engine].append((begin, end_of(engine, begin)))
                left[engine] -= 1
                moved = True
        if not moved:
            raise ValueError("program: stands still, which check() explains")
    return Timeline(spans, iterations * program.batch, iterations)
