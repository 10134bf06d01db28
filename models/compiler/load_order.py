# SPDX-License-Identifier: Apache-2.0
"""The order of weight loads: one that waits for its place lets those behind it go first that are done by then."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from models.compiler.engine_times import BEGIN

_LOOK_AHEAD = 16  # loads behind the one that waits, of which one may go first


@dataclass(frozen=True)
class Load:
    """beats: of weights or parameters; after: layers that have to have retired before, 0 or less in the iteration
    before; before: number of the first layer that uses them."""

    beats: int
    after: int
    before: int


def load_order(loads: Sequence[Load], layers: Sequence[int]) -> Iterator[int]:
    """The numbers of loads, which come by the layers that use them, in the order in which they should run.

    layers: cycles of each, while the ones before it and behind it run. They run one after another, each when what it
    uses has been loaded; those of the iteration before are not held up.
    """
    # When so many layers have retired, those of the iteration before included, which ends at 0.
    ends = [time - sum(layers) for time in accumulate(layers, initial=0)]
    free = ends[0]  # when the next load may begin
    loaded = [0] * len(layers)  # when all that a layer uses is there
    pending = list(range(len(loads)))

    def end(after: int) -> int:
        """When so many layers have retired, none of them behind one that uses a pending load."""
        while len(ends) <= len(layers) + after:
            layer = len(ends) - len(layers) - 1
            ends.append(max(ends[-1], loaded[layer]) + layers[layer])
        return ends[len(layers) + after]

    while pending:
        first = loads[pending[0]]
        begin = max(free, end(first.after))
        number = pending[0]
        for other in pending[1 : 1 + _LOOK_AHEAD]:
            load = loads[other]
            if load.after <= first.before and max(free, end(load.after)) + BEGIN[0] + load.beats <= begin:
                number = other
                break
        load = loads[number]
        free = max(free, end(load.after)) + BEGIN[0] + load.beats
        loaded[load.before] = max(loaded[load.before], free)
        pending.remove(number)
        yield number
