# SPDX-License-Identifier: Apache-2.0
"""Every table of the study by name, as Markdown."""

from __future__ import annotations

import json
from textwrap import fill

from models.energy import TECHNOLOGIES, Technology
from models.study import figure3_energy, limits, netlist_power, silicon
from models.study.scaling import Point
from models.systems import tables
from models.systems.tables import markdown
from verif.host.benchmarks import FIGURE_3, FIGURE_3_DENSE_CYCLES
from verif.host.cli.figure3 import PAPER, STATE_LABELS
from verif.host.paper import accuracy, measured
from verif.host.paper.study import BENCHMARK_LAYERS, CONVOLUTIONS, Study
from verif.host.synth.report import NODES
from verif.shared.paths import ROOT

RUNS = ROOT / "docs" / "figure1" / "runs.jsonl"
_MICRO = 1e6  # pJ in a uJ
_KILO = 1024

# Asked of the core's energy: densities of weights and activations, and the least gain over the dense machine.
ASKED = {
    "half of the weights, half of the activations": (0.5, 0.5, 2.5),
    "half of the weights, activations at 0.8": (0.5, 0.8, 1.0),
    "dense weights, all activations": (1.0, 1.0, 1 / 1.05),
}


def records() -> list[dict]:
    """The runs of Figure 1."""
    return [json.loads(line) for line in RUNS.read_text().splitlines()]


def figure_3(study: Study) -> str:
    """Cycles of the Figure 3 layer by the RTL, beside the paper."""
    sparse, dense = study.figure3[:2]
    run = next(r for r in study.runs if r.benchmark == FIGURE_3)
    shares = [(f"PE-cycles {label}", state) for state, label in STATE_LABELS.items()]
    pes = run.plan.config.NumPe
    rows = [
        ("cycles", f"{sparse.result.cycles:,}", "-"),
        ("cycles in dense mode, all activations", f"{dense.result.cycles:,}", "-"),
        ("cycles of a dense machine without an idle multiplier", f"{FIGURE_3_DENSE_CYCLES:,}", "-"),
        ("over dense mode", f"{dense.result.cycles / sparse.result.cycles:.2f}x", PAPER["speedup"]),
        ("ALU utilisation", f"{100 * sparse.result.utilization:.1f} %", PAPER["utilization"]),
        *((name, f"{100 * run.counters[state] / (pes * run.counters['CYCLES']):.2f} %", "-") for name, state in shares),
    ]
    return markdown(("64x64x64, 3x3x128, 2/4, half zero", "this core", "paper"), rows)


def energy(study: Study) -> str:
    """Energy of the Figure 3 layer by item, in uJ, in each technology."""
    runs = study.figure3
    found = [figure3_energy.items(runs, technology) for technology in TECHNOLOGIES]
    rows = [(item, *(f"{one[item][i] / _MICRO:,.1f}" for one in found for i in range(len(runs)))) for item in found[0]]
    totals = [figure3_energy.total(run, technology) for technology in TECHNOLOGIES for run in runs]
    rows.append(("**all**", *(f"**{value / _MICRO:,.1f}**" for value in totals)))
    sparse = [figure3_energy.total(runs[0], technology) for technology in TECHNOLOGIES for _ in runs]
    rows.append(("over SparseCore", *(f"{t / s:.2f}x" for t, s in zip(totals, sparse, strict=True))))
    header = [f"{technology.name}: {run.name}" for technology in TECHNOLOGIES for run in runs]
    return markdown(("uJ", *header), rows)


def costs(study: Study) -> str:
    """What an action costs."""
    units = {
        "multiply": "an 8-bit multiplication",
        "add": "a 32-bit addition",
        "memory": "64 bits read from 8 KB",
        "wire": "a bit over a millimetre",
        "flip_flop": "a flip-flop's clock cycle",
        "gate": "a gate that switches",
        "dram": "a bit from outside",
    }
    rows = [(what, *(f"{1000 * getattr(t, cost):,.2f}" for t in TECHNOLOGIES)) for cost, what in units.items()]
    for what, sides in (("core", silicon.sides), ("dense machine", silicon.dense_sides)):
        rows.append((f"side of the {what}, mm", *(f"{sides(t).machine:.2f}" for t in TECHNOLOGIES)))
        rows.append(("side of its PEs, mm", *(f"{sides(t).pes:.2f}" for t in TECHNOLOGIES)))
    return markdown(("fJ", *(t.name for t in TECHNOLOGIES)), rows)


