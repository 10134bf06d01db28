# SPDX-License-Identifier: Apache-2.0
"""Figure 1 and its table, drawn from the records of the runs alone."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

AXES = {"output": "output depth", "input": "input depth", "whole": "unstructured"}


@dataclass(frozen=True)
class Point:
    """Runs that differ in the seed alone. Accuracies and losses are in percent and points, one a seed; loss: below the
    dense network of the same seed, both in float."""

    kind: str
    m: int
    sparsity: float
    real: np.ndarray
    int8: np.ndarray
    loss: np.ndarray


def _kind(record: dict) -> str:
    if record["trained"]:
        return "dense"
    if record["method"] == "dense":
        return "dense, trained on as long"
    if record["method"] == "per-layer":
        return "a mode for each layer"
    if record["method"] == "permuted":
        return "output depth, channels permuted"
    if record["method"] == "longer":
        return "output depth, retrained twice as long"
    what = AXES[record["axis"]]
    return what if record["method"] == "iterative" else f"{what}, {record['method']}"


def points(records: list[dict]) -> list[Point]:
    """The records by kind, m and sparsity, in the order in which they first came."""
    dense = {record["seed"]: record["float"] for record in records if record["trained"]}
    groups = defaultdict(list)
    for record in records:
        if record["seed"] in dense:
            groups[_kind(record), record["m"], record["sparsity"]].append(record)
    found = []
    for (kind, m, sparsity), runs in groups.items():
        real, int8 = (100 * np.array([run[key] for run in runs]) for key in ("float", "int8"))
        found.append(Point(kind, m, sparsity, real, int8, 100 * np.array([dense[run["seed"]] for run in runs]) - real))
    return found


def _spread(values: np.ndarray, sign: str = "") -> str:
    spread = f" ± {values.std(ddof=1):.2f}" if len(values) > 1 else ""
    return f"{values.mean():{sign}.2f}{spread}"


def _mode(point: Point) -> str:
    if point.kind.startswith(("output", "input")):
        return f"{round((1 - point.sparsity) * point.m)}/{point.m}"
    return ""


def _sparsity(point: Point) -> str:
    return "0 %" if point.kind.startswith("dense") else f"{100 * point.sparsity:g} %"


def table(records: list[dict]) -> str:
    """All runs as a Markdown table: mean and standard deviation over the seeds."""
    lines = [
        "| pruned along | k/m | sparsity | seeds | float % | int8 % | float lost, points | int8 below float, points |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for point in sorted(
        points(records), key=lambda point: (point.kind != "dense", point.kind, point.m, point.sparsity)
    ):
        lines.append(
            f"| {point.kind} | {_mode(point)} | {_sparsity(point)} | {len(point.real)} | {_spread(point.real)} "
            f"| {_spread(point.int8)} | {_spread(point.loss, '+')} | {_spread(point.real - point.int8, '+')} |"
        )
    return "\n".join([*lines, ""])


def _line(axes, found: list[Point], values: str, label: str, **style) -> None:
    found = sorted(found, key=lambda point: point.sparsity)
    measured = [getattr(point, values) for point in found]
    spread = [value.std(ddof=1) if len(value) > 1 else 0 for value in measured]
    x = [100 * point.sparsity for point in found]
    axes.errorbar(x, [value.mean() for value in measured], spread, label=label, capsize=3, markersize=4, **style)


def draw(records: list[dict], path: Path, title: str) -> None:
    """Accuracy against sparsity: on the left the output depth in float and int8, on the right other ways to prune."""
    found = points(records)
    dense = [point for point in found if point.kind == "dense"]
    figure = Figure((12, 4.8), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for m, colour in ((4, "C0"), (8, "C1"), (16, "C2")):
        line = dense + [point for point in found if point.kind == "output depth" and point.m == m]
        _line(left, line, "real", f"m = {m}, float", color=colour, marker="o")
        _line(left, line, "int8", f"m = {m}, int8", color=colour, marker="x", linestyle="--")
    left.set_title("k/m along the output depth")
    kinds = dict.fromkeys((point.kind, point.m) for point in found if point.kind not in ("dense", "output depth"))
    colours = [colormaps["tab20"](number) for number in range(20)]
    for (kind, m), shade in zip([("output depth", 4), *kinds], (*colours[::2], *colours[1::2]), strict=False):
        line = [point for point in found if point.kind == kind and point.m == m]
        shown = (
            kind
            if kind in ("unstructured", "a mode for each layer", "dense, trained on as long")
            else f"{kind}, m = {m}"
        )
        joined = "-" if len(line) > 1 else ""
        _line(right, dense * (joined == "-") + line, "real", shown, marker="o", linestyle=joined, color=shade)
    right.set_title("other ways to prune, float")
    for axes in (left, right):
        axes.set_xlabel("sparsity of the pruned convolutions, %")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8, loc="lower left")
    left.set_ylabel("test accuracy, %")
    figure.suptitle(title)
    figure.savefig(path, dpi=110)
