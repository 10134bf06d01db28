# SPDX-License-Identifier: Apache-2.0
"""The paths of a unit, by OpenSTA, and the models by which the unit above sees them.

A unit is timed with ports at PORT_FO4 on either side in a period of LIMIT_FO4. A unit above sees each pin of it as it
was measured: clock to output, and time before the clock edge at an input.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from verif.host.synth.library import Library
from verif.host.synth.memories import OUT_FO4, SETUP_FO4, Memory
from verif.host.synth.netlist import CLOCK_PORTS, Netlist
from verif.host.synth.sta import run_sta

LIMIT_FO4 = 45.0
PORT_FO4 = 22.0

_GROUPS = {
    "register to register": ("core", "core"),
    "input to register": ("vin", "core"),
    "register to output": ("core", "vout"),
}


@dataclass
class Box:
    """A unit below or a memory as the timing of a unit sees it; times in FO4, one for each bit of a port."""

    name: str
    ports: dict[str, tuple[str, int]]
    """Direction and width by name."""
    out: dict[str, list[float | None]] = field(default_factory=dict)
    """From the clock edge to the output."""
    setup: dict[str, list[float | None]] = field(default_factory=dict)
    """Before the clock edge at the input."""
    through: list[tuple[str, int, int, str, int, int, float]] = field(default_factory=list)
    """Paths from input to output: (input, low bit, width, output, low bit, width, delay)."""

    def liberty(self, library: Library) -> str:
        """The box as a Liberty cell; an output drives its load like an inverter of four times the smallest."""
        fo4, load = library.fo4_ps, sum(library.inverter.inputs.values())
        lines = [f'  cell ("{self.name}") {{\n    area : 0;']

        def arc(delay: float) -> str:
            at = [(delay * fo4 + 0.05 * fo4 * (c / load - 4)) / 1000 for c in (0, 100 * load)]
            slew = [fo4 * (0.3 + 0.05 * c / load) / 1000 for c in (0, 100 * load)]
            tables = [(name, at) for name in ("cell_rise", "cell_fall")]
            tables += [(name, slew) for name in ("rise_transition", "fall_transition")]
            return "".join(f' {name} (load) {{ values ("{v[0]:.6g}, {v[1]:.6g}"); }}' for name, v in tables)

        for port, (way, width) in self.ports.items():
            wide = width > 1
            if wide:
                lines.append(f'    bus ("{port}") {{ bus_type : b{width}; direction : {way};')
            for i in range(width):
                pin = f"{port}[{i}]" if wide else port
                text = f'    pin ("{pin}") {{ direction : {way};'
                if way == "input":
                    text += f" capacitance : {load / 1000:.6g};"
                if port in CLOCK_PORTS:
                    text += " clock : true;"
                at = self.setup.get(port, [None] * width)[i]
                if at is not None:
                    limits = "".join(
                        f' {e}_constraint (scalar) {{ values ("{at * fo4 / 1000:.6g}"); }}' for e in ("rise", "fall")
                    )
                    text += f' timing () {{ related_pin : "{CLOCK_PORTS[0]}"; timing_type : setup_rising;{limits} }}'
                at = self.out.get(port, [None] * width)[i]
                if at is not None:
                    text += f' timing () {{ related_pin : "{CLOCK_PORTS[0]}"; timing_type : rising_edge;{arc(at)} }}'
                for source, low, number, sink, sink_low, sink_number, delay in self.through:
                    if sink == port and sink_low <= i < sink_low + sink_number:
                        source_wide = self.ports[source][1] > 1
                        pins = " ".join(f"{source}[{k}]" if source_wide else source for k in range(low, low + number))
                        text += f' timing () {{ related_pin : "{pins}"; timing_sense : non_unate;{arc(delay)} }}'
                lines.append(text + " }")
            if wide:
                lines.append("    }")
        return "\n".join([*lines, "  }"])


def memory_box(name: str, ports: dict[str, tuple[str, int]], memory: Memory | None = None) -> Box:
    """A memory (None: an array that is no wrapper, which has registered accesses here)."""
    box = Box(
        name,
        ports,
        {port: [OUT_FO4] * width for port, (way, width) in ports.items() if way == "output"},
        {port: [SETUP_FO4] * w for port, (way, w) in ports.items() if way == "input" and port not in CLOCK_PORTS},
    )
    if memory and memory.asynchronous:
        del box.setup["raddr_i"]
        address = ports["raddr_i"][1] // memory.reads
        for i in range(memory.reads):
            box.through.append(
                ("raddr_i", i * address, address, "rdata_o", i * memory.width, memory.width, memory.through_fo4)
            )
    return box


def _write_boxes(boxes: Iterable[Box], library: Library, path: Path) -> None:
    boxes = list(boxes)
    load = sum(library.inverter.inputs.values())
    widths = sorted({width for box in boxes for _, width in box.ports.values() if width > 1})
    types = [
        f"  type (b{w}) {{ base_type : array; data_type : bit; bit_width : {w};"
        f" bit_from : {w - 1}; bit_to : 0; downto : true; }}"
        for w in widths
    ]
    head = f"""library (boxes) {{
  delay_model : table_lookup;
  time_unit : "1ns"; voltage_unit : "1V"; current_unit : "1uA"; pulling_resistance_unit : "1kohm";
  capacitive_load_unit (1, pf);
  slew_upper_threshold_pct_rise : 80; slew_lower_threshold_pct_rise : 20;
  slew_upper_threshold_pct_fall : 80; slew_lower_threshold_pct_fall : 20;
  input_threshold_pct_rise : 50; input_threshold_pct_fall : 50;
  output_threshold_pct_rise : 50; output_threshold_pct_fall : 50;
  lu_table_template (load) {{ variable_1 : total_output_net_capacitance; index_1 ("0, {load / 10:.6g}"); }}"""
    path.write_text("\n".join([head, *types, *(box.liberty(library) for box in boxes), "}", ""]))


_REPORT = """
proc name {object} { return [string map {\\\\ {}} [get_full_name $object]] }
proc report_end {tag end} {
  puts "$tag [get_property $end slack]"
  foreach point [get_property $end points] {
    puts "point [get_property $point arrival] [name [get_property $point pin]]"
  }
}
"""


def time_unit(netlist: Netlist, top: str, static: Iterable[str], boxes: Mapping[str, Box], directory: Path) -> dict:
    """The longest paths of a mapped unit.

    `static` are input ports that do not change while the unit works. Returned, times in FO4:
    "paths": by group the length (ports included), levels, and where from and to; "through": paths from input to output;
    "out" and "setup": as in Box, for this unit.

    Raises:
        RuntimeError: OpenSTA rejects the netlist.
    """
    library = netlist.library
    fo4 = library.fo4_ps
    verilog = directory / "netlist.v"
    netlist.write_verilog(verilog, top)
    static = set(static)
    inputs = [p for p, (way, _) in netlist.ports.items() if way == "input" and p not in static and p not in CLOCK_PORTS]
    outputs = [p for p, (way, _) in netlist.ports.items() if way == "output"]
    clocks = [p for p in CLOCK_PORTS if p in netlist.ports]
    lib = directory / "boxes.lib"
    _write_boxes(boxes.values(), library, lib)
    driver = library.strong_inverter
    script = [f"read_liberty {library.path}"]
    if boxes:
        script.append(f"read_liberty {lib}")
    script += [f"read_verilog {verilog}", f"link_design {top}", "set_cmd_units -time ps -capacitance fF", _REPORT]
    period = LIMIT_FO4 * fo4
    source = f"[get_ports {clocks[0]}]" if clocks else ""
    script += [f"create_clock -name core -period {period} {source}"]
    script += [f"create_clock -name {name} -period {period}" for name in ("vin", "vout")]
    script.append(f"set_load {4 * sum(library.inverter.inputs.values())} [all_outputs]")
    for port in inputs:
        script.append(f"set_input_delay {PORT_FO4 * fo4} -clock vin [get_ports {_pattern(netlist, port)}]")
        script.append(f"set_driving_cell -lib_cell {driver.name} [get_ports {_pattern(netlist, port)}]")
    for port in outputs:
        script.append(f"set_output_delay {PORT_FO4 * fo4} -clock vout [get_ports {_pattern(netlist, port)}]")
    script.append(
        "foreach end [find_timing_paths -from [get_clocks vin] -to [get_clocks vout] -group_count 100000] "
        "{ report_end through $end }"
    )
    script.append("set_false_path -from [get_clocks vin] -to [get_clocks vout]")
    for group, (start, end) in _GROUPS.items():
        script.append(
            f"foreach end [find_timing_paths -from [get_clocks {start}] -to [get_clocks {end}]] "
            f'{{ report_end "group {group.replace(" ", "_")}" $end }}'
        )
    for port in (*inputs, *outputs):
        script.append(
            f'foreach p [get_ports {_pattern(netlist, port)}] {{ puts "slack {port} [name $p]"; report_slack $p }}'
        )
    text = run_sta("\n".join(script) + "\n", directory / "sta.tcl")
    return _parse(text, netlist, fo4)


def _pattern(netlist: Netlist, port: str) -> str:
    return f"{{{port}}}" if len(netlist.ports[port][1]) == 1 else f"{{{port}[*]}}"


def _parse(text: str, netlist: Netlist, fo4: float) -> dict:
    paths: dict[str, dict] = {}
    through: dict[tuple[str, str], float] = {}
    slacks: dict[str, list[float | None]] = {}
    ends: list[tuple[str, float, list[tuple[float, str]]]] = []
    place: tuple[str, int] | None = None
    for line in text.splitlines():
        words = line.split()
        if not words:
            continue
        if words[0] == "through":
            ends.append(("through", float(words[1]), []))
        elif words[0] == "group":
            ends.append((words[1], float(words[2]), []))
        elif words[0] == "point":
            ends[-1][2].append((float(words[1]), words[2]))
        elif words[0] == "slack":
            slacks.setdefault(words[1], [None] * len(netlist.ports[words[1]][1]))
            index = words[2].removeprefix(words[1]).strip("[]")
            place = (words[1], int(index) if index else 0)
        elif place and words[0].startswith("("):
            # (clock edge) r hold:setup f hold:setup
            found = [w.split(":")[1] for w in words if ":" in w]
            values = [float(w) for w in found if w not in ("INF", "-INF", "---")]
            if values:
                old = slacks[place[0]][place[1]]
                worst = LIMIT_FO4 - PORT_FO4 - min(values) / fo4
                slacks[place[0]][place[1]] = worst if old is None else max(old, worst)
    period = LIMIT_FO4 * fo4
    for group, slack, points in ends:
        start, end = _endpoint(points[0][1], netlist), _endpoint(points[-1][1], netlist)
        if group == "through":
            pair = (start.split("[")[0], end.split("[")[0])
            length = (period - slack) / fo4 - 2 * PORT_FO4
            through[pair] = max(length, through.get(pair, 0.0))
        else:
            paths[group.replace("_", " ")] = {
                "fo4": (period - slack) / fo4,
                "ns": (period - slack) / 1000,
                "levels": max(0, len(points) // 2 - 1),
                "from": start,
                "to": end,
                "points": [[round(at / fo4, 2), pin] for at, pin in points],
            }
    ways = {name: way for name, (way, _) in netlist.ports.items()}
    return {
        "paths": paths,
        "through": [[a, b, length] for (a, b), length in sorted(through.items())],
        "out": {port: bits for port, bits in slacks.items() if ways[port] == "output"},
        "setup": {port: bits for port, bits in slacks.items() if ways[port] == "input"},
    }


def _endpoint(pin: str, netlist: Netlist) -> str:
    """A register by what it holds; a pin of a box and a port as they are."""
    if "/" not in pin:
        return pin
    instance = pin.rsplit("/", 1)[0]
    cell = netlist.cells.get(instance)
    boxed = cell is not None and cell["type"] not in netlist.library.cells
    return pin if boxed else instance
