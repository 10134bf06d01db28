# SPDX-License-Identifier: Apache-2.0
"""The simulation's loop."""

from typing import Any

from models.cycles import banks, drains, elements, events, slots
from models.cycles.compiled import part, whole
from models.cycles.state import (
    ACTIVATIONS,
    BIND_UNIT,
    CYCLE,
    FILL_SLOT,
    FINISH_JOB,
    FREE_SLOT,
    GIVE_UNIT,
    GRANT_DRAIN,
    INDEX,
    LEAVE_LINE,
    LINE_LEFT,
    NONE,
    READ_LINES,
    REQUEST_DRAIN,
    STEP_LINE,
    WEIGHTS,
    Play,
    Records,
)


@part
def play_memory(s: Any, t: Play, m: int, time: int, first_ask: int) -> None:
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
def run(states: Records, t: Play) -> None:
    """Until the older layer's last line is written, or nothing happens any more."""
    s = states[0]
    while s.clock[0].pending and s.layers[s.total[0].oldest].jobs_left:
        place = events.take(s)
        event = s.events[place]
        time, kind, argument, first_ask = event.time, event.kind, event.argument, event.first_ask
        events.give_place(s, place)
        if kind >= CYCLE:
            play_memory(s, t, kind - CYCLE, time, first_ask)
        elif kind == BIND_UNIT:
            elements.seek(s, argument, time)
        elif kind == GIVE_UNIT:
            elements.give(s, t, time)
        elif kind == LINE_LEFT:
            elements.line_left(s, t, argument, time)
        elif kind == REQUEST_DRAIN:
            drains.request(s, t, argument, time)
        elif kind == GRANT_DRAIN:
            drains.arbitrate(s, t, time)
        elif kind == FILL_SLOT:
            slots.fill(s, t, argument, time)
        elif kind == FREE_SLOT:
            drains.free_slot(s, t, argument, time)
        elif kind == STEP_LINE:
            slots.step_line(s, t, argument, time)
        elif kind == READ_LINES:
            slots.read_lines(s, t, time)
        elif kind == LEAVE_LINE:
            slots.leave_line(s, argument, time)
        elif kind == FINISH_JOB:
            drains.finish(s, t, argument, time)
        else:
            elements.open_layer(s, t, argument, time)
