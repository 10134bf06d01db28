# SPDX-License-Identifier: Apache-2.0
"""From an order of layers to a program: places of tensors, weights and parameters, loads, results, waits."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from models.compiler.graph import Graph
from models.compiler.parts import LayerPart, Parts
from models.compiler.place import Need, Ring, pack
from models.compiler.waits import Access, waits
from models.config import Config
from models.lines import LineShape
from models.network import INPUT, Node
from models.program import NO_WAITS, ActivationLoad, LayerStep, Part, Program, ResultTransfer, Step, WeightLoad
from models.stream import weight_bytes

_SECTIONS = 32
_RESULT_STEPS = 1  # steps for which a result's place stays free of others, so that nothing waits for its transfer
_SHARING_STEPS = 6  # of the search for how much spare memory sections get


@dataclass(frozen=True)
class Sizes:
    """Words of the Activation Memory of each tensor that is written, as calibration saw and without zeros."""

    seen: dict[str, int]
    dense: dict[str, int]


@dataclass(frozen=True)
class Use:
    """One step of the layers engine: a part of a node for an image of the batch."""

    node: str
    part: int
    image: int


class DoesNotFitError(ValueError):
    """A memory is too small for an order of layers."""


class Emitter:
    """Makes programs of one network. blocks: of every tensor; ahead: steps that an input is loaded ahead."""

    def __init__(
        self,
        graph: Graph,
        config: Config,
        parts: dict[str, Parts],
        sizes: Sizes,
        blocks: dict[str, LineShape],
        batch: int,
        ahead: int,
    ):
        self.graph, self.config, self.parts, self.sizes = graph, config, parts, sizes
        self.blocks, self.batch, self.ahead = blocks, batch, ahead
        self.nodes: dict[str, Node] = {node.name: node for node in graph.layers}
        self.spans = graph.spans
        self.written = [name for name in (INPUT, *self.nodes) if name != INPUT or self._readers(INPUT)]
        self.readers = {name: self._readers(name) for name in self.written}
        self.results = [
            (name, [other for other in self.written if self.spans[other].meets(self.spans[name])])
            for name in graph.network.outputs
        ]

    def _readers(self, tensor: str) -> set[str]:
        """Nodes that read a tensor, or one that it is part of."""
        return {
            node.name for node in self.graph.layers for read in node.reads if self.spans[read].meets(self.spans[tensor])
        }

    # Lifetimes and places of tensors

    def _lives(self, order: Sequence[Use]) -> dict[tuple[str, int], tuple[int, int]]:
        """By written tensor and image the first step that it is there and the one when it no longer is."""
        writes: dict[tuple[str, int], list[int]] = {}
        for time, use in enumerate(order):
            writes.setdefault((use.node, use.image), []).append(time)
        found = {}
        for name in self.written:
            for image in range(self.batch):
                reads = [time for reader in self.readers[name] for time in writes[reader, image]]
                own = writes[name, image] if name != INPUT else [min(reads) - self.ahead]
                found[name, image] = min(own), max([*own, *reads]) + 1
        for _, made in self.results:
            for image in range(self.batch):
                end = max(found[name, image][0] if name == INPUT else writes[name, image][-1] for name in made) + 1
                for name in made:
                    birth, last = found[name, image]
                    found[name, image] = birth, max(last, end + _RESULT_STEPS)
        return found

    def _entries(self, root: str) -> int:
        c, h, w = self.graph.shapes[root]
        rows, columns = self.blocks[root].grid(h, w)
        return c * rows * columns

    def _index(self, lives: dict[tuple[str, int], tuple[int, int]], period: int) -> dict[tuple[str, int], int]:
        """By root and image its first index entry."""
        keys = list(dict.fromkeys((self.spans[name].root, image) for name, image in lives))
        needs = []
        for root, image in keys:
            spans = [lives[name, image] for name in self.written if self.spans[name].root == root]
            needs.append(Need(self._entries(root), min(b for b, _ in spans), max(e for _, e in spans)))
        memory = self.config.IdxBanks * self.config.IdxDepth
        bases = pack(needs, period, memory)
        if bases is None:
            raise self._full("lines", needs, [root for root, _ in keys], period, memory, "Index Memory")
        return dict(zip(keys, bases, strict=True))

    def _words(
        self, lives: dict[tuple[str, int], tuple[int, int]], period: int
    ) -> dict[tuple[str, int], tuple[int, int]]:
        """By written tensor and image its section: as large as its lines without zeros, or as the memory allows."""
        memory, keys = self.config.ActBanks * self.config.ActDepth, list(lives)
        low, high, found = 0.0, 1.0, None
        for step in range(_SHARING_STEPS):
            share = high if step == 0 else 0.0 if step == 1 else (low + high) / 2
            needs = []
            for name, image in keys:
                seen, dense = self.sizes.seen[name], self.sizes.dense[name]
                needs.append(Need(seen + int(share * (dense - seen)), *lives[name, image]))
            bases = pack(needs, period, memory)
            if bases is None and step == 1:
                names = [name for name, _ in keys]
                raise self._full("words", needs, names, period, memory, "Activation Memory")
            if bases is not None:
                low = share
                found = {key: (base, base + need.size) for key, base, need in zip(keys, bases, needs, strict=True)}
                if step == 0:
                    break
            elif step:
                high = share
        assert found is not None
        return found

    @staticmethod
    def _full(
        what: str, needs: Sequence[Need], names: Sequence[str], period: int, memory: int, where: str
    ) -> DoesNotFitError:
        """The refusal, with the tensors of the step that needs most."""

        def there(step: int) -> list[int]:
            return [n for n, need in enumerate(needs) if (step - need.birth) % period < need.end - need.birth]

        worst = max((there(step) for step in range(period)), key=lambda found: sum(needs[n].size for n in found))
        total = sum(needs[n].size for n in worst)
        of = ", ".join(dict.fromkeys(names[n] for n in worst))
        return DoesNotFitError(
            f"network does not fit: {total} {what} of {of} at the same time, the {where} holds at most {memory}"
        )

    # Steps

    def _part(self, tensor: str, image: int, placed: Placed, channels: range | None = None) -> Part:
        """Where channels of a tensor lie."""
        span, block = self.spans[tensor], self.blocks[tensor]
        c, h, w = self.graph.shapes[tensor]
        rows, columns = block.grid(h, w)
        pitch = rows * columns
        channels = channels or range(c)
        base = placed.index[span.root, image] + (span.first + channels.start) * pitch
        return Part(tensor, image, channels.start, channels.stop, 0, h, block.line_h, block.line_w, base, pitch)

    def _sections(self, order: Sequence[Use]) -> dict[tuple[str, int], int]:
        """Numbers of the output sections: one of its own for each tensor that parts are being appended to."""
        last = {(use.node, use.image): time for time, use in enumerate(order)}
        free = list(range(_SECTIONS - 1, 0, -1))
        open_: dict[tuple[str, int], int] = {}
        found: dict[tuple[str, int], int] = {}
        for time, use in enumerate(order):
            key = use.node, use.image
            if len(self.parts[use.node].parts) == 1:
                found[key] = 0
                continue
            if key not in open_:
                if not free:
                    raise DoesNotFitError(f"network does not fit: more than {_SECTIONS - 1} tensors in parts at once")
                open_[key] = found[key] = free.pop()
            if last[key] == time:
                free.append(open_.pop(key))
        return found

    def emit(self, order: Sequence[Use]) -> Program:
        """The program, without its data. Raises DoesNotFitError where a memory is too small for this order."""
        lives = self._lives(order)
        index, words = self._index(lives, len(order)), self._words(lives, len(order))
        placed = Placed(index, words, self._sections(order))
        last = {(use.node, use.image): time for time, use in enumerate(order)}
        rings = Ring(self.config.WgtBanks * self.config.WgtDepth), Ring(self.config.ParDepth)
        lists, data = _Lists(), _Data()
        loaded: set[int] = set()
        for time, use in enumerate(order):
            node, part = self.nodes[use.node], self.parts[use.node].parts[use.part]
            bases, rows = [], []
            for ring, (key, size) in zip(rings, data_of(use, part), strict=True):
                base, missing = ring.place(key, size)
                bases.append(base)
                rows.append(data.row(key, size))
                if missing:
                    self._weights(lists, use.node, part, base, size, rows[-1], ring is rings[1])
            if use.node in self.readers.get(INPUT, ()) and use.image not in loaded:
                loaded.add(use.image)
                self._load(lists, placed, use.image)
            self._layer(lists, placed, use, node, part, (bases[0], bases[1]), (rows[0], rows[1]))
            for name, made in self.results:
                if max(last[other, use.image] for other in made if other != INPUT) == time:
                    self._result(lists, placed, name, made, use.image)
        weights, activations, layers, results = lists.waiting()
        example = self.graph.network.example
        program = Program(
            self.config.name,
            self.graph.network,
            self.batch,
            tuple(step for step in weights if isinstance(step, WeightLoad)),
            tuple(step for step in activations if isinstance(step, ActivationLoad)),
            tuple(step for step in layers if isinstance(step, LayerStep)),
            tuple(step for step in results if isinstance(step, ResultTransfer)),
            np.zeros((data.rows, weight_bytes(self.config)), np.uint8),
            np.zeros((0, *example.shape), example.dtype),
        )
        if (length := len(program.encode()[0])) > self.config.PrgDepth:
            raise DoesNotFitError(
                f"network does not fit: {length} words of descriptors, the Program Memory holds at most "
                f"{self.config.PrgDepth}"
            )
        return program

    def _weights(
        self, lists: _Lists, node: str, part: LayerPart, base: int, size: int, row: int, parameters: bool
    ) -> None:
        d = part.descriptor
        mode = {} if parameters else {"k_log2": d.k_log2, "m_log2": d.m_log2}
        access = lists.add(0, WeightLoad(NO_WAITS, base, size, parameters, row, node, **mode))
        access.use("parameters" if parameters else "weights", base, size, True)

    def _load(self, lists: _Lists, placed: Placed, image: int) -> None:
        part, (base, limit) = self._part(INPUT, image, placed), placed.words[INPUT, image]
        lines = (part.last - part.first) * part.pitch
        load = ActivationLoad(NO_WAITS, part.base, lines, part.line_h * part.line_w, base, limit, part)
        access = lists.add(1, load)
        access.use("index", part.base, lines, True)
        access.use("words", base, limit - base, True)

    def _result(self, lists: _Lists, placed: Placed, name: str, made: list[str], image: int) -> None:
        part = self._part(name, image, placed)
        lines = (part.last - part.first) * part.pitch
        access = lists.add(3, ResultTransfer(NO_WAITS, part.base, lines, part))
        access.use("index", part.base, lines)
        for other in made:
            base, limit = placed.words[other, image]
            access.use("words", base, limit - base)

    def _layer(
        self,
        lists: _Lists,
        placed: Placed,
        use: Use,
        node: Node,
        part: LayerPart,
        bases: tuple[int, int],
        rows: tuple[int, int],
    ) -> None:
        d = part.descriptor
        base, limit = placed.words[use.node, use.image]
        outputs = range(part.first, part.first + d.out_k)
        out = self._part(use.node, use.image, placed, outputs)
        first = d.in_idx_base // d.in_pitch  # input channel
        source = self._part(node.source, use.image, placed, range(first, first + d.in_c))
        residual = None if node.residual is None else self._part(node.residual, use.image, placed, outputs)
        d = replace(
            d,
            wgt_base=bases[0],
            par_base=bases[1],
            in_idx_base=source.base,
            out_idx_base=out.base,
            res_idx_base=residual.base if residual else 0,
            out_act_base=base,
            out_act_limit=limit,
            out_section=placed.sections[use.node, use.image],
        )
        access = lists.add(2, LayerStep(NO_WAITS, d, use.node, out, source, residual, *rows, part.cycles))
        access.use("weights", d.wgt_base, d.vectors)
        access.use("parameters", d.par_base, d.out_k)
        access.use("index", source.base, d.in_entries)
        access.use("index", d.res_idx_base, d.res_entries)
        access.use("index", out.base, d.out_entries, True)
        access.use("words", base, limit - base, True)
        for name in self.written:
            if any(self.spans[name].meets(self.spans[read]) for read in node.reads):
                low, high = placed.words[name, use.image]
                access.use("words", low, high - low)


@dataclass(frozen=True)
class Placed:
    """Places of tensors by name and image of the batch: first index entry of roots; of those that are written the
    section, and its number."""

    index: dict[tuple[str, int], int]
    words: dict[tuple[str, int], tuple[int, int]]
    sections: dict[tuple[str, int], int]


class _Lists:
    """The engines' descriptors as they come, and what they use."""

    def __init__(self) -> None:
        self.steps: tuple[list[Step], ...] = ([], [], [], [])
        self.accesses: list[Access] = []

    def add(self, engine: int, step: Step) -> Access:
        """Append a descriptor; its accesses, to be filled in."""
        access = Access(engine, len(self.steps[engine]))
        self.steps[engine].append(step)
        self.accesses.append(access)
        return access

    def waiting(self) -> tuple[list[Step], ...]:
        """The descriptors with their waits."""
        for access, wait in zip(self.accesses, waits(self.accesses), strict=True):
            steps = self.steps[access.engine]
            steps[access.number] = replace(steps[access.number], waits=wait)
        return self.steps


