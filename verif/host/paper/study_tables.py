# SPDX-License-Identifier: Apache-2.0
"""Every table of the study by name, as Markdown."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import fill

from models.energy import TECHNOLOGIES, Technology
from models.study import figure3_energy, limits, netlist_power, silicon
from models.study.scaling import Point
from models.systems import tables
from models.systems.tables import markdown
from verif.host import model_errors
from verif.host.benchmarks import FIGURE_3, FIGURE_3_DENSE_CYCLES
from verif.host.cli.figure3 import PAPER, STATE_LABELS
from verif.host.paper import accuracy, measured
from verif.host.paper.study import BENCHMARK_LAYERS, CONVOLUTIONS, Study, Swept
from verif.host.synth.report import NODES
from verif.shared.paths import ROOT

RUNS = ROOT / "docs" / "figure1" / "runs.jsonl"
_MICRO = 1e6  # pJ in a uJ
_KILO = 1024

# Asked of the core's energy: mode, density of the activations, and the least gain over the dense machine.
ASKED = (
    ((2, 4), 0.5, 2.5),
    *((mode, 0.8, 1.0) for mode in ((1, 1), (2, 4), (1, 4))),
    ((1, 1), 1.0, 1 / 1.05),
)


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
    for what, sides in (("core", silicon.sides), ("dense machine", figure3_energy.dense_sides)):
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


def netlist_ratios(study: Study) -> str:
    """How far the model is from it."""
    return netlist_power.ratios(netlist_power.load())


def sweep_cycles(study: Study) -> str:
    """Cycles of the sweep on the RTL with the cycle model's error; where they are the dense machine's."""
    rows, dense = [], study.dense.result.cycles
    for mode, layers in study.by_mode().items():
        cells = []
        for one in layers:
            error = "" if one.predicted is None else f" ({one.predicted / one.result.cycles - 1:+.1%})"
            cells.append(f"{one.result.cycles:,}{error}")
        rows.append((_mode(mode), *cells, _even(layers, [dense / one.result.cycles for one in layers])))
    return markdown(("weights", *_densities(study), "even at"), rows)


def sweep_energy(study: Study) -> str:
    """Energy of the dense machine over the core's in the sweep; where it is the same."""
    rows = []
    for technology in TECHNOLOGIES:
        for mode, layers in study.by_mode().items():
            gains = gains_of(study, layers, technology)
            rows.append((technology.name, _mode(mode), *(f"{gain:.2f}x" for gain in gains), _even(layers, gains)))
    return markdown(("technology", "weights", *_densities(study), "even at"), rows, 2)


def _mode(mode: tuple[int, int]) -> str:
    return "{}/{}".format(*mode)


def _densities(study: Study) -> list[str]:
    """Of one mode's layers in the sweep, and so of all."""
    return [f"{one.density:g}" for one in next(iter(study.by_mode().values()), [])]


def _even(layers: Sequence[Swept], gains: Sequence[float]) -> str:
    """The density of activations below which the core gains."""
    even = figure3_energy.break_even([one.density for one in layers], gains)
    if even is None:
        return "gains always" if min(gains) >= 1 else "never"
    return f"{even:.2f}"


def gains_of(study: Study, layers: Sequence[Swept], technology: Technology) -> list[float]:
    """Energy of the dense machine over the core's."""
    return [figure3_energy.gain(study.dense, _as_run(one), technology) for one in layers]


def _as_run(one: Swept) -> figure3_energy.Run:
    return figure3_energy.Run(f"{_mode(one.mode)} at {one.density:g}", one.result)


@dataclass(frozen=True)
class Judgement:
    """What was asked of a layer of the sweep in a technology, and what is found: gains over the dense machine."""

    layer: Swept
    technology: Technology
    asked: float
    found: float

    @property
    def missed(self) -> bool:
        return self.found < self.asked


def judgements(study: Study) -> list[Judgement]:
    """All that was asked of the energy."""
    return [
        Judgement(one, technology, least, figure3_energy.gain(study.dense, _as_run(one), technology))
        for technology in TECHNOLOGIES
        for mode, density, least in ASKED
        for one in study.swept
        if (one.mode, one.density) == (mode, density)
    ]


def asked(study: Study) -> str:
    """What was asked of the energy, and what is found."""
    rows = []
    for one in judgements(study):
        verdict = "**missed**" if one.missed else "met"
        layer = (_mode(one.layer.mode), f"{one.layer.density:g}", one.technology.name)
        rows.append((*layer, f"{one.asked:.2f}x", f"{one.found:.2f}x", verdict))
    return markdown(("weights", "activations", "technology", "asked", "found", ""), rows, 3)


def excess(study: Study) -> str:
    """Of what was missed, by item: uJ of the core beyond the dense machine's over the gain asked. They add up to what
    the core takes too much."""
    missed = [one for one in judgements(study) if one.missed]
    columns = []
    for one in missed:
        found = figure3_energy.items([_as_run(one.layer), study.dense], one.technology)
        beyond = {item: (core - dense / one.asked) / _MICRO for item, (core, dense) in found.items()}
        columns.append(beyond | {"**all**": sum(beyond.values())})
    items = sorted(columns[0], key=lambda item: (item == "**all**", -columns[0][item])) if columns else []
    header = [f"{_as_run(one.layer).name}, {one.technology.name}" for one in missed]
    return markdown(
        ("uJ", *header), ((item, *(f"{round(column[item], 1) + 0:+,.1f}" for column in columns)) for item in items)
    )


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


def cycle_model(study: Study) -> str:
    """The cycle model against the RTL by configuration."""
    return model_errors.summary(model_errors.cycles())


def cycle_model_missed(study: Study) -> str:
    """The layers beyond its bounds."""
    return model_errors.missed()


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
        netlist_ratios,
        asked,
        excess,
        sweep_cycles,
        sweep_energy,
        traffic,
        bounds,
        table_2,
        figure_1,
        scaling,
        cycle_model,
        cycle_model_missed,
        parameters,
        knobs,
    ):
        found[table.__name__] = table(study)
    return found
