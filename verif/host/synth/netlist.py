# SPDX-License-Identifier: Apache-2.0
"""A mapped netlist: what it consists of, and its form for OpenSTA."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from pathlib import Path

from verif.host.synth.library import Library

Bit = int | str  # a net's number, or "0", "1", "x"
CLOCK_PORTS = ("clk_i",)
TREE_LOADS = 12  # of the smallest inverter that a buffer of a tree drives


def net_names(netnames: dict[str, dict]) -> dict[Bit, str]:
    """The shortest name from the source of each net that has one."""
    names: dict[Bit, str] = {}
    for name, net in netnames.items():
        if not net["hide_name"]:
            for i, bit in enumerate(net["bits"]):
                text = f"{name}[{i}]" if len(net["bits"]) > 1 else name
                if bit not in names or len(text) < len(names[bit]):
                    names[bit] = text
    return names


class Netlist:
    """The top module of the JSON that Yosys wrote; `buffered` says whether the gates' loads have buffers already."""

    def __init__(self, path: Path, library: Library, buffered: bool):
        modules = json.loads(path.read_text())["modules"]
        (module,) = (m for m in modules.values() if not m["attributes"].get("blackbox"))
        self.library = library
        self.ports: dict[str, tuple[str, list[Bit]]] = {
            name: (port["direction"], port["bits"]) for name, port in module["ports"].items()
        }
        self.cells: dict[str, dict] = module["cells"]
        kinds = {cell["type"] for cell in self.cells.values()}
        self.box_ports: dict[str, dict[str, tuple[str, int]]] = {
            name: {port: (p["direction"], len(p["bits"])) for port, p in m["ports"].items()}
            for name, m in modules.items()
            if m["attributes"].get("blackbox") and name in kinds and name not in library.cells
        }
        self.names = net_names(module["netnames"])
        self._buffer(buffered)

    def _buffer(self, gates_are_buffered: bool) -> None:
        """Trees of buffers to the many flip-flops and boxes that hang on one net: ABC sees the gates' loads alone."""
        library = self.library
        unit_load = sum(library.inverter.inputs.values())
        clocks = {bit for name in CLOCK_PORTS if name in self.ports for bit in self.ports[name][1]}
        ends: dict[Bit, list[tuple[list, int, float]]] = defaultdict(list)  # (bits of a port, index, load)
        for cell in self.cells.values():
            known = library.cells.get(cell["type"])
            for port, bits in cell["connections"].items():
                if known is None and self.box_ports[cell["type"]][port][0] == "input":
                    for i, bit in enumerate(bits):
                        ends[bit].append((bits, i, unit_load))
                elif known and port in known.inputs and (known.is_ff or not gates_are_buffered):
                    ends[bits[0]].append((bits, 0, known.inputs[port]))
        buffer = library.buffer
        (pin_in, load), (pin_out,) = next(iter(buffer.inputs.items())), buffer.functions
        net = max((bit for _, bits in self.ports.values() for bit in bits if isinstance(bit, int)), default=0)
        net = max(
            [
                net,
                *(
                    b
                    for c in self.cells.values()
                    for bits in c["connections"].values()
                    for b in bits
                    if isinstance(b, int)
                ),
            ]
        )
        for source, pins in list(ends.items()):
            if isinstance(source, str) or source in clocks:
                continue
            while sum(pin[2] for pin in pins) > TREE_LOADS * unit_load:
                above = []
                while pins:
                    net += 1
                    room = TREE_LOADS * unit_load
                    while pins and (room := room - pins[-1][2]) >= 0:
                        bits, index, _ = pins.pop()
                        bits[index] = net
                    pin = [source]
                    self.cells[f"$tree${net}"] = {"type": buffer.name, "connections": {pin_in: pin, pin_out: [net]}}
                    above.append((pin, 0, load))
                pins = above

    def counts(self) -> Counter[str]:
        """Cells by type."""
        return Counter(cell["type"] for cell in self.cells.values())

    def faults(self) -> list[str]:
        """Cells that cannot be priced: latches, and types without an area."""
        faults = []
        for kind, number in sorted(self.counts().items()):
            cell = self.library.cells.get(kind)
            if cell is None:
                if kind not in self.box_ports:
                    what = "latch" if "LATCH" in kind.upper() else "cell that the library does not have"
                    faults.append(f"{number} x {kind}: {what}")
            elif cell.is_latch:
                faults.append(f"{number} x {kind}: latch")
            elif not cell.area:
                faults.append(f"{number} x {kind}: cell without an area")
        return faults

    def area(self) -> float:
        """Area of the library's cells, in the library's unit."""
        known = self.library.cells
        return sum(known[kind].area * number for kind, number in self.counts().items() if kind in known)

    def flip_flops(self) -> int:
        """Number of flip-flops."""
        known = self.library.cells
        return sum(number for kind, number in self.counts().items() if kind in known and known[kind].is_ff)

    def write_verilog(self, path: Path, top: str) -> None:
        """Structural Verilog whose flip-flops are named by what they hold."""
        nets: dict[Bit, str] = {"0": "1'b0", "1": "1'b1", "x": "1'b0", "z": "1'b0"}
        assigns = []
        for way in ("input", "output"):
            for name, (direction, bits) in self.ports.items():
                if direction != way:
                    continue
                for i, bit in enumerate(bits):
                    place = f"{name}[{i}]" if len(bits) > 1 else name
                    if bit in nets:
                        assigns.append(f"  assign {place} = {nets[bit]};")
                    else:
                        nets[bit] = place
        lines, used = [], set(self.ports)
        for number, (name, cell) in enumerate(self.cells.items()):
            known = self.library.cells.get(cell["type"])
            pins = []
            for port, bits in cell["connections"].items():
                inside = ", ".join(nets.setdefault(bit, f"n{bit}") for bit in reversed(bits))
                pins.append(f".{port}({{{inside}}})" if len(bits) > 1 else f".{port}({inside})")
            if known is None:
                instance = name
            elif known.is_ff:
                output = next(p for p in known.functions if cell["connections"].get(p))
                instance = self.names.get(cell["connections"][output][0], f"q{number}")
            else:
                instance = f"g{number}"
            while instance in used:
                instance += "'"
            used.add(instance)
            kind = cell["type"] if re.fullmatch(r"\w+", cell["type"]) else f"\\{cell['type']} "
            lines.append(f"  {kind} \\{instance} ({', '.join(pins)});")
        ports = [
            f"  {direction} {f'[{len(bits) - 1}:0] ' if len(bits) > 1 else ''}{name};"
            for name, (direction, bits) in self.ports.items()
        ]
        head = f"module {top} ({', '.join(self.ports)});"
        path.write_text("\n".join([head, *ports, *assigns, *lines, "endmodule", ""]))
