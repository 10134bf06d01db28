# SPDX-License-Identifier: Apache-2.0
"""`make power`: what a PE takes as a netlist of cells, from its switching on the Figure 3 layer, beside the model; and
a PE of the plain dense machine likewise."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from models import work
from models.config import load_config
from models.study import netlist_power
from verif.host.benchmarks import DENSE, FIGURE_3, planned
from verif.host.cli.phase import phase
from verif.host.layers import run_layers
from verif.host.runner import build, run, sources_of
from verif.host.runner.run import default_seed
from verif.host.synth import sta_power
from verif.host.synth.clock_gates import open_cycles
from verif.host.synth.gates import Dumped, dumped_gates
from verif.host.synth.library import DEFAULT_LIBERTY, Library
from verif.host.synth.sta_power import Spent
from verif.host.synth.switching import Pins, changes_of, count, read_pins, sampled
from verif.shared.dense_windows import STEPS, DenseSteps
from verif.shared.paths import BUILD, ROOT

CONFIG, TOP, PE = "small", "sparsecore", "spcore_pe"
DENSE_TOP, DENSE_PE = "dense_array", "dense_pe"
DENSE_HDL = tuple(ROOT / "verif" / "hdl" / f"{name}.sv" for name in ("dense_mul", DENSE_PE, DENSE_TOP))
PES, LANES, _DENSE_SHAPE = 8, 16, (8, 8, 8)  # of the dense machine and its layer; one of its PEs is measured
# The layer with fewer channels on a plane of which each PE has 36 positions, where a tile of the whole layer has 30: a
# weight vector stays as long. Minutes on Icarus.
_SHAPE, _CHANNELS = (4, 12, 12), 8
LAYERS = tuple(
    replace(
        benchmark.smaller(8),
        name=f"{'x'.join(map(str, _SHAPE))}, 3x3x{_CHANNELS}, {what}",
        shape=_SHAPE,
        out_channels=_CHANNELS,
    )
    for benchmark, what in ((FIGURE_3, "2/4, half zero"), (DENSE, "dense mode"))
)
_VCD = "pe.vcd"
_LIMIT_S = 3600  # gates take long on a busy machine
_BUSY, _NO_UNIT = 0, 4  # of pe_state_e


@dataclass(frozen=True)
class _Record:
    """A simulation of a part of gates: what was built, the VCD file that it left, its pins."""

    dumped: Dumped
    vcd: Path

    @cached_property
    def pins(self) -> Pins:
        return read_pins(self.vcd, self.dumped.scope)

    def spent(self, start: int, end: int, cycles: int, library: Library) -> dict[str, Spent]:
        """What the part's units took in a window of so many cycles, by module."""
        dumped, scalars = self.dumped, self.pins.scalars
        outputs = {code for path, code in scalars.items() if "/" in path}
        found = count(self.vcd, outputs, start, end)
        switching = {path: found[code] for path, code in scalars.items() if code in found}
        registers = {scalars[f"{path}/Q"]: path for path in dumped.clock_gates if f"{path}/Q" in scalars}
        changes = changes_of(self.vcd, registers, start, end)
        gates = open_cycles(dumped.clock_gates, ((time, registers[code]) for time, code in changes))
        memories = {memory.key for unit in dumped.units.values() for memory in unit.memories.values()}
        units: dict[str, Spent] = {}
        for path, one in sta_power.spent(
            dumped.netlist, dumped.top, memories, switching, cycles, dumped.clock_gates, gates, library
        ).items():
            kind = dumped.units[path].module.removeprefix("spcore_")
            units[kind] = units.get(kind, Spent()) + one
        return units


def _upper_writes(record: _Record, start: int, end: int) -> float:
    """Share of the additions to accumulators that write the upper half too. All banks of a quad are written in a cycle
    only when a row is cleared."""
    quads: dict[str, list[int]] = {}
    codes: list[str] = []
    for path, code in record.pins.vectors.items():
        if path.endswith("/we_i"):
            quads.setdefault(path.partition("gen_bank")[0], []).append(len(codes))
            codes.append(code)
    added = whole = 0
    for time, values in sampled(record.vcd, record.pins.scalars["clk_i"], codes):
        if not start <= time < end:
            continue
        for banks in quads.values():
            writes = [values[bank] for bank in banks if values[bank].endswith("1")]
            if len(writes) < len(banks):
                added += len(writes)
                whole += writes.count("11")
    return whole / added


