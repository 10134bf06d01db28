# SPDX-License-Identifier: Apache-2.0
"""Figure 3: energy by item of a layer on the core and on a dense output-stationary machine, on one accounting.

To arithmetic and memories come wires, the decoding of indices and the clock. Both machines are squares of their own
area. Flip-flops are clocked while their part works: in a busy PE, on a line, and of the core what serves memories in
every cycle; the dense machine has the same multipliers, nothing between them and the memories, and its sums lie in
registers whose accesses are counted. Outputs go through the same stage in both. How often gates switch is measured on
the netlist of a PE (models.study.netlist_power): those of the decoders in a cycle in which they work, and those of
multipliers and accumulators for a multiplication, which take more than bare arithmetic.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from models.config import load_config
from models.energy import Technology
from models.study import netlist_power, silicon
from models.systems.system import Result

COSTS = ("multiply", "add", "memory", "wire", "flip_flop", "gate")
WHAT = {
    "multiply": "8-bit multiplication",
    "add": "32-bit addition",
    "memory": "memories and register files",
    "wire": "wires",
    "flip_flop": "clock",
    "gate": "gates' switching",
}


@dataclass(frozen=True)
class Run:
    """A layer on a machine: what it is called, its counts, whether it is the dense machine."""

    name: str
    result: Result
    dense: bool = False


def energy(run: Run, technology: Technology) -> dict[str, float]:
    """Dynamic energy on chip by item, in pJ."""
    r, base, flip_flops = run.result, load_config(silicon.BASE), silicon.flip_flops()
    sides = silicon.dense_sides(technology) if run.dense else silicon.sides(technology)
    decoded = sum(
        cycles * silicon.decoding_ge(part) * netlist_power.activity(part) for part, cycles in r.decoding.items()
    )
    busy = r.multiplications / base.NumLanes
    clocked = r.requantised / (base.NumSp * base.SpLanes) * flip_flops.outputs
    if run.dense:
        clocked += busy * flip_flops.multipliers
    else:
        clocked += busy * flip_flops.pe + r.decoding["lines"] * flip_flops.lines + r.cycles * flip_flops.memories
    return r.energy_in(technology) | {
        "wires": (sum(r.wires.values()) * sides.machine + r.tree * sides.pes) * technology.wire,
        "decoding": decoded * technology.gate,
        "beyond bare arithmetic": r.multiplications * netlist_power.beyond(technology, run.dense),
        "clock": clocked * technology.flip_flop,
    }


def total(run: Run, technology: Technology) -> float:
    """All items, in pJ."""
    return sum(energy(run, technology).values())


def gain(dense: Run, sparse: Run, technology: Technology) -> float:
    """Energy of the one over that of the other."""
    return total(dense, technology) / total(sparse, technology)


def sensitivity(dense: Run, sparse: Run, technology: Technology) -> dict[str, tuple[float, float]]:
    """The gain with half and with twice each cost, by cost; the one that moves it most first."""

    def changed(cost: str, times: float) -> float:
        return gain(dense, sparse, replace(technology, **{cost: times * getattr(technology, cost)}))

    found = {cost: (changed(cost, 0.5), changed(cost, 2.0)) for cost in COSTS}
    return dict(sorted(found.items(), key=lambda item: -abs(item[1][1] - item[1][0])))


def break_even(densities: Sequence[float], gains: Sequence[float]) -> float | None:
    """The highest density at which the gain is 1, between neighbours linearly; None where it is on one side."""
    pairs = sorted(zip(densities, gains, strict=True), reverse=True)
    for (above, low), (below, high) in zip(pairs, pairs[1:], strict=False):
        if low < 1 <= high:
            return above - (above - below) * (1 - low) / (high - low)
    return None


def items(runs: Sequence[Run], technology: Technology) -> Mapping[str, list[float]]:
    """Energy by item, a figure for each run, 0 where a machine has no such item."""
    found = [energy(run, technology) for run in runs]
    names = list(dict.fromkeys(name for one in found for name in one))
    return {name: [one.get(name, 0.0) for one in found] for name in names}
