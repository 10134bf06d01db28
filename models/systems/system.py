# SPDX-License-Identifier: Apache-2.0
"""What every system gets and gives: a convolution's masks, and cycles with counted actions.

Systems are compared at 1024 int8 multipliers, 512 KB for weights and 2 MB for activations in eight banks each. Energy
is that of models/energy.py: arithmetic and memories, without wires, clock and leakage. Cycles assume inputs and weights
on chip, as the core's own figures do; what a layer moves from and to outside stands apart.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Protocol

import numpy as np

from models import energy, reference
from models.energy import Access, Technology
from models.masks import Mask
from models.work import Counts

MULTIPLIERS = 1024
BANKS = 8
WEIGHT_BYTES, ACTIVATION_BYTES = 512 << 10, 2 << 20
WEIGHT_BANK, ACTIVATION_BANK = WEIGHT_BYTES / BANKS, ACTIVATION_BYTES / BANKS
SUM_BITS, BYTE = 32, 8
WORD_BITS = 64  # of an activation memory
MEAN_WAY = 0.5  # between a shared memory and a PE, in sides of the machine


def ceil_div(a: int, b: int) -> int:
    return -(-a // b)


@dataclass(frozen=True)
class Workload:
    """A convolution as its non-zeros.

    activations: bool (C, H, W); weights: bool (K, C / groups, R, S), k/m-sparse along K; stride, padding: both ways;
    out_density: non-zeros of the output, which is written; count: how often the network has such a layer.
    """

    name: str
    activations: Mask
    weights: Mask
    stride: int = 1
    padding: int = 0
    groups: int = 1
    mode: tuple[int, int] = (1, 1)
    out_density: float = 0.5
    count: int = 1

    @property
    def out_size(self) -> tuple[int, int]:
        """(Ho, Wo)."""
        (_, h, w), (r, s) = self.activations.shape, self.weights.shape[2:]
        pads = self.padding, self.padding
        return reference.out_size(h, r, self.stride, *pads), reference.out_size(w, s, self.stride, *pads)

    @property
    def positions(self) -> int:
        """Of one output channel."""
        return self.out_size[0] * self.out_size[1]

    @property
    def outputs(self) -> int:
        return int(self.weights.shape[0]) * self.positions

    @property
    def macs(self) -> int:
        """Multiplications of a dense machine, those with padding included."""
        return self.weights.size * self.positions

    @cached_property
    def padded(self) -> Mask:
        """bool (C, H + 2 padding, W + 2 padding)."""
        return reference.pad(self.activations, (self.padding,) * 4)

    @cached_property
    def met(self) -> Counts:
        """int64 (C, R, S): non-zero activations that each weight of a channel meets."""
        (ho, wo), (r, s) = self.out_size, self.weights.shape[2:]
        counts = np.empty((len(self.activations), r, s), np.int64)
        for i in range(r):
            for j in range(s):
                rows = slice(i, i + (ho - 1) * self.stride + 1, self.stride)
                columns = slice(j, j + (wo - 1) * self.stride + 1, self.stride)
                counts[:, i, j] = np.count_nonzero(self.padded[:, rows, columns], axis=(1, 2))
        return counts

    @cached_property
    def useful(self) -> int:
        """Products of two non-zero operands."""
        return sum(int((part.weights.sum(0) * part.met).sum()) for part in self.parts())

    def parts(self) -> Iterator["Workload"]:
        """The groups of a grouped convolution, or the layer itself."""
        if self.groups == 1:
            yield self
            return
        activations = np.split(self.activations, self.groups)
        weights = np.split(self.weights, self.groups)
        for a, w in zip(activations, weights, strict=True):
            yield replace(self, activations=a, weights=w, groups=1)


def access(count: float, bits: int, capacity: float) -> Access:
    """Accesses of ``bits`` to a memory or bank of ``capacity`` bytes."""
    return Access(float(count), bits, capacity)


SHARED = ("weights", "activations", "index", "outputs", "shared sums")  # memories that all of a system's PEs share


@dataclass(frozen=True)
class Result:
    """What a layer takes.

    cycles; multiplications: those carried out, whatever their operands; useful: of two non-zero operands;
    accesses: by place, those of SHARED and a system's own; moved: elements of weights, activations and sums that go
    from shared memories into PEs or back, multicast counted once; outside: bits from and to outside, each tensor once
    in the form that the system keeps it in; requantised: outputs brought to 8 bits; wires: bits times the sides of the
    machine that they go along, by operand, of systems whose wires are modelled; tree: bits times the sides of the array
    of PEs; decoding: PE-cycles in which this core decodes indices of positions and of lines.
    """

    cycles: int
    multipliers: int
    multiplications: int
    useful: int
    accesses: Mapping[str, Access]
    moved: Mapping[str, float]
    outside: Mapping[str, float] = field(default_factory=dict)
    requantised: int = 0
    wires: Mapping[str, float] = field(default_factory=dict)
    tree: float = 0
    decoding: Mapping[str, float] = field(default_factory=dict)

    @property
    def utilization(self) -> float:
        """Useful multiplications over all multiplier-cycles."""
        return self.useful / (self.multipliers * self.cycles)

    def energy_in(self, technology: Technology) -> dict[str, float]:
        """Dynamic energy on chip by place, in pJ: arithmetic and memories."""
        found = {name: found.picojoule(technology) for name, found in self.accesses.items()}
        return energy.arithmetic(self.multiplications, self.requantised, technology) | found

    @property
    def energy(self) -> dict[str, float]:
        """At 45 nm."""
        return self.energy_in(energy.N45)

    @property
    def total_energy(self) -> float:
        """On chip, in pJ."""
        return sum(self.energy.values())

    @property
    def outside_energy(self) -> float:
        """Of DRAM, in pJ."""
        return energy.N45.dram * sum(self.outside.values())

    @property
    def shared_bits(self) -> float:
        """Bits to and from the memories that all PEs share."""
        return sum(self.accesses[name].all_bits for name in SHARED if name in self.accesses)

    def __mul__(self, count: float) -> "Result":
        """The same layer ``count`` times."""
        return Result(
            cycles=round(self.cycles * count),
            multipliers=self.multipliers,
            multiplications=round(self.multiplications * count),
            useful=round(self.useful * count),
            accesses={name: found * count for name, found in self.accesses.items()},
            moved={name: value * count for name, value in self.moved.items()},
            outside={name: value * count for name, value in self.outside.items()},
            requantised=round(self.requantised * count),
            wires={name: value * count for name, value in self.wires.items()},
            tree=self.tree * count,
            decoding={name: value * count for name, value in self.decoding.items()},
        )


def total(results: Iterable[Result]) -> Result:
    """Layers one after another on one system."""
    found = list(results)
    accesses: dict[str, Access] = {}
    for result in found:
        for name, one in result.accesses.items():
            accesses[name] = accesses[name] + one if name in accesses else one

    def added(maps: list[Mapping[str, float]]) -> dict[str, float]:
        return {name: sum(m[name] for m in maps) for name in maps[0]}

    return Result(
        cycles=sum(r.cycles for r in found),
        multipliers=found[0].multipliers,
        multiplications=sum(r.multiplications for r in found),
        useful=sum(r.useful for r in found),
        accesses=accesses,
        moved=added([r.moved for r in found]),
        outside=added([r.outside for r in found]),
        requantised=sum(r.requantised for r in found),
        wires=added([r.wires for r in found]),
        tree=sum(r.tree for r in found),
        decoding=added([r.decoding for r in found]),
    )


class System(Protocol):
    """A model of an accelerator."""

    @property
    def name(self) -> str: ...

    def part(self, work: Workload) -> Result:
        """What a convolution without groups takes, once."""
        ...


def run(system: System, work: Workload) -> Result:
    """What a layer takes on a system, as often as the network has it."""
    return total(system.part(part) for part in work.parts()) * work.count
