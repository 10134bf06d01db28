# SPDX-License-Identifier: Apache-2.0
"""A quick estimate of a layer's cycles, to rank cuts by: units on PEs, drains and staging slots, without memories."""

from __future__ import annotations

from collections import deque
from heapq import heapify, heapreplace
from math import ceil

from models import cycle_model
from models.config import Config
from models.descriptor import Descriptor
from models.planner import unit_cycles
from models.tiling import chunk_channels
from models.work import Counts, Work

_BEGIN = 60  # cycles from the start of a layer to a unit's first pass


def estimate(config: Config, d: Descriptor, measured: Work) -> int:
    """Cycles, roughly."""
    return schedule(config, d, unit_cycles(config, d, measured), measured)


def schedule(config: Config, d: Descriptor, unit: Counts, measured: Work) -> int:
    """Cycles of units of known length, int64 (tiles, groups * splits)."""
    durations, rows = unit.tolist(), measured.rows.tolist()
    beats = [max(-(-n // config.SpLanes), 1 + d.residual) for n in measured.positions.tolist()]
    chunk_k = chunk_channels(config, d.k, d.m)
    ports, processors = [0] * config.NumSp, [0] * config.NumSp
    slots = [deque([0] * config.NumStage) for _ in range(config.NumSp)]  # when each becomes free, in order
    units = d.units()
    left: dict[int, int] = {}  # units of an open job
    bound: dict[int, int] = {}  # its streaming processor

    def begin(time: int) -> tuple[int, int, int, int] | None:
        """The next unit: when it is done, its job, tile and chunk."""
        found = next(units, None)
        if found is None:
            return None
        split = (found.channels.start - d.channels(found.chunk).start) // d.split_c if found.channels else 0
        cycles = durations[found.tile][found.chunk // d.group_chunks * d.splits + split] if found.channels else 0
        return time + cycles, found.job, found.tile, found.chunk

    busy = [first for first in (begin(_BEGIN + n) for n in range(config.NumPe)) if first]
    heapify(busy)
    end = 0
    never = 1 << 60
    while busy[0][0] < never:
        time, job, tile, chunk = busy[0]
        if job not in bound:
            # Where jobs of several units hold all slots, none is waited for: the oldest always has one.
            bound[job] = min(
                range(config.NumSp), key=lambda sp: (not slots[sp], max([ports[sp], *list(slots[sp])[:1]]))
            )
            left[job] = d.splits
            time = max(time, slots[bound[job]].popleft() if slots[bound[job]] else 0)
        sp = bound[job]
        ports[sp] = time = max(time, ports[sp]) + cycle_model.GRANT + rows[tile]
        left[job] -= 1
        if not left[job]:
            lines = min(chunk_k, d.out_k - chunk * chunk_k)
            processors[sp] = max(processors[sp], time) + ceil(lines * beats[tile])
            slots[sp].append(processors[sp])
            end = max(end, processors[sp])
            del bound[job]
        heapreplace(busy, begin(time) or (never, 0, 0, 0))
    return end + cycle_model.LINE
