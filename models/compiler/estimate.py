# SPDX-License-Identifier: Apache-2.0
"""A quick estimate of a layer's cycles, to rank cuts by: units on PEs, drains and staging slots, without memories."""

from __future__ import annotations

from collections import deque
from heapq import heapify, heappop, heapreplace
from itertools import islice
from math import ceil

import numpy as np

from models import cycle_model
from models.config import Config
from models.cycles import state
from models.descriptor import Descriptor
from models.planner import unit_cycles
from models.tiling import chunk_channels
from models.work import Counts, Work

_BEGIN = 60  # cycles from the start of a layer to a unit's first pass
_NEVER = 1 << 60
_RESIDUAL = 12 / state.HELD_LINES  # cycles between the residual lines of a streaming processor that is alone


def estimate(config: Config, d: Descriptor, measured: Work) -> int:
    """Cycles, roughly."""
    return schedule(config, d, unit_cycles(config, d, measured), measured)


def _residual_cycles(config: Config, words: float) -> float:
    """Cycles in which the memories read a residual line of so many words and write one, where lines always wait.

    A write takes a cycle. A read goes along with it unless its index entry is in the bank of the one written, which
    happens half as often as by chance, as both go on by the same steps, or each of the two lines that wait has words in
    a bank that is written.
    """
    return 1 + 1 / (2 * config.IdxBanks) + min(1.0, max(0.0, 2 * words - 1) / config.ActBanks) ** 2


def schedule(config: Config, d: Descriptor, units: Counts, measured: Work) -> int:
    """Cycles of units of known length, int64 (tiles, groups * splits)."""
    order, groups = np.array(d.tile_order), np.arange(d.chunks) // d.group_chunks
    lengths = iter(units.reshape(len(units), -1, d.splits)[order][:, groups].ravel().tolist())
    rows, beats = measured.rows[order].tolist(), -(-measured.positions // config.SpLanes)
    chunk_k = chunk_channels(config, d.k, d.m)
    channels = [min(chunk_k, d.out_k - chunk * chunk_k) for chunk in range(d.chunks)]
    least, writing = 1.0, 1.0
    if d.residual:
        words = measured.residual_words / (d.out_k * d.out_lines)  # and as many written: nothing else is known
        least, writing = _RESIDUAL, _residual_cycles(config, words)
    streaming = np.outer(np.maximum(least, beats[order]), channels).ravel().tolist()  # of a job's lines
    processors = range(config.NumSp)
    ports, lines = [0] * config.NumSp, [0] * config.NumSp  # when each has taken its drains, written its lines
    slots = [deque([0] * config.NumStage) for _ in processors]  # when each becomes free, in order
    left = [d.splits] * d.jobs  # units
    bound = [0] * d.jobs  # streaming processors
    busy = [(_BEGIN + n + length, n) for n, length in enumerate(islice(lengths, config.NumPe))]
    heapify(busy)
    started, end, writer = len(busy), 0, 0  # writer: when it has written all lines so far
    while busy:
        time, unit = busy[0]
        job = unit // d.splits
        if left[job] == d.splits:
            # Where jobs of several units hold all slots, none is waited for: the oldest always has one.
            sp = min(processors, key=lambda sp: max(ports[sp], slots[sp][0]) if slots[sp] else _NEVER)
            bound[job] = sp
            time = max(time, slots[sp].popleft() if slots[sp] else 0)
        sp = bound[job]
        ports[sp] = time = max(time, ports[sp]) + rows[job // d.chunks]
        time += cycle_model.GRANT
        left[job] -= 1
        if not left[job]:
            begin = max(lines[sp], time)
            writer = max(writer, begin) + writing * channels[job % d.chunks]
            lines[sp] = max(begin + streaming[job], writer)
            slots[sp].append(lines[sp])
            end = max(end, lines[sp])
        length = next(lengths, None)
        if length is None:
            heappop(busy)
        else:
            heapreplace(busy, (time + length, started))
            started += 1
    return ceil(end) + cycle_model.LINE
