# SPDX-License-Identifier: Apache-2.0
"""This core, by its cycle model and energy model.

A layer that the memories do not hold is cut: output channels into parts, rows into strips with the halo of the
kernel; one strip in the middle and one part stand for all. So is a layer of more than 200,000 passes of a weight
vector, which the cycle model takes long for: a tail is counted for every strip. Groups run one after another.

The tile is one of the largest, the splits are those with the shortest schedule of the units' own lengths; the planner,
which asks the cycle model about more cuts, takes longer and finds equal or better ones.
"""

import heapq
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

import numpy as np

from models import cycle_model, energy, lines, masks, work
from models.config import Config, load_config
from models.layer import Layer
from models.masks import Mask
from models.reference import pad
from models.systems.system import BYTE, MEAN_WAY, WORD_BITS, Result, Workload, access, ceil_div
from models.tiling import Cut, Plan, chunk_channels, make_plan, max_tile, split_candidates, tile_candidates, with_splits
from models.work import Work

_TILES = 3  # of most positions, that are tried
_PASSES = 200_000  # of a strip: more take the cycle model long
_CLOSE = 0.02  # schedules so much longer than the shortest are as good: the one of fewest splits is taken
_GAIN = 1 << 20


def _values(mask: Mask, rng: np.random.Generator) -> np.ndarray[tuple[int, ...], np.dtype[np.int8]]:
    sign = rng.choice(np.array([-1, 1], np.int8), mask.shape)
    return np.where(mask, rng.integers(1, 128, mask.shape, np.int8) * sign, 0).astype(np.int8)


def as_layer(work: Workload, skip: bool = True) -> Layer:
    """A layer with these non-zeros, random values, and outputs of which about half are zero."""
    rng = np.random.default_rng(0)
    k = len(work.weights)
    spread = 100 * 74 * max(1.0, work.useful / work.outputs) ** 0.5
    return Layer(
        activations=masks.activations(work.activations, rng, False),
        weights=_values(work.weights, rng),
        bias=np.zeros(k, np.int32),
        multiplier=np.full(k, _GAIN, np.int32),
        shift=np.full(k, max(1, round(np.log2(_GAIN * spread / 85))), np.int32),
        stride=(work.stride, work.stride),
        padding=(work.padding,) * 4,
        k=work.mode[0],
        m=work.mode[1],
        skip=skip,
    )


def _schedule(plan: Plan, measured: Work) -> int:
    """Cycles until the last PE is done if units took their emissions, passes or loads alone and drains queued."""
    d, pes = plan.descriptor, plan.config.NumPe
    passes = (measured.emissions > 0).any(2) * d.taps * measured.segments
    channels = np.maximum.reduce([measured.emissions.sum(2), passes, measured.load])
    units = np.add.reduceat(channels, [share.start for share in d.shares(0)], axis=1)
    drains = np.maximum(measured.rows, cycle_model.TURN * plan.config.NumSp)  # from grant to grant
    lengths = np.tile((units + (measured.rows + cycle_model.GRANT)[:, None]).ravel(), d.chunks)
    free = [0] * pes
    for length in lengths.tolist():
        heapq.heapreplace(free, free[0] + length)
    return int(max(max(free), drains.sum() * d.chunks * d.splits / plan.config.NumSp))


def _plan(config: Config, layer: Layer) -> tuple[Plan, Work]:
    """A cut by the units' own lengths. Raises ValueError when the layer does not fit."""
    line = lines.default_shape(*layer.activations.shape[1:])
    tiles = sorted(tile_candidates(config, layer), key=lambda tile: -tile.line_h * tile.line_w)[:_TILES]
    found = []
    for tile in tiles:
        whole = make_plan(config, layer, Cut(line, tile))
        measured = work.measure(whole.descriptor, layer)
        plans = [with_splits(whole, splits) for splits in split_candidates(config, whole.descriptor)]
        found += [(_schedule(plan, measured), plan, measured) for plan in plans]
    enough = (1 + _CLOSE) * min(cycles for cycles, _, _ in found)
    _, plan, measured = min(
        (entry for entry in found if entry[0] <= enough), key=lambda entry: (entry[1].descriptor.splits, entry[0])
    )
    return plan, measured


