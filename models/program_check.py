# SPDX-License-Identifier: Apache-2.0
"""Checks a program before it runs: that it cannot stand still, and that no place is used before it is filled or free.

Both follow from the waits alone, whatever the streams and layers take: what has surely retired when a descriptor is
issued is what its waits, its engine's order and the engines' lead of at most one iteration say. Two accesses of a place
of which one writes have to be ordered so; then what each reads does not depend on time, and one order is replayed. Only
layers that append to one section may write it at the same time: in which order its words come does not matter, as each
line's index entry says where they are. But none may still be writing when the section is begun anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.config import Config
from models.descriptor import Descriptor
from models.network import Network
from models.program import (
    ENGINES,
    OPEN,
    ActivationLoad,
    LayerStep,
    Part,
    Program,
    ResultTransfer,
    Step,
    WeightLoad,
)

ITERATIONS = 3  # replayed: the first has no one before it, the others are two consecutive ones
_NOTHING = -1

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True)
class _Event:
    """A descriptor of an engine in an iteration. clock: by engine, how many descriptors have surely retired when it is
    issued, all iterations counted."""

    engine: int
    iteration: int
    number: int
    step: Step
    clock: tuple[int, ...]

    @property
    def name(self) -> str:
        """For messages."""
        what = self.step.node if isinstance(self.step, WeightLoad | LayerStep) else self.step.part.tensor
        image = "" if isinstance(self.step, WeightLoad) else f", image {self.step.part.image}"
        return f"{ENGINES[self.engine]} {self.number} ({what}{image}) of iteration {self.iteration}"


def replay(program: Program, iterations: int) -> list[_Event]:
    """Every descriptor in an order in which it can run. Raises ValueError for a standstill."""
    sizes = [len(steps) for steps in program.engines]
    clocks: list[list[npt.NDArray[np.int64]]] = [[] for _ in ENGINES]
    found: list[_Event] = []

    def needed(engine: int) -> Ids:
        """What the engine's next descriptor waits for: retired descriptors of each engine."""
        iteration, number = divmod(len(clocks[engine]), sizes[engine])
        counts = np.zeros(len(ENGINES), np.int64)
        for other, wait in enumerate(program.engines[engine][number].waits):
            if wait.count and iteration >= wait.previous:
                counts[other] = (iteration - wait.previous) * sizes[other] + wait.count
            if other != engine and sizes[other]:
                counts[other] = max(counts[other], (iteration - 1) * sizes[other])
        counts[engine] = max(counts[engine], len(clocks[engine]) + 1 - OPEN[engine])
        return np.maximum(counts, 0)

    left = [iterations * size for size in sizes]
    while any(left):
        moved = False
        for engine in range(len(ENGINES)):
            while left[engine]:
                counts = needed(engine)
                if any(count > len(done) for count, done in zip(counts, clocks, strict=True)):
                    break
                # Who has retired had itself waited, and so had the one before, which was issued first.
                clock = np.maximum(counts, clocks[engine][-1]) if clocks[engine] else counts
                for other, count in enumerate(counts):
                    if count:
                        clock = np.maximum(clock, clocks[other][count - 1])
                iteration, number = divmod(len(clocks[engine]), sizes[engine])
                step = program.engines[engine][number]
                found.append(_Event(engine, iteration, number, step, tuple(clock.tolist())))
                clocks[engine].append(clock)
                left[engine] -= 1
                moved = True
        if not moved:
            raise ValueError(f"program: stands still: {'; '.join(_standing(program, [len(c) for c in clocks], left))}")
    return found


