# SPDX-License-Identifier: Apache-2.0
"""A program's run as pictures: what each engine does when, and what lies where in the memories."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from models.compiler.dataflow import read
from models.program import ENGINES, LAYERS, OPEN, Part, Program
from verif.host.report.layer_figures import Figures

ITERATIONS = 2  # that a picture shows: the first, and one that follows another
_LABEL = 0.025  # of a picture's width, below which a box has no name in it
_STYLE: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": "report", "font.size": 8}
_ENGINE_NAMES = {"weights": "weights in", "activations": "inputs in", "layers": "layers", "results": "results out"}


@dataclass(frozen=True)
class Box:
    """Something that is there from one cycle to another, at places [first, last) of a memory."""

    name: str
    begin: int
    end: int
    first: int
    last: int


def _colours(program: Program) -> dict[str, Any]:
    """A colour for each node, neighbours apart."""
    names = list(dict.fromkeys(step.node for step in program.layers))
    colours = matplotlib.colormaps["tab20"]
    return {name: colours(number % 20) for number, name in enumerate(names)}


def _svg(figure: Figure) -> str:
    out = io.StringIO()
    with matplotlib.rc_context(_STYLE):
        figure.savefig(out, format="svg", metadata={"Date": None}, bbox_inches="tight")
    return out.getvalue()


def _shown(figures: Figures) -> tuple[int, int]:
    """Iterations that are shown, and the cycle at which they end."""
    times, count = figures.times, min(figures.times.iterations, ITERATIONS)
    sizes = [len(steps) for steps in figures.program.engines]
    return count, max(times.spans[engine][count * size - 1][1] for engine, size in enumerate(sizes) if size)


def timeline(figures: Figures) -> str:
    """By engine what it does when."""
    program, (count, end) = figures.program, _shown(figures)
    colours = _colours(program)
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(11, 3))
        axes = figure.subplots()
        for engine, steps in enumerate(program.engines):
            for at, (begin, retired) in enumerate(figures.times.spans[engine][: count * len(steps)]):
                step = steps[at % len(steps)]
                name = getattr(step, "node", step.part.tensor if hasattr(step, "part") else "")
                colour, height = colours.get(name, "0.6"), 0.8 / OPEN[engine]
                low = 0.4 - engine - (at % OPEN[engine] + 1) * height  # what is open at a time, one below the other
                box = Rectangle((begin, low), retired - begin, height, facecolor=colour, edgecolor="w", lw=0.3)
                axes.add_patch(box)
                if engine == LAYERS and retired - begin > _LABEL * end:
                    middle = (begin + retired) / 2, low + height / 2
                    axes.text(*middle, name, rotation=90, ha="center", va="center", fontsize=5)
        if count > 1:
            axes.axvline(figures.times.spans[LAYERS][len(program.layers) - 1][1], color="k", lw=0.8, ls=":")
        axes.set_yticks([-n for n in range(len(ENGINES))], [_ENGINE_NAMES[name] for name in ENGINES])
        axes.set_ylim(-len(ENGINES) + 0.5, 0.5)
        axes.set_xlim(0, end)
        axes.set_xlabel("cycles")
    return _svg(figure)


def _met(part: Part, entries: range) -> bool:
    """Whether a part has lines at index entries."""
    end = part.base + (part.last - part.first) * part.pitch
    return part.base < entries.stop and entries.start < end


class _Uses:
    """When what lies in the Index and Activation Memory is used last."""

    def __init__(self, figures: Figures):
        self.program, self.spans = figures.program, read(figures.program.network).spans
        self.layers, self.results = figures.times.spans[LAYERS], figures.times.spans[ENGINES.index("results")]

    def last(self, iteration: int, writer: int, tensor: str, image: int, entries: range) -> int:
        """The last retirement of what reads a tensor's lines at index entries; writer: the layer that makes them, -1
        for a load. Strips have one place after another: readers behind the next writer are that one's."""
        steps, own, found = self.program.layers, self.spans[tensor], [0]
        end = len(steps)
        for number in range(writer + 1, len(steps)):
            step = steps[number]
            if step.part.tensor == tensor and step.part.image == image and _met(step.part, entries):
                end = number
                break
            for part in (step.source, step.residual):
                if part and part.image == image and self.spans[part.tensor].meets(own) and _met(part, entries):
                    found.append(self.layers[iteration * len(steps) + number][1])
        for number, transfer in enumerate(self.program.results if end == len(steps) else ()):
            if transfer.part.image == image and self.spans[transfer.part.tensor].meets(own):
                found.append(self.results[iteration * len(self.program.results) + number][1])
        return max(found)


