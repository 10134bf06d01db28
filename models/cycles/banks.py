# SPDX-License-Identifier: Apache-2.0
"""Cycles of a banked memory that many PEs share (docs/architecture.md section 7), played one by one: requests wait in
groups of PEs, a group offers an address at a time to the banks, a bank serves one a cycle to all who offer it.
"""

from typing import Any

from models.cycles import events
from models.cycles.compiled import part
from models.cycles.state import AHEAD_WANTED, GROUPS, MAX_AHEAD, NONE, OFFERS, URGENT, WEIGHTS

_BEYOND = 1 << 32  # all addresses


@part
def hurries(s: Any, m: int, p: int, time: int) -> bool:
    """Whether what a PE asks for goes first in its group: for a while now, its scanner has waited for a vector, or of
    the other memories for a segment. What it waited for the last time may be there since."""
    pe, seen = s.pes[p], time - URGENT
    now = pe.passes[pe.passes_first]
    if m == WEIGHTS:
        if pe.waits <= seen < pe.waited:
            return True
        waits = pe.passes_count > 0 and max(pe.scan_end + pe.pause, now.time) <= seen
        return waits and pe.draining == NONE and (now.vector == NONE or now.vector - 1 > seen)
    if pe.starves <= seen < pe.starved:
        return True
    return pe.scan_end <= seen and pe.draining == NONE and (pe.passes_count == 0 or now.time - 1 > seen)


@part
def want(requests: Any, time: int, address: int, what: int) -> None:
    """One more request of a PE."""
    wanted = requests.wanted[(requests.wanted_first + requests.wanted_count) & (AHEAD_WANTED - 1)]
    wanted.time, wanted.address, wanted.what = time, address, what
    requests.wanted_count += 1


@part
def ask(s: Any, m: int, p: int, time: int) -> None:
    """There may be something for a PE to ask for from ``time`` on, or from when on there is room for it."""
    requests = s.requests[m, p]
    if requests.wanted_count and requests.queue_count < OFFERS and requests.room + requests.returns_count:
        time = max(time, requests.wanted[requests.wanted_first].time)
        events.note_ask(s, m, time if requests.room else max(time, requests.returns[requests.returns_first]), p)


@part
def settle(requests: Any, time: int) -> None:
    """There is the room that was given back up to now."""
    while requests.returns_count and requests.returns[requests.returns_first] <= time:
        requests.returns_first = (requests.returns_first + 1) & (AHEAD_WANTED - 1)
        requests.returns_count -= 1
        requests.room += 1


@part
def give_back(s: Any, m: int, p: int, time: int) -> None:
    """There is room for another request from ``time`` on."""
    requests = s.requests[m, p]
    settle(requests, s.clock[0].now)
    requests.returns[(requests.returns_first + requests.returns_count) & (AHEAD_WANTED - 1)] = time
    requests.returns_count += 1
    ask(s, m, p, time)


@part
def write(s: Any, m: int, time: int, first: int, count: int) -> None:
    """A write of ``count`` consecutive addresses, or a read that goes before those of PEs."""
    cycle = s.writes[m, time & (MAX_AHEAD - 1)]
    if cycle.time != time:
        cycle.time, cycle.banks = time, 0
    for address in range(first, first + count):
        cycle.banks |= 1 << placed(s.memories[m], address) % s.memories[m].banks


@part
def meets(s: Any, m: int, time: int, first: int, count: int) -> bool:
    """Whether a cycle to come has an access to one of the banks of ``count`` consecutive addresses."""
    cycle, found = s.writes[m, time & (MAX_AHEAD - 1)], 0
    if cycle.time == time:
        for address in range(first, first + count):
            found |= cycle.banks >> placed(s.memories[m], address) % s.memories[m].banks & 1
    return found != 0