def _standing(program: Program, done: Sequence[int], left: Sequence[int]) -> Iterator[str]:
    """What each engine waits for."""
    sizes = [len(steps) for steps in program.engines]
    for engine, name in enumerate(ENGINES):
        if not left[engine]:
            continue
        iteration, number = divmod(done[engine], sizes[engine])
        waits = []
        for other, wait in enumerate(program.engines[engine][number].waits):
            of = iteration - wait.previous
            if wait.count and of >= 0 and of * sizes[other] + wait.count > done[other]:
                waits.append(
                    f"{wait.count} of {ENGINES[other]} in iteration {of}, of which {done[other] - of * sizes[other]} "
                    "have retired"
                )
            elif other != engine and (iteration - 1) * sizes[other] > done[other]:
                waits.append(f"{ENGINES[other]} to end iteration {iteration - 2}")
        yield f"{name} {number} of iteration {iteration} waits for {', '.join(waits)}"


class _Memory:
    """Places, what is in each and who has used it."""

    def __init__(self, what: str, size: int):
        self.what = what
        self.content = np.full(size, _NOTHING, np.int64)
        self.writer = np.full(size, _NOTHING, np.int64)  # event
        self.readers = np.full((len(ENGINES), size), _NOTHING, np.int64)  # last event of each engine

    def ids(self, places: Ids, event: _Event) -> None:
        """Raise ValueError for places beyond the memory."""
        if len(places) and (places.min() < 0 or places.max() >= len(self.content)):
            raise ValueError(
                f"program: {event.name} uses {self.what} {places.min()} to {places.max()}, the memory has "
                f"{len(self.content)}"
            )


