# SPDX-License-Identifier: Apache-2.0
"""Drain arbiter, staging slots, streaming processors and line writer (docs/architecture.md section 7, 7 to 10)."""

from math import ceil
from typing import Any

from models.cycles import banks, elements, events
from models.cycles.compiled import part
from models.cycles.state import (
    ACTIVATIONS,
    AHEAD,
    DRAIN_GROUPS,
    FINISH_JOB,
    FIRST_RESIDUAL,
    FREE_SLOT,
    GRANT,
    GRANT_DRAIN,
    INDEX,
    KEPT,
    LINE,
    NONE,
    TURN,
    Tables,
)


@part
def request(s: Any, t: Tables, p: int, time: int) -> None:
    """A PE asks to be drained."""
    s.pes[p].waiting = 1
    grant(s, t, time)


@part
def free_slot(s: Any, t: Tables, job: int, time: int) -> None:
    """A job's slot is read."""
    s.ports[t.jobs[job].port].slots += 1
    t.jobs[job].port = NONE
    grant(s, t, time)


@part
def finish(s: Any, t: Tables, job: int, time: int) -> None:
    """A job's last line is written."""
    total = s.total[0]
    t.jobs[job].done = 1
    while t.jobs[total.oldest].done:
        total.oldest += 1
    total.end = max(total.end, time)
    grant(s, t, time)


@part
def choose(s: Any, t: Tables, time: int) -> tuple[int, int]:
    """Who drains next, and to which streaming processor: units of a job with a slot first; the last slot is for the
    oldest job. A group of PEs has one drain at a time."""
    layer, total = s.layer[0], s.total[0]
    opened, slots, taken = NONE, 0, 0
    for sp in range(layer.ports):
        port = s.ports[sp]
        slots += port.slots
        if port.port_free > time:
            taken |= 1 << port.port_group
        elif opened == NONE or port.slots > s.ports[opened].slots:
            opened = sp
    if opened == NONE:
        return NONE, NONE
    anyone = slots > 1 or layer.splits == 1 or t.jobs[total.oldest].port != NONE
    pes = layer.pes
    group_pes = -(-pes // DRAIN_GROUPS)
    chosen, chosen_port, best = NONE, NONE, 2 * pes
    for p in range(pes):
        pe = s.pes[p]
        if not pe.waiting or taken >> (p // group_pes) & 1:
            continue
        job = pe.draining // layer.splits
        rank, sp = (p - total.last_pe - 1) % pes, t.jobs[job].port
        if sp == NONE:
            if not (s.ports[opened].slots and (anyone or job == total.oldest)):
                continue
            rank, sp = rank + pes, opened
        elif s.ports[sp].port_free > time:
            continue
        if rank < best:
            chosen, chosen_port, best = p, sp, rank
    return chosen, chosen_port


@part
def grant(s: Any, t: Tables, time: int) -> None:
    """Begin the drains that can begin."""
    while True:
        p, sp = choose(s, t, time)
        if p == NONE:
            return
        pe = s.pes[p]
        pe.waiting = 0
        end = drain(s, t, p, sp, time)
        s.total[0].drained += end - AHEAD - pe.scan_end
        pe.scan_end = end - AHEAD
        pe.draining = NONE
        elements.advance(s, t, p, False)


@part
def drain(s: Any, t: Tables, p: int, sp: int, time: int) -> int:
    """A unit's drain; its end."""
    layer, total, port = s.layer[0], s.total[0], s.ports[sp]
    unit = s.pes[p].draining
    number = unit // layer.splits
    job, tile, chunk = t.jobs[number], elements.tile_of(s, t, unit), elements.chunk_of(s, t, unit)
    total.last_pe = p
    if job.port == NONE:
        port.slots -= 1
        job.port, job.units_left = sp, layer.splits
    rows = t.tiles[tile].rows
    end = time + GRANT + rows
    port.port_free, port.port_group = time + max(rows, TURN * layer.ports), p // -(-layer.pes // DRAIN_GROUPS)
    job.units_left -= 1
    events.at(s, port.port_free, GRANT_DRAIN, NONE)
    if not job.units_left and layer.keeps:
        events.at(s, end + KEPT, FINISH_JOB, number)
    elif not job.units_left:  # the slot can be read
        lines = t.chunks[chunk].lines
        start = max(port.free, end + layer.residual * FIRST_RESIDUAL)
        total.writer_free = max(total.writer_free, start) + ceil(lines * layer.line_cycles)
        port.free = max(start + ceil(lines * t.tiles[tile].beats), total.writer_free)
        write_lines(s, t, tile, chunk, start, port.free)
        events.at(s, port.free, FREE_SLOT, number)
        events.at(s, port.free + LINE, FINISH_JOB, number)
    return end


@part
def write_lines(s: Any, t: Tables, tile: int, chunk: int, start: int, end: int) -> None:
    """A job's lines, all of the same length, while its slot is read and LINE cycles later."""
    layer, total, lines = s.layer[0], s.total[0], t.chunks[chunk].lines
    entry = layer.out_idx_base + chunk * t.chunks[0].lines * layer.out_pitch + tile
    for line in range(lines):
        time = start + LINE + (end - start) * (line + 1) // lines
        while banks.writes(s, INDEX, time):
            time += 1
        first = layer.out_words * total.lines_written // layer.out_lines
        total.lines_written += 1
        after = layer.out_words * total.lines_written // layer.out_lines
        banks.write(s, ACTIVATIONS, time, layer.out_act_base + first, after - first)
        banks.write(s, INDEX, time, entry + line * layer.out_pitch, 1)
