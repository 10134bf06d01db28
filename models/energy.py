# SPDX-License-Identifier: Apache-2.0
"""Dynamic energy of a layer from its access counts: memories and arithmetic, without wires, clock and leakage.

Costs are those of M. Horowitz, "Computing's energy problem", ISSCC 2014, figure 1.1.9 (45 nm, 0.9 V): 8-bit multiply
0.2 pJ, 32-bit add 0.1 pJ, 64-bit read of an SRAM of 8 KB 10 pJ, 32 KB 20 pJ, 1 MB 100 pJ. The three memories follow
the square root of the capacity, and that law gives every other size. Absolute figures are rough; ratios between two
runs of the same core are what the model is for.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt

from models.tiling import Plan
from models.work import Work

MULTIPLY_PJ = 0.2
ADD_PJ = 0.1
_POINT_PJ, _POINT_BITS, _POINT_BYTES = 10.0, 64, 8192

LANE_BITS, ENTRY_BITS, WORD_BITS, ACC_BITS = 12, 88, 64, 32


def access_pj(bits: int, capacity: float) -> float:
    """Energy of one access of ``bits`` to a memory of ``capacity`` bytes, in pJ."""
    return _POINT_PJ * bits / _POINT_BITS * sqrt(capacity / _POINT_BYTES)


@dataclass(frozen=True)
class Energy:
    """Dynamic energy of a layer by place, in pJ."""

    arithmetic: float
    accumulators: float
    weights: float
    activations: float
    index: float
    regions: float
    output: float

    @property
    def total(self) -> float:
        return float(sum(vars(self).values()))


def estimate(plan: Plan, work: Work, counts: Mapping[str, int]) -> Energy:
    """Energy of a planned layer with the core's counters, or the cycle model's, in lower case.

    Used of them: busy, wgt_reads, act_reads and idx_reads. Every lane works in a busy cycle: a lane whose filler weight
    is zero is not gated here, nor a zero activation in dense mode. Multicast reads count once.
    """
    c, d = plan.config, plan.descriptor
    lane_cycles = counts["busy"] * c.NumLanes
    acc_bytes = c.AccDepth * ACC_BITS / 8
    rows = int(work.rows.sum()) * d.chunks * d.splits
    values = rows * 4 * c.NumLanes  # accumulators handed over
    pieces = int(work.pieces.sum(0) @ d.readers)
    slot_bytes = 4 * c.NumLanes * acc_bytes
    return Energy(
        arithmetic=lane_cycles * (MULTIPLY_PJ + ADD_PJ),
        accumulators=2 * (lane_cycles + values) * access_pj(ACC_BITS, acc_bytes),
        weights=counts["wgt_reads"] * access_pj(LANE_BITS * c.NumLanes, c.WgtDepth * LANE_BITS * c.NumLanes / 8),
        activations=counts["act_reads"] * access_pj(WORD_BITS, c.ActDepth * WORD_BITS / 8),
        index=counts["idx_reads"] * access_pj(ENTRY_BITS, c.IdxDepth * ENTRY_BITS / 8),
        # A piece is up to 8 bytes written; every emission reads one.
        regions=(8 * pieces + counts["busy"]) * access_pj(8, c.NumRegions * c.RegionPos),
        output=2 * values * access_pj(ACC_BITS, slot_bytes) + values * (MULTIPLY_PJ * 16 + ADD_PJ),
    )
