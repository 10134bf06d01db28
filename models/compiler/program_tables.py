# SPDX-License-Identifier: Apache-2.0
"""What a program looks like: a table of its layers and a map of its memories, as Markdown."""

from __future__ import annotations

from collections.abc import Iterator

from models.compiler.dataflow import read
from models.compiler.engine_times import Timeline
from models.program import ENGINES, LAYERS, Program


def layers_table(program: Program, timeline: Timeline) -> str:
    """By node: shape, cut, parts along K, weight vectors, cycles of a step and of the batch, and how long the engine
    stood still before its steps in the last iteration of a timeline, for which engine."""
    rows = [
        "| layer | output | line | tile | splits | parts | weight vectors | cycles a part | cycles of the batch "
        "| waits (cycles) |",
        "|---|---|---|---|---:|---:|---:|---:|---:|---|",
    ]
    for node, numbers in _by_node(program):
        steps = [program.layers[n] for n in numbers]
        d = steps[0].descriptor
        parts = len({step.part.first for step in steps})
        vectors = sum({step.weights: step.descriptor.vectors for step in steps}.values())
        waits = ", ".join(f"{name} {cycles:,}" for name, cycles in _waited(program, timeline, numbers).items())
        shape = "x".join(map(str, program.network.shapes[node]))
        rows.append(
            f"| {node} | {shape} | {d.line_h}x{d.line_w} | {d.tile_h}x{d.tile_w} | {d.splits} | {parts} | {vectors:,} "
            f"| {steps[0].predicted:,} | {sum(step.predicted for step in steps):,} | {waits or '-'} |"
        )
    return "\n".join(rows)


def _by_node(program: Program) -> Iterator[tuple[str, list[int]]]:
    """Numbers of the layer steps of each node."""
    found: dict[str, list[int]] = {}
    for number, step in enumerate(program.layers):
        found.setdefault(step.node, []).append(number)
    yield from found.items()


def _waited(program: Program, timeline: Timeline, numbers: list[int]) -> dict[str, int]:
    """Cycles that the layers engine waits for each other engine before some steps of the last iteration."""
    sizes = [len(steps) for steps in program.engines]
    iteration = timeline.iterations - 1
    found: dict[str, int] = {}
    for number in numbers:
        at = iteration * sizes[LAYERS] + number
        before = timeline.spans[LAYERS][at - 1][1] if at else 0
        begin = timeline.spans[LAYERS][at][0]
        if begin <= before:
            continue
        for engine, wait in enumerate(program.layers[number].waits):
            count = (iteration - wait.previous) * sizes[engine] + wait.count if wait.count else 0
            if count > 0 and timeline.spans[engine][count - 1][1] == begin:
                found[ENGINES[engine]] = found.get(ENGINES[engine], 0) + begin - before
                break
    return found


def memory_map(program: Program) -> str:
    """By tensor and image: index entries, section of words, and the layer steps from its first writer to its last
    reader; in the order in which they are written."""
    spans = read(program.network).spans
    rows = ["| tensor | image | index entries | words | steps |", "|---|---:|---|---|---|"]

    def row(tensor: str, image: int, entries: tuple[int, int], words: tuple[int, int], own: list[int]) -> str:
        readers = [
            number
            for number, step in enumerate(program.layers)
            for part in (step.source, step.residual)
            if part is not None and part.image == image and spans[part.tensor].meets(spans[tensor])
        ]
        steps = [*own, *readers]
        places = (f"{first:,}..{last - 1:,}" for first, last in (entries, words))
        return f"| {tensor} | {image} | {' | '.join(places)} | {min(steps)}..{max(steps)} |"

    for load in program.activations:
        entries = load.part.base, load.part.base + load.lines
        rows.append(row(load.part.tensor, load.part.image, entries, (load.base, load.limit), []))
    for node, numbers in _by_node(program):
        for image in range(program.batch):
            own = [number for number in numbers if program.layers[number].part.image == image]
            first, last = program.layers[own[0]].descriptor, program.layers[own[-1]].descriptor
            entries = first.out_idx_base, last.out_idx_base + last.out_entries
            rows.append(row(node, image, entries, (first.out_act_base, first.out_act_limit), own))
    return "\n".join(rows)