class _Checker:
    def __init__(self, program: Program, config: Config):
        self.program = program
        self.events = replay(program, min(program.iterations, ITERATIONS) if program.iterations else ITERATIONS)
        self.sizes = [len(steps) for steps in program.engines]
        self.slots = config.slots
        self.weights = _Memory("weight vectors", config.WgtBanks * config.WgtDepth)
        self.parameters = _Memory("parameters", config.ParDepth)
        self.index = _Memory("index entries", config.IdxBanks * config.IdxDepth)
        self.words = _Memory("words", config.ActBanks * config.ActDepth)
        self.section_of: dict[int, int] = {}  # by event that wrote lines, the section's first event
        self.sections: dict[int, int] = {}  # by number, the event that began what is in it
        self.users: dict[int, int] = {}  # by number of a section, the last event that wrote to it
        self.kept: LayerStep | None = None  # the layer before, if its slots are to be continued
        self.kept_outputs: tuple[object, ...] = ()  # and what they are for
        self.origins = _Origins(program.network)

    # Order

    def _after(self, event: _Event, other: int) -> bool:
        """Whether another has surely retired when an event is issued."""
        found = self.events[other]
        return event.clock[found.engine] > found.iteration * self.sizes[found.engine] + found.number

    def _ordered(self, event: _Event, memory: _Memory, places: Ids, others: Ids, verb: str, did: str) -> None:
        for other in np.unique(others):
            if other != _NOTHING and not self._after(event, int(other)):
                at = places[others == other]
                raise ValueError(
                    f"program: {event.name} {verb} {memory.what} {at.min()} to {at.max()}, and no wait says that "
                    f"{self.events[int(other)].name} has {did} them"
                )

    def _write(self, number: int, memory: _Memory, places: Ids, content: Ids | int) -> None:
        event = self.events[number]
        memory.ids(places, event)
        self._ordered(event, memory, places, memory.writer[places], "writes", "written")
        for readers in memory.readers:
            self._ordered(event, memory, places, readers[places], "writes", "read")
        memory.content[places] = content
        memory.writer[places] = number
        memory.readers[:, places] = _NOTHING

    def _read(self, number: int, memory: _Memory, places: Ids, content: Ids | int, what: str) -> None:
        event = self.events[number]
        memory.ids(places, event)
        self._ordered(event, memory, places, memory.writer[places], "reads", "written")
        wrong = places[memory.content[places] != content]
        if len(wrong):
            who = int(memory.writer[wrong[0]])
            there = "nothing" if who == _NOTHING else f"what {self.events[who].name} wrote"
            raise ValueError(
                f"program: {event.name} reads {what} from {memory.what} {wrong.min()} to {wrong.max()}, where there is "
                f"{there}"
            )
        memory.readers[event.engine, places] = number

    # Steps

    def run(self) -> None:
        for number, event in enumerate(self.events):
            step = event.step
            if isinstance(step, WeightLoad):
                memory = self.parameters if step.parameters else self.weights
                self._write(number, memory, _span(step.base, step.count), _span(step.data, step.count))
            elif isinstance(step, ActivationLoad):
                self._same(event, step.part, step.idx_base, step.lines // max(1, step.part.last - step.part.first))
                self._write_lines(number, step.part, step.base, step.limit, None)
            elif isinstance(step, ResultTransfer):
                self._same(event, step.part, step.idx_base, step.lines // max(1, step.part.last - step.part.first))
                self._read_lines(number, step.part)
            else:
                self._layer(number, step)

    def _same(self, event: _Event, part: Part, base: int, pitch: int) -> None:
        if (part.base, part.pitch) != (base, pitch):
            raise ValueError(
                f"program: {event.name} uses index entries from {base} on, {pitch} a channel, its tensor's part says "
                f"{part.base} and {part.pitch}"
            )

    def _layer(self, number: int, step: LayerStep) -> None:
        event, d = self.events[number], step.descriptor
        self._slots(event, step)
        self._same(event, step.source, d.in_idx_base, d.in_pitch)
        self._same(event, step.part, d.out_idx_base, d.out_pitch)
        vectors, channels = _span(d.wgt_base, d.vectors), 0 if d.keep_slot else d.out_k
        parameters = _span(d.par_base, channels)
        self._read(number, self.weights, vectors, _span(step.weights, d.vectors), f"weights of {step.node}")
        self._read(number, self.parameters, parameters, _span(step.parameters, channels), f"parameters of {step.node}")
        self._read_lines(number, step.source)
        if step.residual is not None:
            self._same(event, step.residual, d.res_idx_base, d.res_pitch)
            self._read_lines(number, step.residual)
        self._write_lines(number, step.part, d.out_act_base, d.out_act_limit, d)

    def _slots(self, event: _Event, step: LayerStep) -> None:
        """Parts along C follow one another, on all input channels in turn, for the same outputs."""
        d, kept = step.descriptor, self.kept
        outputs = step.node, step.part, event.iteration
        if kept is not None and not d.continue_slot:
            raise ValueError(f"program: {event.name} does not continue the slots that the layer before keeps")
        if d.continue_slot and (kept is None or self.kept_outputs != outputs):
            raise ValueError(f"program: {event.name} continues slots, and the layer before keeps none of its outputs")
        if kept is not None and step.source.first != kept.source.last:
            raise ValueError(
                f"program: {event.name} begins with input channel {step.source.first}, and the layer before, whose "
                f"slots it continues, ends with {kept.source.last - 1}"
            )
        if (d.keep_slot or d.continue_slot) and d.jobs > self.slots:
            raise ValueError(f"program: {event.name} has {d.jobs} jobs, the core {self.slots} slots that keep sums")
        self.kept, self.kept_outputs = (step if d.keep_slot else None), outputs

    def _write_lines(self, number: int, part: Part, base: int, limit: int, layer: Descriptor | None) -> None:
        event, places = self.events[number], _span(base, limit - base)
        begun = number
        if layer is not None:
            if layer.out_append:
                begun = self.sections.get(layer.out_section, _NOTHING)
                first = self.events[begun].step if begun != _NOTHING else None
                like = isinstance(first, LayerStep) and (
                    (first.node, first.part.image, self.events[begun].iteration, first.descriptor.out_act_base)
                    == (event.step.node, part.image, event.iteration, base)  # type: ignore[union-attr]
                )
                if not like:
                    raise ValueError(
                        f"program: {event.name} appends to section {layer.out_section}, which is another's"
                    )
            elif (other := self.users.get(layer.out_section)) is not None and not self._after(event, other):
                raise ValueError(
                    f"program: {event.name} begins section {layer.out_section} anew, and no wait says that "
                    f"{self.events[other].name} has written to it"
                )
            self.sections[layer.out_section], self.users[layer.out_section] = begun, number
        if begun == number:
            self._write(number, self.words, places, number)
        else:  # others of the section may be read, and may be written, meanwhile
            self._read_words(number, places, begun, "its section")
        self.section_of[number] = begun
        entries = part.entries(self.origins.width(part.tensor)).ravel()
        there = _NOTHING if layer is not None and layer.keep_slot else self._lines(part, event.iteration).ravel()
        self._write(number, self.index, entries, there)

    def _read_lines(self, number: int, part: Part) -> None:
        event = self.events[number]
        entries = part.entries(self.origins.width(part.tensor)).ravel()
        self._read(number, self.index, entries, self._lines(part, event.iteration).ravel(), part.tensor)
        for writer in np.unique(self.index.writer[entries]).tolist():
            step = self.events[writer].step
            base, limit = (
                (step.descriptor.out_act_base, step.descriptor.out_act_limit)
                if isinstance(step, LayerStep)
                else (step.base, step.limit)
            )
            begun = self.section_of[writer]
            self._read_words(number, _span(base, limit - base), begun, part.tensor)

    def _read_words(self, number: int, places: Ids, begun: int, what: str) -> None:
        """As `_read`, but parts that are appended meanwhile do no harm."""
        event, memory = self.events[number], self.words
        wrong = places[memory.content[places] != begun]
        if len(wrong):
            raise ValueError(
                f"program: {event.name} reads {what} from words {wrong.min()} to {wrong.max()}, where there is what "
                f"{self.events[int(memory.writer[wrong[0]])].name} wrote"
            )
        memory.readers[event.engine, places] = number

    def _lines(self, part: Part, iteration: int) -> Ids:
        """A number for each line, by channel: what it holds of which image of which iteration."""
        lines = self.origins.lines(part)
        found: Ids = (lines * self.program.batch + part.image) * ITERATIONS + iteration
        return found


def _span(first: int, count: int) -> Ids:
    return np.arange(first, first + max(0, count))


class _Origins:
    """Tells lines apart, but not those of a concatenation and of its parts."""

    def __init__(self, network: Network):
        self.shapes = network.shapes
        self.parts = {node.name: (node.source, *node.others) for node in network.nodes if node.op == "concat"}
        self.numbers: dict[tuple[object, ...], int] = {}

    def width(self, tensor: str) -> int:
        """Columns of a tensor."""
        return self.shapes[tensor][2]

    def lines(self, part: Part) -> Ids:
        """int64 (channels, lines)."""
        rows, columns = part.block.grid(part.bottom - part.top, self.width(part.tensor))
        channels = self._channels(part.tensor)[part.first : part.last]
        found = np.empty((len(channels), rows * columns), np.int64)
        for n, origin in enumerate(channels):
            key = *origin, part.line_h, part.line_w
            # Blocks begin at the part's first row; the number of the first line tells where the line is.
            first = self.numbers.setdefault(key, len(self.numbers) << 20)
            top = np.arange(rows) * part.line_h + part.top
            found[n] = (first + top[:, None] * columns + np.arange(columns)).ravel()
        return found

    def _channels(self, tensor: str) -> list[tuple[str, int]]:
        if tensor not in self.parts:
            return [(tensor, channel) for channel in range(self.shapes[tensor][0])]
        return [origin for name in self.parts[tensor] for origin in self._channels(name)]


def check(program: Program, config: Config) -> None:
    """Raise ValueError, with the descriptors concerned, for a program that can stand still, or uses a place of a memory
    before it is filled with what it reads, before it is free, or where there is none."""
    words, _ = program.encode()
    if len(words) > config.PrgDepth:
        raise ValueError(f"program: {len(words)} words, the Program Memory has {config.PrgDepth}")
    _Checker(program, config).run()