@part
def placed(memory: Any, address: int) -> int:
    """Where the memory has what is at an address: index entries are skewed over the banks."""
    return address ^ (address // memory.banks % memory.banks if memory.skewed else 0)


@part
def join(memory: Any, group: int) -> None:
    """A group becomes active. They are visited in the order of a hash table: up to four in one of eight places, more by
    number; it decides who comes first of those that are served at the same time."""
    if memory.active >> group & 1:
        return
    memory.active |= 1 << group
    memory.active_count += 1
    size = len(memory.places)
    if memory.active_count <= 4:
        place = group % size
        while memory.places[place] != NONE:
            place = (5 * place + 1) % size
        memory.places[place] = group


@part
def visit(memory: Any) -> int:
    """Put the active groups in order; how many they are."""
    found = 0
    if memory.active_count > 4:
        for group in range(GROUPS):
            if memory.active >> group & 1:
                memory.order[found] = group
                found += 1
    else:
        for place in range(len(memory.places)):
            if memory.places[place] != NONE:
                memory.order[found] = memory.places[place]
                found += 1
    return found


@part
def urgent(s: Any, m: int, group: int, time: int) -> bool:
    """Whether someone hurries whose request is the group's first offer, which it became in the cycle before."""
    for i in range(s.groups[m, group].sharers_count[0]):
        if hurries(s, m, s.groups[m, group].sharers[0, i].address, time - 1):
            return True
    return False


@part
def serve(s: Any, m: int, time: int, active: int) -> int:
    """Which groups' first offers the banks take in this cycle; how many."""
    memory = s.memories[m]
    cycle, written = s.writes[m, time & (MAX_AHEAD - 1)], 0
    if cycle.time == time:
        written = cycle.banks
        cycle.time = NONE
    for i in range(active):
        group = s.groups[m, memory.order[i]]
        if group.offers:
            memory.wanting[group.bank[0]] |= 1 << i
    served = 0
    for i in range(active):
        first = s.groups[m, memory.order[i]]
        bank = first.bank[0]
        wanting = memory.wanting[bank] if first.offers else 0
        if not wanting:
            continue
        memory.wanting[bank] = 0
        if written >> bank & 1:
            continue
        winner = memory.order[i]
        if wanting & (wanting - 1):  # Those that hurry come first, then round robin.
            best = 2 * GROUPS
            for k in range(i, active):
                rank = (memory.order[k] - memory.last[bank] - 1) % GROUPS
                if wanting >> k & 1 and rank < best:
                    rank += 0 if urgent(s, m, memory.order[k], time) else GROUPS
                    if rank < best:
                        winner, best = memory.order[k], rank
        memory.last[bank] = winner
        memory.reads += 1
        address = s.groups[m, winner].address[0]
        for k in range(i, active):
            if wanting >> k & 1 and s.groups[m, memory.order[k]].address[0] == address:
                memory.winners[served] = memory.order[k]
                served += 1
    return served


@part
def offer(s: Any, m: int, g: int, time: int) -> None:
    """A group's next offer: an address, and whoever asks for it. Those that hurry come first, then the lowest."""
    memory, group = s.memories[m], s.groups[m, g]
    members = group.members
    address = s.requests[m, members[0]].queue[0].address
    if group.members_count > 1:
        best = 2 * _BEYOND
        for i in range(group.members_count):
            own = s.requests[m, members[i]].queue[0].address
            rank = own if hurries(s, m, members[i], time) else _BEYOND + own
            if rank < best:
                address, best = own, rank
    slot = group.offers
    group.offers += 1
    group.address[slot], group.bank[slot] = address, address % memory.banks
    sharers, left = 0, 0
    for i in range(group.members_count):
        p = members[i]
        requests = s.requests[m, p]
        if requests.queue[0].address == address:
            group.sharers[slot, sharers].address, group.sharers[slot, sharers].what = p, requests.queue[0].what
            sharers += 1
            requests.queue_count -= 1
            requests.queue[0].address, requests.queue[0].what = requests.queue[1].address, requests.queue[1].what
        if requests.queue_count:
            members[left] = p
            left += 1
    group.members_count, group.sharers_count[slot] = left, sharers
    for i in range(sharers):
        ask(s, m, group.sharers[slot, i].address, time + 1)


@part
def collect(s: Any, m: int, time: int, place: int) -> int:
    """Who of those that may have a request has one and room for it, in State.asked; how many."""
    found = 0
    while place != NONE:
        p, following = s.events[place].argument, s.events[place].next
        events.give_place(s, place)
        place = following
        requests = s.requests[m, p]
        settle(requests, time)
        asks = requests.room and requests.wanted_count and requests.wanted[requests.wanted_first].time <= time
        if asks and requests.queue_count < OFFERS and not requests.taken:
            requests.taken = 1
            s.asked[found].address = p
            found += 1
    return found


@part
def queue(s: Any, m: int, i: int, time: int) -> None:
    """The group takes a request."""
    memory, p = s.memories[m], s.asked[i].address
    requests = s.requests[m, p]
    requests.taken = 0
    wanted = requests.wanted[requests.wanted_first]
    requests.wanted_first = (requests.wanted_first + 1) & (AHEAD_WANTED - 1)
    requests.wanted_count -= 1
    requests.room -= 1
    g = p // memory.group_size
    if not requests.queue_count:
        group = s.groups[m, g]
        group.members[group.members_count] = p
        group.members_count += 1
    last = requests.queue[requests.queue_count]
    last.address, last.what = wanted.address, wanted.what
    requests.queue_count += 1
    s.asked[i].what = wanted.what
    join(memory, g)
    ask(s, m, p, time + 1)


@part
def play(s: Any, m: int, time: int, first_ask: int) -> tuple[int, int]:
    """A cycle of memory ``m``, with those that may have a request; how many were taken, and how many served, which are
    in State.asked and State.served."""
    memory = s.memories[m]
    active = visit(memory)
    winners = serve(s, m, time, active)
    asked = collect(s, m, time, first_ask)
    for i in range(active):
        group = s.groups[m, memory.order[i]]
        if group.members_count and group.offers < OFFERS:
            offer(s, m, memory.order[i], time)
    served = 0
    for i in range(winners):
        g = memory.winners[i]
        group = s.groups[m, g]
        for k in range(group.sharers_count[0]):
            sharer = group.sharers[0, k]
            s.served[served].address, s.served[served].what = sharer.address, sharer.what
            served += 1
        group.offers -= 1
        group.address[0], group.bank[0] = group.address[1], group.bank[1]
        group.sharers_count[0] = group.sharers_count[1]
        for k in range(group.sharers_count[0] if group.offers else 0):
            sharer, after = group.sharers[0, k], group.sharers[1, k]
            sharer.address, sharer.what = after.address, after.what
    memory.requests += served
    for i in range(asked):
        queue(s, m, i, time)
    active = visit(memory)
    memory.active = memory.active_count = 0
    memory.places[:] = NONE
    for i in range(active):
        group = s.groups[m, memory.order[i]]
        if group.offers or group.members_count:
            join(memory, memory.order[i])
    if memory.active:
        events.wake(s, m, time + 1)
    return asked, served
