# SPDX-License-Identifier: Apache-2.0
"""How many loads the nets of a unit have, before buffers: in the netlist of simple gates that ABC is given.

A flip-flop's enable is a clock gate, one for ENABLE_GROUP flip-flops. What fans out through inverters is the same net.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from verif.host.synth.netlist import CLOCK_PORTS, Bit, net_names

MAX_LOADS = 64
ENABLE_GROUP = 32

_FLIP_FLOP = re.compile(r"\$_(S?DFF|ALDFF|DFFSR|SDFFCE|DFFE|SDFFE)")


class Below(Protocol):
    """What has to be known of a unit below; see FanOut."""

    input_loads: dict[str, list[int]]
    output_loads: dict[str, list[int]]
    output_kinds: dict[str, str]


@dataclass
class FanOut:
    """Loads at the ports of a unit, for the unit above, and the nets in it that are too large."""

    wide_nets: list[dict]
    """Nets with more than MAX_LOADS loads that are neither registered nor static: name, loads, driver."""
    input_loads: dict[str, list[int]]
    """By port and bit."""
    output_loads: dict[str, list[int]]
    """Loads inside the unit on the net of an output."""
    output_kinds: dict[str, str]
    """One letter a bit: r registered or static, g logic, p an input of the unit."""


@dataclass
class _Net:
    driver: tuple[str, str, int] | None
    """(instance, port, bit) of a unit or memory below, or ("", port, bit) of this unit."""
    registered: bool
    name: str
    loads: int = 0


def fan_out(path: Path, static_ports: set[str], below: Mapping[str, Below]) -> FanOut:
    """Count the loads in the JSON of Yosys at `path`; `below` are the units in it by instance, other boxes memories."""
    modules = json.loads(path.read_text())["modules"]
    (module,) = (m for m in modules.values() if not m["attributes"].get("blackbox"))
    ways = {
        kind: {port: p["direction"] for port, p in m["ports"].items()}
        for kind, m in modules.items()
        if m["attributes"].get("blackbox")
    }
    drivers: dict[Bit, tuple[str, str, int]] = {}
    registers: set[Bit] = set()
    loads: Counter[Bit] = Counter()
    enables: Counter[Bit] = Counter()
    follows: dict[Bit, Bit] = {}
    depends: dict[Bit, list[Bit]] = {}
    for name, port in module["ports"].items():
        if port["direction"] == "input":
            drivers |= {bit: ("", name, i) for i, bit in enumerate(port["bits"])}
    for name, cell in module["cells"].items():
        kind, pins = cell["type"], cell["connections"]
        if kind in ways:
            for port, bits in pins.items():
                for i, bit in enumerate(bits):
                    if ways[kind][port] == "output":
                        drivers[bit] = (name, port, i)
                    else:
                        loads[bit] += below[name].input_loads[port][i] if name in below else 1
        elif _FLIP_FLOP.match(kind):
            registers.add(pins["Q"][0])
            loads[pins["D"][0]] += 1
            for port in "RS":
                loads.update(pins.get(port, []))
            enables.update(pins.get("E", []))
        else:
            sources = [bits[0] for port, bits in pins.items() if port not in ("Y", "Q")]
            output = pins["Y" if "Y" in pins else "Q"][0]
            depends[output] = sources
            if kind in ("$_NOT_", "$_BUF_"):
                follows[output] = sources[0]
            else:
                loads.update(sources)
    for bit, number in enables.items():
        loads[bit] += -(-number // ENABLE_GROUP)

    static = _static_nets(
        {b for p in static_ports if p in module["ports"] for b in module["ports"][p]["bits"]}, depends
    )
    names = net_names(module["netnames"])
    clocks = {bit for port in CLOCK_PORTS if port in module["ports"] for bit in module["ports"][port]["bits"]}

    def root(bit: Bit) -> Bit:
        while bit in follows:
            bit = follows[bit]
        return bit

    nets: dict[Bit, _Net] = {}
    for bit in {*loads, *drivers, *registers, *depends}:
        at = root(bit)
        if isinstance(at, str) or at in clocks:
            continue
        if at not in nets:
            driver = drivers.get(at)
            registered = at in registers or at in static
            if driver and driver[0]:
                child = below.get(driver[0])
                registered = child is None or child.output_kinds[driver[1]][driver[2]] == "r"
            nets[at] = _Net(driver, registered, names.get(at, f"n{at}"))
            if driver and driver[0] in below:
                nets[at].loads += below[driver[0]].output_loads[driver[1]][driver[2]]
        nets[at].loads += loads[bit]

    inputs = {name: [0] * len(p["bits"]) for name, p in module["ports"].items() if p["direction"] == "input"}
    wide = []
    for net in nets.values():
        if net.driver and not net.driver[0]:
            inputs[net.driver[1]][net.driver[2]] = net.loads
        elif net.loads > MAX_LOADS and not net.registered:
            wide.append({"name": net.name, "loads": net.loads, "driver": net.driver[0] if net.driver else "gate"})
    output_loads, output_kinds = {}, {}
    for name, port in module["ports"].items():
        if port["direction"] == "output":
            ends = [nets.get(root(bit)) for bit in port["bits"]]
            output_loads[name] = [net.loads if net else 0 for net in ends]
            output_kinds[name] = "".join(
                "r" if net is None or net.registered else "p" if net.driver and not net.driver[0] else "g"
                for net in ends
            )
    return FanOut(sorted(wide, key=lambda net: -net["loads"]), inputs, output_loads, output_kinds)


def _static_nets(ports: set[Bit], depends: Mapping[Bit, list[Bit]]) -> set[Bit]:
    """Nets that follow from static ports and constants through gates alone."""
    static: set[Bit] = {"0", "1", "x", *ports}
    users: dict[Bit, list[Bit]] = defaultdict(list)
    for bit, sources in depends.items():
        for source in sources:
            users[source].append(bit)
    todo = [user for bit in static for user in users[bit]]
    while todo:
        bit = todo.pop()
        if bit not in static and all(source in static for source in depends[bit]):
            static.add(bit)
            todo += users[bit]
    return static
