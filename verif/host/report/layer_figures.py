# SPDX-License-Identifier: Apache-2.0
"""What a program's layers take: shapes, densities, cycles, traffic, and what they wait for; predicted and measured."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from models.compiler.engine_times import Timeline
from models.compiler.predict import actual
from models.config import Config
from models.cycle_model import Cycles
from models.importer.explain import title
from models.lines import WORD_BYTES
from models.network import Network, Node
from models.program import ENGINES, LAYERS, OPEN, Program
from verif.shared.program_files import RunReport

# What the layers engine's cycles go into, by name in the table.
STATES = {
    "busy": "multipliers",
    "no_weight": "weight vectors",
    "no_activation": "activation lines",
    "drain": "sums out",
    "no_unit": "too few units",
}
WAITS = {"weights": "weight stream", "activations": "input stream", "results": "result stream"}
SETUP = "begin and end"


@dataclass(frozen=True)
class Row:
    """A node, all its parts, images and iterations together.

    weights: share that is not zero, None without weights; density: of the tensor that it reads; predicted, measured:
    cycles, the latter None without a run; macs: products of two non-zeros, over all images; dense: cycles that as many
    multipliers take for all products, zeros too, if they never wait; streamed: bytes of weights and parameters; read,
    written: bytes of the Activation Memory (read as predicted); causes: cycles by what the layer waited for or did.
    """

    node: Node
    shapes: tuple[tuple[int, int, int], tuple[int, int, int]]
    weights: float | None
    density: float
    parts: int
    predicted: int
    measured: int | None
    macs: int
    dense: float
    streamed: int
    read: int
    written: int
    causes: Counter[str]

    @property
    def cycles(self) -> int:
        """Measured, or else predicted."""
        return self.predicted if self.measured is None else self.measured

    @property
    def bound(self) -> str:
        """What took most of the time, and its share."""
        ((cause, cycles),) = self.causes.most_common(1)
        return f"{cause}, {100 * cycles / max(1, self.causes.total()):.0f} %"


@dataclass(frozen=True)
class Figures:
    """Of a program and its timeline, predicted or, with a report, measured."""

    program: Program
    config: Config
    times: Timeline
    report: RunReport | None
    rows: list[Row]
    forecast: int

    @property
    def alus(self) -> int:
        """Multipliers."""
        return self.config.NumPe * self.config.NumLanes

    @property
    def cycles(self) -> int:
        """Of the whole run."""
        return self.times.cycles if self.report is None else self.report.cycles

    @property
    def images(self) -> int:
        """Images of the whole run."""
        return self.times.images

    def utilisation(self, row: Row | None = None) -> float:
        """Useful multiplications over all lane-cycles, of a layer or the whole run."""
        macs, cycles = (row.macs, row.cycles) if row else (sum(row.macs for row in self.rows), self.cycles)
        return macs / (self.alus * cycles)

    @property
    def over_dense(self) -> float:
        """Of the whole run."""
        return sum(row.dense for row in self.rows) / self.cycles


def measured_times(program: Program, report: RunReport) -> Timeline:
    """When each descriptor retired in a run, and the earliest at which it can have begun: with the last of the
    retirements that it had to wait for."""
    sizes = [len(steps) for steps in program.engines]
    ends = [report.retired[name] for name in ENGINES]
    spans: tuple[list[tuple[int, int]], ...] = ([], [], [], [])
    for engine, steps in enumerate(program.engines):
        for at, end in enumerate(ends[engine]):
            iteration, number = divmod(at, sizes[engine])
            begin = ends[engine][at - OPEN[engine]] if at >= OPEN[engine] else 0
            if spans[engine]:
                begin = max(begin, spans[engine][-1][0])
            for other, wait in enumerate(steps[number].waits):
                count = (iteration - wait.previous) * sizes[other] + wait.count if wait.count else 0
                if other != engine and sizes[other]:  # none is more than an iteration ahead
                    count = max(count, (iteration - 1) * sizes[other])
                if count > 0:
                    begin = max(begin, ends[other][count - 1])
            spans[engine].append((min(begin, end), end))
    return Timeline(spans, program.iterations * program.batch, program.iterations)


def waited(program: Program, times: Timeline) -> list[Counter[str]]:
    """Of each layer of all iterations the cycles that it waited for each other engine, behind the layer before."""
    sizes = [len(steps) for steps in program.engines]
    found = []
    for at, (begin, _) in enumerate(times.spans[LAYERS]):
        iteration, number = divmod(at, sizes[LAYERS])
        before = times.spans[LAYERS][at - 1][1] if at else 0
        own: Counter[str] = Counter()
        for engine, wait in enumerate(program.layers[number].waits):
            count = (iteration - wait.previous) * sizes[engine] + wait.count if wait.count else 0
            if begin > before and count > 0 and times.spans[engine][count - 1][1] == begin:
                own[WAITS[ENGINES[engine]]] = begin - before
                break
        found.append(own)
    return found


def dense_macs(network: Network, node: Node) -> int:
    """Products of an image, zeros and padding included; of a pool, its sums or comparisons."""
    c, h, w = network.shapes[node.name]
    taps = node.kernel[0] * node.kernel[1]
    return c * h * w * taps * (node.kernels.shape[1] if node.op == "conv" else 1)


def _causes(parts: list[Cycles], own: int) -> Counter[str]:
    """So many cycles in the shares of what the cycle model says of a layer's steps."""
    counts = Counter({name: sum(getattr(part, state) for part in parts) for state, name in STATES.items()})
    whole = max(1, counts.total())
    return Counter({name: round(own * count / whole) for name, count in counts.items()})