def _strip(whole: Workload, strips: int) -> tuple[Workload, float]:
    """The middle one of so many strips of rows, and how many of it the layer is worth."""
    if strips == 1:
        return whole, 1.0
    ho, _ = whole.out_size
    rows = ceil_div(ho, strips)
    first = (strips // 2) * rows * whole.stride
    last = first + (rows - 1) * whole.stride + whole.weights.shape[2]
    padded = pad(whole.activations, (whole.padding,) * 2 + (0, 0))
    strip = padded[:, first:last]
    sides = pad(strip, (0, 0, whole.padding, whole.padding))
    return replace(whole, activations=sides, padding=0), ho / rows


def _least_strips(config: Config, whole: Workload) -> int:
    """Strips below which lines or words certainly do not fit, or the cycle model has more passes than it should."""
    k, c, r, s = whole.weights.shape
    tiles = whole.positions / max_tile(config, *whole.mode)
    passes = tiles * ceil_div(k, chunk_channels(config, *whole.mode)) * c * r * s
    held = whole.activations.size + whole.outputs
    lines_held = held / lines.LINE_BITS / (config.IdxBanks * config.IdxDepth)
    words_held = int(whole.activations.sum()) * BYTE / WORD_BITS / (config.ActBanks * config.ActDepth)
    return max(1, int(lines_held), int(words_held), int(passes / _PASSES))


def counted(layer: Layer, plan: Plan, measured: Work, counts: Mapping[str, int]) -> Result:
    """A planned layer with the cycle model's counts, or the core's counters in lower case."""
    c, did = plan.config, energy.actions(plan, measured, counts)
    written = (np.count_nonzero(layer.expected) * BYTE + layer.expected.size) / WORD_BITS
    lane_bits = energy.LANE_BITS * c.NumLanes
    return Result(
        cycles=counts["cycles"],
        multipliers=c.NumPe * c.NumLanes,
        multiplications=did.multiplications,
        useful=counts["macs"],
        accesses={**did.accesses, "outputs": access(written, WORD_BITS, c.ActDepth * WORD_BITS / 8)},
        moved={
            "weights": counts["wgt_reads"] * c.NumLanes,
            "activations": counts["act_reads"] * WORD_BITS // BYTE,
            "sums": did.handed,
        },
        requantised=did.requantised,
        # Shared reads go to each PE that asked for them.
        wires={
            "weights": (counts["wgt_reads"] + counts["wgt_hits"]) * lane_bits * MEAN_WAY,
            "activations": (counts["act_reads"] + counts["act_hits"]) * WORD_BITS * MEAN_WAY,
            "index": (counts["idx_reads"] + counts["idx_hits"]) * energy.ENTRY_BITS * MEAN_WAY,
            "outputs": (did.handed * energy.ACC_BITS + written * WORD_BITS) * MEAN_WAY,
        },
        decoding={
            "positions": counts["busy"],
            "lines": float(measured.load.sum(0) @ plan.descriptor.readers),
        },
    )


@dataclass(frozen=True)
class SparseCore:
    """config: one, or the name of one of rtl/configs.toml; skip: False is its dense mode."""

    name: str = "SparseCore"
    config: str | Config = "paper"
    skip: bool = True

    def part(self, work: Workload) -> Result:
        config = self.config if isinstance(self.config, Config) else load_config(self.config)
        k, c, r, s = work.weights.shape
        chunk = chunk_channels(config, *work.mode)
        fits = max(1, config.WgtBanks * config.WgtDepth // (c * r * s))  # chunks
        share = min(k, fits * chunk)
        channels = replace(work, weights=work.weights[:share])
        strips, problem = _least_strips(config, channels), None
        while strips <= work.out_size[0]:
            strip, times = _strip(channels, strips)
            layer = as_layer(strip, self.skip)
            try:
                plan, measured = _plan(config, layer)
                break
            except ValueError as error:
                problem, strips = error, strips * 2
        else:
            raise problem or ValueError("layer does not fit")
        found = counted(layer, plan, measured, asdict(cycle_model.predict(plan, measured))) * (
            times * ceil_div(k, chunk) / ceil_div(share, chunk)
        )
        # Whole, not a multiple of a strip.
        nonzero, vectors = int(work.activations.sum()), ceil_div(k, chunk) * c * r * s
        plane = work.activations.shape[1:]
        lines_in = c * int(np.prod(lines.default_shape(*plane).grid(*plane)))
        lines_out = work.outputs / lines.LINE_BITS
        written = work.outputs * work.out_density
        return replace(
            found,
            useful=work.useful,
            outside={
                "weights": vectors * energy.LANE_BITS * config.NumLanes,
                "activations": (lines_in + lines_out) * lines.LINE_BITS + (nonzero + written) * BYTE,
            },
        )
