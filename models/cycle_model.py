# SPDX-License-Identifier: Apache-2.0
"""Event-level model of the core's cycles (docs/architecture.md section 7).

One event a line fetched, a weight vector there, a drain: what a PE does between them follows from recurrences, while
scheduler, staging slots and streaming processors are shared in order of time. The memories are played cycle by cycle
(`models/cycles/banks.py`). Approximations: all lines of a layer are written with the same length, and residual lines
take time of the line writer, but none from PEs. tests/core/test_cycle_model_error.py measures the model against the
RTL.
"""

from dataclasses import dataclass

import numpy as np

from models.config import Config
from models.cycles import state
from models.cycles.state import ENTRIES, GRANT, LINE, LINES, NONE, SEGMENTS, TURN, WORDS, Records, Tables
from models.descriptor import Descriptor
from models.tiling import Plan, chunk_channels
from models.work import Counts, Work

__all__ = ["BOUNDS", "ENTRIES", "GRANT", "LINE", "LINES", "SEGMENTS", "TURN", "WORDS", "Cycles", "bound", "predict"]

BOUNDS = ((20_000, 0.03), (5_000, 0.05))  # what the model is held to: cycles that a layer exceeds, error


def bound(cycles: float) -> float:
    """The error that a prediction may have of a layer that takes so many cycles; infinite for short layers."""
    return next((error for least, error in BOUNDS if cycles > least), float("inf"))


LEAD = 60  # cycles from a unit's start to its first emission, in which its PE may still compute the one before
TAIL = 4


@dataclass(frozen=True)
class Cycles:
    """Prediction: cycles of the layer, products of two non-zero operands, their share of all lane-cycles, PE-cycles by
    state (they add up to N times the cycles), bank accesses and further PEs served by them; tail: cycles before the
    end at which a PE, on average, could have begun with a unit of another layer, but at most 1/TAIL of all: more of a
    layer is not hidden behind the next one, as programs on the RTL show.
    """

    cycles: int
    tail: int
    macs: int
    utilization: float
    busy: int
    no_weight: int
    no_activation: int
    drain: int
    no_unit: int
    wgt_reads: int
    wgt_hits: int
    act_reads: int
    act_hits: int
    idx_reads: int
    idx_hits: int


def _shares(d: Descriptor) -> Counts:
    """int64 (groups, splits, 2): first and behind last input channel of a unit."""
    return np.array(
        [[(share.start, share.stop) for share in d.shares(group * d.group_chunks)] for group in range(d.groups)]
    )


def _check_sizes(config: Config) -> None:
    """Raise ValueError for a core that the compiled model has no places for."""
    for names, most in (
        (("NumPe",), state.MAX_PES),
        (("NumRegions",), state.MAX_BUFFERS),
        (("WgtBanks", "ActBanks", "IdxBanks"), state.MAX_BANKS),
        (("NumSp",), state.MAX_PORTS),
    ):
        for name in names:
            if getattr(config, name) > most:
                raise ValueError(f"{name} = {getattr(config, name)}: the cycle model has places for {most}")


def line_cycles(config: Config, written: float, read: float) -> float:
    """Cycles in which the memories write a line of so many words and read a residual one, where lines always wait.

    A write takes a cycle, and one of the two reads that wait goes along with it unless both share a bank with it: of n
    banks, lines of a and b words do with probability (a + b - 1) / n, times MEETS.
    """
    return 1 + min(1.0, state.MEETS * max(0.0, written + read - 1) / config.ActBanks) ** 2


