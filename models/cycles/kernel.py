# SPDX-License-Identifier: Apache-2.0
"""The simulation's loop."""

from typing import Any

from models.cycles import banks, drains, elements, events
from models.cycles.compiled import part, whole
from models.cycles.state import (
    ACTIVATIONS,
    BIND_UNIT,
    CYCLE,
    FREE_SLOT,
    GRANT_DRAIN,
    INDEX,
    LINE_LEFT,
    NONE,
    REQUEST_DRAIN,
    WEIGHTS,
    Records,
    Tables,
)


@part
def play_memory(s: Any, t: Tables, m: int, time: int, first_ask: int) -> None:
    """A cycle of a memory, and what comes of it."""
    asked, served = banks.play(s, m, time, first_ask)
    if m == INDEX:
        for i in range(asked):
            elements.want_entries(s, t, s.asked[i].address, time)
    elif m == ACTIVATIONS:
        for i in range(asked):
            if s.asked[i].what != NONE:
                elements.fetch_words(s, t, s.asked[i].address, time)
                elements.take_entries(s, t, s.asked[i].address, time + 1)
    for i in range(served):
        p, what = s.served[i].address, s.served[i].what
        if m == WEIGHTS:
            elements.read_vector(s, t, p, time, what)
        elif m == ACTIVATIONS:
            elements.read_word(s, t, p, time, what)
        else:
            elements.read_entry(s, t, p, time)


@whole
def run(states: Records, t: Tables) -> None:
    """From the first unit to the last line."""
    s = states[0]
    for p in range(s.layer[0].pes):
        events.at(s, 0, BIND_UNIT, p)
    while s.clock[0].pending:
        place = events.take(s)
        event = s.events[place]
        time, kind, argument, first_ask = event.time, event.kind, event.argument, event.first_ask
        events.give_place(s, place)
        if kind >= CYCLE:
            play_memory(s, t, kind - CYCLE, time, first_ask)
        elif kind == BIND_UNIT:
            elements.bind(s, t, argument, time)
        elif kind == LINE_LEFT:
            elements.line_left(s, t, argument, time)
        elif kind == REQUEST_DRAIN:
            drains.request(s, t, argument, time)
        elif kind == GRANT_DRAIN:
            drains.grant(s, t, time)
        elif kind == FREE_SLOT:
            drains.free_slot(s, t, argument, time)
        else:
            drains.finish(s, t, argument, time)