def figures(program: Program, config: Config, times: Timeline, report: RunReport | None = None) -> Figures:
    """The figures of a program.

    times: with a report those that are predicted of the same run; without, of as many iterations as there are images
    for. Densities, traffic and what layers wait for within them are those of the first image.
    """
    seen = times if report is None else measured_times(program, report)
    network, tensors = program.network, program.tensors(0)
    first = [number for number, step in enumerate(program.layers) if step.part.image == 0]
    parts, waits = dict(zip(first, actual(program, config, image=0), strict=True)), waited(program, seen)
    steps: dict[str, list[int]] = {}
    for number, step in enumerate(program.layers):
        steps.setdefault(step.node, []).append(number)
    size, found = len(program.layers), []
    for name, numbers in steps.items():
        node = next(node for node in network.nodes if node.name == name)
        own = [iteration * size + number for iteration in range(times.iterations) for number in numbers]
        cycles = [[between(spans, at) for at in own] for spans in (times.spans[LAYERS], seen.spans[LAYERS])]
        causes = sum((waits[at] for at in own), Counter())
        busy = sum(cycles[1]) - causes.total()
        some = [number for number in numbers if number in parts]
        model = [parts[number] for number in some]
        inside = min(busy, times.images * sum(part.cycles for part in model))
        causes += _causes(model, inside)
        causes[SETUP] += busy - inside
        macs = times.images * sum(part.macs for part in model)
        written = sum(int(program.expected_lines(program.layers[number].part, 0).words.sum()) for number in some)
        found.append(
            Row(
                node,
                (network.shapes[node.source], network.shapes[name]),
                None if node.op != "conv" else np.count_nonzero(node.kernels) / node.kernels.size,
                np.count_nonzero(tensors[node.source][0]) / tensors[node.source][0].size,
                len(some),
                sum(cycles[0]),
                None if report is None else sum(cycles[1]),
                macs if report is None else sum(report.layers[at].macs for at in own),
                times.images * dense_macs(network, node) / (config.NumPe * config.NumLanes),
                times.iterations * program.beats.shape[1] * sum(w.count for w in program.weights if w.node == name),
                times.images * WORD_BYTES * sum(part.act_reads for part in model),
                times.images * WORD_BYTES * written,
                causes,
            )
        )
    return Figures(program, config, seen, report, found, times.cycles)


def between(spans: list[tuple[int, int]], at: int) -> int:
    """Cycles from the retirement of the descriptor before to this one's; at least 1, as two may be open at a time."""
    return max(1, spans[at][1] - (spans[at - 1][1] if at else 0))


def node_title(row: Row) -> str:
    """Kind and window of a row's node."""
    return title(row.node)
