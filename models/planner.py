# SPDX-License-Identifier: Apache-2.0
"""Chooses how a layer is cut: tile and splits with the fewest predicted cycles."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from models import cycle_model, lines, work
from models.config import Config
from models.descriptor import Descriptor
from models.layer import Layer
from models.tiling import Cut, Plan, line_candidates, make_plan, split_candidates, tile_candidates, with_splits
from models.work import Counts, Fetch, Work

_FINALISTS = 12
_STAND_INS = 3  # channels of a unit in the coarse model
_MAX_LINES = 16  # of a window; each costs an index read a channel
_LINE_GAIN = 0.01  # that other lines have to bring


def unit_cycles(config: Config, d: Descriptor, measured: Work) -> Counts:
    """About how long a PE works at each unit, int64 (tiles, groups * splits)."""
    passes = np.count_nonzero(measured.emissions, axis=2)
    generated = (passes > 0) * d.taps * measured.segments
    words = np.stack([fetch.words.sum(1) for fetch in measured.fetches])
    entries = np.stack([np.full(d.in_c, len(fetch.lines)) for fetch in measured.fetches])
    units_of = [share for group in range(d.groups) for share in d.shares(group * d.group_chunks)]
    starts, stops = np.array([(share.start, share.stop) for share in units_of]).T

    def by_unit(cycles: Counts) -> Counts:
        total = np.cumsum(np.pad(cycles, [(0, 0), (1, 0)]), axis=1)
        return total[:, stops] - total[:, starts]

    compute, *shares = (
        by_unit(cycles)
        for cycles in (
            np.maximum.reduce([measured.emissions.sum(2), generated, measured.load]),
            # If each PE had its share of the memories' bandwidth; few reads serve a second PE.
            passes * config.NumPe // config.WgtBanks,
            words * config.NumPe // config.ActBanks,
            entries * config.NumPe // config.IdxBanks,
        )
    )
    # The bandwidth limits all PEs together; one of them may have twice its share for a while.
    scarce = max(1.0, *(share.sum() / max(1, compute.sum()) for share in shares))
    units: Counts = np.maximum.reduce([(compute * scarce).astype(np.int64), *(share // 2 for share in shares)])
    return units


def _coarse(plan: Plan, measured: Work) -> tuple[Plan, Work]:
    """The same units, each with one pass that takes about as long as all of its channels together."""
    d, config = plan.descriptor, plan.config
    units = unit_cycles(config, d, measured)
    # Two short channels follow, and a PE has one region, no halves: so its next unit is bound late, as in the core.
    channels = np.ones((*units.shape, _STAND_INS), np.int64)
    channels[:, :, 0] = units
    emissions = channels.reshape(len(units), -1, 1)
    nothing = np.zeros((emissions.shape[1], cycle_model.LINES), np.int64)
    load = nothing + 1
    coarse = replace(
        measured,
        emissions=emissions,
        lasts=np.minimum(emissions, work.OCTET),
        load=np.ones_like(emissions[:, :, 0]),
        segments=1,
        fetches=[Fetch(list(range(cycle_model.LINES)), nothing, nothing, nothing, load, nothing)] * len(units),
    )
    descriptor = replace(
        d, in_c=emissions.shape[1], group_c=d.splits * _STAND_INS, split_c=_STAND_INS, kernel_r=1, kernel_s=1
    )
    return replace(plan, config=replace(config, NumRegions=1, RegionPos=lines.LINE_BITS), descriptor=descriptor), coarse


def _predicted(candidate: Plan, measured: Work, others: Sequence[Layer]) -> Plan:
    """The plan with its cycles, on average of its own data and of that of other layers."""
    found = [cycle_model.predict(candidate, measured).cycles]
    for other in others:
        plan = make_plan(candidate.config, other, candidate.cut)
        found.append(cycle_model.predict(plan, work.measure(plan.descriptor, other)).cycles)
    return replace(candidate, predicted=round(sum(found) / len(found)))


def _in_other_lines(plan: Plan, layer: Layer, others: Sequence[Layer]) -> Plan:
    """The plan with the lines that are fastest for its tile. A pool does so little with a line that they matter; what
    gains less than the model is off keeps the lines that it has."""
    best = plan
    for line in line_candidates(*layer.activations.shape[1:]):
        try:
            candidate = make_plan(plan.config, layer, replace(plan.cut, line=line))
        except ValueError:  # more lines than the Index Memory holds
            continue
        found = _predicted(candidate, work.measure(candidate.descriptor, layer), others)
        best = min(best, found, key=lambda one: one.predicted or 0)
    return best if (best.predicted or 0) < (1 - _LINE_GAIN) * (plan.predicted or 0) else plan


def choose_plan(config: Config, layer: Layer, *others: Layer) -> Plan:
    """The plan that the cycle model finds fastest among the finalists of a coarse model of all candidates.

    others: the same layer on other data; finalists are compared by their mean. Two plans may differ by less than one
    does between data.
    Raises ValueError ("layer does not fit: ...") when the layer fits in no way.
    """
    line = lines.default_shape(*layer.activations.shape[1:])
    tiles = tile_candidates(config, layer)
    most = max(tile.line_h * tile.line_w for tile in tiles)
    # Small tiles write too many lines, and their short passes ask for too many weight vectors, tall windows for too
    # many lines: these tiles are the second choice.
    few = 4 if layer.kind == "conv" else 5
    good = {
        t for t in tiles if few * t.line_h * t.line_w >= most and t.line_h * layer.stride[0] <= _MAX_LINES * line.line_h
    }
    problem = None
    for choice in (good, set(tiles) - good):
        found: list[tuple[int, Plan, Work]] = []
        for tile in (tile for tile in tiles if tile in choice):
            try:
                whole = make_plan(config, layer, Cut(line, tile))
            except ValueError as error:
                problem = problem or error
                continue
            measured = work.measure(whole.descriptor, layer)
            for splits in split_candidates(config, whole.descriptor):
                candidate = with_splits(whole, splits)
                found.append((cycle_model.predict(*_coarse(candidate, measured)).cycles, candidate, measured))
        if found:
            found.sort(key=lambda entry: entry[0])
            finalists = [_predicted(candidate, measured, others) for _, candidate, measured in found[:_FINALISTS]]
            best = min(finalists, key=lambda finalist: finalist.predicted or 0)
            return best if layer.kind == "conv" else _in_other_lines(best, layer, others)
    raise problem or ValueError("layer does not fit: no tile does")
