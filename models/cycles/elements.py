# SPDX-License-Identifier: Apache-2.0
"""The scheduler and the parts of a PE up to its scanner (docs/architecture.md section 7, 1 to 5)."""

from typing import Any

from models.cycles import banks, events
from models.cycles.compiled import part
from models.cycles.state import (
    ACCESS,
    ACTIVATIONS,
    ADDRESS,
    AHEAD_WANTED,
    BIND,
    BIND_UNIT,
    CHOICE,
    ENTRY,
    FLUSH,
    GIVE_UNIT,
    INDEX,
    KEPT_LINES,
    LINE_LEFT,
    LINES,
    LOOKUP,
    MAX_HALVES,
    NONE,
    OPEN,
    PASSES,
    PIECES,
    REGION,
    RELEASE,
    REQUEST_DRAIN,
    SEGMENT,
    STAGES,
    VECTOR,
    WEIGHTS,
    WORD,
    Play,
)
from models.work import LINE_BEGIN

# Scheduler


@part
def tile_of(s: Any, t: Play, unit: int) -> int:
    """A unit's tile."""
    layer = s.layers[unit & 1]
    number: int = t.tables[unit & 1].tiles[(unit >> 1) // (layer.splits * layer.chunks)].next
    return number


@part
def chunk_of(s: Any, unit: int) -> int:
    """A unit's chunk."""
    layer = s.layers[unit & 1]
    return (unit >> 1) // layer.splits % layer.chunks


@part
def open_layer(s: Any, t: Play, context: int, time: int) -> None:
    """The layer's units can be given to PEs: when there are none of the older one left."""
    s.layers[context].next_unit = 0
    for p in range(s.core[0].pes):
        if s.pes[p].idle:
            seek(s, p, time + OPEN)


@part
def seek(s: Any, p: int, time: int) -> None:
    """A PE can have a unit from ``time`` on."""
    total = s.total[0]
    s.pes[p].idle, s.pes[p].seeks = 0, 1
    total.seekers += 1
    if total.seekers == 1:
        events.at(s, max(time, total.schedule_time), GIVE_UNIT, NONE)


@part
def give(s: Any, t: Play, time: int) -> None:
    """The lowest of the PEs that can have a unit gets one; one a cycle."""
    total, p = s.total[0], 0
    while not s.pes[p].seeks:
        p += 1
    s.pes[p].seeks = 0
    total.seekers -= 1
    total.schedule_time = time + 1
    bind(s, t, p, time)
    if total.seekers:
        events.at(s, time + 1, GIVE_UNIT, NONE)


@part
def bind(s: Any, t: Play, p: int, time: int) -> None:
    """A PE gets the next unit, if there is one."""
    total, pe = s.total[0], s.pes[p]
    context = total.oldest
    if s.layers[context].next_unit == s.layers[context].units:
        context ^= 1
    layer = s.layers[context]
    pe.idle = layer.next_unit == layer.units
    if pe.idle:
        pe.without_unit = time
        return
    unit = 2 * layer.next_unit + context
    layer.next_unit += 1
    start = time + BIND - ACCESS
    share = t.tables[context].shares[chunk_of(s, unit) // layer.group_chunks, (unit >> 1) % layer.splits]
    pe.unit, pe.stop = unit, share.stop
    if share.first < share.stop and t.tables[context].tiles[tile_of(s, t, unit)].lines:
        pe.ask_channel = pe.entry_channel = share.first
        pe.ask_line = pe.entry_line = 0
        want_entries(s, t, p, start)
        banks.ask(s, INDEX, p, start)
    else:
        entry = new_entry(t, pe, p)
        entry.time, entry.first, entry.words, entry.channel = start + 2, 0, 0, 0
        entry.load, entry.pieces, entry.marks = 0, 0, 0
        entry.unit, entry.last, entry.ends = unit, 1, 1
        take_entries(s, t, p, start + 2)


# Line fetch


@part
def new_entry(t: Play, pe: Any, p: int) -> Any:
    """A place for an index entry that is read and not taken."""
    entries = t.queues.entries
    pe.entries_count += 1
    return entries[p, (pe.entries_first + pe.entries_count - 1) % entries.shape[1]]


@part
def want_entries(s: Any, t: Play, p: int, time: int) -> None:
    """Have requests for the next lines' index entries ready."""
    pe, requests = s.pes[p], s.requests[INDEX, p]
    layer, tables = s.layers[pe.unit & 1], t.tables[pe.unit & 1]
    tile = tables.tiles[tile_of(s, t, pe.unit)]
    while requests.wanted_count < AHEAD_WANTED and pe.ask_channel < pe.stop:
        entry = layer.in_idx_base + pe.ask_channel * layer.in_pitch + tables.numbers[tile.begin + pe.ask_line]
        banks.want(requests, time, banks.placed(s.memories[INDEX], entry), NONE)
        pe.ask_line += 1
        if pe.ask_line == tile.lines:
            pe.ask_line = 0
            pe.ask_channel += 1


@part
def read_entry(s: Any, t: Play, p: int, time: int) -> None:
    """The index entry of the unit's next line is read."""
    pe, tables = s.pes[p], t.tables[s.pes[p].unit & 1]
    tile = tables.tiles[tile_of(s, t, pe.unit)]
    line = tables.lines[tile.begin * tables.emissions.shape[1] + pe.entry_channel * tile.lines + pe.entry_line]
    entry = new_entry(t, pe, p)
    entry.time = time + ENTRY - ACCESS - 2
    entry.first, entry.words = line.first, line.words
    entry.load, entry.pieces, entry.marks = line.load, line.pieces, line.marks
    entry.channel, entry.unit = pe.entry_channel, pe.unit
    pe.entry_line += 1
    entry.last = pe.entry_line == tile.lines
    if entry.last:
        pe.entry_line = 0
        pe.entry_channel += 1
    entry.ends = pe.entry_channel == pe.stop
    take_entries(s, t, p, time)


@part
def take_entries(s: Any, t: Play, p: int, time: int) -> None:
    """Take index entries in order while there is room for their lines."""
    pe, entries = s.pes[p], t.queues.entries
    while pe.entries_count:
        entry = entries[p, pe.entries_first]
        kept = entry.load or (entry.last and (pe.channel_open or entry.ends))
        if kept and (pe.held == LINES or (pe.next_line != NONE and pe.fetching)):
            return
        pe.entries_first = (pe.entries_first + 1) % entries.shape[1]
        pe.entries_count -= 1
        taken = max(entry.time, time, pe.take_time)
        pe.take_time = taken + 1
        pe.channel_open = not entry.last and (pe.channel_open or entry.load > 0)
        banks.give_back(s, INDEX, p, taken + 1)
        ends = entry.ends
        if kept:
            pe.held += 1
            keep_line(s, t, p, taken)
        if ends:
            events.at(s, taken + 1, BIND_UNIT, p)


@part
def keep_line(s: Any, t: Play, p: int, taken: int) -> None:
    """The line of the entry just taken goes to the region loader, when its words are there."""
    pe, entries = s.pes[p], t.queues.entries
    entry = entries[p, (pe.entries_first - 1) % entries.shape[1]]
    place = (pe.lines_first + pe.lines_count) & (KEPT_LINES - 1)
    pe.lines_count += 1
    line = pe.lines[place]
    line.first, line.words = entry.first, entry.words
    line.load, line.pieces, line.marks = entry.load, entry.pieces, entry.marks
    line.channel, line.unit, line.last, line.ends = entry.channel, entry.unit, entry.last, entry.ends
    if line.words:
        line.time = NONE
        pe.next_line, pe.next_time = place, taken + 2
        if not pe.fetching:
            fetch_words(s, t, p, taken)
    else:
        line.time = taken
        advance(s, t, p, True)


@part
def fetch_words(s: Any, t: Play, p: int, time: int) -> None:
    """Ask for the words of the next line."""
    pe, requests = s.pes[p], s.requests[ACTIVATIONS, p]
    place = pe.next_line
    pe.fetching = place != NONE
    if pe.fetching:
        pe.next_line = NONE
        start, line = max(pe.next_time, time + 1), pe.lines[place]
        for word in range(line.words):
            banks.want(requests, start, line.first + word, place if word == line.words - 1 else NONE)
        banks.ask(s, ACTIVATIONS, p, start)


@part
def read_word(s: Any, t: Play, p: int, time: int, line: int) -> None:
    """A word is read, of ``line`` the last one, or of NONE."""
    banks.give_back(s, ACTIVATIONS, p, time + 2)
    if line != NONE:
        s.pes[p].lines[line].time = time
        advance(s, t, p, True)


# Region loader


@part
def load_line(s: Any, t: Play, p: int) -> tuple[bool, bool]:
    """Spread the next line into a region, if that can be; whether it could, and whether this ended the channel."""
    pe = s.pes[p]
    if not pe.lines_count:
        return False, False
    line = pe.lines[pe.lines_first]
    halves = s.layers[line.unit & 1].halves if line.load > 0 and not pe.region_open else 0
    if line.time == NONE or pe.free_count < halves:
        return False, False
    pe.lines_first = (pe.lines_first + 1) & (KEPT_LINES - 1)
    pe.lines_count -= 1
    start = max(line.time + WORD, pe.load_time)
    for _ in range(halves):
        start = max(start, pe.buffers[pe.free_first])
        pe.free_first = (pe.free_first + 1) & (MAX_HALVES - 1)
        pe.free_count -= 1
    pe.load_time = start + (line.load if line.load else LINE_BEGIN)
    behind = 0
    if line.pieces:
        pe.marked = max(pe.marked, start) + line.pieces + line.marks
        behind = pe.marked - start - line.pieces
        stall = behind - 1 - line.marks * PIECES // line.pieces
        if stall > 0 and line.marks:  # as many pieces wait for their marks as may
            pe.load_time += stall
            behind -= stall
    left = pe.load_time - LINE_BEGIN  # its last octet is taken
    events.at(s, left, LINE_LEFT, p)
    pe.region_open = pe.region_open or line.load > 0
    if line.last:
        regions = t.queues.regions
        region = regions[p, (pe.regions_first + pe.regions_count) % regions.shape[1]]
        pe.regions_count += 1
        region.time, region.unit, region.ends = left + REGION + behind, line.unit, line.ends
        region.channel = line.channel if pe.region_open else NONE
        pe.region_open = 0
    return True, line.last != 0


@part
def line_left(s: Any, t: Play, p: int, time: int) -> None:
    """The region loader has room for another line."""
    s.pes[p].held -= 1
    take_entries(s, t, p, time + 1)


# Pass generator, weight queue


@part
def next_tap(s: Any, t: Play, p: int, tap: int) -> int:
    """The first tap from one on whose pass has emissions, of the generator's region; the number of taps if none has."""
    pe = s.pes[p]
    row = t.tables[pe.region_context].emissions[pe.region_tile, pe.region_channel]
    while tap < len(row) and not row[tap]:
        tap += 1
    return tap


@part
def generate(s: Any, t: Play, p: int) -> None:
    """The pass generator gets the next region."""
    pe, regions = s.pes[p], t.queues.regions
    region = regions[p, pe.regions_first]
    pe.regions_first = (pe.regions_first + 1) % regions.shape[1]
    pe.regions_count -= 1
    pe.region_context = region.unit & 1
    layer, tables = s.layers[pe.region_context], t.tables[pe.region_context]
    pe.region_time = max(pe.generate_time, region.time)
    pe.region_unit = region.unit if region.ends else NONE
    pe.region_channel = region.channel
    pe.last_tap = NONE
    pe.generating = 1
    if region.channel == NONE:
        pe.generate_time = pe.region_time + 2
        return
    pe.generate_time = pe.region_time + layer.taps * layer.segments + 1
    pe.region_tile = tile_of(s, t, region.unit)
    pe.vector_asked = 0
    vectors = 1 if layer.tap_shared else layer.taps  # of a channel
    pe.vector = tables.chunks[chunk_of(s, region.unit)].vector + region.channel * vectors
    pe.tap = next_tap(s, t, p, 0)
    row = tables.emissions[pe.region_tile, region.channel]
    for tap in range(pe.tap, len(row)):
        if row[tap]:
            pe.last_tap = tap


@part
def fill(s: Any, t: Play, p: int) -> bool:
    """Ask for the weight vectors of the next passes, while there is room for them, but no longer than up to a pass that
    can be computed without asking; whether there is one."""
    pe, requests = s.pes[p], s.requests[WEIGHTS, p]
    while pe.generating or pe.regions_count:
        context = pe.region_context if pe.generating else t.queues.regions[p, pe.regions_first].unit & 1
        layer, tables = s.layers[context], t.tables[context]
        if pe.passes_count >= layer.room:
            return False
        if not pe.generating:
            generate(s, t, p)
        place = (pe.passes_first + pe.passes_count) & (PASSES - 1)
        new = pe.passes[place]
        address = NONE
        if pe.last_tap == NONE:  # nothing to emit
            pe.generating = 0
            offset = 0 if pe.region_channel == NONE else layer.taps * layer.segments - 1
            new.emissions, new.pause, new.unit = 0, 0, pe.region_unit
            new.taken = 0
            new.release = layer.halves if pe.region_channel != NONE else 0
        else:
            tap = pe.tap
            offset = tap * layer.segments
            if not layer.tap_shared:
                address = pe.vector + tap
            elif not pe.vector_asked:  # one for all taps
                address = pe.vector
            pe.vector_asked = 1
            pe.generating = tap != pe.last_tap
            new.emissions = tables.emissions[pe.region_tile, pe.region_channel, tap]
            last = tables.lasts[pe.region_tile, pe.region_channel, tap]
            new.taken = max(0, new.emissions * layer.freeing // layer.segments - last)
            new.pause = tables.tiles[pe.region_tile].pause
            new.release, new.unit = 0 if pe.generating else layer.halves, NONE if pe.generating else pe.region_unit
            if pe.generating:
                pe.tap = next_tap(s, t, p, tap + 1)
        # Its segment has its place behind those before it when one of theirs is taken, up to its last octet.
        taken = pe.taken[(pe.started + pe.passes_count - layer.room) & (PASSES - 1)]
        generated = max(pe.region_time + offset, taken - STAGES)
        stall = generated - pe.region_time - offset
        pe.region_time += stall
        pe.generate_time += stall
        new.time = generated + SEGMENT
        pe.passes_count += 1
        if address != NONE:
            new.vector = NONE
            banks.want(requests, generated + ADDRESS - ACCESS, address, place)
            banks.ask(s, WEIGHTS, p, generated + ADDRESS - ACCESS)
        else:
            new.vector = 0
            if ready(s, p):
                return True
    return False


@part
def read_vector(s: Any, t: Play, p: int, time: int, place: int) -> None:
    """The weight vector of a pass is read."""
    s.requests[WEIGHTS, p].room += 1
    s.pes[p].passes[place].vector = time + VECTOR
    advance(s, t, p, False)


# Scanner


@part
def ready(s: Any, p: int) -> bool:
    """Whether there is a pass that can be computed."""
    pe = s.pes[p]
    return pe.passes_count > 0 and pe.passes[pe.passes_first].vector != NONE and pe.draining == NONE


@part
def compute(s: Any, p: int) -> bool:
    """Compute the next pass; whether it frees a region."""
    total, pe = s.total[0], s.pes[p]
    now = pe.passes[pe.passes_first]
    pe.passes_first = (pe.passes_first + 1) & (PASSES - 1)
    pe.passes_count -= 1
    waits = max(pe.scan_end + pe.pause, now.time)
    start = max(waits, now.vector)
    if start - 1 > waits:
        pe.waits, pe.waited = waits, start - 1
    if now.time - 1 > pe.scan_end:
        pe.starves, pe.starved = pe.scan_end, now.time - 1
    no_weight = min(start - pe.scan_end, max(0, now.vector - max(now.time, pe.scan_end)))
    total.no_weight += no_weight
    total.no_activation += start - pe.scan_end - no_weight
    pe.taken[pe.started & (PASSES - 1)] = start + now.taken - 1
    pe.started += 1
    pe.scan_end = start + now.emissions
    pe.pause = now.pause
    if now.unit != NONE:
        layer = s.layers[now.unit & 1]
        pe.pause = 0
        pe.draining = now.unit
        events.at(
            s, pe.scan_end + FLUSH + CHOICE + (LOOKUP if layer.splits > 1 or layer.continues else 0), REQUEST_DRAIN, p
        )
    for _ in range(now.release):
        pe.buffers[(pe.free_first + pe.free_count) & (MAX_HALVES - 1)] = pe.scan_end + RELEASE
        pe.free_count += 1
    return now.release > 0


@part
def advance(s: Any, t: Play, p: int, load: bool) -> None:
    """Load lines (if ``load``: one has become complete), generate passes and compute them, as far as a PE can now."""
    while True:
        if load:
            load, channel_ends = load_line(s, t, p)
            if load and not (channel_ends and fill(s, t, p)):
                continue
            if not load:
                fill(s, t, p)
        while ready(s, p):
            if compute(s, p):
                load = True
                break
            fill(s, t, p)
        else:
            if not load:
                return
