# SPDX-License-Identifier: Apache-2.0
"""How long a layer may take, from what is known of it: a hang ends soon, a slow layer does not."""

from __future__ import annotations

from models.tiling import Plan
from verif.shared.layer_files import beats
from verif.sim.env.interrupts import CLOCK_NS
from verif.sim.env.sequences import layer_cycles

FACTOR, CONSTANT = 4, 10_000  # cycles: registers, interrupts, and layers of a few passes


def bound_us(plan: Plan) -> float:
    """Simulated microseconds for a layer with its loads and results, none of them stalled."""
    cycles = layer_cycles(plan.descriptor) if plan.predicted is None else FACTOR * plan.predicted
    return (cycles + FACTOR * beats(plan) + CONSTANT) * CLOCK_NS / 1000
