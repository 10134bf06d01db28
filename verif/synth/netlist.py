"""A mapped netlist: what it consists of, what its nets drive, and its form for OpenSTA."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

from verif.synth.library import Library

Bit = int | str  # a net's number, or "0", "1", "x"
CLOCK_PORTS = ("clk_i",)


@dataclass(frozen=True)
class Driver:
    """What drives a net: kind is "ff", "box", "gate", "port" or "constant"."""

    kind: str
    name: str
    port: str = ""
    bit: int = 0


@dataclass
class Net:
    """A signal with the buffers and inverters that it fans out through taken away.

    `loads` counts pins of cells and array inputs; `boxes` are pins of units and wrappers as (instance, port, bit).
    """

    driver: Driver
    loads: int
    boxes: list[tuple[str, str, int]]
    name: str
    static: bool = False
    """Depends on nothing but ports that do not change while the unit works."""


class Netlist:
    """The top module of the JSON that Yosys wrote."""

    def __init__(self, path: Path, library: Library):
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
        self.names: dict[Bit, str] = {}
        for name, net in module["netnames"].items():
            if net["hide_name"]:
                continue
            wide = len(net["bits"]) > 1
            for i, bit in enumerate(net["bits"]):
                text = f"{name}[{i + net.get('offset', 0)}]" if wide else name
                if bit not in self.names or len(text) < len(self.names[bit]):
                    self.names[bit] = text

    # ---- contents ----

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

    # ---- nets ----

    def nets(self, static_ports: set[str]) -> tuple[list[Net], dict[str, list[Net | None]]]:
        """Every signal but constants and clocks, and the one behind each bit of each output port (None: constant)."""
        drivers: dict[Bit, Driver] = {}
        loads: Counter[Bit] = Counter()
        boxes: dict[Bit, list[tuple[str, str, int]]] = defaultdict(list)
        follows: dict[Bit, Bit] = {}
        depends: dict[Bit, list[Bit]] = {}
        for name, (way, bits) in self.ports.items():
            if way == "input":
                drivers |= {bit: Driver("port", name, name, i) for i, bit in enumerate(bits)}
        for name, cell in self.cells.items():
            kind, pins = cell["type"], cell["connections"]
            known = self.library.cells.get(kind)
            if known is None:
                for port, bits in pins.items():
                    for i, bit in enumerate(bits):
                        if self.box_ports[kind][port][0] == "output":
                            drivers[bit] = Driver("box", name, port, i)
                        else:
                            boxes[bit].append((name, port, i))
                continue
            sources = [pins[port][0] for port in known.inputs if pins.get(port)]
            for port, bits in pins.items():
                if port not in known.inputs and bits:
                    drivers[bits[0]] = Driver("ff" if known.is_ff else "gate", name, port)
                    if kind in self.library.followers:
                        follows[bits[0]] = sources[0]
                    if not known.is_ff:
                        depends[bits[0]] = sources
            if kind not in self.library.followers:
                loads.update(sources)
        clocks = {bit for name in CLOCK_PORTS if name in self.ports for bit in self.ports[name][1]}
        static = self._static(static_ports, depends)

        def root(bit: Bit) -> Bit:
            while bit in follows:
                bit = follows[bit]
            return bit

        nets: dict[Bit, Net] = {}
        for bit in {*loads, *boxes, *drivers}:
            at = root(bit)
            if isinstance(at, str) or at in clocks:
                continue
            if at not in nets:
                driver = drivers.get(at, Driver("constant", ""))
                nets[at] = Net(driver, 0, [], self.names.get(at, f"n{at}"), at in static)
            nets[at].loads += loads[bit]
            nets[at].boxes += boxes[bit]
        outputs = {
            name: [nets.get(root(bit)) for bit in bits] for name, (way, bits) in self.ports.items() if way == "output"
        }
        return list(nets.values()), outputs

    def _static(self, ports: set[str], depends: dict[Bit, list[Bit]]) -> set[Bit]:
        static: set[Bit] = {"0", "1", "x"}
        for name in ports & self.ports.keys():
            static.update(self.ports[name][1])
        users: dict[Bit, list[Bit]] = defaultdict(list)
        for bit, sources in depends.items():
            for source in sources:
                users[source].append(bit)
        todo = [*static, *depends]
        while todo:
            bit = todo.pop()
            if bit in depends and bit not in static and all(source in static for source in depends[bit]):
                static.add(bit)
                todo += users[bit]
        return static

    # ---- for OpenSTA ----

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
        lines, used = [], set()
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
                instance = self.names.get(cell["connections"][output][0], f"n{cell['connections'][output][0]}")
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
