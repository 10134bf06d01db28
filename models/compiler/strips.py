# SPDX-License-Identifier: Apache-2.0
"""Strips: chains of layers whose tensors are too large run rows by rows, so that only strips of them exist at a time.

The chain's first tensor and its last are whole; those between are made a strip at a time, with the rows that the next
layer's windows meet (so rows at the border of two strips are calculated twice).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise

from models import work
from models.compiler.cuts import Choice, predicted_best
from models.compiler.dataflow import Graph
from models.config import Config
from models.lines import LineShape
from models.network import Node
from models.reference import Bytes
from models.work import Counts

_MOST = 64  # strips
# Of a memory that a layer's or a chain's tensors may fill, the first with which they fit: others are there as well.
_SHARES = 0.75, 0.85, 0.95


@dataclass(frozen=True)
class Strips:
    """chains: nodes, of which all but the last make strips; rows: by node of a chain the output rows of each strip."""

    chains: list[list[str]] = field(default_factory=list)
    rows: dict[str, list[range]] = field(default_factory=dict)

    @property
    def stripped(self) -> set[str]:
        """The tensors of which only strips exist."""
        return {name for chain in self.chains for name in chain[:-1]}

    def of(self, node: str) -> int:
        """Strips in which a node runs: 1 for one that runs whole."""
        return len(self.rows.get(node, (None,)))


@dataclass(frozen=True)
class _Cut:
    """The rows of a layer's tensors that a strip meets."""

    activations: Bytes
    weight_counts: Counts
    residual: Bytes | None = None


def met_rows(node: Node, outputs: range, height: int) -> range:
    """Input rows inside the plane that output rows meet."""
    first = outputs.start * node.stride[0] - node.padding[0]
    last = (outputs.stop - 1) * node.stride[0] - node.padding[0] + node.kernel[0]
    return range(max(0, first), min(height, last))


