# SPDX-License-Identifier: Apache-2.0
"""The core that the compiled functions work on, and the layers that it is given."""

from typing import Any

import numpy as np

from models.config import Config
from models.cycles import state
from models.cycles.state import ENTRIES, NONE, SEGMENTS, WORDS, Play, Queues, Records, Tables
from models.descriptor import Descriptor
from models.tiling import Plan, chunk_channels
from models.work import Counts, Work


def _shares(d: Descriptor) -> Counts:
    """int64 (groups, splits, 2): first and behind last input channel of a unit."""
    return np.array(
        [[(share.start, share.stop) for share in d.shares(group * d.group_chunks)] for group in range(d.groups)]
    )


def _check_sizes(config: Config) -> None:
    """Raise ValueError for a core that the compiled model has no places for."""
    for names, most in (
        (("NumPe",), state.MAX_PES),
        (("NumRegions",), state.MAX_HALVES // 2),
        (("WgtBanks", "ActBanks", "IdxBanks"), state.MAX_BANKS),
        (("NumSp",), state.MAX_PORTS),
        (("NumStage",), state.MAX_SLOTS),
    ):
        for name in names:
            if getattr(config, name) > most:
                raise ValueError(f"{name} = {getattr(config, name)}: the cycle model has places for {most}")


def _core(config: Config) -> Records:
    """A core without a layer."""
    _check_sizes(config)
    pes = config.NumPe
    found = np.zeros(1, state.STATE)
    s = found[0]
    s["core"][0] = pes, config.NumSp
    s["clock"]["free"] = NONE
    s["buckets"]["first"] = NONE
    s["buckets"]["last"] = NONE
    s["pes"]["free_count"][:pes] = 2 * config.NumRegions
    s["pes"]["next_line"][:pes] = NONE
    s["pes"]["draining"][:pes] = NONE
    s["pes"]["idle"][:pes] = 1
    s["memories"]["banks"] = config.WgtBanks, config.ActBanks, config.IdxBanks
    s["memories"]["skewed"] = 0, 0, 1
    s["memories"]["group_size"] = -(-pes // state.GROUPS)
    s["memories"]["places"] = NONE
    s["memories"]["last"] = NONE
    # The passes limit the weight vectors; two index entries beyond their memory.
    s["requests"]["room"][:, :pes] = [[2 * (config.WgtQueueDepth + 1)], [WORDS], [ENTRIES + 2]]
    s["ports"]["slots"][: config.NumSp] = config.NumStage
    for name in ("next", "port_group", "job", "next_job", "ask_job"):
        s["ports"][name] = NONE
    return found


def _layer(plan: Plan, work: Work) -> Records:
    """The layer's record, before any unit can be given out."""
    d, config = plan.descriptor, plan.config
    room, out_lines, units = -(-SEGMENTS // work.segments), d.out_k * d.out_lines, d.jobs * d.splits
    values = {
        "units": units,
        "splits": d.splits,
        "chunks": d.chunks,
        "group_chunks": d.group_chunks,
        "tile_rows": d.tile_h,
        "taps": d.taps,
        "segments": work.segments,
        "tap_shared": d.tap_shared,
        "room": room if d.tap_shared else min(config.WgtQueueDepth + 1, room),  # shared: one vector a region
        "freeing": room * work.segments - SEGMENTS + 1,
        "halves": 1 if d.half_regions(config.RegionPos) else 2,
        "residual": d.residual,
        "res_words": work.residual_words,
        "res_idx_base": d.res_idx_base,
        "res_pitch": d.res_pitch,
        "keeps": d.keep_slot,
        "continues": d.continue_slot,
        "in_idx_base": d.in_idx_base,
        "in_pitch": d.in_pitch,
        "out_idx_base": d.out_idx_base,
        "out_pitch": d.out_pitch,
        "out_act_base": d.out_act_base,
        "out_words": plan.out_words,
        "out_seed": 1,
        "residual_seed": 2,
        "out_lines": out_lines,
        "next_unit": units,
        "jobs_left": d.jobs,
    }
    record = np.zeros(1, state.LAYER)
    for name, value in values.items():
        record[name] = value
    return record


def _tables(plan: Plan, work: Work) -> Tables:
    """What has the layer's size."""
    d, config = plan.descriptor, plan.config
    chunk_k = chunk_channels(config, d.k, d.m)
    line_counts = np.array([len(fetch.lines) for fetch in work.fetches])
    tile = np.zeros(d.out_lines, state.TILE)
    tile["next"] = d.tile_order
    tile["rows"] = work.rows
    tile["beats"] = -(-work.positions // config.SpLanes)
    tile["lines"] = line_counts
    tile["begin"] = np.cumsum(line_counts) - line_counts
    tile["pause"] = work.positions == 1
    chunk = np.zeros(d.chunks, state.CHUNK)
    chunk["vector"] = [d.vector(number, 0) for number in range(d.chunks)]
    chunk["lines"] = [min(chunk_k, d.out_k - number * chunk_k) for number in range(d.chunks)]
    lines = np.zeros(d.in_c * int(line_counts.sum()), state.A_FETCH)
    lines["first"] = np.concatenate([fetch.first_word.ravel() for fetch in work.fetches])
    lines["words"] = np.concatenate([fetch.words.ravel() for fetch in work.fetches])
    lines["load"] = np.concatenate([fetch.load.ravel() for fetch in work.fetches])
    lines["pieces"] = np.concatenate([fetch.pieces.ravel() for fetch in work.fetches])
    lines["marks"] = np.concatenate([fetch.marks.ravel() for fetch in work.fetches])
    jobs = np.zeros(d.jobs + 1, state.JOB)
    jobs["port"] = NONE
    shares = _shares(d)
    share = np.zeros(shares.shape[:2], state.SHARE)
    share["first"], share["stop"] = shares[:, :, 0], shares[:, :, 1]
    return Tables(
        lasts=np.ascontiguousarray(work.lasts, np.int64),
        tiles=tile,
        chunks=chunk,
        shares=share,
        numbers=np.array([line for fetch in work.fetches for line in fetch.lines], np.int64),
        lines=lines,
        emissions=np.ascontiguousarray(work.emissions, np.int64),
        jobs=jobs,
    )


def _lineless(plan: Plan, work: Work) -> int:
    """Units without a line."""
    d, shares = plan.descriptor, _shares(plan.descriptor)
    per_group = np.bincount(np.arange(d.chunks) // d.group_chunks, minlength=d.groups)
    without = np.array([not fetch.lines for fetch in work.fetches])[:, None, None]
    return int((without | (shares[:, :, 0] == shares[:, :, 1])).sum((0, 2)) @ per_group)


def _empty(plan: Plan, work: Work) -> int:
    """Units without anything to load."""
    d, shares = plan.descriptor, _shares(plan.descriptor)
    per_group = np.bincount(np.arange(d.chunks) // d.group_chunks, minlength=d.groups)
    loads = np.array([fetch.load.sum(1) for fetch in work.fetches]).reshape(d.out_lines, d.in_c)
    before = np.pad(np.cumsum(loads, 1), [(0, 0), (1, 0)])
    loaded = before[:, shares[:, :, 1]] - before[:, shares[:, :, 0]]
    return int((loaded == 0).sum((0, 2)) @ per_group)


_NOTHING = Tables(
    tiles=np.zeros(0, state.TILE),
    chunks=np.zeros(0, state.CHUNK),
    shares=np.zeros((0, 0), state.SHARE),
    numbers=np.zeros(0, np.int64),
    lines=np.zeros(0, state.A_FETCH),
    emissions=np.zeros((0, 0, 0), np.int64),
    lasts=np.zeros((0, 0, 0), np.int64),
    jobs=np.zeros(0, state.JOB),
)


class Core:
    """A core that works at layers in the order in which they are opened, at two of them at a time."""

    def __init__(self, config: Config) -> None:
        """Raises ValueError for a core of more PEs, regions, banks or streaming processors than `models.cycles.state`
        has."""
        self._config = config
        self._states = _core(config)
        self._tables = (_NOTHING, _NOTHING)
        self._queues = Queues(np.zeros((config.NumPe, 1), state.A_LINE), np.zeros((config.NumPe, 1), state.A_REGION))
        self._opened = 0

    @property
    def state(self) -> Any:
        """The record of STATE."""
        return self._states[0]

    def open(self, plan: Plan, work: Work, time: int) -> None:
        """Open a layer, whose units can be given to PEs from a time to come on, when there are none of the one before
        it left. The last but one has retired, and if the layer continues slots the last one too.
        """
        from models.cycles import events  # late: numba takes a second to import

        d, s, context, tables = plan.descriptor, self.state, self._opened % 2, _tables(plan, work)
        s["layers"][context] = _layer(plan, work)[0]
        if d.continue_slot:
            ports = tables.jobs["port"][: d.jobs]
            if self._opened:
                ports[:] = self._tables[1 - context].jobs["port"][: d.jobs]
            else:  # as if jobs had taken slots in turn
                ports[:] = np.arange(d.jobs) % self._config.NumSp
                s["ports"]["slots"][: self._config.NumSp] -= np.bincount(ports, minlength=self._config.NumSp)
            tables.jobs["units_left"] = d.splits
        self._tables = (tables, self._tables[1]) if context == 0 else (self._tables[0], tables)
        self._queues = Queues(
            _grown(self._queues.entries, s["pes"], "entries", ENTRIES + 4 + _lineless(plan, work)),
            _grown(self._queues.regions, s["pes"], "regions", 2 * self._config.NumRegions + 1 + _empty(plan, work)),
        )
        self._opened += 1
        events.begin(self._states, context, time)

    def retire(self) -> int:
        """Go on until the oldest layer that is open has ended; when that is."""
        from models.cycles import kernel  # late: numba takes a second to import

        total = self.state["total"]
        kernel.run(self._states, Play(self._queues, self._tables))
        layer = self.state["layers"][total["oldest"][0]]
        total["oldest"] ^= 1
        return int(layer["end"])


def _grown(queue: Records, pes: Records, name: str, more: int) -> Records:
    """The PEs' queues with places for so many more than they hold."""
    first, held = pes[f"{name}_first"][: len(queue)], pes[f"{name}_count"][: len(queue)]
    count, places = queue.shape[1], int(held.max()) + more
    if places <= count:
        return queue
    grown = np.zeros((len(queue), places), queue.dtype)
    grown[:, :count] = np.take_along_axis(queue, (first[:, None] + np.arange(count)) % count, axis=1)
    pes[f"{name}_first"][: len(queue)] = 0
    return grown
