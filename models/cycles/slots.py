# SPDX-License-Identifier: Apache-2.0
"""Streaming processors, the reads of their residual lines, and the line writer (docs/architecture.md section 7, 9 and
10), line by line.
"""

from typing import Any

from models.cycles import banks, events
from models.cycles.compiled import part
from models.cycles.state import (
    ACTIVATIONS,
    ENTRY_READ,
    FINISH_JOB,
    FREE_SLOT,
    HELD_LINES,
    INDEX,
    LEAVE_LINE,
    LINE,
    LINE_ENTRIES,
    LINE_REQUESTS,
    NONE,
    READ_LINES,
    RESIDUAL_ASKED,
    RESIDUAL_LEFT,
    RESIDUAL_READY,
    RESIDUAL_SEEN,
    RINGS,
    STEP_LINE,
    SWITCH,
    Play,
)
from models.lines import LINE_BITS, WORD_BYTES

_WORDS = LINE_BITS // WORD_BYTES


@part
def job_of(s: Any, t: Play, job: int) -> Any:
    """A job of one of both layers."""
    return t.tables[job & 1].jobs[job >> 1]


@part
def fill(s: Any, t: Play, job: int, time: int) -> None:
    """A job's slot is full."""
    sp = job_of(s, t, job).port
    port = s.ports[sp]
    port.full[port.full_count] = job
    port.full_count += 1
    choose(s, t, sp, time + RESIDUAL_SEEN * s.layers[job & 1].residual)


@part
def lines_of(s: Any, t: Play, job: int) -> int:
    """How many lines a job has."""
    number: int = t.tables[job & 1].chunks[(job >> 1) % s.layers[job & 1].chunks].lines
    return number


