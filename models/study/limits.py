# SPDX-License-Identifier: Apache-2.0
"""What a layer's cycles are bound by: how long each part of the core alone would take for what it did."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from models import lines
from models.cycle_model import TURN
from models.energy import ENTRY_BITS, LANE_BITS, WORD_BITS
from models.layer import Layer
from models.lines import WORD_BYTES
from models.tiling import Plan
from models.work import Work


def bounds(plan: Plan, work: Work, counters: Mapping[str, int]) -> dict[str, float]:
    """Cycles by part: each with its work spread evenly over its PEs, banks or ports."""
    c, d = plan.config, plan.descriptor
    drains = int(np.maximum(work.rows, TURN * c.NumSp).sum()) * d.chunks * d.splits
    read_out = int(-(-work.positions // c.SpLanes).sum()) * d.out_k
    return {
        "multipliers": counters["BUSY"] / c.NumPe,
        "weight banks": counters["WGT_READS"] / c.WgtBanks,
        "activation banks": (counters["ACT_READS"] + counters["BYTES_WRITTEN"] / WORD_BYTES) / c.ActBanks,
        "index banks": (counters["IDX_READS"] + counters["LINES_WRITTEN"]) / c.IdxBanks,
        "drains": drains / c.NumSp,
        "requantisation": max(read_out / c.NumSp, counters["LINES_WRITTEN"]),
    }


@dataclass(frozen=True)
class Traffic:
    """Bytes of a layer: its tensors dense and as the core stores them, and what went between memories and PEs."""

    weights: int
    weights_stored: float
    activations: int
    activations_stored: float
    moved: float

    @property
    def saved(self) -> float:
        """On-chip storage that compression saves."""
        return self.weights + self.activations - self.weights_stored - self.activations_stored


def traffic(layer: Layer, plan: Plan, counters: Mapping[str, int]) -> Traffic:
    """Activations are input and output together; an index entry belongs to its line."""
    c, d = plan.config, plan.descriptor
    lane_bits = LANE_BITS * c.NumLanes
    vectors = d.chunks * d.group_c * d.taps
    inputs = lines.compress(layer.activations, d.line)
    entries = inputs.words.size + counters["LINES_WRITTEN"]
    # A line is written in whole words, which BYTES_WRITTEN does not count.
    words = int(inputs.words.sum()) + plan.out_words
    moved = (
        counters["WGT_READS"] * lane_bits
        + (counters["ACT_READS"] + plan.out_words) * WORD_BITS
        + (counters["IDX_READS"] + counters["LINES_WRITTEN"]) * ENTRY_BITS
    )
    return Traffic(
        weights=layer.weights.size,
        weights_stored=vectors * lane_bits / 8,
        activations=layer.activations.size + int(np.prod(layer.out_shape)),
        activations_stored=words * WORD_BYTES + entries * ENTRY_BITS / 8,
        moved=moved / 8,
    )
