# SPDX-License-Identifier: Apache-2.0
"""Drain arbiter, staging slots, streaming processors and line writer (docs/architecture.md section 7, 7 to 10).

The arbiter chooses a PE for one streaming processor at a time, also while that has a drain: the next one follows it.
Times of choices are those of the grant, were the streaming processor free.
"""

from math import ceil
from typing import Any

from models.cycles import banks, elements, events
from models.cycles.compiled import part
from models.cycles.state import (
    ACTIVATIONS,
    AHEAD,
    BEHIND,
    DRAIN_GROUPS,
    FILL_SLOT,
    FINISH_JOB,
    FIRST_RESIDUAL,
    FREE_SLOT,
    GRANT,
    GRANT_DRAIN,
    INDEX,
    KEPT,
    LINE,
    NONE,
    SWITCH,
    TURN,
    Play,
)


@part
def request(s: Any, t: Play, p: int, time: int) -> None:
    """A PE asks to be drained."""
    s.pes[p].waiting = 1
    arbitrate(s, t, time)


@part
def job_of(s: Any, t: Play, job: int) -> Any:
    """A job of one of both layers."""
    return t.tables[job & 1].jobs[job >> 1]


@part
def free_slot(s: Any, t: Play, job: int, time: int) -> None:
    """A job's slot is read."""
    sp = job_of(s, t, job).port
    s.ports[sp].slots += 1
    job_of(s, t, job).port = NONE
    read_slot(s, t, sp, time)
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
    oldest job. No group of PEs is chosen twice."""
    pes, slots, taken = s.core[0].pes, 0, 0
    for o in range(s.core[0].ports):
        slots += s.ports[o].slots
        if s.ports[o].next != NONE:
            taken |= 1 << group_of(s, s.ports[o].next)
    opened = opens(s, sp, time)
    oldest = 2 * s.layers[s.total[0].oldest].oldest + s.total[0].oldest
    anyone = slots > 1 or job_of(s, t, oldest).port != NONE
    chosen, best = NONE, 2 * pes
    for p in range(pes):
        pe = s.pes[p]
        if not pe.waiting or taken >> group_of(s, p) & 1:
            continue
        layer = s.layers[pe.draining & 1]
        job = 2 * ((pe.draining >> 1) // layer.splits) + (pe.draining & 1)
        rank, port = (p - s.total[0].last_pe - 1) % pes, job_of(s, t, job).port
        if port == NONE:
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


@part
def fill_slot(s: Any, t: Play, job: int, time: int) -> None:
    """A job's slot is full."""
    sp = job_of(s, t, job).port
    port = s.ports[sp]
    port.full[port.full_count], port.full_time[port.full_count] = job, time
    port.full_count += 1
    if not port.reads:
        read_slot(s, t, sp, time)


@part
def read_slot(s: Any, t: Play, sp: int, time: int) -> None:
    """A streaming processor reads the next full slot, if there is one: of the older layer first."""
    port, total = s.ports[sp], s.total[0]
    port.reads = port.full_count > 0
    if not port.reads:
        return
    place = 0
    for i in range(port.full_count - 1, -1, -1):
        if port.full[i] & 1 == total.oldest:
            place = i
    job, full = port.full[place], port.full_time[place]
    port.full_count -= 1
    for i in range(place, port.full_count):
        port.full[i], port.full_time[i] = port.full[i + 1], port.full_time[i + 1]
    layer, tables = s.layers[job & 1], t.tables[job & 1]
    chunk, tile = (job >> 1) % layer.chunks, tables.tiles[(job >> 1) // layer.chunks].next
    lines = tables.chunks[chunk].lines
    free = port.free + (SWITCH if port.context != job & 1 else 0)
    start = max(time, free, full + layer.residual * FIRST_RESIDUAL)
    total.writer_free = max(total.writer_free, start) + ceil(lines * layer.line_cycles)
    port.free = max(start + ceil(lines * tables.tiles[tile].beats), total.writer_free)
    port.context = job & 1
    write_lines(s, t, job & 1, tile, chunk, start, port.free)
    events.at(s, port.free, FREE_SLOT, job)
    events.at(s, port.free + LINE, FINISH_JOB, job)


@part
def write_lines(s: Any, t: Play, context: int, tile: int, chunk: int, start: int, end: int) -> None:
    """A job's lines, all of the same length, while its slot is read and LINE cycles later."""
    layer, chunks = s.layers[context], t.tables[context].chunks
    lines = chunks[chunk].lines
    entry = layer.out_idx_base + chunk * chunks[0].lines * layer.out_pitch + tile
    for line in range(lines):
        time = start + LINE + (end - start) * (line + 1) // lines
        while banks.writes(s, INDEX, time):
            time += 1
        first = layer.out_words * layer.lines_written // layer.out_lines
        layer.lines_written += 1
        after = layer.out_words * layer.lines_written // layer.out_lines
        banks.write(s, ACTIVATIONS, time, layer.out_act_base + first, after - first)
        banks.write(s, INDEX, time, entry + line * layer.out_pitch, 1)
        if layer.residual:  # its line is read before
            first = layer.res_words * (layer.lines_written - 1) // layer.out_lines
            after = layer.res_words * layer.lines_written // layer.out_lines
            banks.write(s, ACTIVATIONS, time - LINE, first, after - first)
