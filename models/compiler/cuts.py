# SPDX-License-Identifier: Apache-2.0
"""Chooses how each layer is cut, on the tensors of the calibration images: blocks of lines, tiles, splits.

A tensor's block is the tile of the layer that makes it, and all that are added to each other have one. So blocks are
chosen for such classes, by the estimated cycles of the layers that write and read them.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from models import cycle_model, lines, work
from models.compiler.dataflow import Graph
from models.compiler.engine_times import line_beats
from models.compiler.estimate import estimate
from models.config import Config
from models.descriptor import Descriptor
from models.layer import Layer
from models.lines import LineShape
from models.network import Node
from models.reference import Bytes
from models.tiling import Cut, Plan, describe, split, split_candidates, tile_candidates, tile_fits
from models.work import Work

_KEPT = 5  # tiles of a layer that are compared further
_PASSES = 3  # over all tensors, until none has another block
_FINALISTS = 3  # splits of a tile that are predicted
_TENSORS = 4  # whose lines the Index Memory should hold
_SMALL = 4  # tiles of fewer than a quarter of the positions are the second choice


@dataclass(frozen=True)
class Choice:
    """A layer as it is cut: its descriptor, with everything at 0, its work in calibration, the words of its output and
    its cycles, estimated or predicted; tail: as predicted, see `cycle_model.Cycles`."""

    layer: Layer
    descriptor: Descriptor
    work: Work
    out_words: int
    cycles: int = 0
    tail: int = 0

    def cost(self, hidden: bool) -> int:
        """Cycles; hidden: without the tail, behind which there are another layer's units."""
        return self.cycles - self.tail if hidden else self.cycles


def keeps_slots(config: Config, d: Descriptor) -> bool:
    """Whether the weights of one chunk exceed the Weight Memory, so that the layer runs in parts along C, whose sums
    stay in the staging slots."""
    chunk = d.group_c * d.channel_vectors
    return d.groups == 1 and not d.tap_shared and chunk > config.WgtBanks * config.WgtDepth


def predict(config: Config, choice: Choice) -> Choice:
    """The same with the cycle model's cycles."""
    plan = Plan(config, choice.descriptor, 0, 0, 0, choice.out_words)
    found = cycle_model.predict(plan, choice.work)
    return replace(choice, cycles=found.cycles, tail=found.tail)


def estimated_best(config: Config, choice: Choice) -> Choice:
    """The same layer with the splits of the fewest estimated cycles."""
    return _ranked(config, choice)[0]


def predicted_best(config: Config, choice: Choice, hidden: bool) -> Choice:
    """The same layer with the splits of the least predicted cost, of those that the estimate likes best."""
    finalists = [predict(config, cut) for cut in _ranked(config, choice)[:_FINALISTS]]
    return min(finalists, key=lambda cut: cut.cost(hidden))


def _ranked(config: Config, choice: Choice) -> list[Choice]:
    cuts = [split(choice.descriptor, n) for n in split_candidates(config, choice.descriptor)]
    found = [replace(choice, descriptor=d, cycles=estimate(config, d, choice.work)) for d in cuts]
    return sorted(found, key=lambda cut: cut.cycles)