@part
def tile_of(s: Any, t: Play, job: int) -> int:
    """A job's tile."""
    number: int = t.tables[job & 1].tiles[(job >> 1) // s.layers[job & 1].chunks].next
    return number


@part
def choose(s: Any, t: Play, sp: int, time: int) -> None:
    """A streaming processor chooses the full slot that it reads next, if there is one: of the older layer first. With a
    residual it does so when all residual lines of the one before are asked for, otherwise when that one is read; of
    another layer, when nothing of the one before is under way."""
    port = s.ports[sp]
    if port.next_job != NONE or port.ask_job != NONE or not port.full_count:
        return
    place = 0
    for i in range(port.full_count - 1, -1, -1):
        if port.full[i] & 1 == s.total[0].oldest:
            place = i
    job = port.full[place]
    layer, switch = s.layers[job & 1], port.context != job & 1
    if port.job != NONE and (switch or not layer.residual):
        return
    if switch:
        port.context = job & 1
        port.free += SWITCH
    port.full_count -= 1
    for i in range(place, port.full_count):
        port.full[i] = port.full[i + 1]
    port.next_job = job
    if layer.residual:
        port.ask_job, port.ask_line = job, 0
        ask(s, sp, max(time, port.free if switch else 0) + RESIDUAL_ASKED)
    if port.job == NONE:
        read(s, sp, time)


@part
def read(s: Any, sp: int, time: int) -> None:
    """The slot that was chosen is read."""
    port = s.ports[sp]
    port.job, port.line, port.next_job = port.next_job, 0, NONE
    events.at(s, max(time, port.free), STEP_LINE, sp)


@part
def ask(s: Any, sp: int, time: int) -> None:
    """A streaming processor asks for the next residual line from ``time`` on, if there is a place for it."""
    port, lines = s.ports[sp], s.lines[0]
    if port.asked - port.left == HELD_LINES:
        port.ask_waits = 1
        return
    port.asks, port.ask_time = 1, time
    if not lines.going:
        lines.going = 1
        events.at(s, time - 1, READ_LINES, NONE)


@part
def grant(s: Any, t: Play, time: int) -> None:
    """In a cycle the streaming processor whose turn it is hands over its request, if there is room. The turn goes to
    the next one that asks, unless this one has to ask again."""
    lines, ports = s.lines[0], s.core[0].ports
    turn, room, heard, other = lines.turn, lines.requests < LINE_REQUESTS, 0, NONE
    for i in range(ports - 1, 0, -1):
        sp = (turn + i) % ports
        if s.ports[sp].asks and s.ports[sp].ask_time <= time:
            other = sp
    port = s.ports[turn]
    if port.asks and port.ask_time <= time:
        heard = 1
    if other != NONE and (room or not heard):
        lines.turn = other
    if not heard or not room:
        return
    layer = s.layers[port.ask_job & 1]
    chunk, chunks = (port.ask_job >> 1) % layer.chunks, t.tables[port.ask_job & 1].chunks
    request = lines.request[lines.requests]
    lines.requests += 1
    request.port, request.time = turn, time + 1
    request.entry = layer.res_idx_base + (chunk * chunks[0].lines + port.ask_line) * layer.res_pitch
    request.entry += tile_of(s, t, port.ask_job)
    request.words, request.first = draw(layer.residual_seed, layer.res_words, layer.out_lines), layer.residual_word
    layer.residual_seed, layer.residual_word = following(layer.residual_seed), request.first + request.words
    port.asked += 1
    port.asks = 0
    port.ask_line += 1
    if port.ask_line < lines_of(s, t, port.ask_job):
        ask(s, turn, time + 1)
    else:
        port.ask_job = NONE
        choose(s, t, turn, time + 1)


@part
def move(to: Any, line: Any, time: int) -> None:
    """A line moves on, to be seen there from ``time`` on."""
    to.port, to.entry, to.first, to.words, to.time = line.port, line.entry, line.first, line.words, time


@part
def read_lines(s: Any, t: Play, time: int) -> None:
    """The next cycle of the residual lines' reads. Words of the older of two lines are read unless a line is written
    to their banks, else those of the other one, if somebody else asked for it. An index entry is read unless one is
    written to its bank."""
    time += 1
    lines = s.lines[0]
    # Of heads, the words of which are read.
    heads, which = lines.heads, NONE
    for i in range(lines.heads - 1, -1, -1):
        head = lines.head[i]
        behind = i == 1 and head.port == lines.head[0].port
        if not behind and not banks.meets(s, ACTIVATIONS, time, head.first, head.words):
            which = i
    if which != NONE:
        head = lines.head[which]
        banks.write(s, ACTIVATIONS, time, head.first, head.words)
        port = s.ports[head.port]
        port.ready[port.read % RINGS] = time + RESIDUAL_READY
        port.read += 1
        if port.step_waits:
            port.step_waits = 0
            events.at(s, time + RESIDUAL_READY, STEP_LINE, head.port)
        if which == 0 and heads == 2:
            move(lines.head[0], lines.head[1], time)
        lines.heads -= 1
    # Entries that are there become heads.
    entries = lines.entries
    if entries and lines.entry[0].time <= time and (heads < 2 or which != NONE):
        move(lines.head[lines.heads], lines.entry[0], time + 1)
        lines.heads += 1
        lines.entries -= 1
        for i in range(lines.entries):
            move(lines.entry[i], lines.entry[i + 1], lines.entry[i + 1].time)
    if lines.requests and lines.request[0].time <= time and entries < LINE_ENTRIES:
        request = lines.request[0]
        if not banks.meets(s, INDEX, time, request.entry, 1):
            banks.write(s, INDEX, time, request.entry, 1)
            move(lines.entry[lines.entries], request, time + ENTRY_READ)
            lines.entries += 1
            lines.requests -= 1
            for i in range(lines.requests):
                move(lines.request[i], lines.request[i + 1], lines.request[i + 1].time)
    grant(s, t, time)
    lines.going = lines.requests + lines.entries + lines.heads
    for sp in range(s.core[0].ports):
        lines.going += s.ports[sp].asks
    if lines.going:
        events.at(s, time, READ_LINES, NONE)


@part
def step_line(s: Any, t: Play, sp: int, time: int) -> None:
    """A streaming processor reads a line of its slot, which is written LINE cycles later or when it is its turn; the
    next line but one waits for that."""
    port, total, job = s.ports[sp], s.total[0], s.ports[sp].job
    layer, tables = s.layers[job & 1], t.tables[job & 1]
    tile = tile_of(s, t, job)
    end = time + tables.tiles[tile].beats
    if layer.residual:
        if port.stepped == port.read:
            port.step_waits = 1
            return
        if port.ready[port.stepped % RINGS] > time:
            events.at(s, port.ready[port.stepped % RINGS], STEP_LINE, sp)
            return
        port.stepped += 1
        events.at(s, end + RESIDUAL_LEFT, LEAVE_LINE, sp)
    written = max(end + LINE - 1, total.written + 1)
    total.written = written
    words = draw(layer.out_seed, layer.out_words, layer.out_lines)
    chunk = (job >> 1) % layer.chunks
    entry = layer.out_idx_base + (chunk * tables.chunks[0].lines + port.line) * layer.out_pitch + tile
    banks.write(s, ACTIVATIONS, written, layer.out_act_base + layer.out_word, words)
    banks.write(s, INDEX, written, entry, 1)
    layer.out_seed, layer.out_word = following(layer.out_seed), layer.out_word + words
    port.free = max(end, written - LINE)
    port.line += 1
    if port.line < tables.chunks[chunk].lines:
        events.at(s, port.free, STEP_LINE, sp)
        return
    events.at(s, port.free, FREE_SLOT, job)
    events.at(s, written + 1, FINISH_JOB, job)
    port.job = NONE
    if port.next_job != NONE:
        read(s, sp, port.free)


@part
def leave_line(s: Any, sp: int, time: int) -> None:
    """A residual line is added: there is a place for another one."""
    port = s.ports[sp]
    port.left += 1
    if port.ask_waits:
        port.ask_waits = 0
        ask(s, sp, time)


# Lengths of lines: of channels with few and with many values, as far apart as the mean allows.


@part
def following(seed: int) -> int:
    """The next state of a linear congruential generator."""
    return (1103515245 * seed + 12345) & 0x7FFFFFFF


@part
def draw(seed: int, words: int, lines: int) -> int:
    """Words of one of so many lines that have so many together."""
    least = max(0, 2 * words - _WORDS * lines)  # as all of these: lines times as many
    most = min(2 * words, _WORDS * lines)
    return (least * 256 + (seed >> 23) * (most - least) + (seed >> 15 & 255) * lines) // (256 * lines)
