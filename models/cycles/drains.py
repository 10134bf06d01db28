# SPDX-License-Identifier: Apache-2.0
"""Drain arbiter and staging slots (docs/architecture.md section 7, 7 and 8).

The arbiter chooses a PE for one streaming processor at a time, also while that has a drain: the next one follows it.
Times of choices are those of the grant, were the streaming processor free.
"""

from typing import Any

from models.cycles import elements, events, slots
from models.cycles.compiled import part
from models.cycles.state import (
    AHEAD,
    BEHIND,
    DRAIN_GROUPS,
    FILL_SLOT,
    FINISH_JOB,
    GRANT,
    GRANT_DRAIN,
    KEPT,
    NONE,
    TURN,
    Play,
)


@part
def request(s: Any, t: Play, p: int, time: int) -> None:
    """A PE asks to be drained."""
    s.pes[p].waiting = 1
    arbitrate(s, t, time)


@part
def free_slot(s: Any, t: Play, job: int, time: int) -> None:
    """A job's slot is read."""
    sp = slots.job_of(s, t, job).port
    s.ports[sp].slots += 1
    slots.job_of(s, t, job).port = NONE
    slots.choose(s, t, sp, time)
    arbitrate(s, t, time)


@part
def finish(s: Any, t: Play, job: int, time: int) -> None:
    """A job's last line is written."""
    layer, jobs = s.layers[job & 1], t.tables[job & 1].jobs
    jobs[job >> 1].done = 1
    layer.jobs_left -= 1
    while jobs[layer.oldest].done:
        layer.oldest += 1
    layer.end = max(layer.end, time)
    arbitrate(s, t, time)


@part
def group_of(s: Any, p: int) -> int:
    """A PE's group in the drain network."""
    return p // -(-s.core[0].pes // DRAIN_GROUPS)


@part
def job_number(s: Any, unit: int) -> int:
    """A unit's job."""
    return 2 * ((unit >> 1) // s.layers[unit & 1].splits) + (unit & 1)


@part
def opens(s: Any, sp: int, time: int) -> bool:
    """Whether a job that has no slot would get one of this streaming processor: of those that have no choice yet the
    one that has no drain, else the one of most free slots."""
    port = s.ports[sp]
    if not port.slots:
        return False
    for o in range(s.core[0].ports):
        other = s.ports[o]
        if other.next == NONE and other.slots:
            idle = other.port_free <= time
            if idle == (port.port_free <= time):
                if other.slots > port.slots:
                    return False
            elif idle:
                return False
    return True


@part
def candidate(s: Any, t: Play, sp: int, time: int) -> int:
    """Who drains next to a streaming processor: units of a job that has a slot there first; the last slot is for the
    oldest job, and none for the younger layer while a unit of the older one waits for a slot. No group of PEs is chosen
    twice."""
    pes, left, taken = s.core[0].pes, 0, 0
    for o in range(s.core[0].ports):
        left += s.ports[o].slots
        if s.ports[o].next != NONE:
            taken |= 1 << group_of(s, s.ports[o].next)
    opened = opens(s, sp, time)
    oldest = 2 * s.layers[s.total[0].oldest].oldest + s.total[0].oldest
    anyone = left > 1 or slots.job_of(s, t, oldest).port != NONE
    older, older_waits = s.total[0].oldest, False
    for p in range(pes):
        unit = s.pes[p].draining
        if s.pes[p].waiting and unit & 1 == older and slots.job_of(s, t, job_number(s, unit)).port == NONE:
            older_waits = True
    chosen, best = NONE, 2 * pes
    for p in range(pes):
        pe = s.pes[p]
        if not pe.waiting or taken >> group_of(s, p) & 1:
            continue
        layer, job = s.layers[pe.draining & 1], job_number(s, pe.draining)
        rank, port = (p - s.total[0].last_pe - 1) % pes, slots.job_of(s, t, job).port
        if port == NONE:
            if older_waits and pe.draining & 1 != older:
                continue
            if not (opened and (anyone or job == oldest or (layer.splits == 1 and not layer.continues))):
                continue
            rank += pes
        elif port != sp:
            continue
        if rank < best:
            chosen, best = p, rank
    return chosen


@part
def choose(s: Any, t: Play, time: int) -> bool:
    """Choose who drains next to a streaming processor that has no choice yet; whether there is someone."""
    total, ports = s.total[0], s.core[0].ports
    if time < total.choice:
        return False
    for i in range(ports):
        sp = (total.last_port + 1 + i) % ports
        port = s.ports[sp]
        if port.next != NONE or time < port.choice:
            continue
        p = candidate(s, t, sp, time)
        if p == NONE:
            continue
        pe = s.pes[p]
        pe.waiting = 0
        total.last_pe, total.last_port = p, sp
        port.next = p
        layer = s.layers[pe.draining & 1]
        number = (pe.draining >> 1) // layer.splits
        job = t.tables[pe.draining & 1].jobs[number]
        total.choice = time + TURN - 1
        if job.port == NONE:
            port.slots -= 1
            job.port, job.units_left = sp, layer.splits
            total.choice = time + TURN
            if not layer.keeps:  # what the slot holds is calculated, a bit of the chunk's number or of the rows a cycle
                chunk, rows, bits = number % layer.chunks, layer.tile_rows - 1, 0
                while chunk or rows:
                    chunk, rows, bits = chunk >> 1, rows >> 1, bits + 1
                total.choice += bits
        events.at(s, total.choice, GRANT_DRAIN, NONE)
        return True
    return False


@part
def arbitrate(s: Any, t: Play, time: int) -> None:
    """Begin the drains that can begin, choose those that can be chosen."""
    going = True
    while going:
        going = False
        for sp in range(s.core[0].ports):
            port = s.ports[sp]
            if port.next == NONE or port.port_free > time:
                continue
            free = True
            for o in range(s.core[0].ports):
                other = s.ports[o]
                if o != sp and other.port_free > time and other.port_group == group_of(s, port.next):
                    free = False
            if free:
                p, port.next = port.next, NONE
                drain(s, t, p, sp, time)
                going = True
        going = choose(s, t, time) or going


@part
def drain(s: Any, t: Play, p: int, sp: int, time: int) -> None:
    """A unit's drain."""
    pe, port = s.pes[p], s.ports[sp]
    unit = pe.draining
    layer, tables = s.layers[unit & 1], t.tables[unit & 1]
    number = (unit >> 1) // layer.splits
    job, rows = tables.jobs[number], tables.tiles[elements.tile_of(s, t, unit)].rows
    end = time + GRANT + rows
    port.port_free, port.port_group, port.choice = time + rows, group_of(s, p), time + BEHIND
    events.at(s, port.choice, GRANT_DRAIN, NONE)
    events.at(s, port.port_free, GRANT_DRAIN, NONE)
    job.units_left -= 1
    if not job.units_left and layer.keeps:
        events.at(s, end + KEPT, FINISH_JOB, 2 * number + (unit & 1))
    elif not job.units_left:
        events.at(s, end, FILL_SLOT, 2 * number + (unit & 1))
    s.total[0].drained += end - AHEAD - pe.scan_end
    pe.scan_end = end - AHEAD
    pe.draining = NONE
    elements.advance(s, t, p, False)
