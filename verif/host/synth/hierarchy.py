# SPDX-License-Identifier: Apache-2.0
"""What the hierarchy of a configuration consists of: its units, with the parameter values that they have there.

A unit is a module with a clock. Modules without one and the small parts of rtl/common and units.toml belong to the
logic of the unit that they stand in; the memory wrappers are memories (verif.host.synth.memories).
"""

from __future__ import annotations

import hashlib
import shlex
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from pyslang import LiteralBase, SVInt, ast
from pyslang.driver import Driver

from verif.host.synth.memories import WRAPPERS
from verif.shared.paths import RTL

CLOCK = "clk_i"


@dataclass
class Unit:
    """A module with one set of parameter values."""

    module: str
    parameters: dict[str, str]
    """Values as SystemVerilog literals."""
    children: dict[str, Unit] = field(default_factory=dict)
    """Units below it by instance path."""
    memories: dict[str, Unit] = field(default_factory=dict)
    """Memory wrappers by instance path."""
    inlined: set[str] = field(default_factory=set)
    """Modules that are part of its logic."""
    is_flat: bool = False

    @property
    def key(self) -> str:
        """Short name that differs between parameter values."""
        text = ",".join(f"{name}={value}" for name, value in sorted(self.parameters.items()))
        return f"{self.module}-{hashlib.sha256(text.encode()).hexdigest()[:8]}" if text else self.module

    def value(self, name: str) -> int:
        """An integer parameter; raises KeyError if there is none of this name."""
        return int(self.parameters[name].split("'")[-1].lstrip("sSdD"))

    def tree(self) -> list[Unit]:
        """This unit and every other below it once, children first."""
        found: dict[int, Unit] = {}

        def visit(unit: Unit) -> None:
            for child in unit.children.values():
                visit(child)
            found.setdefault(id(unit), unit)

        visit(self)
        return list(found.values())

    def flat(self) -> Unit:
        """The unit with all logic below it as its own; only memory wrappers stay."""
        whole = Unit(self.module, self.parameters, {}, dict(self.memories), set(self.inlined), True)
        for name, child in self.children.items():
            below = child.flat()
            whole.memories |= {f"{name}.{path}": memory for path, memory in below.memories.items()}
            whole.inlined |= below.inlined | {child.module}
        return whole

    def count(self, below: Unit) -> int:
        """How many instances of `below` this unit holds, itself included."""
        if below is self:
            return 1
        return sum(child.count(below) for child in self.children.values())


def _literal(parameter) -> str:
    """The value of a parameter as a command line takes it: a struct as the vector it is, an enumeration by a cast."""
    value = parameter.value.value
    if isinstance(value, str):
        return f'"{value}"'
    if not isinstance(value, SVInt):
        raise RuntimeError(
            f"parameter {parameter.name} of type {parameter.type}: expected an integer, struct or string"
        )
    base = LiteralBase.Hex if value.bitWidth > 64 else LiteralBase.Decimal
    text = value.toString(base, True, 1 << 20)
    return f"{parameter.type}'({text})" if parameter.type.isEnum else text


@cache
def _settings() -> dict:
    return tomllib.loads((Path(__file__).parent / "units.toml").read_text())


def static_ports(module: str) -> set[str]:
    """Ports of `module` that do not change while it works (units.toml)."""
    entries = _settings()["static"]
    return {name for entry in entries if module not in entry.get("except", ()) for name in entry["names"]}


def more_loads(module: str) -> int | None:
    """Most loads of a net of `module` that logic drives, where that is an exception (units.toml)."""
    return next((entry["limit"] for entry in _settings()["loads"] if entry["module"] == module), None)


def part_modules() -> set[str]:
    """Modules with a clock that are no units: those of rtl/common and of units.toml."""
    return {file.stem for file in (RTL / "common").glob("*.sv")} | set(_settings()["parts"])


def elaborate(top: str, sources: Sequence[Path], parameters: Mapping[str, object]) -> Unit:
    """The unit `top` with everything below it.

    Raises:
        RuntimeError: the sources do not compile.
    """
    driver = Driver()
    driver.addStandardArgs()
    overrides = [f"-G{name}={value}" for name, value in parameters.items()]
    arguments = shlex.join(["slang", "-DSYNTHESIS", "--top", top, *overrides, *map(str, sources)])
    if not (driver.parseCommandLine(arguments) and driver.processOptions() and driver.parseAllSources()):
        raise RuntimeError(f"slang cannot read the sources of {top}")
    compilation = driver.createCompilation()
    if any(d.isError() for d in compilation.getAllDiagnostics()):
        raise RuntimeError(f"slang cannot elaborate {top}")
    units: dict[tuple, Unit] = {}
    parts = part_modules()

    def build(instance) -> Unit:
        body = instance.body
        values = {p.name: _literal(p) for p in body.parameters if p.isPortParam and not p.isLocalParam}
        identity = (instance.definition.name, tuple(values.items()))
        if identity not in units:
            unit = units[identity] = Unit(instance.definition.name, values)
            if unit.module not in WRAPPERS:
                collect(body, "", unit)
        return units[identity]

    def collect(scope, path: str, unit: Unit) -> None:
        for symbol in scope:
            if symbol.kind == ast.SymbolKind.Instance and symbol.isModule:
                name = path + symbol.name
                if symbol.definition.name in WRAPPERS:
                    unit.memories[name] = build(symbol)
                elif symbol.body.find(CLOCK) is not None and symbol.definition.name not in parts:
                    unit.children[name] = build(symbol)
                else:
                    unit.inlined.add(symbol.definition.name)
                    collect(symbol.body, f"{name}.", unit)
            elif symbol.kind == ast.SymbolKind.GenerateBlock and not symbol.isUninstantiated:
                collect(symbol, f"{path}{symbol.externalName}.", unit)
            elif symbol.kind == ast.SymbolKind.GenerateBlockArray:
                for entry in symbol.entries:
                    if not entry.isUninstantiated:
                        collect(entry, f"{path}{symbol.externalName}[{entry.arrayIndex}].", unit)
            elif symbol.kind == ast.SymbolKind.InstanceArray:
                raise RuntimeError(f"{unit.module}: array of instances {symbol.name}, expected a generate loop")

    return build(compilation.getRoot().topInstances[0])
