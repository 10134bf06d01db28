# SPDX-License-Identifier: Apache-2.0
"""All systems at one size over the same layers, and what their counted actions say of each: the columns of Table 1."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from models import masks
from models.systems import published_networks
from models.systems.cambricon_x import CambriconX
from models.systems.cnvlutin import Cnvlutin
from models.systems.dense import Dense
from models.systems.eyeriss import Eyeriss
from models.systems.scnn import Scnn
from models.systems.sparsecore import SparseCore
from models.systems.system import Result, System, Workload, run, total

DENSE, SPARSECORE = Dense(), SparseCore()
SYSTEMS: tuple[System, ...] = (DENSE, Eyeriss(), Cnvlutin(), CambriconX(), Scnn(), SPARSECORE)
FALLS = 0.9  # a count at half the density below this share of that at full density has fallen


@dataclass(frozen=True)
class Row:
    """A layer on a system."""

    group: str
    work: Workload
    system: System
    result: Result


def layers(group: str, works: list[Workload]) -> list[Row]:
    """Every layer on every system."""
    return [Row(group, work, system, run(system, work)) for work in works for system in SYSTEMS]


def network(name: str) -> list[Workload]:
    """The layers of a network, in its modes."""
    return [published_networks.workload(shape) for shape in published_networks.shapes(name)]


def sums(rows: list[Row]) -> dict[str, Result]:
    """Layers together, by system."""
    return {system.name: total([row.result for row in rows if row.system == system]) for system in SYSTEMS}


Probe = Callable[[float, float], Workload]


def probe(weights: float, activations: float) -> Workload:
    """A quarter of the Figure 3 layer at these densities, independent masks, weights in a mode of the core."""
    rng = np.random.default_rng(1)
    return Workload(
        name=f"{weights:.2f} x {activations:.2f}",
        activations=masks.bernoulli((64, 32, 32), activations, rng),
        weights=published_networks.structured((128, 64, 3, 3), published_networks.MODES[weights], rng),
        padding=1,
        mode=published_networks.MODES[weights],
        out_density=activations,
    )


@dataclass(frozen=True)
class Traits:
    """What a system does with zeros and data, from its counts on a probe: all figures are counts at half the density of
    one operand over those at full density, but for `moves`.

    cycles, multiplications; fetched: bits of that operand read on chip; stored: its bits from and to outside;
    moves: of weights, activations and sums, how often one goes between shared memories and PEs, at full density.
    """

    system: System
    cycles: dict[str, float]
    multiplications: dict[str, float]
    fetched: dict[str, float]
    stored: dict[str, float]
    moves: dict[str, float]

    def skips(self, operand: str) -> bool:
        """Whether zeros take no cycles."""
        return self.cycles[operand] < FALLS

    def gates(self, operand: str) -> bool:
        """Whether zeros take their cycles, but are not multiplied."""
        return self.multiplications[operand] < FALLS <= self.cycles[operand]

    def compresses(self, operand: str) -> bool:
        """Whether zeros are not moved from and to outside."""
        return self.stored[operand] < FALLS

    @property
    def dataflow(self) -> list[str]:
        """Operands in the order of their moves, the most stationary first."""
        return sorted(self.moves, key=lambda name: self.moves[name])


_READS = {
    "activations": ("activations", "local activations", "regions", "index"),
    "weights": ("weights", "local weights"),
}


def _fetched(result: Result, operand: str) -> float:
    return sum(result.accesses[name].all_bits for name in _READS[operand] if name in result.accesses)


def traits(probe: Probe = probe) -> list[Traits]:
    """Of all systems, on a layer of given densities."""
    full = probe(1.0, 1.0)
    half = {"activations": probe(1.0, 0.5), "weights": probe(0.5, 1.0)}
    sizes = {"weights": full.weights.size, "activations": full.activations.size, "sums": full.outputs}
    found = []
    for system in SYSTEMS:
        base = run(system, full)
        halved = {operand: run(system, work) for operand, work in half.items()}
        found.append(
            Traits(
                system=system,
                cycles={o: r.cycles / base.cycles for o, r in halved.items()},
                multiplications={o: r.multiplications / base.multiplications for o, r in halved.items()},
                fetched={o: _fetched(r, o) / _fetched(base, o) for o, r in halved.items()},
                stored={o: r.outside[o] / base.outside[o] for o, r in halved.items()},
                moves={name: base.moved[name] / size for name, size in sizes.items()},
            )
        )
    return found
