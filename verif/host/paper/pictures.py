# SPDX-License-Identifier: Apache-2.0
"""Every picture of the study by name, as SVG."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from models.energy import N45, TECHNOLOGIES
from models.study import figure3_energy, limits, silicon
from models.systems import tables as system_tables
from models.systems.compare import DENSE, SYSTEMS, sums
from verif.host.paper import accuracy, study_tables
from verif.host.paper.study import Study

Rectangle = tuple[float, float, float, float]

# Texts stay texts, and the same study gives the same file.
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "study",
    "font.size": 9,
    "axes.grid": True,
    "grid.alpha": 0.3,
}
_MICRO = 1e6


def _bars(axes: Axes, groups: Sequence[str], values: dict[str, list[float]], label: str) -> None:
    """A bar of each series in each group."""
    width = 0.8 / max(1, len(values))
    for number, (name, heights) in enumerate(values.items()):
        axes.bar(np.arange(len(groups)) + (number + 0.5) * width - 0.4, heights, width, label=name)
    axes.set_xticks(np.arange(len(groups)), groups)
    axes.set_ylabel(label)


def systems(study: Study, figure: Figure) -> None:
    """Speed-up and saving of energy over dense, and outside traffic, by group of layers and system."""
    axes = figure.subplots(3, 1, sharex=True)
    by_group = {group: sums(rows) for group, rows in study.groups.items()}
    measures: dict[str, Callable] = {
        "over dense": lambda r, d: d.cycles / r.cycles,
        "energy on chip,\nless than dense": lambda r, d: d.total_energy / r.total_energy,
        "outside bytes,\nof dense": lambda r, d: sum(r.outside.values()) / sum(d.outside.values()),
    }
    for one, (label, measure) in zip(axes, measures.items(), strict=True):
        values = {
            s.name: [measure(results[s.name], results[DENSE.name]) for results in by_group.values()] for s in SYSTEMS
        }
        _bars(one, list(by_group), values, label)
        one.axhline(1, color="k", linewidth=0.8)
    axes[0].legend(ncols=3, fontsize=8)


def surfaces(study: Study, figure: Figure) -> None:
    """Speed-up over dense of each system against both densities."""
    speeds, scope = system_tables.speeds(study.surface), study.scope
    most = max(max(line) for lines in speeds.values() for line in lines)
    for number, (name, lines) in enumerate(speeds.items()):
        axes = figure.add_subplot(2, 3, number + 1)
        axes.pcolormesh(lines, vmin=0, vmax=most, cmap="viridis")
        for y, line in enumerate(lines):
            for x, speed in enumerate(line):
                axes.text(x + 0.5, y + 0.5, f"{speed:.1f}", ha="center", va="center", color="w", fontsize=6)
        axes.set_xticks(np.arange(len(scope.activations)) + 0.5, [f"{a:g}" for a in scope.activations])
        axes.set_yticks(np.arange(len(scope.weights)) + 0.5, [f"{w:g}" for w in scope.weights])
        axes.grid(False)
        axes.set_title(name)
        axes.set_xlabel("activations")
        axes.set_ylabel("weights")


def energy(study: Study, figure: Figure) -> None:
    """Energy of the Figure 3 layer by item."""
    for number, technology in enumerate(TECHNOLOGIES):
        axes = figure.add_subplot(1, len(TECHNOLOGIES), number + 1)
        runs = study.figure3
        below = np.zeros(len(runs))
        for place, (item, values) in enumerate(figure3_energy.items(runs, technology).items()):
            heights = np.array(values) / _MICRO
            hatch = "//" if place >= 10 else None
            axes.bar(range(len(runs)), heights, bottom=below, label=item, color=f"C{place % 10}", hatch=hatch)
            below += heights
        axes.set_xticks(range(len(runs)), [run.name.replace(", ", ",\n", 1) for run in runs], fontsize=7)
        axes.set_ylabel("uJ")
        axes.set_title(technology.name)
    axes.legend(fontsize=7)


def sensitivity(study: Study, figure: Figure) -> None:
    """How far half and twice each cost move the gain."""
    sparse, _, dense, _ = study.figure3
    for number, technology in enumerate(TECHNOLOGIES):
        axes = figure.add_subplot(1, len(TECHNOLOGIES), number + 1)
        found = figure3_energy.sensitivity(dense, sparse, technology)
        now = figure3_energy.gain(dense, sparse, technology)
        names = [figure3_energy.WHAT[cost] for cost in found]
        for place, (half, twice) in enumerate(found.values()):
            axes.barh(-place, half - now, left=now, color="C0", label="half" if not place else None)
            axes.barh(-place, twice - now, left=now, color="C1", label="twice" if not place else None)
        axes.axvline(now, color="k", linewidth=0.8)
        axes.set_yticks([-place for place in range(len(names))], names)
        axes.set_xlabel("energy of the dense machine over SparseCore")
        axes.set_title(technology.name)
    axes.legend(fontsize=8)


def sweep(study: Study, figure: Figure) -> None:
    """Gains in cycles and energy against the activations' density, a line a mode; crosses: the cycle model."""
    dense = study.dense.result.cycles
    for number, technology in enumerate((None, *TECHNOLOGIES)):
        axes = figure.add_subplot(1, 1 + len(TECHNOLOGIES), number + 1)
        for place, (mode, layers) in enumerate(study.by_mode().items()):
            densities, colour = [one.density for one in layers], f"C{place}"
            if technology:
                gains = study_tables.gains_of(study, layers, technology)
            else:
                gains = [dense / one.result.cycles for one in layers]
                predicted = [dense / one.predicted if one.predicted else np.nan for one in layers]
                axes.plot(densities, predicted, marker="x", markersize=6, linestyle="", color=colour)
            label = "weights {}/{}".format(*mode)
            axes.plot(densities, gains, marker="o", markersize=3, color=colour, label=label)
        axes.axhline(1, color="k", linewidth=0.8)
        axes.set_yscale("log")
        axes.set_xlabel("activations' density")
        axes.set_title(f"gain in energy, {technology.name}" if technology else "gain in cycles")
    axes.legend(fontsize=8)


