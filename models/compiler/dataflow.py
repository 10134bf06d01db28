# SPDX-License-Identifier: Apache-2.0
"""A network as the compiler sees it: where tensors lie in each other, and which have one block of positions a line."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from models.compiler.rewrite import copy_of
from models.network import Network, Node


@dataclass(frozen=True)
class Span:
    """Where a tensor lies: in the channels [first, last) of the tensor `root`, which lies in no other."""

    root: str
    first: int
    last: int

    def meets(self, other: Span) -> bool:
        """Whether they have channels in common."""
        return self.root == other.root and self.first < other.last and other.first < self.last


@dataclass(frozen=True)
class Graph:
    """network: with copies, where a tensor is part of several concatenations, or an input part of one that is a result,
    so that layers make all of it; spans: of every tensor; shapes: (C, H, W) of every tensor; signed: whether it is
    int8."""

    network: Network
    spans: dict[str, Span]
    shapes: dict[str, tuple[int, int, int]]
    signed: dict[str, bool]

    @property
    def layers(self) -> list[Node]:
        """The nodes that are layers of the core."""
        return [node for node in self.network.nodes if node.op != "concat"]

    @property
    def roots(self) -> list[str]:
        """The tensors that lie in no other."""
        return list(dict.fromkeys(span.root for span in self.spans.values()))

    def readers(self, tensor: str) -> set[str]:
        """The layers that read a tensor, or one that has channels in common with it."""
        return {node.name for node in self.layers for read in node.reads if self.spans[read].meets(self.spans[tensor])}

    @property
    def loaded(self) -> list[str]:
        """The inputs that a layer reads: no other is sent to the core."""
        return [name for name in self.network.inputs if self.readers(name)]

    def classes(self) -> dict[str, str]:
        """By root a representative of all that have one block a line: outputs, and the residuals added to them."""
        leader = {root: root for root in self.roots}

        def find(root: str) -> str:
            while leader[root] != root:
                root = leader[root]
            return root

        for node in self.layers:
            if node.residual is not None:
                one, other = find(self.spans[node.residual].root), find(self.spans[node.name].root)
                leader[other] = one
        return {root: find(root) for root in leader}


def read(network: Network) -> Graph:
    """The graph of a network; raises ValueError for nodes of one name or a tensor that no node makes."""
    known, made = set(network.inputs), set()
    for node in network.nodes:
        for name in node.reads:
            if name not in known:
                raise ValueError(f"{node.name}: reads {name}, which no node before it makes")
        if node.name in known:
            raise ValueError(f"{node.name}: the name of two tensors")
        known.add(node.name)
        made.add(node.name)
    for name in network.outputs:
        if name not in made:
            raise ValueError(f"{name}: an output that no node makes")
    shapes, scales = dict(network.shapes), network.scales
    signed = {name: dtype == np.int8 for name, dtype in network.dtypes.items()}
    held = set(network.outputs)  # what lies in results
    for node in reversed(network.nodes):
        if node.op == "concat" and node.name in held:
            held.update(node.reads)
    nodes: list[Node] = []
    inside: dict[str, tuple[str, int]] = {}  # in the concatenation that a tensor is part of
    for node in network.nodes:
        if node.op == "concat":
            parts: list[str] = []
            first = 0
            for name in (node.source, *node.others):
                channels, tensor = shapes[name][0], name
                if tensor in inside or (tensor in network.inputs and node.name in held):
                    number = f" {len(parts)}" if parts else ""
                    copy = copy_of(f"{name} for {node.name}{number}", name, channels, signed[name], scales[name])
                    nodes.append(copy)
                    tensor = copy.name
                    shapes[tensor], signed[tensor] = shapes[name], signed[name]
                inside[tensor] = node.name, first
                parts.append(tensor)
                first += channels
            node = replace(node, source=parts[0], others=tuple(parts[1:]))
        nodes.append(node)

    def span(name: str) -> Span:
        root, first = name, 0
        while root in inside:
            root, offset = inside[root]
            first += offset
        return Span(root, first, first + shapes[name][0])

    names = (*network.inputs, *(node.name for node in nodes))
    return Graph(replace(network, nodes=tuple(nodes)), {name: span(name) for name in names}, shapes, signed)
