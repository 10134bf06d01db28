# SPDX-License-Identifier: Apache-2.0
"""Other sizes of the core: cycles by the cycle model, gates and area from the synthesised units by their number."""

from dataclasses import dataclass, replace

from models import energy
from models.config import Config, load_config
from models.study import silicon
from models.systems.sparsecore import SparseCore
from models.systems.system import Result, Workload, run

PES, LANES, BANKS = (16, 32, 64, 128, 256), (8, 16, 32), (1, 2)
MOST_PES = PES[-1]


def sized(pes: int, lanes: int, banks: int = 1) -> Config:
    """The `paper` configuration with other PEs, lanes and times as many banks; the memories hold as much."""
    base = load_config(silicon.BASE)
    return replace(
        base,
        name=f"{pes} x {lanes}" + (f", {banks} x banks" if banks > 1 else ""),
        NumPe=pes,
        NumLanes=lanes,
        WgtBanks=banks * base.WgtBanks,
        WgtDepth=base.WgtDepth * base.NumLanes // lanes // banks,
        ActBanks=banks * base.ActBanks,
        ActDepth=base.ActDepth // banks,
        IdxBanks=banks * base.IdxBanks,
        IdxDepth=base.IdxDepth // banks,
    )


def changed(changes: str) -> Config:
    """The `paper` configuration with changes as `load_config` takes them."""
    return replace(load_config(f"{silicon.BASE},{changes}"), name=changes)


def sizes() -> list[Config]:
    """All PEs and lanes, and more banks for the most PEs."""
    found = [sized(pes, lanes) for lanes in LANES for pes in PES]
    return found + [sized(MOST_PES, 16, banks) for banks in BANKS[1:]]


@dataclass(frozen=True)
class Point:
    """A layer on a configuration."""

    config: Config
    layer: str
    result: Result

    @property
    def macs_per_cycle(self) -> float:
        """Useful ones."""
        return self.result.useful / self.result.cycles

    @property
    def mm2(self) -> float:
        """At 45 nm, before layout."""
        return silicon.area_mm2(self.config, energy.N45)


def measure(config: Config, work: Workload) -> Point:
    """By the cycle model."""
    return Point(config, work.name, run(SparseCore(config=config), work))