def treemap(sizes: dict[str, float], box: Rectangle) -> dict[str, Rectangle]:
    """A rectangle (x, y, width, height) of each size within the box: halves of nearly equal size, again and again."""
    names = sorted(sizes, key=lambda name: -sizes[name])
    if len(names) == 1:
        return {names[0]: box}
    whole, taken, count = sum(sizes.values()), 0.0, 0
    while count < len(names) - 1 and (not count or taken + sizes[names[count]] / 2 < whole / 2):
        taken += sizes[names[count]]
        count += 1
    share = taken / whole
    x, y, width, height = box
    if width > height:
        boxes = (x, y, width * share, height), (x + width * share, y, width * (1 - share), height)
    else:
        boxes = (x, y, width, height * share), (x, y + height * share, width, height * (1 - share))
    parts = names[:count], names[count:]
    return {
        name: place
        for part, one in zip(parts, boxes, strict=True)
        for name, place in treemap({name: sizes[name] for name in part}, one).items()
    }


def area(study: Study, figure: Figure) -> None:
    """Area at 45 nm by unit, memories apart; and the longest paths of the units."""
    left, right = figure.subplots(1, 2, width_ratios=(2, 1))
    sizes: dict[str, float] = {}
    for unit in silicon.units():
        logic = unit.count * unit.area_ge * N45.ge_um2 / 1e6
        bits = unit.count * unit.memory_bits * N45.bit_um2 / 1e6
        for name, mm2 in ((unit.kind, logic), (f"{unit.kind}: memory", bits)):
            if mm2:
                sizes[name] = sizes.get(name, 0.0) + mm2
    for name, (x, y, width, height) in treemap(sizes, (0, 0, 1.6, 1)).items():
        colour = "C0" if name.endswith("memory") else "C2"
        left.add_patch(matplotlib.patches.Rectangle((x, y), width, height, facecolor=colour, alpha=0.5, edgecolor="w"))
        if width * height > 0.015:
            left.text(
                x + width / 2, y + height / 2, f"{name}\n{sizes[name]:.2f} mm2", ha="center", va="center", fontsize=6
            )
    left.set_xlim(0, 1.6)
    left.set_ylim(0, 1)
    left.set_axis_off()
    left.set_title(f"{sum(sizes.values()):.1f} mm2 at 45 nm, before layout")
    right.hist([unit.path_fo4 for unit in silicon.units()], bins=np.arange(30, 48, 1))
    right.axvline(45, color="k", linewidth=0.8)
    right.set_xlabel("longest path of a unit, FO4 (limit 45)")
    right.set_ylabel("units")