def sources(study: Study) -> str:
    """Where the costs come from."""
    items = (f"- **{technology.name}**: {technology.source}." for technology in TECHNOLOGIES)
    return "".join(fill(item, 120, subsequent_indent="  ") + "\n" for item in items)


def sensitivity(study: Study) -> str:
    """What moves the gain in energy over the dense machine."""
    sparse, _, dense, _ = study.figure3
    rows = [
        (technology.name, figure3_energy.WHAT[cost], f"{half:.2f}x", f"{twice:.2f}x", f"{abs(twice - half):.2f}")
        for technology in TECHNOLOGIES
        for cost, (half, twice) in figure3_energy.sensitivity(dense, sparse, technology).items()
    ]
    return markdown(("technology", "cost of", "half of it", "twice", "moves by"), rows, 2)


def netlist(study: Study) -> str:
    """A PE of gates beside the model."""
    return netlist_power.table(netlist_power.load())


def sweep(study: Study) -> str:
    """Gains in cycles and energy over the dense machine by mode and density."""
    rows = []
    for technology in TECHNOLOGIES:
        gains = gains_of(study, technology)
        for w, line in zip(study.scope.weights, gains, strict=True):
            even = figure3_energy.break_even(study.scope.activations, line)
            rows.append(
                (technology.name, f"{w:.2f}", *(f"{g:.2f}x" for g in line), "-" if even is None else f"{even:.2f}")
            )
    densities = (f"{a:.1f}" for a in study.scope.activations)
    return markdown(("technology", "weights", *densities, "even at"), rows, 2)


def gains_of(study: Study, technology: Technology) -> list[list[float]]:
    """Energy of the dense machine over the core's, [weights][activations]."""
    return study.gains(
        lambda dense, sparse: figure3_energy.gain(
            figure3_energy.Run("dense", dense, dense=True), figure3_energy.Run("sparse", sparse), technology
        )
    )


def asked(study: Study) -> str:
    """What was asked of the energy, and what is found."""
    rows = []
    scope = study.scope
    for technology in TECHNOLOGIES:
        gains = gains_of(study, technology)
        for what, (w, a, least) in ASKED.items():
            if w in scope.weights and a in scope.activations:
                found = gains[scope.weights.index(w)][scope.activations.index(a)]
                verdict = "met" if found >= least else "**missed**"
                rows.append((what, technology.name, f"{least:.2f}x", f"{found:.2f}x", verdict))
    return markdown(("layer", "technology", "asked", "found", ""), rows, 2)


def traffic(study: Study) -> str:
    """Storage and bytes moved by layer."""
    rows = []
    for run in study.first_runs:
        if run.benchmark in CONVOLUTIONS:
            t = limits.traffic(run.layer, run.plan, run.counters)
            sizes = (t.weights, t.weights_stored, t.activations, t.activations_stored, t.saved, t.moved)
            rows.append((run.benchmark.name, *(f"{size / _KILO:,.0f}" for size in sizes)))
    header = ("weights", "stored", "activations", "stored", "saved", "to and from memories")
    return markdown(("layer, KB", *header), rows)


def bounds(study: Study) -> str:
    """What each layer is bound by: the longest in bold."""
    rows = []
    for run in study.first_runs:
        found = limits.bounds(run.plan, run.work, run.counters)
        most = max(found.values())
        cells = (f"**{value:,.0f}**" if value == most else f"{value:,.0f}" for value in found.values())
        cycles = run.counters["CYCLES"]
        rows.append((run.benchmark.name, *cells, f"{cycles:,}", f"{100 * most / cycles:.0f} %"))
    header = list(limits.bounds(run.plan, run.work, run.counters)) if rows else []
    return markdown(("layer", *header, "cycles", "longest of all"), rows)


def rtl(study: Study) -> str:
    """The core's own figures of all layers, means over the seeds."""
    cycles = measured.mean_cycles(study.runs)
    rows = []
    for name, mean in cycles.items():
        runs = [run for run in study.runs if run.benchmark.name == name]
        config = runs[0].plan.config
        used = [r.counters["MACS"] / (r.counters["CYCLES"] * config.NumPe * config.NumLanes) for r in runs]
        shares = []
        for state in STATE_LABELS:
            share = sum(r.counters[state] / (config.NumPe * r.counters["CYCLES"]) for r in runs) / len(runs)
            shares.append(f"{100 * share:.1f}")
        error = "-"
        if name in study.predicted:
            error = f"{100 * (study.predicted[name] / runs[0].counters['CYCLES'] - 1):+.1f} %"
        rows.append((name, f"{len(runs)}", f"{mean:,}", error, f"{100 * sum(used) / len(used):.1f} %", *shares))
    return markdown(("layer", "seeds", "cycles", "cycle model", "utilisation", *STATE_LABELS.values()), rows)


