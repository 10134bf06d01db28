# SPDX-License-Identifier: Apache-2.0
"""`make power`: what a PE takes as a netlist of cells, from its switching on the Figure 3 layer, beside the model."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from models import work
from models.config import load_config
from models.study import netlist_power
from verif.host.benchmarks import DENSE, FIGURE_3, planned
from verif.host.cli.phase import phase
from verif.host.layers import run_layers
from verif.host.runner import build, sources_of
from verif.host.runner.run import default_seed
from verif.host.synth import sta_power
from verif.host.synth.gates import Dumped, dumped_gates
from verif.host.synth.library import DEFAULT_LIBERTY, Library
from verif.host.synth.sta_power import Spent
from verif.host.synth.switching import count, read_pins, sampled
from verif.shared.paths import BUILD, ROOT

CONFIG, TOP, PE = "small", "sparsecore", "spcore_pe"
# The layer with fewer channels on a smaller plane: minutes on Icarus.
LAYERS = tuple(
    replace(benchmark.smaller(8), name=f"8x8x8, 3x3x8, {what}", out_channels=8)
    for benchmark, what in ((FIGURE_3, "2/4, half zero"), (DENSE, "dense mode"))
)
_VCD = "pe.vcd"
_LIMIT_S = 3600  # gates take long on a busy machine
_BUSY, _NO_UNIT = 0, 4  # of pe_state_e


def _window(dumped: Dumped, library: Library, vcd: Path) -> tuple[dict[str, int], dict[str, Spent]]:
    """Cycles from the PE's first work unit to the end of its last, busy ones and useful multiplications among them; and
    what its units took, by module."""
    pins = read_pins(vcd, dumped.scope)
    codes = [pins.vectors["state_o"], pins.vectors["macs_o"]]
    edges = list(sampled(vcd, pins.scalars["clk_i"], codes))
    states = [int(state, 2) if state.isdigit() else _NO_UNIT for _, (state, _) in edges]
    working = [i for i, state in enumerate(states) if state != _NO_UNIT]
    # What the PE says of a cycle stands in its registers in the next one.
    first, last = working[0] - 1, working[-1]
    useful = sum(int(macs, 2) for _, (_, macs) in edges[first : last + 3] if macs.isdigit())
    outputs = {code for path, code in pins.scalars.items() if "/" in path}
    found = count(vcd, outputs, edges[first][0], edges[last][0])
    switching = {path: found[code] for path, code in pins.scalars.items() if code in found}
    memories = {memory.key for unit in dumped.units.values() for memory in unit.memories.values()}
    counts = {"cycles": last - first, "busy": states.count(_BUSY), "useful": useful}
    units: dict[str, Spent] = {}
    for path, one in sta_power.spent(
        dumped.netlist, dumped.top, memories, switching, counts["cycles"], library
    ).items():
        kind = dumped.units[path].module.removeprefix("spcore_")
        units[kind] = units.get(kind, Spent()) + one
    return counts, units


def power(update: Annotated[bool, typer.Option(help="keep what is found in docs/study/power.json")] = False) -> None:
    """Run the Figure 3 layer, scaled down, on a core with a PE of gates, sparse and in dense mode, and compare."""
    console, seed = Console(highlight=False), default_seed()
    for tool, package in (("sta", "opensta"), ("iverilog", "iverilog")):
        if shutil.which(tool) is None:
            raise RuntimeError(f"{tool} is not installed: install Debian's {package}")
    config, library = load_config(CONFIG), Library(DEFAULT_LIBERTY)
    with phase(console, f"synthesising a PE of {CONFIG}"):
        dumped = dumped_gates(TOP, sources_of(TOP), config.parameters(), PE, _VCD)
    with phase(console, f"building {CONFIG} with a PE of gates"):
        design = build(TOP, dumped.sources, {}, "icarus")
    modes = []
    for benchmark in LAYERS:
        ((layer, plan),) = planned(config, benchmark, seed)
        directory = BUILD / "power" / f"{benchmark.mode[0]}of{benchmark.mode[1]}"
        with phase(console, f"simulating {benchmark.name} on {CONFIG} with a PE of gates") as tell:
            (result,) = run_layers(
                design, CONFIG, [(layer, plan)], directory, f"make power SEED={seed}", tell, _LIMIT_S
            )
        with phase(console, "counting changes, and their energy by OpenSTA"):
            counts, units = _window(dumped, library, directory / "simulation" / _VCD)
        lines = float(work.measure(plan.descriptor, layer).load.sum(0) @ plan.descriptor.readers)
        share = counts["busy"] / result.counters["BUSY"]  # of the layer's lines, the PE's
        record = sta_power.as_record(dict(sorted(units.items())))
        modes.append({"layer": benchmark.name, **counts, "lines": round(lines * share), "units": record})
    kept = {"command": "make power UPDATE=1", "seed": seed, "config": CONFIG, "library": library.name, "modes": modes}
    path = netlist_power.FILE if update else BUILD / "power" / "power.json"
    path.write_text(json.dumps(kept, indent=1) + "\n")
    console.print(netlist_power.table(netlist_power.load(path)), markup=False, soft_wrap=True)
    console.print(f"what units took: {path.relative_to(ROOT)}")
