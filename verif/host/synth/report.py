# SPDX-License-Identifier: Apache-2.0
"""The units' figures as tables and as JSON: by unit, the PE's budget, and beside the paper's Table 2.

All figures are before layout: no wires, no clock tree.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.table import Table

from verif.host.synth.flow import Measured
from verif.host.synth.hierarchy import Unit
from verif.host.synth.memories import ONE_KBIT, Memory, memory_of
from verif.shared.paths import RTL

PE, ACCUMULATOR = "spcore_pe", "spcore_acc_quad"
PE_LOGIC_GE, PE_ALL_GE = 95_000, 130_000

# um2 of a gate equivalent by node; the second is with 80 % placement. Round figures for a NAND2 of a standard-cell
# library of the node, not from a foundry's document.
NODES = {"28 nm": (0.49, 0.61), "16 nm": (0.20, 0.25)}
PAPER_UM2_PER_BIT = 0.20  # its 2 MB in 3.35 mm2 and its 512 KB in 0.84 mm2
PAPER_TABLE2 = {
    "PEs": 2.43,
    "Activation and Index Memory": 3.35,
    "Weight Memory": 0.84,
    "Accumulation Buffer": 0.84,
    "Misc": 0.20,
}
_OWN_ROWS = ("Memories' crossbars", "Drain and output", "Staging", "Requantisation", "Scheduling, host side")


def arrays_of(unit: Measured) -> list[Memory]:
    """Arrays outside wrappers, priced as if memories with their ports existed: macros from a kbit on, else cells."""
    return [
        Memory(a["words"], a["width"], a["reads"], a["writes"], False, a["words"] * a["width"] < ONE_KBIT)
        for a in unit.arrays
    ]


def labels(top: Unit) -> dict[str, str]:
    """A readable name of each unit by key: the module, with what differs where it exists more than once."""
    groups: dict[str, list[Unit]] = defaultdict(list)
    for unit in top.tree():
        groups[unit.module].append(unit)
    named = {}
    for module, units in groups.items():
        for unit in units:
            differing = [n for n in unit.parameters if len({u.parameters[n] for u in units}) > 1]
            inside = ",".join(f"{name}={unit.parameters[name].rpartition('d')[2]}" for name in differing)
            named[unit.key] = f"{module}({inside})" if inside else module
    return named


def units_table(top: Unit, measured: Mapping[str, Measured]) -> Table:
    """A row for each unit, with its share of the whole."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("unit", "n", "kGE", "n x kGE", "flip-flops", "memories", "FO4", "levels", "ns", "longest path"):
        table.add_column(name, justify="left" if name in ("unit", "memories", "longest path") else "right")
    names = labels(top)
    for key, label in names.items():
        result = measured.get(key)
        if result is None:
            continue
        unit = next(u for u in top.tree() if u.key == key)
        _row(table, label, unit, result, top.count(unit))
    return table


def _row(table: Table, label: str, unit: Unit, result: Measured, count: int) -> None:
    worst = max(result.paths.values(), key=lambda path: path["fo4"], default=None)
    stored = Counter(str(memory_of(m)) for m in unit.memories.values())
    stored.update(f"array {memory}" for memory in arrays_of(result))
    path = (f"{worst['fo4']:.1f}", f"{worst['levels']}", f"{worst['ns']:.2f}") if worst else ("", "", "")
    where = f"{worst['from']} -> {worst['to']}" if worst else ""
    kge = result.area_ge / 1000
    memories = ", ".join(f"{n} of {name}" for name, n in stored.items())
    table.add_row(label, str(count), f"{kge:.2f}", f"{count * kge:.1f}", str(result.flip_flops), memories, *path, where)


@dataclass
class PeBudget:
    """A PE's logic and its storage without the accumulators' banks, in GE."""

    logic: float
    storage: float

    def __str__(self) -> str:
        return (
            f"logic {self.logic / 1000:.1f} kGE (limit {PE_LOGIC_GE / 1000:.0f}), with all storage but the "
            f"accumulators' banks {(self.logic + self.storage) / 1000:.1f} kGE (limit {PE_ALL_GE / 1000:.0f})"
        )

    @property
    def too_large(self) -> bool:
        """Whether it is over either limit."""
        return self.logic > PE_LOGIC_GE or self.logic + self.storage > PE_ALL_GE


def pe_budget(pe: Unit, measured: Mapping[str, Measured]) -> PeBudget:
    """The budget of the PE: the logic of all units in it, and their memories and arrays."""
    logic = storage = 0.0
    for unit in pe.tree():
        logic += pe.count(unit) * measured[unit.key].area_ge
        if unit.module != ACCUMULATOR:
            memories = [memory_of(m) for m in unit.memories.values()] + arrays_of(measured[unit.key])
            storage += pe.count(unit) * sum(memory.area_ge for memory in memories)
    return PeBudget(logic, storage)


@dataclass
class _Share:
    logic_ge: float = 0.0
    cells_ge: float = 0.0
    macros: list[Memory] = field(default_factory=list)


def _instances(unit: Unit, path: str = "") -> Iterator[tuple[str, Unit]]:
    yield path, unit
    for name, child in unit.children.items():
        yield from _instances(child, f"{path}.{name}")


