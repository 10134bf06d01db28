# SPDX-License-Identifier: Apache-2.0
"""The figures of a program as Markdown."""

from __future__ import annotations

from models.program import ENGINES
from verif.host.report.layer_figures import Figures, Row, node_title

_TEXT = ("layer", "kind", "input", "output", "k/m", "bound by")  # columns
LEGEND = (
    "Weights, density: share of the weights and of what the layer reads that is not zero. Cycles an image, from the "
    "retirement of the layer before, in whose tail a layer begins. Predicted: by the cycle model, of a run on its "
    "images. Utilisation: products of two non-zeros over all "
    "multipliers and cycles. Over dense: against the cycles that as many multipliers take for all products if they "
    "never wait. Streamed: kB an image of weights and parameters from outside; read, written: kB an image of the "
    "Activation Memory. Bound by: what took most of the layer's time, and its share; within a layer as the cycle "
    "model says."
)


def _cells(figures: Figures, row: Row) -> dict[str, str]:
    """A line of the table, by column."""
    images, convolves = figures.images, row.weights is not None
    streamed, read, written = (f"{count / images / 1000:,.1f}" for count in (row.streamed, row.read, row.written))
    measured = {}
    if row.measured is not None:
        measured = {"cycles": f"{row.measured / images:,.0f}", "off": f"{row.predicted / row.measured - 1:+.1%}"}
    return {
        "layer": row.node.name,
        "kind": node_title(row),
        **{name: "x".join(map(str, shape)) for name, shape in zip(("input", "output"), row.shapes, strict=True)},
        "k/m": f"{row.node.k}/{row.node.m}" if convolves else "",
        "weights": f"{row.weights:.2f}" if convolves else "",
        "density": f"{row.density:.2f}",
        "parts": str(row.parts),
        "predicted": f"{row.predicted / images:,.0f}",
        **measured,
        "utilisation": f"{figures.utilisation(row):.1%}",
        "over dense": f"{row.dense / row.cycles:.2f}x",
        "streamed": streamed,
        "read, written": f"{read}, {written}",
        "bound by": row.bound,
    }


def table(figures: Figures) -> str:
    """All layers."""
    rows = [_cells(figures, one) for one in figures.rows]
    rule = {name: "---" if name in _TEXT else "---:" for name in rows[0]}
    cells = [list(rows[0]), *(list(row.values()) for row in rows)]
    first, *others = (f"| {' | '.join(line)} |" for line in cells)
    return "\n".join([first, f"|{'|'.join(rule.values())}|", *others])


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