def table_2(study: Study) -> str:
    """Areas beside the paper's Table 2, in mm2."""
    rows = silicon.data()["table2"]
    columns = list(next(iter(rows.values())))
    totals = {f"total {node}, 80 %": ("memory, small macros", f"logic {node}, 80 %") for node in NODES}

    def cells(areas: dict[str, float]) -> list[str]:
        values = [areas[column] for column in columns] + [sum(areas[c] for c in both) for both in totals.values()]
        return [f"{value:.2f}" if value else "-" for value in values]

    everything = {column: sum(areas[column] for areas in rows.values()) for column in columns}
    shown = [(row, *cells(areas)) for row, areas in (rows | {"Total": everything}).items()]
    return markdown(("mm2, before layout", *columns, *totals), shown)


def figure_1(study: Study) -> str:
    """The runs of Figure 1."""
    return accuracy.table(records())


def scaling(study: Study) -> str:
    """Throughput and area by size."""
    rows = []
    for name in dict.fromkeys(point.layer for point in study.sizes):
        for p in (point for point in study.sizes if point.layer == name):
            rows.append(
                (
                    name,
                    p.config.name,
                    f"{p.result.cycles:,}",
                    f"{p.macs_per_cycle:,.0f}",
                    f"{100 * p.result.utilization:.0f} %",
                    f"{silicon.logic_ge(p.config) / 1e6:.2f}",
                    f"{p.mm2:.1f}",
                    f"{p.macs_per_cycle / p.mm2:.1f}",
                )
            )
    header = ("cycles", "useful MACs a cycle", "utilisation", "MGE", "mm2 at 45 nm", "MACs a cycle and mm2")
    return markdown(("layer", "PEs x lanes", *header), rows, 2)


def knobs(study: Study) -> str:
    """One size changed at a time: cycles against the base, and memory."""
    base: dict[str, Point] = {}
    rows = []
    for point in study.knobs:
        first = base.setdefault(point.layer, point)
        ratio = point.result.cycles / first.result.cycles - 1
        rows.append((point.layer, "paper" if point is first else point.config.name, point.result.cycles, ratio))
    layers = list(base)
    by_name: dict[str, list[str]] = {}
    for _, name, cycles, ratio in rows:
        by_name.setdefault(name, []).append(f"{cycles:,} ({100 * ratio:+.1f} %)")
    return markdown(("sizes", *layers), ((name, *cells) for name, cells in by_name.items()))


def closing(study: Study) -> str:
    """Five systems and the dense machine on the Figure 3 layer and on ResNet-18."""
    groups = {
        FIGURE_3.name: [r for r in study.groups.get(BENCHMARK_LAYERS, []) if r.work.name == FIGURE_3.name],
        "ResNet-18": study.groups.get("ResNet-18", []),
    }
    return tables.totals({name: rows for name, rows in groups.items() if rows})


def parameters(study: Study) -> str:
    """The knobs with what configurations say of them."""
    text = (ROOT / "rtl" / "configs.toml").read_text()
    comments: dict[str, str] = {}
    values: dict[str, list[str]] = {}
    for line in text.splitlines():
        name, _, rest = line.partition("=")
        value, _, comment = rest.partition("#")
        if value.strip().isdigit():
            values.setdefault(name.strip(), []).append(value.strip())
            if comment:
                comments[name.strip()] = comment.strip()
    return markdown(
        ("parameter", "what", "small, medium, paper"),
        ((f"`{name}`", comments.get(name, "-"), ", ".join(found[:3])) for name, found in values.items()),
        3,
    )


def everything(study: Study) -> dict[str, str]:
    """All tables by name, in the page's order."""
    scope = study.scope
    layers = study.groups.get(BENCHMARK_LAYERS, [])
    found = {
        "closing": closing(study),
        "validation": tables.validation(study.checks),
        "traits": tables.traits(study.traits),
        "totals": tables.totals(study.groups),
        "layers": tables.by_layer(layers, measured.mean_cycles(study.runs)),
        "losses": tables.losses(study.groups),
        "surfaces": tables.surfaces(study.surface, scope.weights, scope.activations),
    }
    for table in (
        figure_3,
        rtl,
        costs,
        sources,
        energy,
        sensitivity,
        netlist,
        asked,
        sweep,
        traffic,
        bounds,
        table_2,
        figure_1,
        scaling,
        parameters,
        knobs,
    ):
        found[table.__name__] = table(study)
    return found
