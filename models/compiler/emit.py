# SPDX-License-Identifier: Apache-2.0
"""From an order of layers to a program: places of tensors, weights and parameters, loads, results, waits."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from models.compiler.dataflow import Graph
from models.compiler.load_order import Load, load_order
from models.compiler.parts import LayerPart, Parts
from models.compiler.place import Need, Packed, Sets, pack, there
from models.compiler.strips import Strips, read_rows
from models.compiler.waits import NOBODY, Access, waits
from models.config import Config
from models.lines import LineShape
from models.network import Node, taken
from models.program import (
    LAYERS,
    NO_WAITS,
    WORDS,
    ActivationLoad,
    LayerStep,
    Part,
    Program,
    ResultTransfer,
    Step,
    Waits,
    WeightLoad,
)
from models.stream import weight_bytes

_SECTIONS = 32
_RESULT_STEPS = 1  # steps for which a result's place stays free of others, so that nothing waits for its transfer
_SHARING_STEPS = 5  # of the search for how much spare memory sections get
_NODES = 4  # whose parameters the Parameter Memory should hold
_LEAST_WORDS = 64  # that a section gets of what it lacks
_LEAST_SPARE = 0.04  # of the most that calibration saw, likewise: other inputs may need more
_LEAST_SHARE = 0.125  # of what a section lacks to be as large as without zeros, before tensors are kept apart


@dataclass(frozen=True)
class Sizes:
    """Words of the Activation Memory of each tensor that is written, or of its strips, as calibration saw and without
    zeros."""

    seen: dict[tuple[str, int], int]
    dense: dict[tuple[str, int], int]


@dataclass(frozen=True)
class Use:
    """One step of the layers engine: a part of a node for an image of the batch; of a node in strips, one of them."""

    node: str
    part: int
    image: int
    strip: int = 0


# A tensor of an image of the batch, or one of its strips where only strips of it exist.
Instance = tuple[str, int, int]


class DoesNotFitError(ValueError):
    """A memory is too small for an order of layers."""


class Emitter:
    """Makes programs of one network.

    parts: by node and strip; blocks: of every tensor; ahead: steps that an input is loaded ahead of its first reader.
    """

    def __init__(
        self,
        graph: Graph,
        config: Config,
        parts: dict[tuple[str, int], Parts],
        strips: Strips,
        sizes: Sizes,
        blocks: dict[str, LineShape],
        batch: int,
        ahead: int,
    ):
        self.graph, self.config, self.parts, self.sizes = graph, config, parts, sizes
        self.blocks, self.batch, self.ahead, self.strips = blocks, batch, ahead, strips
        self.nodes: dict[str, Node] = {node.name: node for node in graph.layers}
        self.spans = graph.spans
        self.inputs = graph.loaded
        self.written = [*self.inputs, *self.nodes]
        self.readers = {name: graph.readers(name) for name in self.written}
        self.sources = {
            node.name: [name for name in self.written if node.name in self.readers[name]] for node in graph.layers
        }
        self.results = [
            (name, [other for other in self.written if self.spans[other].meets(self.spans[name])])
            for name in graph.network.outputs
        ]

    # Lifetimes and places of tensors

    def _instance(self, tensor: str, image: int, strip: int) -> Instance:
        """Where a step of a strip finds or puts a tensor."""
        return tensor, image, strip if tensor in self.strips.stripped else 0

    def _lives(self, order: Sequence[Use]) -> dict[Instance, Need]:
        """By written tensor the first step that it is there and the one when it no longer is, without a size. It is
        apart from what the step behind its last one writes, if that one could be open beside it."""
        independent = self._independent(order)
        writes: dict[Instance, list[int]] = {}
        reads: dict[Instance, list[int]] = {}
        for time, use in enumerate(order):
            writes.setdefault(self._instance(use.node, use.image, use.strip), []).append(time)
            for name in self.sources[use.node]:
                reads.setdefault(self._instance(name, use.image, use.strip), []).append(time)
        for name, image, strip in [key for key in reads if key[0] in self.inputs]:
            writes[name, image, strip] = [min(reads[name, image, strip]) - self.ahead]
        found: dict[Instance, Need] = {}
        for key, own in writes.items():
            last = max([*own, *reads.get(key, own)])
            found[key] = Need(0, min(own), last + 1, int(independent[last]))
        for _, made in self.results:
            for image in range(self.batch):
                end = max(writes[name, image, 0][-1] for name in made) + 1
                for name in made:
                    if (life := found[name, image, 0]).end < end + _RESULT_STEPS:
                        found[name, image, 0] = replace(life, end=end + _RESULT_STEPS, apart=0)
        return found

    def _independent(self, order: Sequence[Use]) -> list[bool]:
        """By step whether the next one, of the next iteration after the last, reads nothing that it writes."""
        found = []
        for use, following in zip(order, [*order[1:], order[0]], strict=True):
            own = self._instance(use.node, use.image, use.strip)
            read = [self._instance(name, following.image, following.strip) for name in self.sources[following.node]]
            found.append(own not in read)
        return found

    def _rows(self, tensor: str, strip: int) -> range:
        """The rows of an instance of a tensor."""
        if tensor in self.strips.stripped:
            return self.strips.rows[tensor][strip]
        return range(self.graph.shapes[tensor][1])

    def _pitch(self, tensor: str, strip: int) -> int:
        """Lines of a channel of an instance."""
        rows, columns = self.blocks[tensor].grid(len(self._rows(tensor, strip)), self.graph.shapes[tensor][2])
        return rows * columns

    def _index(self, lives: dict[Instance, Need], period: int) -> dict[Instance, int]:
        """By root its first index entry."""
        inside: dict[Instance, list[Need]] = {}
        for (name, image, strip), life in lives.items():
            inside.setdefault((self.spans[name].root, image, strip), []).append(life)
        needs = []
        for (root, _, strip), own in inside.items():
            end = max(life.end for life in own)
            apart = max(life.end + life.apart for life in own) - end
            size = self.graph.shapes[root][0] * self._pitch(root, strip)
            needs.append(Need(size, min(life.birth for life in own), end, apart))
        memory = self.config.IdxBanks * self.config.IdxDepth
        packed = pack(needs, period, memory)
        if packed is None:
            raise self._full("lines", needs, [root for root, _, _ in inside], period, memory, "Index Memory")
        return dict(zip(inside, packed.bases, strict=True))

    def _words(self, lives: dict[Instance, Need], period: int) -> dict[Instance, tuple[int, int]]:
        """By written tensor its section: as large as its lines without zeros, or as the memory allows with as many
        tensors apart as with little more than what calibration saw; that little it always is larger."""
        memory, keys = self.config.ActBanks * self.config.ActDepth, list(lives)

        def packed(share: float) -> tuple[list[Need], Packed | None]:
            needs = []
            for name, image, strip in keys:
                seen, dense = self.sizes.seen[name, strip], self.sizes.dense[name, strip]
                lack = dense - seen
                # Of a small tensor, or of a dense one, a share is next to nothing.
                least = min(max(_LEAST_WORDS, int(_LEAST_SPARE * seen)), lack)
                more = max(int(share * lack), least)
                needs.append(replace(lives[name, image, strip], size=seen + more))
            return needs, pack(needs, period, memory)

        low, high = _LEAST_SHARE, 1.0
        needs, best = packed(low)
        if best is None:
            low, high = 0.0, low
            needs, best = packed(low)
        if best is None:
            raise self._full("words", needs, [name for name, _, _ in keys], period, memory, "Activation Memory")
        for step in range(_SHARING_STEPS):
            share = high if step == 0 else (low + high) / 2
            more, found = packed(share)
            if found and found.close <= best.close:
                low, needs, best = share, more, found
                if step == 0:
                    break
            else:
                high = share
        return {key: (base, base + need.size) for key, base, need in zip(keys, best.bases, needs, strict=True)}

    @staticmethod
    def _full(
        what: str, needs: Sequence[Need], names: Sequence[str], period: int, memory: int, where: str
    ) -> DoesNotFitError:
        """The refusal, with the tensors of the step that needs most."""
        found = there(needs, period)
        worst = found[found.dot([need.size for need in needs]).argmax()].nonzero()[0]
        total = sum(needs[n].size for n in worst)
        of = ", ".join(dict.fromkeys(names[n] for n in worst))
        return DoesNotFitError(
            f"network does not fit: {total} {what} of {of} at the same time, the {where} holds at most {memory}"
        )

    # Steps

    def _part(
        self,
        placed: Placed,
        tensor: str,
        image: int,
        strip: int = 0,
        channels: range | None = None,
        rows: range | None = None,
    ) -> Part:
        """Where channels and rows of a tensor lie; the rows of a whole tensor begin with a line."""
        span, block = self.spans[tensor], self.blocks[tensor]
        there, pitch = self._rows(tensor, strip), self._pitch(tensor, strip)
        channels, rows = channels or range(self.graph.shapes[tensor][0]), rows or there
        _, columns = block.grid(1, self.graph.shapes[tensor][2])
        base = placed.index[self._instance(span.root, image, strip)] + (span.first + channels.start) * pitch
        base += (rows.start - there.start) // block.line_h * columns
        lines = block.line_h, block.line_w
        return Part(tensor, image, channels.start, channels.stop, rows.start, rows.stop, *lines, base, pitch)

    def _sections(self, order: Sequence[Use]) -> dict[Instance, int]:
        """Numbers of the output sections: one of its own for each tensor that is being written, in turn."""
        last = {self._instance(use.node, use.image, use.strip): time for time, use in enumerate(order)}
        free = list(range(_SECTIONS))
        found: dict[Instance, int] = {}
        for time, use in enumerate(order):
            key = self._instance(use.node, use.image, use.strip)
            if key not in found:
                if not free:
                    raise DoesNotFitError(f"network does not fit: more than {_SECTIONS} tensors in parts at once")
                found[key] = free.pop(0)
            if last[key] == time:
                free.append(found[key])
        return found

    def emit(self, order: Sequence[Use]) -> Program:
        """The program, without its data. Raises DoesNotFitError where a memory is too small for this order."""
        self._check_length(len(order) * WORDS[LAYERS])
        lives = self._lives(order)
        index, words = self._index(lives, len(order)), self._words(lives, len(order))
        placed = Placed(index, words, self._sections(order))
        last = {(use.node, use.image): time for time, use in enumerate(order)}
        begun: set[Instance] = set()
        memories = Sets(self.config.WgtBanks * self.config.WgtDepth), Sets(self.config.ParDepth)
        lists, data = _Lists(), _Data()
        loaded: set[tuple[str, int]] = set()  # input and image
        for time, use in enumerate(order):
            node, part = self.nodes[use.node], self.parts[use.node, use.strip].parts[use.part]
            bases, rows = [], []
            for memory, own in zip(memories, self._data_of(use, part), strict=True):
                base, missing = memory.place(own.key, own.size, time) if own.size else (0, False)
                row = data.row(own.key, own.size)
                bases.append(base + own.first)
                rows.append(row + own.first)
                if missing:
                    self._weights(lists, use.node, part, base, own.size, row, memory is memories[1])
            for name in self.inputs:
                if use.node in self.readers[name] and (name, use.image) not in loaded:
                    loaded.add((name, use.image))
                    self._load(lists, placed, name, use.image)
            key = self._instance(use.node, use.image, use.strip)
            append = key in begun
            begun.add(key)
            self._layer(lists, placed, use, node, part, (bases[0], bases[1]), (rows[0], rows[1]), append)
            for name, made in self.results:
                if made == [name] and name not in self.strips.rows:  # what each part makes goes when it is there
                    if use.node == name and not part.descriptor.keep_slot:
                        self._result(lists, placed, name, made, use.image, part)
                elif max(last[other, use.image] for other in made) == time:
                    self._result(lists, placed, name, made, use.image)
        weights, activations, layers, results = lists.waiting()
        program = Program(
            self.config.name,
            self.graph.network,
            self.batch,
            tuple(step for step in weights if isinstance(step, WeightLoad)),
            tuple(step for step in activations if isinstance(step, ActivationLoad)),
            tuple(step for step in layers if isinstance(step, LayerStep)),
            tuple(step for step in results if isinstance(step, ResultTransfer)),
            np.zeros((data.rows, weight_bytes(self.config)), np.uint8),
            taken(self.graph.network.example, slice(0)),
        )
        self._check_length(sum(len(steps) * size for steps, size in zip(program.engines, WORDS, strict=True)))
        return program

    def _check_length(self, words: int) -> None:
        if words > self.config.PrgDepth:
            raise DoesNotFitError(
                f"network does not fit: {words} words of descriptors, the Program Memory holds at most "
                f"{self.config.PrgDepth}"
            )

    def _data_of(self, use: Use, part: LayerPart) -> tuple[_Set, _Set]:
        """What a step needs of weights and parameters: pools share their weights, parts of a node its parameters if
        there is room for others beside them."""
        own = _Set(("weights", use.node, use.part), len(part.vectors))
        if part.descriptor.tap_shared:
            own = _Set(("pool", own.size), own.size)
        if part.descriptor.keep_slot:  # its sums are requantised in the part that continues them
            return own, _Set((), 0)
        outputs = self.graph.shapes[use.node][0]
        if outputs <= self.config.ParDepth // _NODES:
            return own, _Set(("parameters", use.node), outputs, part.parameters.start)
        return own, _Set(("parameters", use.node, use.part), len(part.parameters))

    def _weights(
        self, lists: _Lists, node: str, part: LayerPart, base: int, size: int, row: int, parameters: bool
    ) -> None:
        d = part.descriptor
        mode = {} if parameters else {"k_log2": d.k_log2, "m_log2": d.m_log2}
        access = lists.add(0, WeightLoad(NO_WAITS, base, size, parameters, row, node, **mode))
        access.use("parameters" if parameters else "weights", base, size, True)

    def _load(self, lists: _Lists, placed: Placed, name: str, image: int) -> None:
        part, (base, limit) = self._part(placed, name, image), placed.words[name, image, 0]
        lines = (part.last - part.first) * part.pitch
        load = ActivationLoad(NO_WAITS, part.base, lines, part.line_h * part.line_w, base, limit, part)
        access = lists.add(1, load)
        access.use("index", part.base, lines, True)
        access.use("words", base, limit - base, True)

    def _result(
        self,
        lists: _Lists,
        placed: Placed,
        name: str,
        made: list[str],
        image: int,
        of: LayerPart | None = None,
    ) -> None:
        """Of a whole tensor, or of what one part of its layer makes while others are still at work."""
        channels = range(of.first, of.first + of.descriptor.out_k) if of else None
        part = self._part(placed, name, image, channels=channels)
        lines = (part.last - part.first) * part.pitch
        access = lists.add(3, ResultTransfer(NO_WAITS, part.base, lines, part))
        access.use("index", part.base, lines)
        for other in made:
            base, limit = placed.words[other, image, 0]
            access.use("words", base, limit - base, together=placed.together(other, image, 0) if of else NOBODY)

    def _layer(
        self,
        lists: _Lists,
        placed: Placed,
        use: Use,
        node: Node,
        part: LayerPart,
        bases: tuple[int, int],
        rows: tuple[int, int],
        append: bool,
    ) -> None:
        d, image, strip = part.descriptor, use.image, use.strip
        own = self._instance(use.node, image, strip)
        base, limit = placed.words[own]
        outputs = range(part.first, part.first + d.out_k)
        inputs = range(part.first_input, part.first_input + d.in_c)
        made = read = None
        if use.node in self.strips.rows:
            made = self.strips.rows[use.node][strip]
            height, line_h = self.graph.shapes[node.source][1], self.blocks[node.source].line_h
            read = read_rows(node, made, height, line_h, node.source in self.strips.stripped)
        out = self._part(placed, use.node, image, strip, outputs, made)
        source = self._part(placed, node.source, image, strip, inputs, read)
        residual = self._part(placed, node.residual, image, 0, outputs) if node.residual and d.residual else None
        d = replace(
            d,
            wgt_base=bases[0],
            par_base=bases[1],
            in_idx_base=source.base,
            out_idx_base=out.base,
            res_idx_base=residual.base if residual else 0,
            out_act_base=base,
            out_act_limit=limit,
            out_section=placed.sections[own],
            out_append=int(append),
        )
        access = lists.add(2, LayerStep(NO_WAITS, d, use.node, out, source, residual, *rows, part.cycles, part.tail))
        access.use("weights", d.wgt_base, d.vectors)
        access.use("parameters", d.par_base, len(part.parameters))
        access.use("index", source.base, d.in_entries)
        access.use("index", d.res_idx_base, d.res_entries)
        access.use("index", out.base, d.out_entries, True)
        together = placed.together(*own)  # parts append to one section at the same time
        access.use("words", base, limit - base, True, together)
        access.use("sections", d.out_section, 1, True, together)
        for name in self.sources[use.node]:
            low, high = placed.words[self._instance(name, image, strip)]
            access.use("words", low, high - low)


@dataclass(frozen=True)
class Placed:
    """Places of tensors: first index entry of roots; of those that are written the section, and its number."""

    index: dict[Instance, int]
    words: dict[Instance, tuple[int, int]]
    sections: dict[Instance, int]

    def together(self, tensor: str, image: int, strip: int) -> int:
        """Tells those apart that may touch a section at the same time: parts that append, what reads their lines."""
        return 1 + list(self.words).index((tensor, image, strip))


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
        """The descriptors with their waits, weight loads in the order in which they should run."""
        found = waits(self.accesses)
        if self._order_loads(found):
            found = waits(self.accesses)
        for access, wait in zip(self.accesses, found, strict=True):
            steps = self.steps[access.engine]
            steps[access.number] = replace(steps[access.number], waits=wait)
        return self.steps

    def _order_loads(self, found: Sequence[Waits]) -> bool:
        """Put weight loads that should go first before the one that they pass, among the accesses as well; whether one
        does. found: the waits of the accesses as they come."""
        layers = [step.predicted - step.tail for step in self.steps[LAYERS] if isinstance(step, LayerStep)]
        loads, own, before = [], [], 0
        for access, own_waits in zip(self.accesses, found, strict=True):
            before += access.engine == LAYERS
            step = self.steps[access.engine][access.number]
            if isinstance(step, WeightLoad):
                wait = own_waits[LAYERS]
                after = wait.count - len(layers) if wait.previous or not wait.count else wait.count
                loads.append(Load(step.count, after, before))
                own.append(access)
        order = list(load_order(loads, layers))
        if order == sorted(order):
            return False
        following, accesses, ordered = iter(order), [], set()
        for access in self.accesses:
            if access.engine != 0:
                accesses.append(access)
                continue
            while access.number not in ordered:
                ordered.add(number := next(following))
                accesses.append(own[number])
        self.accesses = accesses
        self.steps[0][:] = [self.steps[0][number] for number in order]
        for place, number in enumerate(order):
            own[number].number = place
        return True


class _Set(NamedTuple):
    """What is loaded at a time: what tells it from others, how much it is, and where in it a step's begins."""

    key: Hashable
    size: int
    first: int = 0


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


def with_data(program: Program, parts: dict[tuple[str, int], Parts]) -> Program:
    """The program with the beats of its weight loads."""
    beats = np.zeros_like(program.beats)
    for step in program.layers:
        of_node = parts[step.node, 0]  # a strip's are the same
        own = next(p for p in of_node.parts if (p.first, p.first_input) == (step.part.first, step.source.first))
        for row, of_layer, which in (
            (step.weights, of_node.weights, own.vectors),
            (step.parameters, of_node.parameters, own.parameters),
        ):
            beats[row : row + len(which)] = of_layer[which.start : which.stop]
    return replace(program, beats=beats)
