# SPDX-License-Identifier: Apache-2.0
"""Cycles of a program: four engines, each working through its descriptors, that wait for each other.

Loads take a cycle a beat; layers what they are predicted to take. Two layers are open at a time: the younger one begins
with its units, as if all PEs did so at once, in the older one's tail; not so if either has to do with slots that are
kept. It is set up when there is room, from when the one before it has begun and the one before that has retired, also
while it waits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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


class Engines:
    """The engines of a run, as far as it is known what they do.

    begins, ends: by engine and descriptor, all iterations one after another, when each was issued and has retired;
    ready: of layers, when each is set up.
    """

    def __init__(self, program: Program, iterations: int) -> None:
        self._program, self._iterations = program, iterations
        self._sizes = [len(steps) for steps in program.engines]
        self.begins: tuple[list[int], ...] = ([], [], [], [])
        self.ends: tuple[list[int], ...] = ([], [], [], [])
        self.ready: list[int] = []

    def left(self, engine: int) -> int:
        """Descriptors that are not issued yet."""
        return self._iterations * self._sizes[engine] - len(self.begins[engine])

    def issue(self, engine: int) -> bool:
        """Issue the engine's next descriptor; whether there is one and it is known when."""
        ends, number = self.ends[engine], len(self.begins[engine])
        if not self.left(engine) or number - OPEN[engine] >= len(ends):
            return False
        iteration, place = divmod(number, self._sizes[engine])
        time = ends[number - OPEN[engine]] if number >= OPEN[engine] else 0
        if engine == LAYERS and number:
            time = max(time, self.ready[-1])
        for other, wait in enumerate(self._program.engines[engine][place].waits):
            waits = wait.count and iteration >= wait.previous
            count = (iteration - wait.previous) * self._sizes[other] + wait.count if waits else 0
            if other != engine and self._sizes[other]:  # none is more than an iteration ahead
                count = max(count, (iteration - 1) * self._sizes[other])
            if count > len(self.ends[other]):
                return False
            if count > 0:
                time = max(time, self.ends[other][count - 1])
        self.begins[engine].append(time)
        if engine == LAYERS:
            retired = ends[number - OPEN[LAYERS]] if number >= OPEN[LAYERS] else 0
            self.ready.append(max(time + BEGIN[LAYERS], max(retired, self.ready[-1] if number else 0) + SET_UP))
        return True

    def transfer(self, engine: int, beats: Callable[[int], int]) -> bool:
        """Issue and retire the next descriptor of an engine that moves beats, so many by the descriptor's number;
        whether that could be."""
        if not self.issue(engine):
            return False
        time, ends = self.begins[engine][-1] + BEGIN[engine], self.ends[engine]
        ends.append(max(time + beats(len(ends)), ends[-1] if ends else 0))
        return True

    def timeline(self) -> Timeline:
        """All of it, at the end."""
        spans = tuple(list(zip(*both, strict=True)) for both in zip(self.begins, self.ends, strict=True))
        return Timeline(spans, self._iterations * self._program.batch, self._iterations)


def stands_still() -> ValueError:
    """What is raised when no engine can go on."""
    return ValueError("program: stands still, which check() explains")


def timeline(program: Program, beats: Sequence[Sequence[int]], iterations: int) -> Timeline:
    """When each engine does what.

    beats: of the activation loads and result transfers of an iteration. Raises ValueError for a program that stands
    still.
    """
    found, layers = Engines(program, iterations), program.layers
    moved = {0: [load.count for load in program.weights], 1: beats[0], 3: beats[1]}

    def layer() -> bool:
        """Issue the next layer, and say when it retires."""
        if not found.issue(LAYERS):
            return False
        ends, number = found.ends[LAYERS], (len(found.begins[LAYERS]) - 1) % len(layers)
        before = ends[-1] if ends else 0
        start = max(found.ready[-1], before - (0 if alone(layers, number) else layers[number - 1].tail))
        ends.append(max(start + layers[number].predicted, before))
        return True

    def move(engine: int) -> bool:
        """Issue and retire the engine's next descriptor."""
        if engine == LAYERS:
            return layer()
        return found.transfer(engine, lambda number: moved[engine][number % len(moved[engine])])

    while any(found.left(engine) for engine in range(len(ENGINES))):
        going = False
        for engine in range(len(ENGINES)):
            while move(engine):
                going = True
        if not going:
            raise stands_still()
    return found.timeline()
