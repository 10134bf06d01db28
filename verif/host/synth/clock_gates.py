# SPDX-License-Identifier: Apache-2.0
"""Flip-flops with an enable have a clock gate, one for ENABLE_GROUP of them: which they are, and how often it is open.

The mapped netlist has no enables any more. A gate counts as open in a cycle in which one of its flip-flops changes: in
others it may stay closed.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from verif.host.synth.fanout import ENABLE_GROUP
from verif.host.synth.netlist import net_names


def enables(generic: Path) -> dict[str, str]:
    """Of the flip-flops with an enable in a unit's netlist before mapping (generic.json): name and gate."""
    modules = json.loads(generic.read_text())["modules"]
    (module,) = (m for m in modules.values() if not m["attributes"].get("blackbox"))
    names = net_names(module["netnames"])
    behind: dict[object, list[str]] = defaultdict(list)
    for cell in module["cells"].values():
        pins = cell["connections"]
        if "E" in pins and "Q" in pins and (name := names.get(pins["Q"][0])):
            behind[pins["E"][0]].append(name)
    return {
        name: f"gate{bit}.{number // ENABLE_GROUP}"
        for bit, held in behind.items()
        for number, name in enumerate(sorted(held))
    }


def open_cycles(gates: Mapping[str, str], changes: Iterable[tuple[int, str]]) -> dict[str, int]:
    """Cycles in which gates are open, from (time, flip-flop) of every change."""
    times: dict[str, set[int]] = {gate: set() for gate in gates.values()}
    for time, name in changes:
        if name in gates:
            times[gates[name]].add(time)
    return {gate: len(found) for gate, found in times.items()}


def clocked(
    flip_flops: Iterable[str], gates: Mapping[str, str], opened: Mapping[str, int], cycles: int
) -> dict[str, int]:
    """Clock cycles of flip-flops in a window of so many cycles, by name: those without a gate have all of them, others
    those that it is open; a gate takes as much as a flip-flop in every cycle, with the first one behind it."""
    found: dict[str, int] = {}
    seen: set[str] = set()
    for name in flip_flops:
        gate = gates.get(name)
        found[name] = cycles if gate is None else opened[gate] + (gate not in seen) * cycles
        if gate:
            seen.add(gate)
    return found
