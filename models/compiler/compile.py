# SPDX-License-Identifier: Apache-2.0
"""Compiles a network to a program: cuts, parts, order and places, chosen by predicted cycles (docs/programs.md)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from models.compiler.cuts import Choice, Cutter, dense_words, typical, words_of
from models.compiler.dataflow import Graph, read
from models.compiler.emit import DoesNotFitError, Emitter, Sizes, Use, with_data
from models.compiler.engine_times import Timeline, line_beats, timeline
from models.compiler.parts import Parts, Way, divide
from models.compiler.rewrite import rewritten
from models.compiler.strips import Planner, Strips, strip_choice
from models.config import Config, load_config
from models.lines import LineShape
from models.network import Images, Network
from models.program import Part, Program

PartKey = tuple[str, int]  # node and strip
ITERATIONS = 2  # of the timelines that orders are compared by
# Half of the Weight Memory, so that one part is loaded beside another; the first that fits is where the search begins.
_FIRST = (Way(2), Way(1), Way(3))
_WAYS = (*_FIRST, Way(4), Way(6), *(Way(share, tapered=True) for share in (1, 2, 3, 4)))
_AHEAD = (1, 0)  # steps before its first reader that an input is loaded, the first that fits
_FAR_AHEAD = (2, 3, 4)  # that are tried at last: a step may be shorter than a load
_EFFORT = 100_000  # steps of layers that the search for parts places and times
_NEAR = 2  # ends of a stretch on either side of the best that are tried with lags
_REFUSED = 6  # lags in a row that do not fit, behind which none is tried


@dataclass(frozen=True)
class Stretch:
    """Layers [first, last) of a network that run for `group` images of the batch before the next images' turn. In each
    layer these take turns or, with a lag, each image follows the one before so many layers behind it."""

    first: int
    last: int
    group: int
    lag: int = 0

    def turns(self, batch: int) -> Iterator[tuple[int, range]]:
        """Layers, and the images that run through them then."""
        for first in range(0, batch, self.group):
            if not self.lag:
                yield from ((layer, range(first, first + self.group)) for layer in range(self.first, self.last))
                continue
            for step in range(self.first, self.last + (self.group - 1) * self.lag):
                for place in reversed(range(self.group)):
                    if self.first <= (layer := step - place * self.lag) < self.last:
                        yield layer, range(first + place, first + place + 1)


def orders(graph: Graph, batch: int, stripped: set[str]) -> Iterator[tuple[Stretch, ...]]:
    """Ways to take the images of a batch through the layers: a first stretch in smaller groups of images, a second in
    larger ones."""
    layers = len(graph.layers)
    groups = [n for n in range(1, batch + 1) if batch % n == 0]
    for group in groups:
        yield (Stretch(0, layers, group),)
    for cut in _narrow(graph, stripped):
        for large in groups:
            for small in groups:
                if small < large:
                    yield Stretch(0, cut, small), Stretch(cut, layers, large)


def between(
    graph: Graph, stretches: tuple[Stretch, ...], batch: int, stripped: set[str]
) -> Iterator[tuple[Stretch, ...]]:
    """The same way with a third stretch, whose groups are of a size between those of two."""
    if len(stretches) == 2:
        first, second = stretches
        for group in (n for n in range(first.group + 1, second.group) if batch % n == 0):
            for cut in _narrow(graph, stripped):
                if cut < first.last:
                    yield Stretch(0, cut, first.group), Stretch(cut, first.last, group), second
                elif cut > second.first:
                    yield first, Stretch(second.first, cut, group), Stretch(cut, second.last, second.group)


def _narrow(graph: Graph, stripped: set[str]) -> list[int]:
    """Places between layers where one tensor alone is read by later ones."""
    names = [node.name for node in graph.layers]
    spans, readers_of = graph.spans, {name: graph.readers(name) for name in graph.loaded}
    found = []
    for cut in range(1, len(names)):
        # An input is there from the first layer on that reads it.
        given = (name for name, readers in readers_of.items() if not readers.isdisjoint(names[:cut]))
        made = (*given, *names[:cut])
        needed = {
            spans[tensor].root
            for tensor in made
            for node in graph.layers[cut:]
            for read_ in node.reads
            if spans[read_].meets(spans[tensor])
        }
        if len(needed) == 1 and not needed & stripped:
            found.append(cut)
    return found


def sequence(
    graph: Graph, parts: dict[PartKey, Parts], strips: Strips, stretches: Sequence[Stretch], batch: int
) -> list[Use]:
    """The layers engine's steps: in a group the images take turns, so that neighbours are independent; but for chains
    in strips, which one image runs to the end, and parts along C."""
    chains = {name: chain for chain in strips.chains for name in chain}
    found: list[Use] = []
    for layer, group in (turn for stretch in stretches for turn in stretch.turns(batch)):
        node = graph.layers[layer].name
        if node not in chains:
            for run in parts[node, 0].runs:
                found += [Use(node, part, image) for image in group for part in run]
        elif node == chains[node][0]:
            found += [
                Use(name, part, image, strip)
                for image in group
                for strip in range(strips.of(node))
                for name in chains[node]
                for part in range(len(parts[name, strip].parts))
            ]
    return found


@dataclass(frozen=True)
class _Found:
    """A program, its cycles an image, and what it was made from."""

    cycles: float
    program: Program
    parts: dict[PartKey, Parts]
    stretches: tuple[Stretch, ...]


def _better(one: _Found | None, other: _Found | None) -> _Found:
    """The one with fewer cycles, if there are two."""
    found = [entry for entry in (one, other) if entry is not None]
    return min(found, key=lambda entry: entry.cycles)


class Compiler:
    """One network on one configuration. tensors: of the calibration images."""

    def __init__(self, network: Network, config: Config, batch: int, calibration: Images):
        if batch < 1:
            raise ValueError(f"batch: {batch}, expected at least 1")
        self.graph, self.config, self.batch = read(rewritten(network, config, batch)), config, batch
        self.tensors = self.graph.network.run(calibration)
        self.choices = Cutter(config, self.graph, self.tensors, batch > 1).choose()
        self.blocks = self._blocks()
        self.written = (*self.graph.loaded, *self.choices)
        words = {name: words_of(self.tensors[name], self.blocks[name]) for name in self.written}
        cycles = {name: choice.cycles for name, choice in self.choices.items()}
        self.strips = Planner(self.graph, config, words, self.blocks, cycles).plan()
        self.cuts = self._cuts()
        self.sizes = self._sizes()
        self._beats: dict[tuple[str, int, int], int] = {}
        self._predicted: defaultdict[PartKey, dict[tuple[range, int], Choice]] = defaultdict(dict)

    def _blocks(self) -> dict[str, LineShape]:
        """Of every tensor: the tile of its layer, an input's line, of a concatenation that of its parts."""
        found: dict[str, LineShape] = {}
        for node in self.graph.layers:
            found[node.source] = self.choices[node.name].descriptor.line
            found[node.name] = self.choices[node.name].descriptor.tile
            if node.residual:
                found[node.residual] = found[node.name]
        for node in reversed(self.graph.network.nodes):
            if node.op == "concat":
                block = found.get(node.name) or found.get(node.source)
                if block is not None:  # something reads or makes it
                    found |= dict.fromkeys((node.name, node.source, *node.others), block)
        return found

    def _cuts(self) -> dict[tuple[str, int], Choice]:
        """By node and strip its choice."""
        found, stripped = {}, self.strips.stripped
        for node in self.graph.layers:
            choice = self.choices[node.name]
            if node.name not in self.strips.rows:
                found[node.name, 0] = choice
                continue
            ends = node.source in stripped, node.name in stripped
            for strip, rows in enumerate(self.strips.rows[node.name]):
                found[node.name, strip] = strip_choice(self.config, node, choice, rows, *ends)
        return found

    def _sizes(self) -> Sizes:
        """Words of the tensors that are written, or their strips."""
        seen, dense = {}, {}
        for name in self.written:
            (c, h, w), block = self.graph.shapes[name], self.blocks[name]
            strips = self.strips.rows[name] if name in self.strips.stripped else [range(h)]
            for strip, rows in enumerate(strips):
                seen[name, strip] = words_of(self.tensors[name][:, :, rows.start : rows.stop], block)
                dense[name, strip] = dense_words((c, len(rows), w), block)
        return Sizes(seen, dense)

    def _beats_of(self, program: Program) -> tuple[list[int], list[int]]:
        """Beats of the activation loads and the results of an iteration, in calibration."""

        def beats(part: Part) -> int:
            key = part.tensor, part.first, part.last
            if key not in self._beats:
                images = self.tensors[part.tensor]
                self._beats[key] = line_beats(part.lines(images[typical(images)]), self.config.StreamBytes)
            return self._beats[key]

        loads = [beats(load.part) for load in program.activations]
        results = [beats(transfer.part) for transfer in program.results]
        return loads, results

    def time(self, program: Program, iterations: int = ITERATIONS) -> Timeline:
        """The program's timeline, with layers as predicted."""
        return timeline(program, self._beats_of(program), iterations)

    def _parts(self, way: Way) -> dict[PartKey, Parts]:
        hidden = self.batch > 1
        return {
            key: divide(self.config, key[0], choice, way, hidden, self._predicted[key])
            for key, choice in self.cuts.items()
        }

    def compile(self) -> Program:
        """The fastest program that fits. Raises ValueError where none does."""
        parts = {way: self._parts(way) for way in _FIRST}
        self._problem: ValueError | None = None
        best: _Found | None = None
        for way in _FIRST:
            for stretches in orders(self.graph, self.batch, self.strips.stripped):
                attempt = self._attempt(parts[way], stretches)
                best = _better(best, attempt) if attempt else best
            if best:
                break
        if best is None:
            raise self._problem or ValueError("network does not fit")
        for stretches in between(self.graph, best.stretches, self.batch, self.strips.stripped):
            best = _better(best, self._attempt(best.parts, stretches))
        best = self._overlapped(best)
        parts |= {way: self._parts(way) for way in _WAYS if way not in parts}
        for way in _WAYS:
            best = _better(best, self._attempt(parts[way], best.stretches))
        best = self._by_layer(best, parts)
        for ahead in _FAR_AHEAD:
            best = _better(best, self._attempt(best.parts, best.stretches, (ahead,)))
        return with_data(best.program, best.parts)

    def _by_layer(self, best: _Found, parts: dict[Way, dict[PartKey, Parts]]) -> _Found:
        """The same with other parts of single layers, those of most weights first, as long as that gains."""
        effort, before = _EFFORT, None
        names = dict.fromkeys(name for name, _ in self.cuts)
        nodes = sorted(names, key=lambda name: -self.cuts[name, 0].descriptor.vectors)
        while before is not best:
            before = best
            for node in nodes:
                keys = [(node, strip) for strip in range(self.strips.of(node))]
                for way in {parts[way][keys[0]].sizes: way for way in _WAYS}.values():
                    effort -= len(best.program.layers)
                    if effort > 0 and parts[way][keys[0]].sizes != best.parts[keys[0]].sizes:
                        trial = best.parts | {key: parts[way][key] for key in keys}
                        best = _better(best, self._attempt(trial, best.stretches))
        return best

    def _overlapped(self, best: _Found) -> _Found:
        """The same with images that begin before the one before has left a stretch, which may be some layers longer or
        shorter then, if that gains."""
        narrow = _narrow(self.graph, self.strips.stripped)
        for number, own in enumerate(best.stretches):
            if own.group == self.batch:
                continue
            ends = [own.last]
            if own.last in narrow:
                at = narrow.index(own.last)
                ends += narrow[max(0, at - _NEAR) : at] + narrow[at + 1 : at + 1 + _NEAR]
            for end in ends:
                best = self._lagging(best, number, end)
        return best

    def _lagging(self, best: _Found, number: int, end: int) -> _Found:
        """With a stretch that ends at a layer, from the largest lag on, which needs least memory."""
        stretches = list(best.stretches)
        own, refused = stretches[number], 0
        if number + 1 < len(stretches):
            if end >= stretches[number + 1].last:
                return best
            stretches[number + 1] = replace(stretches[number + 1], first=end)
        for lag in range(end - own.first - 1, 0, -1):
            stretches[number] = Stretch(own.first, end, self.batch, lag)
            attempt = self._attempt(best.parts, tuple(stretches))
            refused = 0 if attempt else refused + 1
            best = _better(best, attempt)
            if refused == _REFUSED:
                break
        return best

    def _attempt(
        self, parts: dict[PartKey, Parts], stretches: tuple[Stretch, ...], aheads: Sequence[int] = _AHEAD
    ) -> _Found | None:
        """The program of parts in an order, with inputs loaded the first of some numbers of steps ahead with which it
        fits; None if it does with none."""
        order = sequence(self.graph, parts, self.strips, stretches, self.batch)
        for ahead in aheads:
            layout = parts, self.strips, self.sizes, self.blocks
            try:
                program = Emitter(self.graph, self.config, *layout, self.batch, ahead).emit(order)
            except DoesNotFitError as error:
                self._problem = self._problem or error
                continue
            return _Found(self.time(program).per_image, program, parts, stretches)
        return None


def compile_network(network: Network, config: str | Config, batch: int, calibration: Images) -> Program:
    """The program of a network for batches of images, without images to run: `Program.with_images` adds them.

    calibration: images, from which cuts, sizes of sections and cycles are chosen.
    Raises ValueError, with a node's name, for what the core cannot run or what does not fit.
    """
    return Compiler(network, load_config(config) if isinstance(config, str) else config, batch, calibration).compile()
