# SPDX-License-Identifier: Apache-2.0
"""One self-contained HTML file of a run, or of a compiled network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from verif.host.paper.page import html
from verif.host.report import layer_table, timeline
from verif.host.report.layer_figures import Figures


def bullets(lines: Sequence[str]) -> str:
    """A list."""
    return "\n".join(f"- {line}" for line in lines)


def section(title: str, *texts: str) -> str:
    """A title and texts below it; empty ones are left out."""
    return "\n\n".join([f"## {title}", *filter(None, texts)])


def text(
    title: str, figures: Figures, accuracy: Sequence[str], network: Sequence[str], more: Sequence[str] = ()
) -> str:
    """The report as Markdown.

    accuracy: lines on how good the outputs are; network: lines on what the network is and what the host does; more:
    further sections.
    """
    config, measured = figures.config, figures.report is not None
    kept = [
        f"{name.split(',')[0]}: at most {timeline.peak(boxes):,} of {size:,} {name.split(', ')[1]} "
        f"({timeline.peak(boxes) / size:.0%})"
        for name, (boxes, size) in timeline.memories(figures).items()
    ]
    shown = min(figures.times.iterations, timeline.ITERATIONS)
    what = f"{'The first' if shown > 1 else 'The'} {'two iterations' if shown > 1 else 'iteration'}"
    until = (
        "from the earliest cycle at which a step can have begun to that in which it retired, as measured"
        if measured
        else "as predicted"
    )
    return "\n\n".join(
        [
            f"# {title}",
            f"Configuration {config.name}: {config.NumPe} PEs of {config.NumLanes} lanes; batches of "
            f"{figures.program.batch}, {figures.times.iterations} iterations. "
            + ("Measured on the RTL." if measured else "Predicted by the cycle model; nothing was simulated."),
            bullets([*layer_table.summary(figures), *accuracy]),
            section("Layers", layer_table.table(figures), layer_table.LEGEND),
            section("Timeline", f"{what}, {until}.", "![What each engine does when](timeline.svg)"),
            section(
                "Memories",
                f"{what}: what lies where, from the begin of the step that writes it to the retirement of the last one "
                "that reads it.",
                bullets(kept),
                "![What lies where in each memory over time](memory_map.svg)",
            ),
            *more,
            section("Network", bullets(network)),
        ]
    )


def write(
    path: Path, title: str, figures: Figures, accuracy: Sequence[str], network: Sequence[str], more: Sequence[str] = ()
) -> None:
    """Write the report; arguments as of `text`."""
    drawn = {"timeline": timeline.timeline(figures), "memory_map": timeline.memory_map(figures)}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(html(text(title, figures, accuracy, network, more), drawn))
