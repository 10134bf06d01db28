# SPDX-License-Identifier: Apache-2.0
"""Event-level model of the core's cycles (docs/architecture.md section 7).

One event a line fetched, a weight vector there, a drain: what a PE does between them follows from recurrences, while
scheduler, staging slots and streaming processors are shared in order of time. The memories are played cycle by cycle
(`models/cycles/banks.py`). Two layers may be open at a time. Approximations: the lengths of a layer's lines that are
written, and of those that are added, are drawn around their mean; a pass of several segments has as many emissions in
each. tests/core/test_cycle_model_error.py measures the model against the RTL.
"""

from dataclasses import dataclass

import numpy as np

from models.cycles.model_core import Core
from models.cycles.state import GRANT, LINE, LINES, TURN
from models.tiling import Plan
from models.work import Work

__all__ = ["BOUNDS", "GRANT", "LINE", "LINES", "TURN", "Cycles", "bound", "predict"]

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


def predict(plan: Plan, work: Work) -> Cycles:
    """Predicted cycles of a planned layer, from its measured work.

    Raises ValueError for a core of more PEs, regions, banks or streaming processors than `models.cycles.state` has.
    """
    core = Core(plan.config)
    core.open(plan, work, 0)
    cycles, s = core.retire(), core.state
    total, (weights, activations, index) = s["total"][0], s["memories"]
    busy = int(work.emissions.sum((0, 2)) @ plan.descriptor.readers)
    pe_cycles = cycles * plan.config.NumPe
    no_weight, no_activation, drained = (int(total[name]) for name in ("no_weight", "no_activation", "drained"))
    pes = s["pes"][: plan.config.NumPe]
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
