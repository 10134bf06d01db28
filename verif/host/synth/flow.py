# SPDX-License-Identifier: Apache-2.0
"""From a configuration to measured units: maps and times each unit once, with results kept under build/synth."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from verif.host.runner.sources import sources_of
from verif.host.synth.fanout import fan_out
from verif.host.synth.hierarchy import Unit, static_ports
from verif.host.synth.library import Library
from verif.host.synth.mapping import run_mapping
from verif.host.synth.memories import memory_of
from verif.host.synth.netlist import Netlist
from verif.host.synth.timing import Box, memory_box, time_unit

_HERE = Path(__file__).parent
_CODE = ("fanout.py", "flow.py", "library.py", "memories.py", "netlist.py", "sta.py", "timing.py", "units.toml")
_SLEW_FO4 = 3
_MODULE = re.compile(r"^\s*module\s+(\w+)", re.MULTILINE)


@dataclass
class Measured:
    """What was measured of one unit, children apart."""

    key: str
    module: str
    area_ge: float
    flip_flops: int
    cells: dict[str, int]
    faults: list[str]
    arrays: list[dict]
    """Arrays outside wrappers: name, words, width, reads, writes."""
    wide_nets: list[dict]
    paths: dict[str, dict]
    through: list[list]
    out: dict[str, list]
    setup: dict[str, list]
    input_loads: dict[str, list[int]]
    output_loads: dict[str, list[int]]
    output_kinds: dict[str, str]
    """These four are FanOut's."""


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def _text(name: str) -> str:
    return (_HERE / name).read_text()


class Flow:
    """Measures units with one library; `jobs` run at a time."""

    def __init__(self, library: Library, jobs: int = 2, sources: Callable[[str], list[Path]] = sources_of):
        self.library, self.jobs, self.sources = library, jobs, sources

    def measure(
        self, units: Iterable[Unit], progress: Callable[[str], None] = lambda text: None
    ) -> dict[str, Measured]:
        """The units given, each after those below it, by key.

        Raises:
            RuntimeError: a tool rejects a unit.
        """
        units = list(units)
        with ThreadPoolExecutor(self.jobs) as pool:
            list(pool.map(lambda unit: self.map(unit, progress), units))
        measured: dict[str, Measured] = {}
        for unit in units:
            measured[self.name(unit)] = self._time(unit, measured, progress)
        return measured

    @staticmethod
    def name(unit: Unit) -> str:
        """Key of a unit among the results."""
        return f"{unit.key}-flat" if unit.is_flat else unit.key

    def map(self, unit: Unit, progress: Callable[[str], None] = lambda text: None) -> Path:
        """Map one unit where that is not done yet; returns the directory of its netlist.json.

        Raises:
            RuntimeError: Yosys rejects the unit.
        """
        directory = self.library.dir / self.name(unit)
        boxes = {path: below.key for path, below in (unit.children | unit.memories).items()}
        boxed = {below.module for below in (unit.children | unit.memories).values()}
        files = self.sources(unit.module)
        relevant = []
        for file in files:
            text = file.read_text()
            modules = set(_MODULE.findall(text))
            if modules & boxed:
                relevant.append((file.name, text.split("\n);")[0]))
            elif not modules or modules & (unit.inlined | {unit.module}):
                relevant.append((file.name, text))
        job = {
            "top": unit.module,
            "parameters": unit.parameters,
            "boxed": sorted(boxed),
            "boxes": boxes,
            "driver": self.library.strong_inverter.name,
            "load_ff": 4 * sum(self.library.inverter.inputs.values()),
            "slew_ps": round(_SLEW_FO4 * self.library.fo4_ps),
        }
        digest = _digest(job, relevant, self.library.digest, version("pyosys"), _text("mapping.py"))
        done = directory / "map.digest"
        if not done.exists() or done.read_text() != digest:
            progress(f"mapping {self.name(unit)}")
            paths = {"liberty": str(self.library.path), "sources": [str(file) for file in files]}
            run_mapping(job | paths, directory)
            done.write_text(digest)
        return directory

    def _time(self, unit: Unit, measured: dict[str, Measured], progress: Callable[[str], None]) -> Measured:
        name = self.name(unit)
        directory = self.library.dir / name
        below = {path: measured[child.key] for path, child in unit.children.items()}
        models = {key: asdict(child) for key, child in {child.key: child for child in below.values()}.items()}
        code = [_text(file) for file in _CODE]
        digest = _digest((directory / "map.digest").read_text(), sorted(models.items()), code)
        done = directory / "measured.json"
        if done.exists():
            stored = json.loads(done.read_text())
            if stored.pop("digest") == digest:
                return Measured(**stored)
        progress(f"timing {name}")
        mapped = json.loads((directory / "mapped.json").read_text())
        netlist = Netlist(directory / "netlist.json", self.library, mapped["buffered"])
        static = static_ports(unit.module)
        faults = netlist.faults()
        children = {child.key: child for child in below.values()}
        memories = {wrapper.key: memory_of(wrapper) for wrapper in unit.memories.values()}
        boxes = {
            kind: Box(kind, ports, children[kind].out, children[kind].setup)
            if kind in children
            else memory_box(kind, ports, memories.get(kind))
            for kind, ports in netlist.box_ports.items()
        }
        timing = (
            {"paths": {}, "through": [], "out": {}, "setup": {}}
            if faults
            else time_unit(netlist, unit.module, static, boxes, directory)
        )
        result = Measured(
            key=name,
            module=unit.module,
            area_ge=self.library.ge(netlist.area()),
            flip_flops=netlist.flip_flops(),
            cells=dict(netlist.counts()),
            faults=faults,
            arrays=mapped["arrays"],
            **timing,
            **asdict(fan_out(directory / "generic.json", static, below)),
        )
        done.write_text(json.dumps(asdict(result) | {"digest": digest}))
        return result
