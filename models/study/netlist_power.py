# SPDX-License-Identifier: Apache-2.0
"""What a PE takes as a netlist of cells, from docs/study/power.json, beside what the energy model says of it; and a PE
of the plain dense machine likewise; and the clock of the core's flip-flops that serve memories.

The netlist is of another technology than the model's costs: its energies are scaled so that a flip-flop whose data
stand still takes as much in a clock cycle as in the model. So what happens how often is compared, and what it costs in
flip-flop cycles, but no absolute figure. A net's wire takes what its pins take, as in the model's cost of a gate.
Memories are left out on both sides. A flip-flop with an enable has a clock in the cycles in which its clock gate is
open.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from statistics import mean
from typing import Any

from models.config import load_config
from models.energy import ACC_BITS, N45, Technology
from models.study import silicon
from models.systems.tables import markdown

FILE = Path(__file__).resolve().parents[2] / "docs" / "study" / "power.json"
WIRES = 2.0  # a net's energy over that of its pins
ASSUMED = 0.1 * 3.24e-3  # pJ of a gate equivalent in a cycle: one change in ten, of pins and wire alone
MULTIPLIERS, ACCUMULATORS = ("mac_array",), ("acc_quad",)


@dataclass(frozen=True)
class Mode:
    """A layer on the PE. cycles: from its first unit to the end of its last; busy: of them; useful: multiplications of
    two non-zeros; upper: share of the additions that write the upper half of their sum; lines: loads of lines; lanes:
    of the PE; units: what they took by module and kind, in pJ of the netlist, with clocks in every cycle; clocked are
    cycles of flip-flops with clock gates. memories: the same cycles with clock gates, and flip-flops, of the units
    outside the PEs that serve memories, by module; the plain dense machine has none.
    """

    layer: str
    cycles: int
    busy: int
    useful: int
    upper: float
    lines: int
    lanes: int
    units: Mapping[str, Mapping[str, float]]
    memories: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def of(self, what: str, kinds: tuple[str, ...] = ()) -> float:
        """Of all units, or of some."""
        return sum(unit[what] for kind, unit in self.units.items() if not kinds or kind in kinds)

    @property
    def multiplications(self) -> int:
        return self.busy * self.lanes

    @property
    def at_work(self) -> Mapping[str, int]:
        """Cycles in which each part of the decoding works."""
        return {"positions": self.busy, "lines": self.lines}

    @property
    def gated(self) -> float:
        """Clock cycles of the flip-flops with clock gates, over those without."""
        return self.of("clocked") / (self.of("flip_flops") * self.cycles)

    @property
    def scale(self) -> float:
        """From the netlist's energies to the model's: by a flip-flop's clock cycle."""
        return N45.flip_flop / (self.of("clock") / (self.of("flip_flops") * self.cycles))

    def logic(self, kinds: tuple[str, ...]) -> float:
        """Gates with the nets that they and the flip-flops beside them drive, in pJ at the model's scale."""
        return (self.of("gates", kinds) + WIRES * self.of("nets", kinds)) * self.scale

    @property
    def changes_each(self) -> float:
        """Changes of all gates for a multiplication."""
        return self.of("changes") / self.multiplications

    @property
    def change(self) -> float:
        """A change of a gate's output in flip-flop cycles."""
        return self.logic(()) / self.of("changes") / N45.flip_flop

    def found(self) -> dict[str, float]:
        """The netlist's energy by item, in pJ at the model's scale."""
        decoding = {f"decoding: {part}": self.logic(kinds) for part, kinds in silicon.DECODING.items()}
        listed = {*MULTIPLIERS, *ACCUMULATORS, *(kind for kinds in silicon.DECODING.values() for kind in kinds)}
        return {
            "multipliers": self.logic(MULTIPLIERS),
            "accumulators, without memories": self.logic(ACCUMULATORS),
            **decoding,
            "clock": self.of("clocked") * N45.flip_flop,
            "data of flip-flops": self.of("registers") * self.scale,
            "drain, queue of units, counters": self.logic(tuple(set(self.units) - listed)),
        }

    def modelled(self, measured: bool) -> dict[str, float]:
        """The same by the model's rules for this PE; with its assumptions, or with what was measured in their place."""
        on_lines = self.of("flip_flops", silicon.DECODING["lines"])
        clocked = self.busy * (self.of("flip_flops") - on_lines) + self.lines * on_lines
        if measured:
            clocked = sum(
                unit["flip_flops"] * clocks(kind) * (self.lines if kind in silicon.DECODING["lines"] else self.busy)
                for kind, unit in self.units.items()
            )
        found = {
            "multipliers": self.multiplications * N45.multiply,
            "accumulators, without memories": self.multiplications * N45.add,
            "clock": clocked * N45.flip_flop,
        }
        if measured:
            found["multipliers"] = self.multiplications * changes(MULTIPLIERS) * N45.gate
            found["accumulators, without memories"] = self.multiplications * changes(ACCUMULATORS) * N45.gate
        for part, kinds in silicon.DECODING.items():
            gate = activity(part) * N45.gate if measured else ASSUMED
            found[f"decoding: {part}"] = self.at_work[part] * self.of("area_ge", kinds) * gate
        return {item: found.get(item, 0.0) for item in self.found()}