def _state(plan: Plan, work: Work) -> tuple[Records, Tables]:
    """The layer, and the core before it."""
    d, config = plan.descriptor, plan.config
    _check_sizes(config)
    pes, tiles = config.NumPe, d.out_lines
    chunk_k = chunk_channels(config, d.k, d.m)
    chunk_lines = np.array([min(chunk_k, d.out_k - chunk * chunk_k) for chunk in range(d.chunks)])
    beats = -(-work.positions // config.SpLanes)
    shares, out_lines = _shares(d), d.out_k * d.out_lines
    line_counts = np.array([len(fetch.lines) for fetch in work.fetches])
    # What nothing is asked for takes no room: as many ends of units may wait for their turn.
    per_group = np.bincount(np.arange(d.chunks) // d.group_chunks, minlength=d.groups)
    loads = np.array([fetch.load.sum(1) for fetch in work.fetches]).reshape(tiles, d.in_c)
    before = np.pad(np.cumsum(loads, 1), [(0, 0), (1, 0)])
    loaded = before[:, shares[:, :, 1]] - before[:, shares[:, :, 0]]
    without_lines = (line_counts == 0)[:, None, None] | (shares[:, :, 0] == shares[:, :, 1])
    lineless = int(without_lines.sum((0, 2)) @ per_group)
    empty = int((loaded == 0).sum((0, 2)) @ per_group)

    room = max(1, SEGMENTS // work.segments)
    found = np.zeros(1, state.STATE)
    s = found[0]
    s["layer"][0] = (
        pes,
        config.NumSp,
        d.jobs * d.splits,
        d.splits,
        d.chunks,
        d.group_chunks,
        d.taps,
        work.segments,
        d.tap_shared,
        room if d.tap_shared else min(config.WgtQueueDepth + 1, room),  # shared: one vector a region
        d.residual,
        line_cycles(config, plan.out_words / out_lines, work.residual_words / out_lines) if d.residual else 1,
        d.keep_slot,
        d.continue_slot,
        d.in_idx_base,
        d.in_pitch,
        d.out_idx_base,
        d.out_pitch,
        d.out_act_base,
        plan.out_words,
        out_lines,
    )
    s["clock"]["free"] = NONE
    s["buckets"]["first"] = NONE
    s["buckets"]["last"] = NONE
    s["pes"]["free_count"][:pes] = config.NumRegions
    s["pes"]["next_line"][:pes] = NONE
    s["pes"]["draining"][:pes] = NONE
    s["memories"]["banks"] = config.WgtBanks, config.ActBanks, config.IdxBanks
    s["memories"]["skewed"] = 0, 0, 1
    s["memories"]["group_size"] = -(-pes // state.GROUPS)
    s["memories"]["places"] = NONE
    s["memories"]["last"] = NONE
    # The passes limit the weight vectors; two index entries beyond their memory.
    s["requests"]["room"][:, :pes] = [[2 * (config.WgtQueueDepth + 1)], [WORDS], [ENTRIES + 2]]
    s["ports"]["slots"][: config.NumSp] = config.NumStage
    s["ports"]["port_group"] = NONE
    tile = np.zeros(tiles, state.TILE)
    tile["next"] = d.tile_order
    tile["rows"] = work.rows
    tile["beats"] = np.maximum(beats, state.RESIDUAL) if d.residual else beats
    tile["lines"] = line_counts
    tile["begin"] = np.cumsum(line_counts) - line_counts
    tile["pause"] = work.positions == 1
    chunk = np.zeros(d.chunks, state.CHUNK)
    chunk["vector"] = [d.vector(number, 0) for number in range(d.chunks)]
    chunk["lines"] = chunk_lines
    lines = np.zeros(d.in_c * int(line_counts.sum()), state.A_FETCH)
    lines["first"] = np.concatenate([fetch.first_word.ravel() for fetch in work.fetches])
    lines["words"] = np.concatenate([fetch.words.ravel() for fetch in work.fetches])
    lines["load"] = np.concatenate([fetch.load.ravel() for fetch in work.fetches])
    lines["marks"] = np.concatenate([fetch.marks.ravel() for fetch in work.fetches])
    jobs = np.zeros(d.jobs + 1, state.JOB)
    jobs["port"] = NONE
    if d.continue_slot:  # as if jobs had taken slots in turn
        jobs["port"][: d.jobs] = np.arange(d.jobs) % config.NumSp
        jobs["units_left"] = d.splits
        s["ports"]["slots"][: config.NumSp] -= np.bincount(jobs["port"][: d.jobs], minlength=config.NumSp)
    share = np.zeros(shares.shape[:2], state.SHARE)
    share["first"], share["stop"] = shares[:, :, 0], shares[:, :, 1]
    return found, Tables(
        tiles=tile,
        chunks=chunk,
        shares=share,
        numbers=np.array([line for fetch in work.fetches for line in fetch.lines], np.int64),
        lines=lines,
        emissions=np.ascontiguousarray(work.emissions, np.int64),
        entries=np.zeros((pes, ENTRIES + 4 + lineless), state.A_LINE),
        regions=np.zeros((pes, config.NumRegions + 1 + empty), state.A_REGION),
        jobs=jobs,
    )


def predict(plan: Plan, work: Work) -> Cycles:
    """Predicted cycles of a planned layer, from its measured work.

    Raises ValueError for a core of more PEs, regions, banks or streaming processors than `models.cycles.state` has.
    """
    from models.cycles import kernel  # late: numba takes a second to import

    states, tables = _state(plan, work)
    kernel.run(states, tables)
    total, (weights, activations, index) = states[0]["total"][0], states[0]["memories"]
    busy = int(work.emissions.sum((0, 2)) @ plan.descriptor.readers)
    cycles = int(total["end"])
    pe_cycles = cycles * plan.config.NumPe
    no_weight, no_activation, drained = (int(total[name]) for name in ("no_weight", "no_activation", "drained"))
    pes = states[0]["pes"][: plan.config.NumPe]
    free = np.maximum(pes["without_unit"], pes["scan_end"] - LEAD)
    return Cycles(
        cycles=cycles,
        tail=min(cycles - round(float(free.mean())), cycles // TAIL),
        macs=work.macs,
        utilization=work.macs / (pe_cycles * plan.config.NumLanes),
        busy=busy,
        no_weight=no_weight,
        no_activation=no_activation,
        drain=drained,
        no_unit=pe_cycles - busy - no_weight - no_activation - drained,
        wgt_reads=int(weights["reads"]),
        wgt_hits=int(weights["requests"] - weights["reads"]),
        act_reads=int(activations["reads"]) + work.residual_words,
        act_hits=int(activations["requests"] - activations["reads"]),
        idx_reads=int(index["reads"]) + len(plan.descriptor.res_index),
        idx_hits=int(index["requests"] - index["reads"]),
    )
