# SPDX-License-Identifier: Apache-2.0
"""Packed structs of the RTL packages as Python values: simulators show a packed struct as one flat vector."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import pyslang.ast
import pyslang.syntax

from verif.shared.paths import ROOT


@dataclass(frozen=True)
class Field:
    """A field of a packed struct: its lowest bit and width in the flat vector; `struct` if it is one itself."""

    offset: int
    width: int
    signed: bool
    struct: "Struct | None"


@dataclass(frozen=True)
class Struct:
    """Layout of a packed struct."""

    name: str
    width: int
    fields: dict[str, Field]

    def pack(self, values: Mapping[str, Any]) -> int:
        """The flat value; fields left out are 0, nested structs are mappings.

        Raises ValueError for an unknown field and for a value that its width cannot hold.
        """
        unknown = set(values) - set(self.fields)
        if unknown:
            raise ValueError(f"{self.name} has no field {sorted(unknown)}, expected some of {list(self.fields)}")
        flat = 0
        for name, value in values.items():
            field = self.fields[name]
            if field.struct and isinstance(value, Mapping):
                value = field.struct.pack(value)
            value = int(value)
            if not -(1 << (field.width - 1)) <= value < 1 << field.width:
                raise ValueError(f"{self.name}.{name} = {value} does not fit {field.width} bits")
            flat |= (value & ((1 << field.width) - 1)) << field.offset
        return flat

    def unpack(self, flat: int) -> dict[str, Any]:
        """The fields of a flat value; signed ones as negative numbers where they are, nested structs as dicts."""
        flat = int(flat)
        values = {}
        for name, field in self.fields.items():
            value: Any = flat >> field.offset & ((1 << field.width) - 1)
            if field.struct:
                value = field.struct.unpack(value)
            elif field.signed and value >> (field.width - 1):
                value -= 1 << field.width
            values[name] = value
        return values


def _layout(name: str, kind) -> Struct:
    fields = {}
    for member in kind.canonicalType:
        of = member.type.canonicalType
        nested = _layout(member.type.name, member.type) if isinstance(of, pyslang.ast.PackedStructType) else None
        fields[member.name] = Field(member.bitOffset, of.bitWidth, of.isSigned, nested)
    return Struct(name, kind.canonicalType.bitWidth, fields)


@cache
def struct(name: str) -> Struct:
    """The layout of struct `name` of any package under rtl/; raises KeyError if there is none."""
    compilation = pyslang.ast.Compilation()
    for path in sorted((ROOT / "rtl").rglob("*_pkg.sv")):
        compilation.addSyntaxTree(pyslang.syntax.SyntaxTree.fromFile(str(path)))
    for package in compilation.getPackages():
        found: Any = package.find(name)
        if found is not None:
            return _layout(name, found.targetType.type)
    raise KeyError(f"no package under rtl/ has a type {name}")
