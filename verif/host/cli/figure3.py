# SPDX-License-Identifier: Apache-2.0
"""`make run`: the paper's Figure 3 layer on the core, with the paper's figures beside the measured ones."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from models import energy, work
from models.config import Config, load_config
from models.layer import Layer
from models.tiling import Plan
from verif.host.benchmarks import FIGURE_3, Benchmark, planned, planned_dense
from verif.host.cli.occupancy import draw_occupancy
from verif.host.cli.phase import phase
from verif.host.core import build_core
from verif.host.layers import LayerResult, run_layers
from verif.host.runner.build import check_simulator
from verif.host.runner.run import default_seed
from verif.shared.paths import BUILD, ROOT

ICARUS_FACTOR = 8  # makes the layer one of a minute or two on small

# SparseCore, SysML 2018: about 90 % of the ALUs busy, 3.1 times the performance of dense execution.
PAPER = {"utilization": "near 90 %", "speedup": "3.1x"}
STATE_LABELS = {
    "BUSY": "busy",
    "NO_WEIGHT": "idle: no weight",
    "NO_ACTIVATION": "idle: no activation",
    "DRAIN": "idle: drain",
    "NO_UNIT": "idle: no unit",
}


def microjoules(layer: Layer, plan: Plan, result: LayerResult) -> float:
    """Dynamic energy by models/energy.py from the core's counters."""
    counts = {name.lower(): value for name, value in result.counters.items()}
    return sum(energy.actions(plan, work.measure(plan.descriptor, layer), counts).energy().values()) / 1e6


def report(sparse: LayerResult, dense: LayerResult, pes: int, energies: list[float]) -> Table:
    """The measured figures beside the paper's; ``energies``: sparse and dense, in microjoules."""
    table = Table("", "measured", "paper")
    table.add_row("cycles", f"{sparse.cycles:,}", "")
    table.add_row("cycles in dense mode", f"{dense.cycles:,}", "")
    table.add_row("ALU utilisation", f"{100 * sparse.utilization:.1f} %", PAPER["utilization"])
    table.add_row("speed-up over dense", f"{dense.cycles / sparse.cycles:.2f}x", PAPER["speedup"])
    for state, label in STATE_LABELS.items():
        share = sparse.counters[state] / (pes * sparse.cycles)
        table.add_row(f"PE-cycles {label}", f"{sparse.counters[state]:,} ({100 * share:.2f} %)", "")
    table.add_row("energy, rough model", f"{energies[0]:,.1f} uJ, dense {energies[1]:,.1f} uJ", "")
    table.add_row("simulated cycles per second", f"{sparse.cycles / sparse.seconds:,.0f}", "")
    return table


def fitting(config: Config, sim: str, seed: int) -> tuple[Benchmark, str, list[tuple[Layer, Plan]]]:
    """The Figure 3 layer, halved in each dimension until it fits sparse and in dense mode.

    Returns it, why it was halved (or ""), and the layer and its dense mode with their plans.
    Raises ValueError when even a layer of two input channels does not fit.
    """
    factor, why = (
        (ICARUS_FACTOR, "Icarus simulates some hundred cycles of small a second") if sim == "icarus" else (1, "")
    )
    while True:
        benchmark = FIGURE_3.smaller(factor) if factor > 1 else FIGURE_3
        try:
            dense = planned_dense(config, benchmark, seed)  # first: its weights are twice those of 2/4
            return benchmark, why, [*planned(config, benchmark, seed), dense]
        except ValueError as error:
            if benchmark.shape[0] <= 2:
                raise
            factor, why = 2 * factor, why or str(error)


def run(config: str = "paper", sim: str = "verilator") -> None:
    """Run the Figure 3 layer on CONFIG with SIM, sparse and in dense mode, and check every output.

    Where it does not fit, or would take long on Icarus, a smaller layer of the same kind.
    """
    console, seed = Console(highlight=False), default_seed()
    configuration = load_config(config)
    check_simulator(sim)
    with phase(console, "planning the layer"):
        benchmark, why, layers = fitting(configuration, sim, seed)
    if why:
        console.print(f"{benchmark.name} in place of {FIGURE_3.name}: {why}", soft_wrap=True)
    with phase(console, f"building {config} with {sim}"):
        design = build_core(config, sim)
    out = BUILD / "run" / f"{config}-{sim}"
    with phase(console, f"simulating {benchmark.name} on {config} with {sim}, sparse and in dense mode") as tell:
        results = run_layers(design, config, layers, out, f"make run CONFIG={config} SIM={sim} SEED={seed}", tell)
    picture = out / "occupancy.png"
    draw_occupancy(results[0].states, f"{benchmark.name} on {config}", picture)
    console.print(
        f"{benchmark.name} on {config} ({configuration.NumPe} PEs x {configuration.NumLanes} ALUs), {sim}, seed {seed}",
        soft_wrap=True,
    )
    energies = [microjoules(*one, result) for one, result in zip(layers, results, strict=True)]
    sparse, dense = results
    console.print(report(sparse, dense, configuration.NumPe, energies))
    console.print(f"all {results[0].output.size:,} outputs equal the reference convolution, in both modes")
    console.print(f"occupancy of the PEs over time: {picture.relative_to(ROOT)}")