def activity(part: str) -> float:
    """Changes of a gate equivalent's output in a cycle in which a part of the decoding works; mean of both modes."""
    kinds = silicon.DECODING[part]
    return mean(m.of("changes", kinds) / (m.of("area_ge", kinds) * m.at_work[part]) for m in load())


def changes(kinds: tuple[str, ...]) -> float:
    """Changes of gates for a multiplication; mean of both modes."""
    return mean(m.of("changes", kinds) / m.multiplications for m in load())


def clocks(kind: str) -> float:
    """Clock cycles of a flip-flop of a unit for each line that is loaded, where the unit works on lines, or for each
    busy cycle; mean of both modes."""
    on_lines = kind in silicon.DECODING["lines"]
    return mean(
        m.of("clocked", (kind,)) / (m.of("flip_flops", (kind,)) * (m.lines if on_lines else m.busy)) for m in load()
    )


def memory_clocks(kind: str) -> float:
    """Clock cycles of a flip-flop of a unit that serves memories, for each cycle of the core; mean of both modes."""
    return mean(m.memories[kind]["clocked"] / (m.memories[kind]["flip_flops"] * m.cycles) for m in load())


def plain_clocks() -> float:
    """Clock cycles of the plain dense machine's flip-flops for a multiplication, but for those of the sums."""
    machine = plain()
    return (machine.of("clocked") - machine.cycles * machine.lanes * ACC_BITS) / machine.multiplications


def halves_kept() -> float:
    """Share of the core's additions that leave the upper half of their sum as it is; mean of both modes."""
    return 1 - mean(m.upper for m in load())


def beyond(technology: Technology, dense: bool) -> float:
    """What the gates of a multiplication and of the addition behind it take more than these by themselves, in pJ: on
    the core, with its selection of banks; or on the plain ``dense`` machine."""
    changed = plain().changes_each if dense else changes(MULTIPLIERS) + changes(ACCUMULATORS)
    return changed * technology.gate - technology.multiply - technology.add


@cache
def load(path: Path = FILE) -> tuple[Mode, Mode]:
    """The sparse mode of the core and its dense one."""
    record: dict[str, Any] = json.loads(path.read_text())
    lanes = load_config(record["config"]).NumLanes
    sparse, dense = (Mode(lanes=lanes, **mode) for mode in record["modes"])
    return sparse, dense


@cache
def plain() -> Mode:
    """The plain dense machine, whose lanes multiply in every cycle."""
    return Mode(**json.loads(FILE.read_text())["plain"])


def table(modes: tuple[Mode, Mode]) -> str:
    """Energy of a multiplication by item: the netlist, the model with its assumptions, the model with what was
    measured; and the netlist's over the model's."""
    columns = []
    for m in modes:
        for side in (m.found(), m.modelled(False), m.modelled(True)):
            each = {item: 1000 * pj / m.multiplications for item, pj in side.items()}
            columns.append(each | {"**all**": sum(each.values())})
    rows = []
    for item in columns[0]:
        cells = [f"{column[item]:,.0f}" if column[item] else "-" for column in columns]
        rows.append((item, *cells))
    sides = ("netlist", "model, assumed", "model, measured")
    header = [f"{m.layer.rpartition('3x3x8, ')[2]}: {side}" for m in modes for side in sides]
    return markdown(("fJ a multiplication", *header), rows)


def ratios(modes: tuple[Mode, Mode]) -> str:
    """What the netlist's figures are of the model's, by mode, and what switches."""
    decoding = [f"decoding: {part}" for part in silicon.DECODING]
    rest = ("data of flip-flops", "drain, queue of units, counters")
    columns: list[list[str]] = []
    for m in modes:
        found, assumed, modelled = m.found(), m.modelled(False), m.modelled(True)
        figures = [found[item] / assumed[item] for item in list(found)[:2]]
        figures.append(sum(found[item] for item in decoding) / sum(modelled[item] for item in decoding))
        figures.append(found["clock"] / modelled["clock"])
        figures.append(1 / m.gated)
        cells = [f"{figure:.2f}x" for figure in figures]
        cells.append(f"{100 * sum(found[item] for item in rest) / sum(found.values()):.1f} %")
        cells.append(f"{m.change:.2f}")
        cells.append(f"{m.of('area_ge', MULTIPLIERS) / m.lanes:,.0f}")
        cells.append(f"{m.of('changes', MULTIPLIERS + ACCUMULATORS) / m.multiplications:.0f}")
        columns.append(cells)
    names = (
        "multipliers, over the cited multiplication",
        "accumulators, over the cited addition",
        "decoding, over the model",
        "clock, over the model",
        "clock without clock gates, over that with them",
        "what the model leaves out, of all",
        "a change of a gate's output, in flip-flop cycles",
        "GE of multipliers a lane",
        f"changes of gates, a multiplication with its addition (plain dense machine: {plain().changes_each:.0f})",
    )
    header = ("", *(m.layer.rpartition("3x3x8, ")[2] for m in modes))
    return markdown(header, zip(names, *columns, strict=True))
