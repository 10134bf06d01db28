# SPDX-License-Identifier: Apache-2.0
"""A program as the core reads it: the words of the Program Memory decoded, and how far its engines have come.

Written from docs/architecture.md section 9 for comparison with the core, without what encodes programs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

from models.descriptor import Descriptor
from verif.sim.env.layer_reference import descriptor_of
from verif.sim.env.register_model import RegisterModel

FIRST_LAYER_REGISTER = 0x080
_REGISTER_BYTES = 4


class Engine(IntEnum):
    """The four engines of a run."""

    WEIGHTS = 0
    ACTIVATIONS = 1
    LAYERS = 2
    RESULTS = 3

    @property
    def label(self) -> str:
        """Its name in messages and cover points."""
        return self.name.lower()


@dataclass(frozen=True)
class Wait:
    """Not before an engine has retired ``count`` descriptors of this iteration, or of the previous one."""

    engine: Engine
    count: int
    previous: bool

    @property
    def label(self) -> str:
        """In words."""
        return f"{self.engine.label} {self.count}{' of the previous iteration' if self.previous else ''}"


@dataclass(frozen=True)
class WeightsStep:
    """A load of weight vectors, or of parameters."""

    base: int
    count: int
    parameters: bool
    mode: tuple[int, int]  # k_log2, m_log2

    def __str__(self) -> str:
        return f"{self.count} {'parameters' if self.parameters else 'weight vectors'} to {self.base}"


@dataclass(frozen=True)
class ActivationsStep:
    """A load of lines."""

    idx_base: int
    line_pos: int
    lines: int
    base: int
    limit: int

    def __str__(self) -> str:
        return f"{self.lines} lines to index entry {self.idx_base}"


@dataclass(frozen=True)
class LayerStep:
    """A layer."""

    descriptor: Descriptor

    def __str__(self) -> str:
        d = self.descriptor
        return f"{d.in_c}x{d.in_h}x{d.in_w} to {d.out_k}x{d.out_h}x{d.out_w}"


@dataclass(frozen=True)
class ResultsStep:
    """A result transfer."""

    idx_base: int
    lines: int

    def __str__(self) -> str:
        return f"{self.lines} lines from index entry {self.idx_base}"


Step = WeightsStep | ActivationsStep | LayerStep | ResultsStep


@dataclass(frozen=True)
class Issue:
    """A descriptor: what to do, and what for to wait."""

    step: Step
    waits: tuple[Wait, ...]


@dataclass(frozen=True)
class RunPlan:
    """What a run does: the descriptors of each engine, so many times."""

    issues: tuple[tuple[Issue, ...], ...]
    iterations: int


WORDS = {Engine.WEIGHTS: 2, Engine.ACTIVATIONS: 3, Engine.LAYERS: 16, Engine.RESULTS: 2}  # of a descriptor


def _bits(word: int, low: int, width: int) -> int:
    return word >> low & (1 << width) - 1


def _waits(word: int) -> tuple[Wait, ...]:
    parts = ((engine, _bits(word, 16 * engine, 16)) for engine in Engine)
    found = (Wait(engine, _bits(part, 0, 15), bool(part >> 15)) for engine, part in parts)
    return tuple(wait for wait in found if wait.count)


def _step(engine: Engine, words: Sequence[int], registers: RegisterModel) -> Step:
    first = words[0]
    match engine:
        case Engine.WEIGHTS:
            mode = _bits(first, 56, 2), _bits(first, 60, 3)
            return WeightsStep(_bits(first, 0, 24), _bits(first, 32, 24), bool(_bits(first, 31, 1)), mode)
        case Engine.ACTIVATIONS:
            section = _bits(words[1], 0, 24), _bits(words[1], 32, 24)
            return ActivationsStep(_bits(first, 0, 24), _bits(first, 24, 7), _bits(first, 32, 24), *section)
        case Engine.LAYERS:
            values = [_bits(word, low, 32) for word in words for low in (0, 32)]
            names = [registers.name_at(FIRST_LAYER_REGISTER + _REGISTER_BYTES * i) for i in range(len(values))]
            pairs = zip(names, values, strict=True)
            return LayerStep(descriptor_of({name: registers.decode(name, value) for name, value in pairs if name}))
        case Engine.RESULTS:
            return ResultsStep(_bits(first, 0, 24), _bits(first, 32, 24))


def decode(
    words: Sequence[int], lists: Sequence[tuple[int, int]], iterations: int, registers: RegisterModel
) -> RunPlan:
    """The program in a Program Memory; ``lists``: first word and number of descriptors of each engine."""

    def issues(engine: Engine) -> Iterator[Issue]:
        base, count = lists[engine]
        for start in range(base, base + count * WORDS[engine], WORDS[engine]):
            yield Issue(
                _step(engine, words[start + 1 : start + WORDS[engine]], registers),
                _waits(words[start]),
            )

    return RunPlan(tuple(tuple(issues(engine)) for engine in Engine), iterations)


OPEN_LAYERS = 2  # at most


class Standing:
    """How far each engine of a run is, in descriptors over all iterations: `retired`, and `open`, which were issued
    besides, as far as the user of this tells them from the next one."""

    def __init__(self, plan: RunPlan):
        self.plan = plan
        self.counts = [len(issues) for issues in plan.issues]
        self.retired = [0] * len(Engine)
        self.open = [0] * len(Engine)

    def issued(self, engine: Engine) -> int:
        """Descriptors before the one that is next."""
        return self.retired[engine] + self.open[engine]

    def at(self, engine: Engine) -> tuple[int, int]:
        """Iteration and number of the descriptor that is next."""
        return self.place(engine, self.issued(engine))

    def place(self, engine: Engine, order: int) -> tuple[int, int]:
        """Iteration and number of a descriptor, from how many are before it."""
        return divmod(order, self.counts[engine] or 1)

    def next(self, engine: Engine) -> Issue | None:
        """The descriptor that is next; None when the engine has issued all."""
        if self.issued(engine) >= self.counts[engine] * self.plan.iterations:
            return None
        return self.plan.issues[engine][self.at(engine)[1]]

    def met(self, engine: Engine, wait: Wait) -> bool:
        """Whether a wait of the engine's next descriptor is met."""
        iteration = self.at(engine)[0] - wait.previous
        return iteration < 0 or self.retired[wait.engine] >= iteration * self.counts[wait.engine] + wait.count

    def ahead_of(self, engine: Engine) -> list[Engine]:
        """Engines that hold this one back because it would be two iterations ahead of them."""
        iteration = self.at(engine)[0]
        busy = (other for other in Engine if self.counts[other])
        return [other for other in busy if iteration - self.place(other, self.retired[other])[0] > 1]

    def ready(self, engine: Engine) -> bool:
        """Whether the engine has a descriptor left whose waits are met."""
        issue = self.next(engine)
        return issue is not None and not self.reasons(engine)

    def reasons(self, engine: Engine) -> list[str]:
        """What the engine's next descriptor waits for, in words; none when it may be issued or there is none."""
        issue = self.next(engine)
        if issue is None:
            return []
        found = [
            f"{wait.label} ({self.retired[wait.engine] - self._before(engine, wait)} retired)"
            for wait in issue.waits
            if not self.met(engine, wait)
        ]
        return found + [f"{other.label}, an iteration behind" for other in self.ahead_of(engine)]

    def _before(self, engine: Engine, wait: Wait) -> int:
        """Descriptors that the awaited engine retires before the iteration that a wait means."""
        return (self.at(engine)[0] - wait.previous) * self.counts[wait.engine]

    @property
    def over(self) -> bool:
        """All is done."""
        total = [count * self.plan.iterations for count in self.counts]
        return all(retired >= due for retired, due in zip(self.retired, total, strict=True))
