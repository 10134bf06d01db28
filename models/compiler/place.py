# SPDX-License-Identifier: Apache-2.0
"""Places in memories: tensors by the time that they are needed, weight sets one behind the other."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field


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
    """Bases such that what is there at the same time does not overlap; None where that was not found."""
    bases: dict[int, int] = {}
    close = 0
    for number in sorted(range(len(needs)), key=lambda n: (-needs[n].size, n)):
        need = needs[number]
        for apart in (True, False):
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
            return None
        bases[number] = base
    return Packed([bases[number] for number in range(len(needs))], close)


@dataclass
class Ring:
    """Sets in a memory one behind the other, from the start again at its end: a new one takes the place of the oldest.

    A set that is still there is not loaded again.
    """

    memory: int
    next: int = 0
    sets: dict[Hashable, tuple[int, int]] = field(default_factory=dict)  # first, last

    def place(self, key: Hashable, size: int) -> tuple[int, bool]:
        """The set's base, and whether it has to be loaded."""
        if key in self.sets:
            return self.sets[key][0], False
        base = self.next if self.next + size <= self.memory else 0
        self.sets = {k: (a, b) for k, (a, b) in self.sets.items() if b <= base or a >= base + size}
        self.sets[key] = base, base + size
        self.next = base + size
        return base, True
