# SPDX-License-Identifier: Apache-2.0
"""Places in memories: tensors by the time that they are needed, weight sets one behind the other."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

_TRIES = 16  # orders of each kind


@dataclass(frozen=True)
class Need:
    """Something that takes `size` places from step `birth` to before step `end`, and had better be alone there for
    `apart` steps more; a birth below 0 is in the iteration before."""

    size: int
    birth: int
    end: int
    apart: int = 0

    def meets(self, other: Need, period: int, apart: bool) -> bool:
        """Whether both are there at some step, in iterations of `period` steps; apart: or had better not be."""
        ends = (need.end + need.apart if apart else need.end for need in (self, other))
        own, others = (end - need.birth for end, need in zip(ends, (self, other), strict=True))
        return (other.birth - self.birth) % period < own or (self.birth - other.birth) % period < others


@dataclass(frozen=True)
class Packed:
    """A base for each need, and how many of them are not apart."""

    bases: list[int]
    close: int


def pack(needs: Sequence[Need], period: int, memory: int) -> Packed | None:
    """Bases such that what is there at the same time does not overlap; None where that was not found. Large needs have
    the first choice, or large and long ones; one that finds no place is the first to choose then."""
    if max(sum(need.size for need in there(needs, step, period)) for step in range(period)) > memory:
        return None
    sizes = [need.size for need in needs]
    areas = [need.size * (need.end - need.birth) ** 0.5 for need in needs]
    for aparts in (True, False), (False,):
        for first_choice in sizes, areas:
            order = sorted(range(len(needs)), key=lambda n: (-first_choice[n], n))
            for _ in range(_TRIES):
                found = _packed(needs, order, period, memory, aparts)
                if isinstance(found, Packed):
                    return found
                order.insert(0, order.pop(order.index(found)))
    return None


def there(needs: Sequence[Need], step: int, period: int) -> list[Need]:
    """What is there at a step."""
    return [need for need in needs if (step - need.birth) % period < need.end - need.birth]


def _packed(
    needs: Sequence[Need], order: Sequence[int], period: int, memory: int, aparts: Sequence[bool]
) -> Packed | int:
    """Bases in an order, each the lowest that is free, apart or not; or the first need that finds none."""
    bases: dict[int, int] = {}
    close = 0
    for number in order:
        need = needs[number]
        for apart in aparts:
            taken = sorted(
                (base, base + needs[other].size)
                for other, base in bases.items()
                if need.meets(needs[other], period, apart)
            )
            base = 0
            for first, last in taken:
                if base + need.size <= first:
                    break
                base = max(base, last)
            if base + need.size <= memory:
                close += not apart
                break
        else:
            return number
        bases[number] = base
    return Packed([bases[number] for number in range(len(needs))], close)


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