def _rows(unit: Unit, path: str, folder: Mapping[str, str]) -> tuple[str, str]:
    """The rows of Table 2 that a unit's logic and its macros belong to."""
    module, place = unit.module, folder.get(unit.module, "")
    if place == "pe":
        return "PEs", "Accumulation Buffer" if module == ACCUMULATOR else "PEs"
    if "requant" in module or "param" in module:
        return "Requantisation", "Requantisation"
    if place == "mem":
        weights = "weight" in module or "weight" in path
        return "Memories' crossbars", "Weight Memory" if weights else "Activation and Index Memory"
    if "staging" in module:
        return "Staging", "Staging"
    row = "Drain and output" if place == "output" else "Scheduling, host side"
    return row, row


def table2(top: Unit, measured: Mapping[str, Measured]) -> dict[str, dict[str, float]]:
    """Area in mm2 by row; "paper", and for each node and placement "memory", "memory (small macros)", "logic"."""
    folder = {file.stem: file.parent.name for file in RTL.rglob("*.sv")}
    shares: dict[str, _Share] = {row: _Share() for row in (*PAPER_TABLE2, *_OWN_ROWS)}
    for path, unit in _instances(top):
        result = measured[unit.key]
        logic, macros = _rows(unit, path, folder)
        shares[logic].logic_ge += result.area_ge
        for memory in [memory_of(m) for m in unit.memories.values()] + arrays_of(result):
            if memory.is_macro:
                shares[macros].macros.append(memory)
            else:
                shares[logic].cells_ge += memory.area_ge
    return {row: _areas(row, share) for row, share in shares.items()}


def core_ge(top: Unit, measured: Mapping[str, Measured]) -> float:
    """Logic and memories of the whole core, in GE, but for single-port macros: the banks of the large memories."""
    total = 0.0
    for _, unit in _instances(top):
        result = measured[unit.key]
        memories = [memory_of(m) for m in unit.memories.values()] + arrays_of(result)
        total += result.area_ge
        total += sum(memory.area_ge for memory in memories if not (memory.is_macro and memory.single_port))
    return total


def _areas(row: str, share: _Share) -> dict[str, float]:
    areas = {
        "paper": PAPER_TABLE2.get(row, 0.0),
        "memory": sum(m.bits for m in share.macros) * PAPER_UM2_PER_BIT / 1e6,
        "memory, small macros": sum(m.bits * m.overhead for m in share.macros) * PAPER_UM2_PER_BIT / 1e6,
    }
    for node, (cell, placed) in NODES.items():
        areas[f"logic {node}"] = (share.logic_ge + share.cells_ge) * cell / 1e6
        areas[f"logic {node}, 80 %"] = (share.logic_ge + share.cells_ge) * placed / 1e6
    return areas


def table2_table(rows: Mapping[str, Mapping[str, float]]) -> Table:
    """Table 2 for printing."""
    columns = list(next(iter(rows.values())))
    table = Table("mm2, before layout", box=None, pad_edge=False, header_style="bold")
    for name in (*columns, "total 28 nm, 80 %", "total 16 nm, 80 %"):
        table.add_column(name, justify="right")

    def add(label: str, areas: Mapping[str, float]) -> None:
        totals = [areas["memory, small macros"] + areas[f"logic {node}, 80 %"] for node in NODES]
        table.add_row(label, *(f"{value:.2f}" if value else "-" for value in (*areas.values(), *totals)))

    for row, areas in rows.items():
        add(row, areas)
    add("Total", {column: sum(areas[column] for areas in rows.values()) for column in columns})
    return table


def as_json(
    top: Unit, measured: Mapping[str, Measured], faults: Sequence[str], library: Mapping[str, object]
) -> dict[str, object]:
    """Everything measured, for programs."""
    names = labels(top)
    units = {}
    for unit in top.tree():
        result = measured.get(unit.key)
        if result:
            units[names[unit.key]] = {
                "count": top.count(unit),
                "parameters": unit.parameters,
                "area_ge": result.area_ge,
                "flip_flops": result.flip_flops,
                "cells": result.cells,
                "memories": {path: str(memory_of(m)) for path, m in unit.memories.items()},
                "arrays": result.arrays,
                "paths": result.paths,
                "through": result.through,
                "wide_nets": result.wide_nets,
            }
    return {"library": dict(library), "before_layout": True, "units": units, "faults": list(faults)}


def record(
    command: str,
    library: Mapping[str, object],
    top: Unit,
    measured: Mapping[str, Measured],
    rows: Mapping[str, Mapping[str, float]],
) -> dict[str, object]:
    """What the study keeps of a whole configuration: units, and areas by row of Table 2."""
    units = {}
    for unit in top.tree():
        result = measured[unit.key]
        units[labels(top)[unit.key]] = {
            "count": top.count(unit),
            "area_ge": round(result.area_ge),
            "path_fo4": round(max((path["fo4"] for path in result.paths.values()), default=0.0), 1),
            "flip_flops": result.flip_flops,
            "memories": Counter(str(memory_of(m)) for m in unit.memories.values()),
            "memory_bits": sum(memory_of(m).bits for m in unit.memories.values()),
        }
    areas = {row: {name: round(mm2, 4) for name, mm2 in found.items()} for row, found in rows.items()}
    return {"command": command, "library": dict(library), "units": units, "table2": areas}


def json_path(library_dir: Path, config: str) -> Path:
    """Where the JSON report goes."""
    return library_dir / f"report_{config}.json"
