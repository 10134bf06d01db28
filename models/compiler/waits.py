# SPDX-License-Identifier: Apache-2.0
"""Waits, from what each step of an iteration reads and writes where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from models.program import ENGINES, LAYERS, Wait, Waits

MEMORIES = ("weights", "parameters", "index", "words", "sections")
NOBODY = 0


@dataclass
class Access:
    """A step of an engine, and its accesses: memory (number in MEMORIES), first place, place behind the last, whether
    they are written, and for whom, if several steps of an iteration may write them together."""

    engine: int
    number: int
    places: list[tuple[int, int, int, bool, int]] = field(default_factory=list)

    def use(self, memory: str, first: int, size: int, write: bool = False, together: int = NOBODY) -> None:
        """Note an access."""
        if size:
            self.places.append((MEMORIES.index(memory), first, first + size, write, together))


def waits(steps: Sequence[Access]) -> list[Waits]:
    """The waits of steps that are in the order in which one after another would be right, in every iteration.

    A step waits for all before it that touch a place which it writes, or write one which it touches: of this iteration,
    or, where there is none of an engine, of the one before. Loads and results run one after another anyway. Two layers
    may be open, so a layer waits for the one before it if it has to, and only then.
    """
    tables = []  # by memory: step, first, last, write, together
    for memory in range(len(MEMORIES)):
        places = [(n, *place) for n, step in enumerate(steps) for where, *place in step.places if where == memory]
        tables.append(np.array(places, np.int64).reshape(-1, 5).T)
    engines = np.array([step.engine for step in steps])
    numbers = np.array([step.number for step in steps])
    found: list[Waits] = []
    for n, step in enumerate(steps):
        conflicts = np.zeros(len(steps), bool)
        for memory, low, high, writes, whose in step.places:
            owner, first, last, write, together = tables[memory]
            meets = (first < high) & (last > low)
            if whose != NOBODY:
                meets &= (together != whose) | (owner >= n)
            conflicts[owner[meets if writes else meets & (write == 1)]] = True
        own: list[Wait] = []
        for engine in range(len(ENGINES)):
            wait = Wait()
            if engine != step.engine or engine == LAYERS:
                met = np.flatnonzero(conflicts & (engines == engine))
                before = met[met < n]
                if len(before):
                    wait = Wait(int(numbers[before].max()) + 1)
                elif len(met):
                    wait = Wait(int(numbers[met].max()) + 1, True)
            own.append(wait)
        weights, activations, layers, results = own
        found.append((weights, activations, layers, results))
    return found
