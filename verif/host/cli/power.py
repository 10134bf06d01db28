# SPDX-License-Identifier: Apache-2.0
"""`make power`: what a PE takes as a netlist of cells, from its switching on the Figure 3 layer, beside the model; a PE
of the plain dense machine likewise; and how often flip-flops outside the PEs that serve memories are clocked."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
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
from verif.host.synth.clock_gates import clocked, open_cycles
from verif.host.synth.gates import Part, dumped_gates
from verif.host.synth.library import DEFAULT_LIBERTY, Library
from verif.host.synth.sta_power import Spent
from verif.host.synth.switching import Pins, changes_of, count, read_pins, sampled
from verif.shared.dense_windows import STEPS, DenseSteps
from verif.shared.paths import BUILD, ROOT

CONFIG, TOP, PE = "small", "sparsecore", "spcore_pe"
# With what is below them, the units of silicon.MEMORY.
AT_MEMORIES = ("spcore_weight_store", "spcore_activation_store", "spcore_scheduler", "spcore_tile_tables")
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
_VCD = "parts.vcd"
_LIMIT_S = 3600  # gates take long on a busy machine
_BUSY, _NO_UNIT = 0, 4  # of pe_state_e


@dataclass(frozen=True)
class _Window:
    """Clock cycles of a simulation: times of the first one's edge and of the edge behind the last one; their number."""

    start: int
    end: int
    cycles: int


@dataclass(frozen=True)
class _Record:
    """A simulation of a part of gates: the part, the VCD file that the simulation left, the part's pins."""

    part: Part
    vcd: Path

    @cached_property
    def pins(self) -> Pins:
        return read_pins(self.vcd, self.part.scope)

    def clocked(self, window: _Window) -> dict[str, int]:
        """Clock cycles of the part's flip-flops behind clock gates, by path."""
        registers = {path.removesuffix("/Q"): code for path, code in self.pins.scalars.items() if path.endswith("/Q")}
        gates = self.part.clock_gates
        gated = {code: path for path, code in registers.items() if path in gates}
        changes = changes_of(self.vcd, gated, window.start, window.end)
        opened = open_cycles(gates, ((time, gated[code]) for time, code in changes))
        return clocked(registers, gates, opened, window.cycles)

    def kind(self, path: str) -> str:
        """The module of one of the part's units, without prefix."""
        return self.part.units[path].module.removeprefix("spcore_")

    def spent(self, window: _Window, library: Library) -> dict[str, Spent]:
        """What the part's units took, by kind."""
        part, scalars = self.part, self.pins.scalars
        outputs = {code for path, code in scalars.items() if "/" in path}
        found = count(self.vcd, outputs, window.start, window.end)
        switching = {path: found[code] for path, code in scalars.items() if code in found}
        memories = {memory.key for unit in part.units.values() for memory in unit.memories.values()}
        units: dict[str, Spent] = {}
        for path, one in sta_power.spent(
            part.netlist, part.top, memories, switching, window.cycles, self.clocked(window), library
        ).items():
            units[self.kind(path)] = units.get(self.kind(path), Spent()) + one
        return units


def _upper_writes(record: _Record, window: _Window) -> float:
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
        if not window.start <= time < window.end:
            continue
        for banks in quads.values():
            writes = [values[bank] for bank in banks if values[bank].endswith("1")]
            if len(writes) < len(banks):
                added += len(writes)
                whole += writes.count("11")
    return whole / added


def _core_window(record: _Record) -> tuple[_Window, dict[str, Any]]:
    """From the PE's first work unit to the end of its last; and busy cycles and useful multiplications in it, and how
    often these write the upper half."""
    pins = record.pins
    codes = [pins.vectors["state_o"], pins.vectors["macs_o"]]
    edges = list(sampled(record.vcd, pins.scalars["clk_i"], codes))
    states = [int(state, 2) if state.isdigit() else _NO_UNIT for _, (state, _) in edges]
    working = [i for i, state in enumerate(states) if state != _NO_UNIT]
    # What the PE says of a cycle stands in its registers in the next one.
    first, last = working[0] - 1, working[-1]
    useful = sum(int(macs, 2) for _, (_, macs) in edges[first : last + 3] if macs.isdigit())
    window = _Window(edges[first][0], edges[last][0], last - first)
    counts = {
        "cycles": window.cycles,
        "busy": states.count(_BUSY),
        "useful": useful,
        "upper": _upper_writes(record, window),
    }
    return window, counts


def _at_memories(records: Sequence[_Record], window: _Window) -> dict[str, dict[str, int]]:
    """Flip-flops of units that serve memories and their clock cycles, by kind."""
    kinds: dict[str, dict[str, int]] = {}
    for record in records:
        for path, cycles in record.clocked(window).items():
            found = kinds.setdefault(record.kind(path.rpartition("/")[0]), {"flip_flops": 0, "clocked": 0})
            found["flip_flops"] += 1
            found["clocked"] += cycles
    return kinds


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
    record = _Record(dumped.parts[DENSE_PE], directory / "simulation" / _VCD)
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
        "units": sta_power.as_record(record.spent(_Window(valid[0], valid[-1], cycles), library)),
    }


def power(update: Annotated[bool, typer.Option(help="keep what is found in docs/study/power.json")] = False) -> None:
    """Run the Figure 3 layer, scaled down, on a core with a PE of gates, sparse and in dense mode, and compare."""
    console, seed = Console(highlight=False), default_seed()
    for tool, package in (("sta", "opensta"), ("iverilog", "iverilog")):
        if shutil.which(tool) is None:
            raise RuntimeError(f"{tool} is not installed: install Debian's {package}")
    config, library = load_config(CONFIG), Library(DEFAULT_LIBERTY)
    with phase(console, f"synthesising a PE of {CONFIG} and what serves memories"):
        dumped = dumped_gates(TOP, sources_of(TOP), config.parameters(), PE, _VCD, AT_MEMORIES)
    with phase(console, f"building {CONFIG} with these of gates"):
        design = build(TOP, dumped.sources, {}, "icarus")
    modes = []
    for benchmark in LAYERS:
        ((layer, plan),) = planned(config, benchmark, seed)
        directory = BUILD / "power" / f"{benchmark.mode[0]}of{benchmark.mode[1]}"
        with phase(console, f"simulating {benchmark.name} on {CONFIG}") as tell:
            (result,) = run_layers(
                design, CONFIG, [(layer, plan)], directory, f"make power SEED={seed}", tell, _LIMIT_S
            )
        with phase(console, "counting changes, and their energy by OpenSTA"):
            vcd = directory / "simulation" / _VCD
            pe, *others = (_Record(part, vcd) for part in dumped.parts.values())
            window, counts = _core_window(pe)
            units, memories = pe.spent(window, library), _at_memories(others, window)
        lines = float(work.measure(plan.descriptor, layer).load.sum(0) @ plan.descriptor.readers)
        share = counts["busy"] / result.counters["BUSY"]  # of the layer's lines, the PE's
        modes.append(
            {
                "layer": benchmark.name,
                **counts,
                "lines": round(lines * share),
                "units": sta_power.as_record(dict(sorted(units.items()))),
                "memories": memories,
            }
        )
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
