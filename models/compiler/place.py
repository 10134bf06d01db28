# SPDX-License-Identifier: Apache-2.0
"""Places in memories: tensors by the time that they are needed, weight sets one behind the other."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Bools = npt.NDArray[np.bool_]

_TRIES = 16  # orders of each kind


@dataclass(frozen=True)
class Need:
    """Something that takes `size` places from step `birth` to before step `end`, and had better be alone there for
    `apart` steps more; a birth below 0 is in the iteration before."""

    size: int
    birth: int
    end: int
    apart: int = 0


@dataclass(frozen=True)
class Packed:
    """A base for each need, and how many of them are not apart."""

    bases: list[int]
    close: int


def pack(needs: Sequence[Need], period: int, memory: int) -> Packed | None:
    """Bases such that what is there at the same time does not overlap; None where that was not found. Large needs have
    the first choice, or large and long ones; one that finds no place is the first to choose then."""
    if there(needs, period).dot([need.size for need in needs]).max() > memory:
        return None
    sizes = [need.size for need in needs]
    areas = [need.size * (need.end - need.birth) ** 0.5 for need in needs]
    apart, close = (_meeting(needs, period, apart) for apart in (True, False))
    for meeting in (apart, close), (close,):
        for first_choice in sizes, areas:
            order = sorted(range(len(needs)), key=lambda n: (-first_choice[n], n))
            for _ in range(_TRIES):
                found = _packed(sizes, order, memory, meeting)
                if isinstance(found, Packed):
                    return found
                order.insert(0, order.pop(order.index(found)))
    return None


def there(needs: Sequence[Need], period: int) -> Bools:
    """Which needs are there at each step of an iteration (period, N)."""
    births, ends = np.array([(need.birth, need.end) for need in needs]).T
    found: Bools = (np.arange(period)[:, None] - births) % period < ends - births
    return found


def _meeting(needs: Sequence[Need], period: int, apart: bool) -> Bools:
    """Which two (N, N) are there at the same step, in iterations of `period` steps; apart: or had better not be."""
    births = np.array([need.birth for need in needs])
    lives = np.array([need.end + (need.apart if apart else 0) for need in needs]) - births
    begins = (births - births[:, None]) % period < lives[:, None]  # of one while the other is there
    found: Bools = begins | begins.T
    return found


def _packed(sizes: Sequence[int], order: Sequence[int], memory: int, meeting: Sequence[Bools]) -> Packed | int:
    """Bases in an order, each the lowest that is free of those that it meets in the first sense of `meeting` or, if
    there is none, the next; or the first need that finds none. close: how many are free of others in the last sense."""
    bases, ends = np.zeros((2, len(sizes)), np.int64)
    placed = np.zeros(len(sizes), bool)
    close = 0
    for number in order:
        for meets in meeting:
            others = np.flatnonzero(meets[number] & placed)
            others = others[np.argsort(bases[others])]
            begins = np.maximum.accumulate([0, *ends[others]])  # of gaps
            fits = np.flatnonzero(np.append(bases[others], memory) - begins >= sizes[number])
            if len(fits):
                bases[number], placed[number] = begins[fits[0]], True
                ends[number] = bases[number] + sizes[number]
                close += meets is meeting[-1]
                break
        else:
            return number
    return Packed(bases.tolist(), close)


@dataclass
class Sets:
    """Sets in a memory: a new one takes the place of what has not been used for longest, if possible at one end.

    So of two that fill the memory one is loaded while the other is used. A set that is still there is not loaded again.
    """

    memory: int
    places: dict[Hashable, tuple[int, int]] = field(default_factory=dict)  # first, last
    used: dict[Hashable, int] = field(default_factory=dict)  # the last step that does

    def place(self, key: Hashable, size: int, step: int) -> tuple[int, bool]:
        """The base of a set that a step uses, and whether it has to be loaded."""
        missing = key not in self.places
        if missing:
            spans = self.places.values()
            bases = {0, self.memory - size, *(end for _, end in spans), *(first - size for first, _ in spans)}

            def cost(base: int) -> tuple[int, int, int]:
                at_end = min(base, self.memory - size - base)
                return max((self.used[other] for other in self._met(base, size)), default=-1), at_end, base

            base = min((base for base in bases if 0 <= base <= self.memory - size), key=cost)
            for other in self._met(base, size):
                del self.places[other]
            self.places[key] = base, base + size
        self.used[key] = step
        return self.places[key][0], missing

    def _met(self, base: int, size: int) -> list[Hashable]:
        """The sets that reach into [base, base + size)."""
        return [key for key, (first, last) in self.places.items() if first < base + size and last > base]
