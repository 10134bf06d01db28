# SPDX-License-Identifier: Apache-2.0
"""A standard-cell library: the cells of its Liberty file, its gate equivalent and its FO4 delay."""

from __future__ import annotations

import gzip
import hashlib
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from verif.host.synth.sta import run_sta
from verif.shared.paths import BUILD

DEFAULT_LIBERTY = Path("/usr/share/qflow/tech/osu018/osu018_stdcells.lib")  # Debian's qflow-tech-osu018

_CELL = re.compile(r'^\s*cell\s*\(\s*"?(\w+)"?\s*\)\s*\{', re.MULTILINE)
_AREA = re.compile(r"\barea\s*:\s*([\d.eE+-]+)")
_PIN = re.compile(r'\bpin\s*\(\s*"?(\w+)"?\s*\)\s*\{')
_FUNCTION = re.compile(r'\bfunction\s*:\s*"([^"]*)"')
_INPUT = re.compile(r'\bdirection\s*:\s*"?input"?')
_CAPACITANCE = re.compile(r"\bcapacitance\s*:\s*([\d.eE+-]+)")
_CAP_UNIT = re.compile(r"\bcapacitive_load_unit\s*\(\s*([\d.]+)\s*,\s*(\w+)\s*\)")


@dataclass(frozen=True)
class Cell:
    """A cell: its area in the library's unit, its pins, and what synthesis has to know of it."""

    name: str
    area: float
    inputs: dict[str, float]
    """Capacitance of each input pin in fF."""
    functions: dict[str, str]
    """Function of each output pin that has one."""
    is_ff: bool
    is_latch: bool

    def computes(self, *forms: str) -> bool:
        """Whether the only output is one of the functions given, with A and B for the pins in order."""
        if len(self.functions) != 1 or self.is_ff or self.is_latch or len(self.inputs) > 2:
            return False
        text = next(iter(self.functions.values()))
        for place, pin in zip("AB", self.inputs, strict=False):
            text = re.sub(rf"\b{pin}\b", place.lower(), text)
        text = re.sub(r"(?<=[\w')])\s+(?=[\w!(])", "&", text.strip().replace("*", "&"))
        return re.sub(r"[\s()]", "", text).upper() in forms


def _block(text: str, start: int) -> str:
    """The text from `start`, which follows an opening brace, to the brace that closes it."""
    depth = 1
    for match in re.compile(r"[{}]").finditer(text, start):
        depth += 1 if match[0] == "{" else -1
        if depth == 0:
            return text[start : match.start()]
    raise ValueError("unbalanced braces in a Liberty file")