class _Data:
    """Rows of the beats, each set's once."""

    def __init__(self) -> None:
        self.rows = 0
        self.first: dict[Hashable, int] = {}

    def row(self, key: Hashable, size: int) -> int:
        """Where a set's rows begin."""
        if key not in self.first:
            self.first[key] = self.rows
            self.rows += size
        return self.first[key]


def data_of(use: Use, part: LayerPart) -> tuple[tuple[Hashable, int], tuple[Hashable, int]]:
    """Weights and parameters of a step: what tells them from others, and how many. Pools share their weights."""
    weights: Hashable = ("pool", len(part.vectors)) if part.descriptor.tap_shared else ("weights", use.node, use.part)
    return (weights, len(part.vectors)), (("parameters", use.node, use.part), len(part.parameters))


def with_data(program: Program, parts: dict[str, Parts]) -> Program:
    """The program with the beats of its weight loads."""
    beats = np.zeros_like(program.beats)
    for step in program.layers:
        own = next(p for p in parts[step.node].parts if p.first == step.part.first)
        for row, of_layer, which in (
            (step.weights, parts[step.node].weights, own.vectors),
            (step.parameters, parts[step.node].parameters, own.parameters),
        ):
            beats[row : row + len(which)] = of_layer[which.start : which.stop]
    return replace(program, beats=beats)
