# SPDX-License-Identifier: Apache-2.0
"""Dynamic energy of a netlist: what a change costs each cell by OpenSTA, times the changes that a simulation had.

A cell's change costs what its Liberty tables say for its slews and its load, the mean over its inputs, and half of C
times V squared of the net that it drives: pins alone, no wires. OpenSTA 2.0 reads no activities from files, and takes
them at few pins; so it is asked for one change of everything. The clock is ideal; its pins are counted here. Memories
are boxes that take nothing.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from verif.host.synth.library import Library
from verif.host.synth.memories import OUT_FO4
from verif.host.synth.sta import run_sta
from verif.host.synth.switching import Switching

_CLOCK_PIN = "CLK"
_MEMORY_OUT = "rdata_o"  # of every wrapper
_MODULE = re.compile(r"^module (\\?\S+) +\((.*?)\);(.*?)^endmodule", re.M | re.S)
_CELL = re.compile(r"^  (\\?[\w-]+) +\\(\S+) \((.*)\);$", re.M)
_PIN = re.compile(r"\.(\w+)\((\{[^}]*\}|[^)]*)\)")
# OpenSTA 2.0 adds the energy of a rising and of a falling edge for each change; later versions take their mean.
_EDGES = 2
_DIGITS, _PERIOD_NS = 9, 10.0


@dataclass(frozen=True)
class Spent:
    """What cells of a unit took, in pJ.

    clock: flip-flops whose data stand still, in the cell and at its clock pin; registers: in flip-flops whose data
    change; gates: in all other cells; nets: at the pins that cells drive. changes: of outputs of gates; clocked: cycles
    of flip-flops were their enables clock gates, with the gates themselves as a flip-flop each.
    """

    flip_flops: int = 0
    area_ge: float = 0.0
    clock: float = 0.0
    registers: float = 0.0
    gates: float = 0.0
    nets: float = 0.0
    changes: int = 0
    clocked: int = 0

    def __add__(self, other: Spent) -> Spent:
        return Spent(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)})

    @property
    def all(self) -> float:
        """In pJ."""
        return self.clock + self.registers + self.gates + self.nets


def _memory_cell(name: str, ports: Mapping[str, int], library: Library) -> str:
    """A memory as a Liberty cell: every output a register, so that what it drives has a clock and an activity."""
    at = OUT_FO4 * library.fo4_ps / 1000
    times = "".join(f' {t} (scalar) {{ values ("{at:.6g}"); }}' for t in ("cell_rise", "cell_fall"))
    times += "".join(f' {t} (scalar) {{ values ("0.1"); }}' for t in ("rise_transition", "fall_transition"))
    write = "we_i" if ports["we_i"] == 1 else "we_i[0]"
    lines = [f'  cell ("{name}") {{ area : 0; ff (IQ, IQN) {{ clocked_on : "clk_i"; next_state : "{write}"; }}']
    for port, width in ports.items():
        way = "output" if port == _MEMORY_OUT else "input"
        inside = f"direction : {way}; capacitance : 0;"
        if way == "output":
            inside += f' function : "IQ"; timing () {{ related_pin : "clk_i"; timing_type : rising_edge;{times} }}'
        elif port == "clk_i":
            inside += " clock : true;"
        if width == 1:
            lines.append(f'    pin ("{port}") {{ {inside} }}')
        else:
            pins = "".join(f' pin ("{port}[{i}]") {{ {inside} }}' for i in range(width))
            lines.append(f'    bus ("{port}") {{ bus_type : b{width}; direction : {way};{pins} }}')
    return "\n".join([*lines, "  }"])


def _write_memories(memories: Mapping[str, Mapping[str, int]], library: Library, path: Path) -> None:
    """Liberty of memories with the widths of their ports."""
    types = [
        f"  type (b{w}) {{ base_type : array; data_type : bit; bit_width : {w};"
        f" bit_from : {w - 1}; bit_to : 0; downto : true; }}"
        for w in sorted({width for ports in memories.values() for width in ports.values() if width > 1})
    ]
    head = f"""library (memories) {{ delay_model : table_lookup;
  time_unit : "1ns"; voltage_unit : "1V"; current_unit : "1uA"; pulling_resistance_unit : "1kohm";
  slew_upper_threshold_pct_rise : 80; slew_lower_threshold_pct_rise : 20;
  slew_upper_threshold_pct_fall : 80; slew_lower_threshold_pct_fall : 20;
  input_threshold_pct_rise : 50; input_threshold_pct_fall : 50;
  output_threshold_pct_rise : 50; output_threshold_pct_fall : 50;
  capacitive_load_unit (1, pf); nom_voltage : {voltage(library)};"""
    cells = (_memory_cell(name, ports, library) for name, ports in memories.items())
    path.write_text("\n".join([head, *types, *cells, "}", ""]))


_SCRIPT = """read_liberty {liberty}
read_liberty {memories}
read_verilog {verilog}
link_design {{{top}}}
create_clock -name c -period {period} [get_ports clk_i]
foreach port [all_inputs] {{
  if {{[get_full_name $port] ne "clk_i"}} {{ set_input_delay 0 -clock c $port }}
}}
foreach changes {{0 1}} {{
  set_power_activity -global -activity $changes -duty 0.5
  puts "changes $changes"
  report_power -digits {digits} -instances [get_cells -hierarchical *]
}}
"""


def spent(
    verilog: Path,
    top: str,
    memories: Collection[str],
    switching: Mapping[str, Switching],
    cycles: int,
    clocked: Mapping[str, int],
    library: Library,
) -> dict[str, Spent]:
    """What a netlist took in ``cycles``, by path of its units; "" is the top itself.

    ``memories``: types of cells that are wrappers; ``switching``: of the cells' pins, by path; ``clocked``:
    clock cycles of each flip-flop behind clock gates, by path.

    Raises:
        RuntimeError: OpenSTA is not installed, or rejects the netlist.
    """
    directory, text = verilog.parent, verilog.read_text()
    lib = directory / "memories.lib"
    _write_memories(_memories(text, memories), library, lib)
    cells = _cells(text, top)
    script = _SCRIPT.format(
        liberty=library.path, memories=lib, verilog=verilog, top=top, period=_PERIOD_NS, digits=_DIGITS
    )
    costs: dict[str, dict[str, tuple[float, float]]] = {}  # in the cell and on its nets, in pJ
    at = ""
    for line in run_sta(script, directory / "power.tcl").splitlines():
        words = line.replace("\\", "").split()
        if words[:1] == ["changes"]:
            at = words[1]
            costs[at] = {}
        elif len(words) == 5 and words[4] in cells:
            internal, nets = (float(watts) * _PERIOD_NS * 1e3 for watts in words[:2])
            costs[at][words[4]] = internal / _EDGES, nets
    result: dict[str, Spent] = {}
    for path, kind in cells.items():
        if kind in memories:
            continue
        cell, idle, cost = library.cells[kind], costs["0"][path][0], costs["1"][path]
        changes = sum(found.changes for out in cell.functions if (found := switching.get(f"{path}/{out}")))
        own = (cost[0] - idle) * changes
        one = Spent(area_ge=library.ge(cell.area), nets=cost[1] * changes)
        if cell.is_ff:
            at_pin = cell.inputs[_CLOCK_PIN] / 1000 * voltage(library) ** 2
            one = replace(one, flip_flops=1, clock=(idle + at_pin) * cycles, registers=own, clocked=clocked[path])
        else:
            one = replace(one, gates=own, changes=changes)
        unit = path.rpartition("/")[0]
        result[unit] = result.get(unit, Spent()) + one
    return result


def voltage(library: Library) -> float:
    """Of the library, in V."""
    found = re.search(r"\bnom_voltage\s*:\s*([\d.]+)", library.path.read_text())
    if not found:
        raise RuntimeError(f"{library.path}: no nom_voltage")
    return float(found[1])


def _cells(text: str, top: str) -> dict[str, str]:
    """Type of each leaf cell of a netlist by path."""
    modules = {m[1].removeprefix("\\"): _CELL.findall(m[3]) for m in _MODULE.finditer(text)}

    def below(module: str, path: str) -> Iterable[tuple[str, str]]:
        for kind, name, _ in modules[module]:
            kind = kind.removeprefix("\\")
            if kind in modules:
                yield from below(kind, f"{path}{name}/")
            else:
                yield path + name, kind

    return dict(below(top, ""))


def _memories(text: str, memories: Collection[str]) -> dict[str, dict[str, int]]:
    """Widths of the ports of each memory among the cells of a netlist."""
    return {
        kind.removeprefix("\\"): {port: value.count(",") + 1 for port, value in _PIN.findall(pins)}
        for kind, _, pins in _CELL.findall(text)
        if kind.removeprefix("\\") in memories
    }


def as_record(units: Mapping[str, Spent]) -> dict[str, dict[str, float]]:
    """As JSON has it."""
    return {path: {name: round(value, 3) for name, value in asdict(one).items()} for path, one in units.items()}
