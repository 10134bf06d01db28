# SPDX-License-Identifier: Apache-2.0
"""A design for Icarus in which one module is the netlist of cells that synthesis makes of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from verif.host.runner.sources import sources_of
from verif.host.runner.verilog import generate_verilog
from verif.host.synth.clock_gates import enables
from verif.host.synth.flow import Flow
from verif.host.synth.hierarchy import Unit, elaborate
from verif.host.synth.library import DEFAULT_LIBERTY, Library
from verif.host.synth.netlist import Netlist
from verif.shared.paths import BUILD

_CELLS = DEFAULT_LIBERTY.with_suffix(".v")
_GATES = "-gates"  # what a netlist's name ends in beside the RTL of the same module


def _only(whole: Unit, module: str) -> Unit:
    found = [unit for unit in whole.tree() if unit.module == module]
    if len(found) != 1:
        raise RuntimeError(f"{whole.module} has {len(found)} variants of {module}, expected one")
    return found[0]


def _netlist(unit: Unit, name: str, sources: Sequence[Path]) -> Path:
    """A unit's directory, with its netlist.v of a module ``name`` and boxes named by their keys."""
    library = Library(DEFAULT_LIBERTY)
    directory = Flow(library, sources=lambda _: list(sources)).map(unit)
    mapped = json.loads((directory / "mapped.json").read_text())
    if mapped["arrays"]:
        names = ", ".join(array["name"] for array in mapped["arrays"])
        raise RuntimeError(f"{unit.module}: arrays without a wrapper: {names}")
    Netlist(directory / "netlist.json", library, mapped["buffered"]).write_verilog(directory / "netlist.v", name)
    return directory


def _memories(units: Sequence[Unit], scratch: Path) -> list[str]:
    """The memory wrappers of units as Verilog, named by their keys."""
    text = []
    for memory in {memory.key: memory for unit in units for memory in unit.memories.values()}.values():
        generate_verilog(memory.module, sources_of(memory.module), memory.parameters, scratch)
        text.append(re.sub(rf"^module {memory.module}\b", rf"module \\{memory.key} ", scratch.read_text(), flags=re.M))
    return text


def gate_level(top: str, sources: Sequence[Path], parameters: Mapping[str, int], module: str) -> list[Path]:
    """Verilog of `top`, with `module` and all below it as one netlist of the default library, as files for Icarus.

    Memory wrappers in it keep their behaviour.

    Raises:
        RuntimeError: a tool rejects the sources, `module` is not in `top` with just one set of parameters, or it has
            an array that is not in a memory wrapper.
        ValueError: the library is not installed.
    """
    unit = _only(elaborate(top, sources, parameters), module).flat()
    BUILD.mkdir(exist_ok=True)
    with FileLock(BUILD / "gates.lock"):
        directory = _netlist(unit, module, sources)
        out = directory / f"{top}.v"
        text = [(directory / "netlist.v").read_text(), *_memories([unit], out)]
        if top != module:
            generate_verilog(top, sources, parameters, out)
            text.append(re.sub(rf"^module {module}\(.*?^endmodule", "", out.read_text(), flags=re.M | re.S))
        out.write_text("\n".join(text))
    return [out, _CELLS]


@dataclass(frozen=True)
class Part:
    """A module of a design as gates.

    scope: of its instance; netlist, top: the part alone, with memories as boxes; units: those of the part by instance
    path, "" for the part itself; clock_gates: of flip-flops with an enable, by path.
    """

    scope: tuple[str, ...]
    netlist: Path
    top: str
    units: Mapping[str, Unit]
    clock_gates: Mapping[str, str]


@dataclass(frozen=True)
class Dumped:
    """A design that leaves a VCD file of all that switches in its parts of gates: its sources for Icarus, the parts by
    module."""

    sources: list[Path]
    parts: Mapping[str, Part]


def _below(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name


def _instances(unit: Unit, path: str = "") -> Iterator[tuple[str, Unit]]:
    yield path, unit
    for name, child in unit.children.items():
        yield from _instances(child, _below(path, name))


def dumped_gates(
    top: str,
    sources: Sequence[Path],
    parameters: Mapping[str, int],
    module: str,
    vcd: str,
    beside: Sequence[str] = (),
) -> Dumped:
    """Verilog of `top` with the first instance of `module` below it as a netlist for each of its units, and the others
    as RTL; the simulation writes what switches in the netlists to the file `vcd`. Netlists of the modules `beside`
    stand beside their RTL, into which the environment looks, and have its inputs.

    Errors are those of `gate_level`.
    """
    whole = elaborate(top, sources, parameters)
    chosen = [_only(whole, name) for name in (module, *beside)]
    units = list({below.key: below for unit in chosen for below in unit.tree()}.values())
    BUILD.mkdir(exist_ok=True)
    with FileLock(BUILD / "gates.lock"):
        text, gated = [], dict[str, Mapping[str, str]]()
        for below in units:
            directory = _netlist(below, f"\\{below.key} ", sources)
            text.append((directory / "netlist.v").read_text())
            gated[below.key] = enables(directory / "generic.json")
        names = "|".join(re.escape(below.key) for below in units)  # also of the RTL, where there are no parameters
        gates = re.sub(rf"^(  |module )\\?({names}) ", rf"\1\\\2{_GATES} ", "\n".join(text), flags=re.M)
        netlist, out = directory / "units.v", directory / f"{top}_units.v"
        netlist.write_text(gates)
        memories = _memories(units, out)
        generate_verilog(top, sources, parameters, out)
        rtl, parts = out.read_text(), dict[str, Part]()
        for unit in chosen:
            scope = next(path for path, below in _instances(whole) if below is unit).split("/")
            instance = rf"^  {unit.module} \\?{re.escape(scope[-1])} (.*?^  \);\n)"
            found = re.search(instance, rtl, flags=re.M | re.S)
            if not found:
                raise RuntimeError(f"{top} has no instance of {unit.module}")
            before, ports = "", found[1]
            if unit.module in beside:
                scope[-1] += _GATES
                before, ports = found[0], re.sub(r"(_n?o\().*\)", r"\1)", ports)  # outputs lead nowhere
            rtl = rtl.replace(found[0], f"{before}  \\{unit.key}{_GATES} \\{scope[-1]} {ports}", 1)
            parts[unit.module] = _part(unit, (top, *scope), netlist, gated)
        scopes = ", ".join(".".join(f"\\{name} " for name in part.scope[1:]) for part in parts.values())
        dump = f'  initial begin $dumpfile("{vcd}"); $dumpvars(0, {scopes}); end\n'
        rtl = re.sub(rf"^module {top}\(.*?(?=^endmodule)", lambda m: m[0] + dump, rtl, count=1, flags=re.M | re.S)
        out.write_text("\n".join([gates, *memories, rtl]))
    return Dumped([out, _CELLS], parts)


def _part(unit: Unit, scope: tuple[str, ...], netlist: Path, gated: Mapping[str, Mapping[str, str]]) -> Part:
    """The gated flip-flops are given by a unit's key, with names in the unit."""
    instances = dict(_instances(unit))
    clock_gates = {
        _below(path, name): _below(path, gate)
        for path, below in instances.items()
        for name, gate in gated[below.key].items()
    }
    return Part(scope, netlist, unit.key + _GATES, instances, clock_gates)