def _core_window(record: _Record, library: Library) -> tuple[dict[str, Any], dict[str, Spent]]:
    """Cycles from the PE's first work unit to the end of its last, busy ones and useful multiplications among them, and
    how often these write the upper half; and what its units took, by module."""
    pins = record.pins
    codes = [pins.vectors["state_o"], pins.vectors["macs_o"]]
    edges = list(sampled(record.vcd, pins.scalars["clk_i"], codes))
    states = [int(state, 2) if state.isdigit() else _NO_UNIT for _, (state, _) in edges]
    working = [i for i, state in enumerate(states) if state != _NO_UNIT]
    # What the PE says of a cycle stands in its registers in the next one.
    first, last = working[0] - 1, working[-1]
    useful = sum(int(macs, 2) for _, (_, macs) in edges[first : last + 3] if macs.isdigit())
    start, end = edges[first][0], edges[last][0]
    counts = {
        "cycles": last - first,
        "busy": states.count(_BUSY),
        "useful": useful,
        "upper": _upper_writes(record, start, end),
    }
    return counts, record.spent(start, end, last - first, library)


def _plain_dense(console: Console, seed: int, library: Library) -> dict[str, Any]:
    """The same of a PE of the plain dense machine, in whose every cycle all lanes multiply, on outputs without padding:
    on a plane of usual size there is next to none."""
    c, h, w = _DENSE_SHAPE
    layer = replace(DENSE, shape=(c, h + 2, w + 2), padding=0, out_channels=LANES).layer(seed)
    steps = DenseSteps.of(layer, PES, LANES)
    with phase(console, "synthesising a PE of the plain dense machine"):
        parameters = {"NumPe": PES, "NumLanes": LANES}
        dumped = dumped_gates(DENSE_TOP, sources_of(DENSE_TOP, DENSE_HDL), parameters, DENSE_PE, _VCD)
        design = build(DENSE_TOP, dumped.sources, {}, "icarus")
    directory = BUILD / "power" / "dense_machine"
    directory.mkdir(parents=True, exist_ok=True)
    steps.save(directory / "steps.npz")
    with phase(console, "simulating it"):
        run(
            design,
            "verif.sim.programs.dense_steps",
            env={STEPS: str(directory / "steps.npz")},
            results_dir=directory / "simulation",
            rerun=f"make power SEED={seed}",
            limit_s=_LIMIT_S,
        )
    record = _Record(dumped, directory / "simulation" / _VCD)
    pins = record.pins
    edges = list(sampled(record.vcd, pins.scalars["clk_i"], [pins.scalars["valid_i"]]))
    valid = [time for time, (value,) in edges if value == "1"]
    cycles = len(valid)
    return {
        "layer": f"{c}x{h}x{w}, 3x3x{LANES}, plain dense machine",
        "cycles": cycles,
        "busy": cycles,
        "useful": int(((steps.activations[:, :, 0] != 0) * (steps.weights != 0).sum(2)).sum()),
        "upper": 1.0,  # sums are written whole
        "lines": 0,
        "lanes": LANES,
        "units": sta_power.as_record(record.spent(valid[0], valid[-1], cycles, library)),
    }


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
            counts, units = _core_window(_Record(dumped, directory / "simulation" / _VCD), library)
        lines = float(work.measure(plan.descriptor, layer).load.sum(0) @ plan.descriptor.readers)
        share = counts["busy"] / result.counters["BUSY"]  # of the layer's lines, the PE's
        record = sta_power.as_record(dict(sorted(units.items())))
        modes.append({"layer": benchmark.name, **counts, "lines": round(lines * share), "units": record})
    kept = {
        "command": "make power UPDATE=1",
        "seed": seed,
        "config": CONFIG,
        "library": library.name,
        "modes": modes,
        "plain": _plain_dense(console, seed, library),
    }
    path = netlist_power.FILE if update else BUILD / "power" / "power.json"
    path.write_text(json.dumps(kept, indent=1) + "\n")
    console.print(netlist_power.table(netlist_power.load(path)), markup=False, soft_wrap=True)
    console.print(f"what units took: {path.relative_to(ROOT)}")