class Library:
    """The library of a Liberty file (plain or .gz); `path` is a plain copy of it under build/synth."""

    def __init__(self, liberty: Path):
        if not liberty.exists():
            raise ValueError(f"no Liberty file {liberty}: install Debian's qflow-tech-osu018 or set LIBERTY=file")
        raw = liberty.read_bytes()
        if liberty.suffix == ".gz":
            raw = gzip.decompress(raw)
        self.digest = hashlib.sha256(raw).hexdigest()[:12]
        self.name = liberty.name.removesuffix(".gz").removesuffix(".lib")
        self.dir = BUILD / "synth" / f"{self.name}-{self.digest}"
        self.path = self.dir / f"{self.name}.lib"
        if not self.path.exists():
            self.dir.mkdir(parents=True, exist_ok=True)
            self.path.write_bytes(raw)
        text = re.sub(r"/\*.*?\*/", " ", raw.decode(), flags=re.DOTALL)
        unit = _CAP_UNIT.search(text)
        assert unit, f"{liberty}: no capacitive_load_unit"
        to_ff = float(unit[1]) * {"ff": 1.0, "pf": 1000.0}[unit[2].lower()]
        self.cells: dict[str, Cell] = {}
        for match in _CELL.finditer(text):
            body = _block(text, match.end())
            inputs, functions = {}, {}
            for pin in _PIN.finditer(body):
                inside = _block(body, pin.end())
                function = _FUNCTION.search(inside)
                if _INPUT.search(inside):
                    load = _CAPACITANCE.search(inside)
                    inputs[pin[1]] = to_ff * float(load[1]) if load else 0.0
                elif function:
                    functions[pin[1]] = function[1]
            area = _AREA.search(body)
            self.cells[match[1]] = Cell(
                match[1], float(area[1]) if area else 0.0, inputs, functions,
                bool(re.search(r"\bff(_bank)?\s*\(", body)), bool(re.search(r"\blatch(_bank)?\s*\(", body)),
            )  # fmt: skip

    def _smallest(self, what: str, *forms: str) -> Cell:
        found = [cell for cell in self.cells.values() if cell.computes(*forms)]
        if not found:
            raise ValueError(f"{self.path.name} has no {what}")
        return min(found, key=lambda cell: (cell.area, sum(cell.inputs.values())))

    @cached_property
    def nand2(self) -> Cell:
        """The NAND of two inputs whose area is one gate equivalent."""
        return self._smallest("NAND2", "!A&B", "A&B'", "!A|!B", "!A+!B")

    @cached_property
    def inverter(self) -> Cell:
        """The smallest inverter."""
        return self._smallest("inverter", "!A", "A'")

    @cached_property
    def buffer(self) -> Cell:
        """The second smallest buffer."""
        found = [cell for cell in self.cells.values() if len(cell.inputs) == 1 and cell.computes("A")]
        least = min(cell.area for cell in found)
        return min((cell for cell in found if cell.area > least), key=lambda cell: (cell.area, cell.name))

    @cached_property
    def strong_inverter(self) -> Cell:
        """The inverter nearest to four times the smallest: what drives a unit's inputs."""
        wanted = 4 * sum(self.inverter.inputs.values())
        found = [cell for cell in self.cells.values() if len(cell.inputs) == 1 and cell.computes("!A", "A'")]
        return min(found, key=lambda cell: abs(sum(cell.inputs.values()) - wanted))

    def ge(self, area: float) -> float:
        """An area of the library in gate equivalents."""
        return area / self.nand2.area

    @cached_property
    def fo4_ps(self) -> float:
        """Delay of the smallest inverter that drives four of itself, in ps, measured by OpenSTA on a chain of them."""
        result = self.dir / "fo4.txt"
        if not result.exists():
            result.write_text(f"{self._measure_fo4():.6g}\n")
        return float(result.read_text())

    def _measure_fo4(self) -> float:
        stages, first, last = 12, 4, 10  # an even number between: as many rising as falling edges
        (pin_in,), (pin_out,) = self.inverter.inputs, self.inverter.functions
        gates = [
            f"  {self.inverter.name} i{i}_{k} (.{pin_in}(n{i}), .{pin_out}({f'n{i + 1}' if k == 0 else f'x{i}_{k}'}));"
            for i in range(stages)
            for k in range(4)
        ]
        chain = self.dir / "fo4.v"
        chain.write_text("\n".join([f"module chain(input n0, output n{stages});", *gates, "endmodule", ""]))
        text = run_sta(
            f"""read_liberty {self.path}
read_verilog {chain}
link_design chain
set_cmd_units -time ps
create_clock -name c -period 1000000
set_input_delay 0 -clock c [get_ports n0]
set_output_delay 0 -clock c [all_outputs]
foreach point [get_property [lindex [find_timing_paths] 0] points] {{
  puts "at [get_full_name [get_property $point pin]] [get_property $point arrival]"
}}
""",
            self.dir / "fo4.tcl",
        )
        at = {words[1]: float(words[2]) for words in map(str.split, text.splitlines()) if words[:1] == ["at"]}
        return (at[f"i{last}_0/{pin_out}"] - at[f"i{first}_0/{pin_out}"]) / (last - first)