def read_rows(node: Node, outputs: range, height: int, line_h: int, strip: bool) -> range:
    """Rows of its input that a layer reads for some output rows: of a strip all, of a whole tensor whole lines."""
    met = met_rows(node, outputs, height)
    if strip:
        return met
    return range(met.start // line_h * line_h, min(height, -(-met.stop // line_h) * line_h))


def strip_choice(config: Config, node: Node, choice: Choice, outputs: range, source: bool, output: bool) -> Choice:
    """A layer's choice for some output rows. source, output: whether these tensors are strips, not whole."""
    d = choice.descriptor
    rows = read_rows(node, outputs, d.in_h, d.line_h, source)
    lines_y, tiles_y = -(-len(rows) // d.line_h), -(-len(outputs) // d.tile_h)
    strip = replace(
        d,
        in_h=len(rows),
        lines_y=lines_y,
        in_pitch=lines_y * d.lines_x if source else d.in_pitch,
        pad_top=node.padding[0] - outputs.start * node.stride[0] + rows.start,
        out_h=len(outputs),
        tiles_y=tiles_y,
        out_pitch=tiles_y * d.tiles_x if output else d.out_pitch,
    )
    cut = _Cut(choice.layer.activations[:, rows.start : rows.stop], choice.layer.weight_counts)
    words = choice.out_words * len(outputs) // d.out_h
    return predicted_best(
        config, replace(choice, descriptor=strip, work=work.measure(strip, cut), out_words=words), False
    )


class Planner:
    """Finds chains. words: of each written tensor, as calibration saw; blocks: of every tensor; cycles: of every
    layer."""

    def __init__(
        self,
        graph: Graph,
        config: Config,
        words: Mapping[str, int],
        blocks: Mapping[str, LineShape],
        cycles: Mapping[str, int],
    ):
        self.graph, self.words, self.blocks, self.cycles = graph, words, blocks, cycles
        self.memories = config.IdxBanks * config.IdxDepth, config.ActBanks * config.ActDepth
        self.share = _SHARES[0]
        self.nodes = {node.name: node for node in graph.layers}
        self.readers: dict[str, list[str]] = {}
        for node in graph.network.nodes:
            for name in node.reads:
                self.readers.setdefault(name, []).append(node.name)

    def _size(self, tensor: str, rows: int | None = None) -> tuple[int, int]:
        """Index entries and words of a tensor or of some rows of it."""
        c, h, w = self.graph.shapes[tensor]
        of_all = 1 if rows is None else rows / h
        lines_y, lines_x = self.blocks[tensor].grid(h if rows is None else rows, w)
        return c * lines_y * lines_x, int(self.words.get(tensor, 0) * of_all)

    def _inner(self, tensor: str) -> bool:
        """Whether a tensor can be inside a chain: made and read by one layer each, and not added to anything."""
        readers = self.readers.get(tensor, [])
        if len(readers) != 1 or tensor in self.graph.network.outputs:
            return False
        reader = self.nodes.get(readers[0])
        return (
            tensor in self.nodes
            and reader is not None
            and reader.residual is None
            and self.nodes[tensor].residual is None
            and self.graph.spans[tensor].root == tensor
        )

    def _too_large(self, *sizes: tuple[int, int]) -> bool:
        return any(
            sum(found) > self.share * memory
            for found, memory in zip(zip(*sizes, strict=True), self.memories, strict=True)
        )

    def plan(self) -> Strips:
        """The chains, where layers do not fit with whole tensors: of the longer and longer ones that fit those with
        which the least is calculated twice."""
        for self.share in _SHARES:
            found = list(self.candidates())
            fitting = [strips for strips, fits in found if fits]
            if fitting:
                return min(fitting, key=self._cycles)
        return found[0][0]  # what does not fit is refused when it is placed

    def candidates(self) -> Iterator[tuple[Strips, bool]]:
        """Chains with the present share, each time longer, and whether they fit."""
        stripped = self._too_large_ones()
        while True:
            chains = self._chains(stripped)
            cut = [(chain, *self._rows(chain)) for chain in chains]
            rows = {name: own for _, found, _ in cut for name, own in found.items()}
            yield Strips([chain for chain in chains if chain[0] in rows], rows), all(fits for _, _, fits in cut)
            # Those first that do not fit yet.
            ends = [(self.nodes[chain[0]].source, chain[-1]) for chain, _, _ in sorted(cut, key=lambda entry: entry[2])]
            longer = [name for pair in ends for name in pair if self._inner(name)]
            if not longer:
                return
            stripped.add(longer[0])

    def _too_large_ones(self) -> set[str]:
        """Tensors that have to be strips as a layer's are too large together."""
        stripped: set[str] = set()
        for node in self.graph.layers:
            whole = [name for name in (node.source, node.name) if name not in stripped]
            if not whole or not self._too_large(*(self._size(name) for name in whole)):
                continue
            # The output, if the next layer can read strips of it; or else the input, or both.
            for name in sorted(whole, key=lambda name: name != node.name):
                if self._inner(name):
                    stripped.add(name)
                    left = [self._size(other) for other in whole if other not in stripped]
                    if not left or not self._too_large(*left):
                        break
        return stripped

    def _cycles(self, strips: Strips) -> float:
        """What the rows take that are calculated twice."""
        heights = {name: self.graph.shapes[name][1] for name in self.nodes}
        again = {name: sum(map(len, rows)) - heights[name] for name, rows in strips.rows.items()}
        return sum(self.cycles[name] * more / heights[name] for name, more in again.items())

    def _chains(self, stripped: set[str]) -> list[list[str]]:
        """Nodes in a row that hand each other strips."""
        chains: list[list[str]] = []
        for name in self.nodes:
            if self.nodes[name].source in stripped:
                next(chain for chain in chains if chain[-1] == self.nodes[name].source).append(name)
            elif name in stripped:
                chains.append([name])
        return chains

    def _rows(self, chain: list[str]) -> tuple[dict[str, list[range]], bool]:
        """Rows of each node's strips, the fewest strips that fit, and whether any number does."""
        last = chain[-1]
        height, tile = self.graph.shapes[last][1], self.blocks[last].line_h
        tiles = -(-height // tile)
        found: dict[str, list[range]] = {}
        for count in range(2, min(_MOST, tiles) + 1):
            bounds = [min(height, tiles * n // count * tile) for n in range(count + 1)]
            found = {last: [range(*pair) for pair in pairwise(bounds)]}
            for name in reversed(chain[1:]):
                node = self.nodes[name]
                rows = self.graph.shapes[node.source][1]
                found[node.source] = [met_rows(node, outputs, rows) for outputs in found[name]]
            if not any(self._full(chain, {name: max(map(len, rows)) for name, rows in found.items()})):
                return found, True
        return found, False

    def _full(self, chain: list[str], rows: Mapping[str, int]) -> list[bool]:
        """By node whether its strips do not fit beside the chain's whole tensors."""
        ends = [self._size(self.nodes[chain[0]].source), self._size(chain[-1])]
        inner = {name: self._size(name, rows[name]) for name in chain[:-1]}
        pairs = [[name for name in (self.nodes[n].source, n) if name in inner] for n in chain]
        return [self._too_large(*ends, *(inner[name] for name in pair)) for pair in pairs]