class Cutter:
    """Chooses the cuts of a network's layers. tensors: of the calibration images by name, (N, C, H, W); hidden: whether
    layers' neighbours do not depend on them."""

    def __init__(self, config: Config, graph: Graph, tensors: dict[str, Bytes], hidden: bool):
        self.config, self.graph, self.hidden = config, graph, hidden
        self.images = {node.name: typical(tensors[node.source]) for node in graph.layers}
        self.layers = {node.name: self._layer(node, tensors) for node in graph.layers}
        self.tensors = tensors
        self._estimated: dict[tuple[object, ...], Choice] = {}
        self._predicted: dict[tuple[object, ...], Choice] = {}

    def _layer(self, node: Node, tensors: dict[str, Bytes]) -> Layer:
        """The layer on its typical image."""
        image = self.images[node.name]
        return node.layer({name: tensors[name][image:] for name in node.reads})

    def _choice(self, node: Node, line: LineShape, tile: LineShape, exact: bool = True) -> Choice:
        """The layer with the best splits for a block of its input and a tile, predicted or, if not exact, estimated."""
        layer = self.layers[node.name]
        # Layers of one shape get one cut.
        shape = layer.activations.shape, layer.weights.shape, layer.kind, layer.stride, layer.padding, layer.k, layer.m
        key = (*shape, layer.groups, layer.signed, layer.residual is None, line, tile)
        found = self._predicted if exact else self._estimated
        if key not in found:
            whole = self._whole(node, Cut(line, tile))
            part, count = self._part(whole)
            best = predicted_best(self.config, part, self.hidden) if exact else estimated_best(self.config, part)
            d = split(whole.descriptor, best.descriptor.splits)
            found[key] = replace(whole, descriptor=d, cycles=count * best.cycles, tail=count * best.tail)
        return found[key]

    def _part(self, whole: Choice) -> tuple[Choice, int]:
        """What runs at a time, and how often: parts of at most half of the Weight Memory, of a layer without groups."""
        d, chunk = whole.descriptor, whole.descriptor.group_c * whole.descriptor.channel_vectors
        most = max(1, self.config.WgtBanks * self.config.WgtDepth // 2 // chunk)
        count = 1 if d.groups > 1 or d.tap_shared else -(-d.chunks // most)
        if count == 1:
            return whole, 1
        chunks = -(-d.chunks // count)
        part = replace(d, chunks=chunks, group_chunks=chunks, out_k=d.out_k * chunks // d.chunks)
        return replace(whole, descriptor=part, out_words=whole.out_words * chunks // d.chunks), count

    def _whole(self, node: Node, cut: Cut) -> Choice:
        """The layer with a given cut."""
        layer = self.layers[node.name]
        d, image = describe(self.config, layer, cut), self.images[node.name]
        return Choice(layer, d, work.measure(d, layer), words_of(self.tensors[node.name][image : image + 1], cut.tile))

    def _tiles(self, node: Node, line: LineShape) -> list[LineShape]:
        """The best tiles of a layer, for one block of its input."""
        layer = self.layers[node.name]
        tiles, (channels, rows, columns) = tile_candidates(self.config, layer), layer.out_shape
        most_lines = self.config.IdxBanks * self.config.IdxDepth // _TENSORS // channels
        if keeps_slots(self.config, describe(self.config, layer, Cut(line, tiles[0]))):
            most_lines = min(most_lines, self.config.slots)
        few = [tile for tile in tiles if prod(tile.grid(rows, columns)) <= most_lines]
        tiles = few or tiles
        most = max(tile.line_h * tile.line_w for tile in tiles)
        large = [tile for tile in tiles if _SMALL * tile.line_h * tile.line_w >= most]
        return sorted(large, key=lambda tile: self._choice(node, line, tile, exact=False).cycles)[:_KEPT]

    def choose(self) -> dict[str, Choice]:
        """By node its cut. Raises ValueError, with names, where layers that are added have no tile in common."""
        graph, classes = self.graph, self.graph.classes()
        class_of = {name: classes[span.root] for name, span in graph.spans.items()}
        writers, readers = defaultdict(list), defaultdict(list)
        for node in graph.layers:
            writers[class_of[node.name]].append(node)
            readers[class_of[node.source]].append(node)
        blocks = {class_of[name]: lines.default_shape(*shape[1:]) for name, shape in graph.shapes.items()}
        kept = {}
        for node in graph.layers:
            try:
                kept[node.name] = self._tiles(node, blocks[class_of[node.source]])
            except ValueError as error:
                raise ValueError(f"{node.name}: {error}") from None
        current = {name: found[0] for name, found in kept.items()}
        candidates = {own: self._common(made, kept) for own, made in writers.items()}
        given = {class_of[name]: name for name in graph.loaded if class_of[name] not in writers}
        candidates |= {own: _input_blocks(*graph.shapes[name][1:]) for own, name in given.items()}

        def cost(trial: dict[str, LineShape]) -> int:
            """Of the layers that write classes, and of those that read them; of the load of an input, which is waited
            for where nothing else runs."""
            line = blocks | trial
            met = {node.name: node for own in trial for node in (*writers[own], *readers[own])}
            total = 0
            for node in met.values():
                tile = trial.get(class_of[node.name], current[node.name])
                total += self._choice(node, line[class_of[node.source]], tile).cost(self.hidden)
            for own, tile in trial.items():
                if own in given and not self.hidden:
                    image = lines.compress(self.tensors[given[own]][0], tile)
                    total += line_beats(image, self.config.StreamBytes)
            return total

        def take(trial: dict[str, LineShape]) -> None:
            for own, tile in trial.items():
                blocks[own] = tile
                current.update(dict.fromkeys((node.name for node in writers[own]), tile))

        for _ in range(_PASSES):
            before = dict(blocks)
            for own, tiles in candidates.items():
                take(min(({own: tile} for tile in sorted(tiles, key=_rank)), key=cost))
            for node in graph.layers:  # what gains nothing alone may gain in two classes that a layer reads and writes
                pair = class_of[node.source], class_of[node.name]
                if len(set(pair)) == 2:
                    same = (dict.fromkeys(pair, t) for t in candidates[pair[0]] if t in candidates[pair[1]])
                    take(min(({own: blocks[own] for own in pair}, *same), key=cost))
            if blocks == before:
                break
        return {
            node.name: self._own(node, self._choice(node, blocks[class_of[node.source]], blocks[class_of[node.name]]))
            for node in graph.layers
        }

    def _common(self, made: list[Node], kept: dict[str, list[LineShape]]) -> list[LineShape]:
        """Tiles that fit all of some layers: those kept of one of them if possible, else any."""
        every = {node.name: tile_candidates(self.config, self.layers[node.name]) for node in made}
        for candidates in (kept, every):
            tiles = dict.fromkeys(tile for node in made for tile in candidates[node.name])
            if fitting := [
                tile for tile in tiles if all(tile_fits(self.config, self.layers[node.name], tile) for node in made)
            ]:
                return fitting
        names = ", ".join(node.name for node in made)
        raise ValueError(f"{names}: no tile fits all of them, and their tensors are added or concatenated")

    def _own(self, node: Node, choice: Choice) -> Choice:
        """The choice with the layer's own numbers and splits, where one of its shape served so far."""
        if self.layers[node.name] is choice.layer:
            return choice
        d = choice.descriptor
        own = self._whole(node, Cut(d.line, d.tile, d.splits))
        _, parts = self._part(own)
        return predict(self.config, own) if parts > 1 else predicted_best(self.config, own, self.hidden)


def typical(tensor: Bytes) -> int:
    """Which image of a tensor (N, C, H, W) is nearest to all of them in density: what a layer takes hangs on that."""
    counts = np.count_nonzero(tensor, axis=(1, 2, 3))
    return int(np.abs(counts - counts.mean()).argmin())


def _rank(tile: LineShape) -> tuple[int, int]:
    """Of tiles that are as good the largest first, then that of the fewest rows."""
    return -tile.line_h * tile.line_w, tile.line_h


def _input_blocks(height: int, width: int) -> list[LineShape]:
    """Blocks worth trying for an input's plane."""
    found = dict.fromkeys([lines.default_shape(height, width)])
    for rows in (2, 4, 8):
        line_w = lines.LINE_BITS // rows
        if rows <= height and line_w < width:
            found[LineShape(rows, line_w)] = None
    return list(found)


def words_of(tensor: Bytes, block: LineShape) -> int:
    """Most words of the Activation Memory that the tensor (N, C, H, W) of an image takes."""
    return max(int(lines.compress(image, block).words.sum()) for image in tensor)


def dense_words(shape: tuple[int, int, int], block: LineShape) -> int:
    """Words of a tensor without zeros."""
    return int(lines.compress(np.ones(shape, np.uint8), block).words.sum())
