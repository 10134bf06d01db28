# SPDX-License-Identifier: Apache-2.0
"""The figures of a program as Markdown."""

from __future__ import annotations

from models.program import ENGINES
from verif.host.report.figures import Figures, Row, node_title

HEADER = (
    "| layer | kind | input | output | k/m | weights | density | parts | predicted | cycles | off | utilisation "
    "| over dense | streamed | read, written | bound by |\n"
    "|---|---|---|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---|"
)
LEGEND = (
    "Weights, density: share of the weights and of what the layer reads that is not zero. Cycles an image, from the "
    "retirement of the layer before, in whose tail a layer begins. Utilisation: products of two non-zeros over all "
    "multipliers and cycles. Over dense: against the cycles that as many multipliers take for all products if they "
    "never wait. Streamed: kB an image of weights and parameters from outside; read, written: kB an image of the "
    "Activation Memory. Bound by: what took most of the layer's time, and its share; within a layer as the cycle "
    "model says."
)


def row(figures: Figures, row: Row) -> str:
    """A line of the table."""
    images = figures.images
    shapes = " | ".join("x".join(map(str, shape)) for shape in row.shapes)
    measured = " | "
    if row.measured is not None:
        measured = f"{row.measured / images:,.0f} | {row.predicted / row.measured - 1:+.1%}"
    mode = f"{row.node.k}/{row.node.m}" if row.weights is not None else ""
    weights = "" if row.weights is None else f"{row.weights:.2f}"
    streamed, read, written = (f"{count / images / 1000:,.1f}" for count in (row.streamed, row.read, row.written))
    return (
        f"| {row.node.name} | {node_title(row)} | {shapes} | {mode} | {weights} | {row.density:.2f} | {row.parts} "
        f"| {row.predicted / images:,.0f} | {measured} | {figures.utilisation(row):.1%} "
        f"| {row.dense / row.cycles:.2f}x | {streamed} | {read}, {written} | {row.bound} |"
    )


def table(figures: Figures) -> str:
    """All layers."""
    return "\n".join([HEADER, *(row(figures, one) for one in figures.rows)])


def summary(figures: Figures) -> list[str]:
    """The run as a whole, a line each."""
    report, images = figures.report, figures.images
    forecast = "predicted" if report is None else f"({figures.forecast:,} predicted)"
    lines = [
        f"{figures.cycles:,} cycles {forecast} for {images} image{'s' if images > 1 else ''}, "
        f"{figures.cycles / images:,.0f} an image; utilisation {figures.utilisation():.1%}, "
        f"{figures.over_dense:.2f}x over dense",
        bandwidth(figures),
    ]
    if report is not None:
        lines += [
            f"equal to the integer network: {report.lines:,} lines of {len(report.layers):,} layers when they were "
            f"written, {report.packets:,} result lines; {report.cycles / report.seconds:,.0f} cycles a second",
        ]
    return lines


def bandwidth(figures: Figures) -> str:
    """What the streams bring and take, in bytes a cycle, and how long each is busy."""
    times, cycles, width = figures.times, figures.cycles, figures.config.StreamBytes
    weights = figures.program.beats.shape[1] * sum(load.count for load in figures.program.weights) * times.iterations
    busy = {name: times.busy(engine) / cycles for engine, name in enumerate(ENGINES) if name != "layers"}
    shares = ", ".join(f"{name} {share:.0%}" for name, share in busy.items())
    return (
        f"weight stream: {weights / cycles:.2f} bytes a cycle on average ({weights / figures.images / 1000:,.1f} kB an "
        f"image), input and results at most {width} each; streams under way: {shares} of the time"
    )
