# SPDX-License-Identifier: Apache-2.0
"""Cycles of a banked memory that many PEs share (docs/architecture.md section 7), played one by one: requests wait in
groups of PEs, a group offers an address at a time to the banks, a bank serves one a cycle to all who offer it.
"""

from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

GROUPS = 16  # of PEs at a memory, at most
OFFERS = 2  # requests of a PE that wait in its group, and offers of a group


class Requester(Protocol):
    """A PE."""

    number: int

    def starves(self, time: int) -> bool:
        """Whether it has nothing to compute."""


class Requests:
    """What a PE asks a memory for, in order: from when on, which address, and what it is for."""

    __slots__ = ("pe", "queue", "returns", "room", "wanted")

    def __init__(self, pe: Requester, room: int):
        self.pe = pe
        self.wanted: deque[tuple[int, int, Any]] = deque()
        self.queue: deque[tuple[int, Any]] = deque()  # in the group
        self.room = room  # for so many requests more
        self.returns: deque[int] = deque()  # when there is room for another one


class Memory:
    """Banks that serve one address a cycle to everyone who offers it, and groups of PEs that offer one at a time.

    asked, served: what to call when a request is taken and when it is served.
    """

    def __init__(
        self,
        banks: int,
        pes: int,
        at: Callable[[int, Callable[[int, Any], None], object], None],
        skewed: bool = False,
    ):
        self.banks, self.skewed = banks, skewed
        self.group_size = -(-pes // GROUPS)
        self.at = at
        self.asked: Callable[[int, Any, Any], None] | None = None
        self.served: Callable[[int, Any, Any], None] = lambda time, pe, what: None
        self.asking: dict[int, list[Requests]] = {}  # who may have a request, by cycle
        self.members: list[list[Requests]] = [[] for _ in range(GROUPS)]  # with something in their queue
        self.offers: list[list[tuple[int, list[tuple[Requests, Any]]]]] = [[] for _ in range(GROUPS)]
        self.active: set[int] = set()  # groups with either
        self.turn = [-1] * GROUPS  # PE whose address a group offered last
        self.last = [-1] * banks  # group that a bank served last
        self.written: dict[int, int] = {}  # banks with a write, as bits, by cycle
        self.reads = self.requests = 0

    def ask(self, requests: Requests, time: int) -> None:
        """There may be something to ask for from ``time`` on."""
        if requests.wanted and len(requests.queue) < OFFERS:
            self._wake(max(time, requests.wanted[0][0])).append(requests)

    def give_back(self, requests: Requests, time: int) -> None:
        """There is room for another request from ``time`` on."""
        requests.returns.append(time)
        self.ask(requests, time)

    def write(self, time: int, first: int, count: int) -> None:
        """A write of ``count`` consecutive addresses."""
        self.written[time] = self.written.get(time, 0) | sum(1 << self._bank(first + i) for i in range(count))

    def _bank(self, address: int) -> int:
        return (address ^ (address // self.banks if self.skewed else 0)) % self.banks

    def _wake(self, time: int) -> list[Requests]:
        found = self.asking.get(time)
        if found is None:
            found = self.asking[time] = []
            self.at(time, self._cycle, None)
        return found

    def _serve(self, time: int) -> list[int]:
        """Groups whose first offer the banks take in this cycle."""
        written = self.written.pop(time, 0)
        wanted: dict[int, list[int]] = {}
        for group in self.active:
            if self.offers[group]:
                wanted.setdefault(self._bank(self.offers[group][0][0]), []).append(group)
        taken: list[int] = []
        for bank, groups in wanted.items():
            if written >> bank & 1:
                continue
            winner = groups[0]
            if len(groups) > 1:
                urgent = [g for g in groups if any(r.pe.starves(time) for r, _ in self.offers[g][0][1])]
                winner = _next_of(urgent or groups, self.last[bank])
            self.last[bank] = winner
            address = self.offers[winner][0][0]
            self.reads += 1
            taken += [g for g in groups if self.offers[g][0][0] == address]
        return taken

    def _offer(self, time: int, group: int) -> None:
        """A group's next offer: an address, and whoever asks for it."""
        members = self.members[group]
        chosen = members[0]
        if len(members) > 1:
            candidates = [m for m in members if m.pe.starves(time)] or members
            number = _next_of([m.pe.number for m in candidates], self.turn[group])
            chosen = next(m for m in candidates if m.pe.number == number)
        self.turn[group] = chosen.pe.number
        address = chosen.queue[0][0]
        sharing = [m for m in members if m.queue[0][0] == address]
        self.offers[group].append((address, [(m, m.queue.popleft()[1]) for m in sharing]))
        self.members[group] = [m for m in members if m.queue]
        for member in sharing:
            self.ask(member, time + 1)

    def _cycle(self, time: int, _: None) -> None:
        taken = self._serve(time)
        new: list[Requests] = []
        for requests in self.asking.pop(time):
            while requests.returns and requests.returns[0] <= time:
                requests.returns.popleft()
                requests.room += 1
            asks = requests.room and requests.wanted and requests.wanted[0][0] <= time
            if asks and len(requests.queue) < OFFERS and requests not in new:
                new.append(requests)
        for group in self.active:
            if self.members[group] and len(self.offers[group]) < OFFERS:
                self._offer(time, group)
        done = [entry for group in taken for entry in self.offers[group].pop(0)[1]]
        self.requests += len(done)
        asked = []
        for requests in new:
            address, what = requests.wanted.popleft()[1:]
            requests.room -= 1
            group = requests.pe.number // self.group_size
            if not requests.queue:
                self.members[group].append(requests)
            requests.queue.append((address, what))
            self.active.add(group)
            self.ask(requests, time + 1)
            asked.append((requests.pe, what))
        self.active = {group for group in self.active if self.offers[group] or self.members[group]}
        if self.active:
            self._wake(time + 1)
        if self.asked:
            for pe, what in asked:
                self.asked(time, pe, what)
        for requests, what in done:
            self.served(time, requests.pe, what)


def _next_of(numbers: list[int], last: int) -> int:
    """Round robin: the lowest above ``last``, else the lowest."""
    return min([n for n in numbers if n > last] or numbers)
