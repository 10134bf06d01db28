# SPDX-License-Identifier: Apache-2.0
"""The calendar: what happens when, in the order of time and, at one time, in that in which it was put there."""

from typing import Any

from models.cycles.compiled import part, whole
from models.cycles.state import CYCLE, NONE, OPEN_LAYER, YEAR, Records


@part
def new_place(s: Any) -> int:
    """A place for an event."""
    clock = s.clock[0]
    place = clock.free
    if place != NONE:
        clock.free = s.events[place].next
    else:
        place = clock.used
        clock.used += 1
        if place == len(s.events):
            raise IndexError("more events than places")
    return place


@part
def give_place(s: Any, place: int) -> None:
    """The event is over."""
    clock = s.clock[0]
    s.events[place].next = clock.free
    clock.free = place


@part
def at(s: Any, time: int, kind: int, argument: int) -> int:
    """Put an event there; its place."""
    place = new_place(s)
    event = s.events[place]
    event.time, event.kind, event.argument, event.next = time, kind, argument, NONE
    event.first_ask = event.last_ask = NONE
    bucket = s.buckets[time & (YEAR - 1)]
    if bucket.first == NONE:
        bucket.first = place
    else:
        s.events[bucket.last].next = place
    bucket.last = place
    clock = s.clock[0]
    clock.pending += 1
    clock.now = min(clock.now, time)
    return place


@whole
def begin(states: Records, context: int, time: int) -> None:
    """The units of the layer in a context can be given to PEs then."""
    at(states[0], time, OPEN_LAYER, context)


@part
def take(s: Any) -> int:
    """The place of the next event, which is no longer in the calendar. There has to be one."""
    clock = s.clock[0]
    while True:
        bucket = s.buckets[clock.now & (YEAR - 1)]
        before, place = NONE, bucket.first
        while place != NONE and s.events[place].time != clock.now:  # a later year's
            before, place = place, s.events[place].next
        if place != NONE:
            following = s.events[place].next
            if before == NONE:
                bucket.first = following
            else:
                s.events[before].next = following
            if bucket.last == place:
                bucket.last = before
            clock.pending -= 1
            return place
        clock.now += 1


@part
def wake(s: Any, memory: int, time: int) -> int:
    """The place of the memory's cycle at that time."""
    place = s.buckets[time & (YEAR - 1)].first
    while place != NONE:
        event = s.events[place]
        if event.kind == CYCLE + memory and event.time == time:
            return place
        place = event.next
    return at(s, time, CYCLE + memory, NONE)


@part
def note_ask(s: Any, memory: int, time: int, pe: int) -> None:
    """A PE may have a request then."""
    cycle = s.events[wake(s, memory, time)]
    ask = new_place(s)
    s.events[ask].argument, s.events[ask].next = pe, NONE
    if cycle.first_ask == NONE:
        cycle.first_ask = ask
    else:
        s.events[cycle.last_ask].next = ask
    cycle.last_ask = ask
