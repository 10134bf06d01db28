# SPDX-License-Identifier: Apache-2.0
"""Named configurations of the core, read from ``rtl/configs.toml``.

The field names are the parameter names of the RTL top level, so that one
spelling serves the RTL, the models and the verification environment.
"""

from __future__ import annotations

import dataclasses
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

CONFIG_FILE = Path(__file__).resolve().parents[1] / "rtl" / "configs.toml"


@dataclass(frozen=True)
class Config:
    """One configuration: its name and every top-level parameter (all positive integers)."""

    name: str
    NumPe: int
    NumLanes: int
    WgtBanks: int
    WgtDepth: int
    ActBanks: int
    ActDepth: int
    IdxBanks: int
    IdxDepth: int
    ParDepth: int
    PrgDepth: int
    RegionPos: int
    NumRegions: int
    NumSp: int
    SpLanes: int
    NumStage: int
    StreamBytes: int
    WgtQueueDepth: int
    QueueDepth: int

    AccDepth: ClassVar[int] = 32
    """Accumulators of one bank: a constant of rtl/sparsecore_pkg.sv."""

    def __post_init__(self) -> None:
        for key, value in self.parameters().items():
            if type(value) is not int or value < 1:
                raise ValueError(f"configuration {self.name!r}: {key} = {value!r}, expected a positive integer")

    @property
    def slots(self) -> int:
        """Staging slots of all streaming processors."""
        return self.NumSp * self.NumStage

    def parameters(self) -> dict[str, int]:
        """The top-level parameters by name, ready for a simulator's command line."""
        fields = dataclasses.asdict(self)
        del fields["name"]
        return fields


def config_names(path: Path = CONFIG_FILE) -> list[str]:
    """Names of the configurations in `path`, in file order."""
    return list(tomllib.loads(path.read_text()))


def load_config(name: str, path: Path = CONFIG_FILE) -> Config:
    """Read configuration `name`, after which parameters may follow: ``paper,NumRegions=2,RegionPos=256``.

    Raises:
        ValueError: no such configuration or parameter, or its keys are not exactly the parameters.
    """
    table, *changes = name.split(",")
    tables = tomllib.loads(path.read_text())
    if table not in tables:
        raise ValueError(f"configuration {table!r} is unknown, expected one of {', '.join(tables)}")
    values = dict(tables[table])
    if "base" in values:
        base = values.pop("base")
        if base not in tables:
            raise ValueError(f"configuration {name!r}: base {base!r} is unknown")
        values = tables[base] | values
    expected = {field.name for field in dataclasses.fields(Config)} - {"name"}
    if values.keys() != expected:
        raise ValueError(
            f"configuration {name!r}: missing keys {sorted(expected - values.keys())}, "
            f"unknown keys {sorted(values.keys() - expected)}"
        )
    for change in changes:
        key, _, value = change.partition("=")
        if key not in expected or not value.isdecimal():
            raise ValueError(
                f"configuration {name!r}: {change!r}, expected PARAMETER=number, "
                f"PARAMETER one of {', '.join(sorted(expected))}"
            )
        values[key] = int(value)
    return Config(name=name, **values)