def activation_boxes(figures: Figures) -> tuple[list[Box], list[Box]]:
    """Sections of the Activation Memory and ranges of the Index Memory, from the writer's begin to the last reader's
    retirement."""
    program, uses = figures.program, _Uses(figures)
    layers, loads = figures.times.spans[LAYERS], figures.times.spans[ENGINES.index("activations")]
    words: list[Box] = []
    entries: list[Box] = []
    for iteration in range(_shown(figures)[0]):
        for number, load in enumerate(program.activations):
            begin, retired = loads[iteration * len(program.activations) + number]
            index = range(load.idx_base, load.idx_base + load.lines)
            end = max(retired, uses.last(iteration, -1, load.part.tensor, load.part.image, index))
            words.append(Box(load.part.tensor, begin, end, load.base, load.limit))
            entries.append(Box(load.part.tensor, begin, end, index.start, index.stop))
        for number, step in enumerate(program.layers):
            (begin, retired), d = layers[iteration * len(program.layers) + number], step.descriptor
            index = range(d.out_idx_base, d.out_idx_base + d.out_entries)
            end = max(retired, uses.last(iteration, number, step.part.tensor, step.part.image, index))
            words.append(Box(step.node, begin, end, d.out_act_base, d.out_act_limit))
            entries.append(Box(step.node, begin, end, index.start, index.stop))
    return words, entries


def weight_boxes(figures: Figures) -> list[Box]:
    """Sets in the Weight Memory, from their load's begin to the retirement of the last layer that uses them."""
    program, times, found = figures.program, figures.times, []
    layers, loads = times.spans[LAYERS], times.spans[ENGINES.index("weights")]
    for iteration in range(_shown(figures)[0]):
        for number, load in enumerate(program.weights):
            if load.parameters:
                continue
            begin, retired = loads[iteration * len(program.weights) + number]
            end = max(
                [retired]
                + [
                    layers[iteration * len(program.layers) + at][1]
                    for at, step in enumerate(program.layers)
                    if step.node == load.node and load.base <= step.descriptor.wgt_base < load.base + load.count
                ]
            )
            found.append(Box(load.node, begin, end, load.base, load.base + load.count))
    return found


def peak(boxes: Iterable[Box]) -> int:
    """Most places that are taken at a time; boxes of one place and name count once."""
    boxes = list(boxes)
    most = 0
    for moment in {box.begin for box in boxes}:
        there = {(box.first, box.last) for box in boxes if box.begin <= moment < box.end}
        taken, behind = 0, 0
        for first, last in sorted(there):
            taken += max(0, last - max(first, behind))
            behind = max(behind, last)
        most = max(most, taken)
    return most


def memories(figures: Figures) -> dict[str, tuple[list[Box], int]]:
    """By memory what lies in it, and its size."""
    words, entries = activation_boxes(figures)
    config = figures.config
    return {
        "Activation Memory, words": (words, config.ActBanks * config.ActDepth),
        "Index Memory, entries": (entries, config.IdxBanks * config.IdxDepth),
        "Weight Memory, vectors": (weight_boxes(figures), config.WgtBanks * config.WgtDepth),
    }


def memory_map(figures: Figures) -> str:
    """What lies where in each memory over time."""
    colours, (_, end) = _colours(figures.program), _shown(figures)
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(11, 8))
        for axes, (name, (boxes, size)) in zip(
            figure.subplots(3, 1, sharex=True), memories(figures).items(), strict=True
        ):
            used = max((box.last for box in boxes), default=size)
            top = size if used > size / 2 else used * 1.1  # a memory that is nearly empty would show nothing
            for box in boxes:
                _draw(axes, box, colours.get(box.name, "0.6"), end, top)
            axes.set_ylim(0, top)
            axes.set_xlim(0, end)
            axes.set_ylabel(f"{name}\n(of {size:,})")
        axes.set_xlabel("cycles")
    return _svg(figure)


def _draw(axes: Axes, box: Box, colour: Any, end: int, size: float) -> None:
    width, height = box.end - box.begin, box.last - box.first
    axes.add_patch(Rectangle((box.begin, box.first), width, height, facecolor=colour, edgecolor="k", lw=0.3, alpha=0.7))
    if width > 2 * _LABEL * end and height > 2 * _LABEL * size:
        axes.text(box.begin + width / 2, box.first + height / 2, box.name, ha="center", va="center", fontsize=6)
