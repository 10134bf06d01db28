# SPDX-License-Identifier: Apache-2.0
"""Figure 3: energy by item of a layer on the core and on a dense output-stationary machine, on one accounting.

To arithmetic and memories come wires, the decoding of indices and the clock. Both machines are squares of their own
area. Flip-flops are clocked as on netlists with clock gates: a PE's for each busy cycle or each line, those at the
core's memories for each cycle of the core. The dense machine has multipliers and adders of the core's kind, nothing
between them and the memories, and its sums lie in registers whose accesses are counted. An addition on the core writes
the upper half of a sum only where it changes. Outputs go through the same stage in both. How often gates switch is
measured on netlists of both machines' PEs (models.study.netlist_power): those of the decoders in a cycle in which they
work, and those of a multiplication with its addition, which take more than these by themselves.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from models.config import load_config
from models.energy import ACC_BITS, Technology
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
    sides = dense_sides(technology) if run.dense else silicon.sides(technology)
    decoded = sum(
        cycles * silicon.decoding_ge(part) * netlist_power.activity(part) for part, cycles in r.decoding.items()
    )
    busy = r.multiplications / base.NumLanes  # of all PEs
    clocked = r.requantised / (base.NumSp * base.SpLanes) * flip_flops.outputs
    if run.dense:
        clocked += r.multiplications * netlist_power.plain_clocks()
    else:
        for kind, number in flip_flops.pe.items():
            at_work = r.decoding["lines"] if kind in silicon.DECODING["lines"] else busy
            clocked += at_work * number * netlist_power.clocks(kind)
        for kind, number in flip_flops.memories.items():
            clocked += r.cycles * number * netlist_power.memory_clocks(kind)
    places = r.energy_in(technology)
    if not run.dense:
        half = technology.access(ACC_BITS / 2, r.accesses["sums"].capacity)
        places["sums"] -= r.multiplications * netlist_power.halves_kept() * half
    return places | {
        "wires": (sum(r.wires.values()) * sides.machine + r.tree * sides.pes) * technology.wire,
        "decoding": decoded * technology.gate,
        "beyond bare arithmetic": r.multiplications * netlist_power.beyond(technology, run.dense),
        "clock": clocked * technology.flip_flop,
    }


def dense_sides(technology: Technology) -> silicon.Sides:
    """Of the plain dense machine, whose lanes are those of the netlist."""
    plain = netlist_power.plain()
    return silicon.dense_sides(technology, plain.of("area_ge") / plain.lanes)


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