def figure_1(study: Study, figure: Figure) -> None:
    """Figure 1: accuracy lost against sparsity, with the paper's claim marked."""
    axes = figure.subplots()
    kept = [point for point in accuracy.points(study_tables.records()) if not point.kind.startswith("dense")]
    for kind, m in dict.fromkeys((point.kind, point.m) for point in kept):
        line = sorted((p for p in kept if (p.kind, p.m) == (kind, m)), key=lambda point: point.sparsity)
        axes.plot(
            [100 * p.sparsity for p in line],
            [-p.loss.mean() for p in line],
            marker="o",
            markersize=3,
            linestyle="-" if len(line) > 1 else "",
            label=f"{kind}, m = {m}",
        )
    axes.axvspan(50, 75, color="C2", alpha=0.15, label='paper: "50 % to 75 % without loss"')
    axes.axhline(0, color="k", linewidth=0.8)
    axes.set_xlabel("sparsity of the pruned convolutions, %")
    axes.set_ylabel("accuracy against the dense network, points")
    axes.legend(fontsize=7)


def scaling(study: Study, figure: Figure) -> None:
    """Throughput, and throughput per area, against PEs."""
    layers = list(dict.fromkeys(point.layer for point in study.sizes))
    measures: dict[str, Callable] = {
        "useful MACs a cycle": lambda p: p.macs_per_cycle,
        "MACs a cycle and mm2 (45 nm)": lambda p: p.macs_per_cycle / p.mm2,
    }
    for row, (label, measure) in enumerate(measures.items()):
        for column, layer in enumerate(layers):
            axes = figure.add_subplot(2, len(layers), row * len(layers) + column + 1)
            mine = [point for point in study.sizes if point.layer == layer]
            for lanes in dict.fromkeys(p.config.NumLanes for p in mine):
                line = [p for p in mine if p.config.NumLanes == lanes and "banks" not in p.config.name]
                axes.plot(
                    [p.config.NumPe for p in line], [measure(p) for p in line], marker="o", label=f"{lanes} lanes"
                )
            for p in mine:
                if "banks" in p.config.name:
                    axes.plot(p.config.NumPe, measure(p), marker="x", color="k", linestyle="", label=p.config.name)
            axes.set_xscale("log", base=2)
            axes.set_ylabel(label)
            axes.set_title(layer if not row else "")
            axes.set_xlabel("PEs" if row else "")
    axes.legend(fontsize=7)


def bounds(study: Study, figure: Figure) -> None:
    """How long each part alone would take, of the layer's cycles."""
    axes = figure.subplots()
    values: dict[str, list[float]] = {}
    names = []
    for run in study.first_runs:
        names.append(run.benchmark.name)
        for part, cycles in limits.bounds(run.plan, run.work, run.counters).items():
            values.setdefault(part, []).append(100 * cycles / run.counters["CYCLES"])
    height = 0.8 / max(1, len(values))
    for number, (part, shares) in enumerate(values.items()):
        axes.barh(-np.arange(len(names)) - (number + 0.5) * height + 0.4, shares, height, label=part)
    axes.set_yticks(-np.arange(len(names)), names, fontsize=7)
    axes.set_xlabel("% of the layer's cycles")
    axes.legend(fontsize=7)


PICTURES: dict[str, tuple[Callable[[Study, Figure], None], tuple[float, float]]] = {
    "systems": (systems, (8, 7)),
    "surfaces": (surfaces, (10, 5)),
    "energy": (energy, (10, 4.5)),
    "sensitivity": (sensitivity, (10, 3)),
    "sweep": (sweep, (10, 3.5)),
    "area": (area, (10, 5)),
    "pruning": (figure_1, (8, 4.5)),
    "scaling": (scaling, (9, 6)),
    "bounds": (bounds, (9, 7)),
}


def everything(study: Study) -> dict[str, str]:
    """All pictures by name, as SVG."""
    found = {}
    with matplotlib.rc_context(_STYLE):
        for name, (draw, size) in PICTURES.items():
            figure = Figure(size, layout="constrained")
            draw(study, figure)
            file = io.StringIO()
            figure.savefig(file, format="svg", metadata={"Date": None})
            found[name] = file.getvalue()
    return found
