# SPDX-License-Identifier: Apache-2.0
"""Random programs, made without a compiler: graphs of small layers whose places are used again as often as may be.
Images of a batch take turns, and layers are cut along K, so that many neighbours do not depend on each other.

Waits follow from the places alone: an operation waits for whoever used a place before it, in this iteration or, where
nobody has yet, in the previous one. Parts of a layer append to its place and do not wait for each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np

from models import lines, stream
from models.config import Config
from models.km import MODES
from models.layer import Layer
from models.lines import LineShape
from models.network import INPUT, Input, Network, Node
from models.program import (
    NO_WAITS,
    ActivationLoad,
    LayerStep,
    Part,
    Program,
    ResultTransfer,
    Step,
    Wait,
    WeightLoad,
)
from models.reference import Bytes
from models.tiling import Cut, chunk_channels, make_plan, max_tile, region_size
from verif.shared.stimulus import Geometry, make_layer, make_pool, with_residual

_ENGINES = (WeightLoad, ActivationLoad, LayerStep, ResultTransfer)
ADDED = "added"  # the input beside INPUT
_POOLS = ("max_pool", "average_pool")
KINDS = ("conv", "residual", "groups", *_POOLS)
PARTS = "parts"  # a convolution in two parts along K
_MOST_POSITIONS = 32  # of a line: what accumulators hold in every mode


@dataclass
class _Place:
    """Somewhere in a memory that one thing at a time is kept: `holds` says which."""

    memory: str
    base: int
    size: int
    holds: object = None
    first_word: int = 0  # of a tensor's section
    last_word: int = 0  # the first behind it


@dataclass
class _Operation:
    """A descriptor without its waits, and the places that it uses."""

    step: Step
    reads: list[int] = field(default_factory=list)  # identities of places
    writes: list[int] = field(default_factory=list)
    appends: list[int] = field(default_factory=list)  # to what those before it write there

    @property
    def engine(self) -> int:
        return _ENGINES.index(type(self.step))


def with_waits(operations: Sequence[_Operation], rng: np.random.Generator) -> list[Step]:
    """The descriptors with the waits that the places ask for, in order, and some that nobody needs."""
    counts = [0] * len(_ENGINES)
    numbers = []  # engine and number of each operation, from 1 on
    for operation in operations:
        counts[operation.engine] += 1
        numbers.append((operation.engine, counts[operation.engine]))
    writers: dict[int, list[int]] = {}  # of what is at a place
    readers: dict[int, list[int]] = {}
    found: list[Step] = []
    # Twice: the second time it is known who used a place in the iteration before.
    for index in range(2 * len(operations)):
        operation = operations[index % len(operations)]
        awaited = {writer for place in operation.reads + operation.writes for writer in writers.get(place, [])}
        awaited |= {reader for place in operation.writes for reader in readers.get(place, [])}
        if rng.random() < 0.4 and index:
            # Of any engine as often as of any other.
            drawn = rng.integers(len(_ENGINES))
            before = [other for other in range(index) if numbers[other % len(operations)][0] == drawn]
            awaited |= {int(rng.choice(before))} if before else set()
        awaited.discard(index)
        waits = [Wait() for _ in _ENGINES]
        # In order of time, so that a wait of this iteration, or for more, is the last.
        for other in sorted(awaited):
            engine, number = numbers[other % len(operations)]
            previous = other < len(operations) <= index
            waits[engine] = Wait(number, previous)
        for place in operation.reads:
            readers.setdefault(place, []).append(index)
        for place in operation.writes:
            writers[place], readers[place] = [index], []
        for place in operation.appends:
            writers[place].append(index)
        if index >= len(operations):
            a, b, c, d = waits
            found.append(replace(operation.step, waits=(a, b, c, d)))
    return found


def random_program(
    rng: np.random.Generator, config: Config, *, layers: int = 4, iterations: int = 3, batch: int = 1, size: int = 9
) -> Program:
    """A graph of layers, some with a residual, often a second input, on planes of at most ``size`` rows and columns.

    Weights, parameters and tensors share as few places as the draw says, at least one for two layers' weights.
    """
    return _Maker(rng, config, [None] * layers, batch, size).program(iterations)


def independent_layers(rng: np.random.Generator, config: Config, kinds: Sequence[str], size: int = 9) -> Program:
    """Layers of given KINDS, or PARTS, that all read the input, two iterations of them.

    Each has places of its own as far as the memories reach, so that neighbours can be open together.
    """
    return _Maker(rng, config, kinds, 1, size, ample=True).program(2)


class _NoRoomError(Exception):
    """Too many tensors are needed at a time."""


class _Maker:
    def __init__(
        self,
        rng: np.random.Generator,
        config: Config,
        kinds: Sequence[str | None],
        batch: int,
        size: int,
        ample: bool = False,
    ):
        """kinds: of KINDS or PARTS, of each layer; one of a given kind reads the input, others any tensor.

        ample: places are used again only where there is no room for another.
        """
        self.rng, self.config, self.batch, self.ample = rng, config, batch, ample
        self.blocks: dict[tuple[int, int], LineShape] = {}
        height, width = (int(n) for n in rng.integers(2, size + 1, 2))
        channels = int(rng.integers(2 if any(kinds) else 1, 6))  # one group alone is none
        example = rng.integers(1, 256, (channels, height, width)).astype(np.uint8)
        example[rng.random(example.shape) < 0.4] = 0
        self.inputs = {INPUT: Input(example, 1.0), ADDED: Input(rng.permuted(example, axis=0), 1.0)}
        self.tensors: dict[str, Bytes] = {name: given.example for name, given in self.inputs.items()}
        self.layers: dict[str, Layer] = {}
        self.in_parts = {f"n{number}" for number, kind in enumerate(kinds) if kind == PARTS}
        nodes, source = [], INPUT
        for number, kind in enumerate(kinds):
            node, layer = self._node(f"n{number}", INPUT if kind else source, kind)
            nodes.append(node)
            self.layers[node.name], self.tensors[node.name] = layer, layer.expected
            # Of what there is, so that neighbours often do not depend on each other.
            source = node.name if rng.random() < 0.4 else str(rng.choice(list(self.tensors)))
        self.nodes = nodes
        read = {name for node in nodes for name in node.reads}
        self.inputs = {name: given for name, given in self.inputs.items() if name in read}
        self.network = Network(tuple(nodes), self.inputs)

    def _block(self, plane: tuple[int, int]) -> LineShape:
        """The lines of all tensors of a plane, so that each can be added to each."""
        if plane not in self.blocks:
            width = int(self.rng.integers(1, min(plane[1], _MOST_POSITIONS) + 1))
            height = int(self.rng.integers(1, min(plane[0], _MOST_POSITIONS // width) + 1))
            self.blocks[plane] = LineShape(height, width)
        return self.blocks[plane]

    def _node(self, name: str, source: str, given: str | None) -> tuple[Node, Layer]:
        rng, x = self.rng, self.tensors[source]
        while True:
            mode = MODES[rng.integers(len(MODES))]
            r, s = (int(n) for n in rng.integers(1, 4, 2))
            top, bottom, left, right = (int(n) for n in rng.integers(0, 3, 4))
            shape = Geometry(
                x.shape[1:], (r, s), (int(rng.integers(1, 3)), int(rng.integers(1, 3))), (top, bottom, left, right)
            )
            channels, groups = int(rng.integers(1, 2 * self.config.NumLanes + 3)), 1
            kind = given or str(rng.choice(["conv", "groups", *_POOLS], p=[0.4, 0.3, 0.15, 0.15]))
            if kind == PARTS:
                whole = chunk_channels(self.config, *mode)
                channels = int(rng.integers(whole + 1, 3 * whole + 1))
            elif kind in _POOLS:
                shape, mode = shape._replace(padding=(0, 0, 0, 0)), (1, 1)
            elif kind == "groups":
                groups, mode = x.shape[0], (1, 1)
                channels = groups * int(rng.integers(1, 3))
            elif kind == "residual" or rng.random() < 0.5:  # an output that may be added to the input
                channels, shape = x.shape[0], Geometry(x.shape[1:], (3, 3), (1, 1), (1, 1, 1, 1))
            if min(shape.out) < 1:
                continue
            signed = x.dtype == np.int8
            options: dict[str, Any] = {"signed": signed, "stride": shape.stride, "padding": shape.padding}
            if kind != "max_pool":
                options["clamp"] = (-128, 127) if rng.random() < 0.3 else (0, 255)
            if kind in _POOLS:
                layer = make_pool(rng, kind, x.shape, shape.kernel, **options)
            else:
                layer = make_layer(rng, x.shape, channels, shape.kernel, mode=mode, groups=groups, **options)
            layer = replace(layer, activations=x)
            block = self._block(layer.out_shape[1:])
            fits = block.line_h * block.line_w <= max_tile(self.config, *mode)
            if not fits or region_size(layer, block) > self.config.RegionPos:
                continue
            residual = INPUT if given == "residual" else None if given else self._residual(layer)
            if residual:
                layer = with_residual(rng, layer)
                layer = replace(layer, residual=self.tensors[residual])
            return _node_of(name, source, layer, residual), layer

    def _residual(self, layer: Layer) -> str | None:
        """A tensor that can be added, sometimes."""
        if layer.kind != "conv" or layer.groups > 1:
            return None
        found = [name for name, tensor in self.tensors.items() if tensor.shape == layer.out_shape]
        return str(self.rng.choice(found)) if found and self.rng.random() < 0.7 else None

    def program(self, iterations: int) -> Program:
        """Place everything and order it."""
        rng, config = self.rng, self.config
        rows: list[np.ndarray] = []
        self.offsets: dict[tuple[str, bool], tuple[int, int]] = {}  # of weights and parameters: first beat, beats
        for node in self.nodes:
            layer = self.layers[node.name]
            for parameters in (False, True):
                part = stream.parameter_rows(config, layer) if parameters else stream.weight_rows(config, layer)
                self.offsets[node.name, parameters] = sum(map(len, rows)), len(part)
                rows.append(part)
        in_turn = np.repeat(np.arange(self.batch), len(self.nodes))
        try:
            operations = self._operations(rng.permutation(in_turn).tolist())
        except _NoRoomError:
            operations = self._operations(in_turn.tolist())
        steps = with_waits(operations, rng)
        images = {
            name: np.stack([self._image(given.example) for _ in range(iterations * self.batch)])
            for name, given in self.inputs.items()
        }
        return Program(
            config=config.name,
            network=self.network,
            batch=self.batch,
            weights=tuple(step for step in steps if isinstance(step, WeightLoad)),
            activations=tuple(step for step in steps if isinstance(step, ActivationLoad)),
            layers=tuple(step for step in steps if isinstance(step, LayerStep)),
            results=tuple(step for step in steps if isinstance(step, ResultTransfer)),
            beats=np.concatenate(rows),
            images=images,
        )

    def _operations(self, turns: list[int]) -> list[_Operation]:
        """turns: for each node of each image, in which order, the image."""
        rng, operations = self.rng, []
        entries = max(tensor.shape[0] * self._lines(tensor.shape[1:]) for tensor in self.tensors.values())
        words = max(
            int(lines.compress(np.ones_like(tensor), self._block(tensor.shape[1:])).words.sum())
            for tensor in self.tensors.values()
        )
        counts = {key: count for key, (_, count) in self.offsets.items()}
        places = _Places(rng, self.config, counts, entries, words, self.ample)
        outputs = {self.nodes[-1].name} | {node.name for node in self.nodes if rng.random() < 0.15}
        where: list[dict[str, tuple[int, _Place]]] = [{} for _ in range(self.batch)]
        left = [list(self.nodes) for _ in range(self.batch)]
        loaded: set[tuple[str, bool]] = set()  # in this iteration

        def tensor(name: str, image: int) -> tuple[int, _Place]:
            """A place that holds nothing that is still read."""
            live = {
                found[read][0]
                for found, nodes in zip(where, left, strict=True)
                for node in nodes
                for read in node.reads
                if read in found
            }
            where[image][name] = places.tensor(live)
            return where[image][name]

        for image in turns:
            node = left[image][0]
            for name in node.reads:
                if name in self.inputs and name not in where[image]:
                    operations.append(self._load(name, image, *tensor(name, image)))
            own = []
            for parameters in rng.permutation([False, True]).tolist():
                identity, place = places.weights(node.name, parameters)
                own.append((identity, place))
                if place.holds != node.name or (node.name, parameters) not in loaded:
                    place.holds = node.name
                    loaded.add((node.name, parameters))
                    data, count = self.offsets[node.name, parameters]
                    mode = (node.k.bit_length() - 1, node.m.bit_length() - 1) if not parameters else (0, 0)
                    step = WeightLoad(NO_WAITS, place.base, count, parameters, data, node.name, *mode)
                    operations.append(_Operation(step, writes=[identity]))
            tensor(node.name, image)
            operations += self._layer(image, node, where[image], own)
            left[image].pop(0)
            if node.name in outputs:
                identity, place = where[image][node.name]
                sent = self._part(node.name, image, place)
                transfer = ResultTransfer(NO_WAITS, place.base, sent.pitch * sent.last, sent)
                operations.append(_Operation(transfer, reads=[identity]))
        return operations

    def _image(self, example: Bytes) -> np.ndarray:
        rows = example.shape[1]
        image: np.ndarray = self.rng.permuted(example.reshape(-1)).reshape(example.shape)
        if self.rng.random() < 0.3:
            image[:, : int(self.rng.integers(rows))] = 0  # short units first: a layer overtakes the one before
        return np.where(self.rng.random(image.shape) < self.rng.random(), image, 0).astype(np.uint8)

    def _part(self, tensor: str, image: int, place: _Place) -> Part:
        channels, height, width = self.tensors[tensor].shape
        block = self._block((height, width))
        pitch = self._lines((height, width))
        return Part(tensor, image, 0, channels, 0, height, block.line_h, block.line_w, place.base, pitch)

    def _lines(self, plane: tuple[int, int]) -> int:
        return prod(self._block(plane).grid(*plane))

    def _load(self, name: str, image: int, identity: int, place: _Place) -> _Operation:
        part = self._part(name, image, place)
        positions = part.line_h * part.line_w
        step = ActivationLoad(
            NO_WAITS, place.base, part.pitch * part.last, positions, place.first_word, place.last_word, part
        )
        return _Operation(step, writes=[identity])

    def _layer(
        self, image: int, node: Node, where: dict[str, tuple[int, _Place]], own: list[tuple[int, _Place]]
    ) -> Iterator[_Operation]:
        """A layer, or its parts along K."""
        layer, config = self.layers[node.name], self.config
        line, tile = self._block(layer.activations.shape[1:]), self._block(layer.out_shape[1:])
        splits = 1
        if layer.kind == "conv":
            splits = int(self.rng.integers(1, layer.activations.shape[0] // layer.groups + 1))
        whole = make_plan(config, layer, Cut(line, tile, splits)).descriptor
        bases = {place.memory: place.base for _, place in own}
        target, out = where[node.name]
        reads = [where[name][0] for name in node.reads] + [identity for identity, _ in own]
        cuts = [0, whole.chunks]
        divisible = layer.kind == "conv" and layer.groups == 1 and whole.chunks > 1
        if divisible and (node.name in self.in_parts or self.rng.random() < 0.6):
            cuts.insert(1, int(self.rng.integers(1, whole.chunks)))
        vectors = whole.vectors // whole.chunks
        for begin, end in pairwise(cuts):
            chunk_k = chunk_channels(config, whole.k, whole.m)
            channels = range(begin * chunk_k, min(end * chunk_k, whole.out_k))
            source, made = self._part(node.source, image, where[node.source][1]), self._part(node.name, image, out)
            made = replace(made, first=channels.start, last=channels.stop, base=out.base + channels.start * made.pitch)
            added = None
            if node.residual:
                added = self._part(node.residual, image, where[node.residual][1])
                base = added.base + channels.start * added.pitch
                added = replace(added, first=channels.start, last=channels.stop, base=base)
            if len(cuts) == 2:
                d = whole
            else:
                chunks = end - begin
                d = replace(whole, chunks=chunks, group_chunks=chunks, out_k=len(channels))
            d = replace(
                d,
                wgt_base=bases["weights"] + begin * vectors,
                par_base=bases["parameters"] + channels.start,
                in_idx_base=source.base,
                out_idx_base=made.base,
                out_act_base=out.first_word,
                out_act_limit=out.last_word,
                out_section=target % 32,
                out_append=int(begin > 0),
                res_idx_base=added.base if added else 0,
            )
            step = LayerStep(
                NO_WAITS,
                d,
                node.name,
                made,
                source=source,
                residual=added,
                weights=self.offsets[node.name, False][0] + begin * vectors,
                parameters=self.offsets[node.name, True][0] + channels.start,
            )
            own_place = {"appends" if begin else "writes": [target]}
            yield _Operation(step, reads=reads, **own_place)


class _Places:
    """Hands places out: those of weights in turn, those of tensors at random among the ones that hold nothing live."""

    def __init__(
        self,
        rng: np.random.Generator,
        config: Config,
        counts: dict[tuple[str, bool], int],
        entries: int,
        words: int,
        ample: bool,
    ):
        """counts: beats of each node's weights and parameters; entries, words: of the largest tensors; ample: as many
        places as there is room for."""
        self.rng, self.config, self.ample = rng, config, ample
        self._all: list[_Place] = []
        self._weights: dict[bool, list[int]] = {}
        self._turns = {False: 0, True: 0}
        self._given: dict[tuple[str, bool], int] = {}
        for parameters, memory, room in (
            (False, "weights", config.WgtBanks * config.WgtDepth),
            (True, "parameters", config.ParDepth),
        ):
            own = [count for (_, kind), count in counts.items() if kind == parameters]
            most = max(1, min(len(own), room // max(own)))
            number = most if ample else int(rng.integers(1, most + 1))
            self._weights[parameters] = [
                self._add(_Place(memory, place * max(own), max(own))) for place in range(number)
            ]
        self._entries, self._words = entries, words
        self._tensors: list[int] = []

    def _add(self, place: _Place) -> int:
        self._all.append(place)
        return len(self._all) - 1

    def weights(self, node: str, parameters: bool) -> tuple[int, _Place]:
        """Where a node's weights or parameters lie."""
        if (node, parameters) not in self._given:
            own = self._weights[parameters]
            self._given[node, parameters] = own[self._turns[parameters] % len(own)]
            self._turns[parameters] += 1
        identity = self._given[node, parameters]
        return identity, self._all[identity]

    def tensor(self, live: set[int]) -> tuple[int, _Place]:
        """A place for a tensor, none of those that are live. Raises _NoRoomError."""
        free = [identity for identity in self._tensors if identity not in live]
        number = len(self._tensors)
        room = min(
            self.config.IdxBanks * self.config.IdxDepth // self._entries,
            self.config.ActBanks * self.config.ActDepth // self._words,
        )
        if not free and number == room:
            raise _NoRoomError
        if not free or (number < room and (self.ample or self.rng.random() < 0.3)):
            place = _Place(
                "tensor",
                number * self._entries,
                self._entries,
                first_word=number * self._words,
                last_word=(number + 1) * self._words,
            )
            self._tensors.append(self._add(place))
            free = self._tensors[-1:]
        identity = int(self.rng.choice(free))
        return identity, self._all[identity]


def _node_of(name: str, source: str, layer: Layer, residual: str | None) -> Node:
    """The node that does what a layer does."""
    common: dict[str, Any] = {
        "name": name,
        "op": "sum_pool" if layer.kind == "average_pool" else layer.kind,
        "source": source,
        "kernel": layer.kernel,
        "stride": layer.stride,
        "padding": layer.padding,
        "clamp": layer.clamp,
    }
    if layer.kind == "max_pool":
        return Node(**common)
    common |= {"bias": layer.bias, "multiplier": layer.multiplier, "shift": layer.shift}
    if layer.kind == "average_pool":
        return Node(**common)
    return Node(
        **common,
        k=layer.k,
        m=layer.m,
        groups=layer.groups,
        weights=layer.weights,
        residual=residual,
        residual_multiplier=layer.residual_multiplier,
        residual_shift=layer.residual_shift,
    )
