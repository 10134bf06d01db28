# SPDX-License-Identifier: Apache-2.0
"""A network in nodes that suit the core better, with the same results, before anything is cut or placed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import ceil, prod

import numpy as np

from models.config import Config
from models.lines import WORD_BYTES
from models.network import Network, Node
from models.tiling import chunk_channels

_CHUNKS = 8  # of a layer that steps over positions, from which on a copy without them costs less than they do


def rewritten(network: Network, config: Config, batch: int) -> Network:
    """The network as it is compiled."""
    network = replace(network, nodes=tuple(_without_steps(network, config)))
    if batch > 1:  # or else nothing has to be there but what layers at work touch
        network = replace(network, nodes=tuple(_in_ranges(network, config)))
    return network


def copy_of(
    name: str, tensor: str, channels: int, signed: bool, scale: float, stride: tuple[int, int] = (1, 1)
) -> Node:
    """A node that leaves a tensor as it is, but for positions that it steps over."""
    return Node(
        name,
        "sum_pool",
        tensor,
        (1, 1),
        stride=stride,
        clamp=(-128, 127) if signed else (0, 255),
        scale=scale,
        bias=np.zeros(channels, np.int32),
        multiplier=np.full(channels, 1 << 30, np.int32),
        shift=np.full(channels, 30, np.int32),
    )


def _without_steps(network: Network, config: Config) -> Iterator[Node]:
    """Convolutions of one tap that step over positions read a copy without these: else each chunk loads them all. They
    come a node later then: that one may be the other reader of what is copied, which is needed no longer."""
    held: list[Node] = []
    for node in network.nodes:
        steps = node.op == "conv" and node.groups == 1 and node.kernel == (1, 1) and node.stride != (1, 1)
        if steps and not any(node.padding) and len(node.kernels) >= _CHUNKS * chunk_channels(config, node.k, node.m):
            source = node.source
            signed, scale = network.dtypes[source] == np.int8, network.scales[source]
            copy = copy_of(f"{source} for {node.name}", source, network.shapes[source][0], signed, scale, node.stride)
            yield from (*held, copy)
            held = [replace(node, source=copy.name, stride=(1, 1))]
        elif any(other.name in node.reads for other in held):
            yield from (*held, node)
            held = []
        else:
            yield from (node, *held)
            held = []
    yield from held


def _counts(network: Network, config: Config) -> tuple[dict[str, int], set[str]]:
    """In how many ranges of channels nodes are made: those with a residual whose tensors, without zeros, exceed the
    Activation Memory, and the nodes that make a residual for them alone, which are named."""
    nodes = {node.name: node for node in network.nodes if node.op == "conv" and node.groups == 1}
    memory = WORD_BYTES * config.ActBanks * config.ActDepth
    counts: dict[str, int] = {}
    alone: set[str] = set()

    def divides(node: Node, count: int) -> bool:
        """Whether ranges are of whole chunks."""
        return len(node.kernels) % (count * chunk_channels(config, node.k, node.m)) == 0

    for node in nodes.values():
        if node.residual is None:
            continue
        sizes = (prod(network.shapes[name]) for name in (node.source, node.residual, node.name))
        count, beside = ceil(sum(sizes) / memory), nodes.get(node.residual)
        if count == 1 or beside is None or not divides(node, count):
            continue
        if beside.name not in counts:
            readers = [other.name for other in network.nodes if beside.name in other.reads]
            kept = beside.name in network.outputs or readers != [node.name]
            if kept or beside.residual is not None or not divides(beside, count):
                continue
            counts[beside.name] = count
            alone.add(beside.name)
        if counts[beside.name] == count:
            counts[node.name] = count
    return counts, alone


def _ranges(node: Node, count: int) -> Iterator[Node]:
    """A convolution as several, each of a range of its outputs; so is its residual, if it has one."""
    length = len(node.kernels) // count
    arrays = ("weights", "weight_scale", "bias", "multiplier", "shift")
    for number in range(count):
        own = slice(number * length, (number + 1) * length)
        cut = {name: array[own] for name in arrays if (array := getattr(node, name)) is not None}
        residual = None if node.residual is None else _name(node.residual, number, count)
        yield replace(node, name=_name(node.name, number, count), residual=residual, **cut)


def _name(node: str, number: int, count: int) -> str:
    return f"{node} {number + 1}/{count}"


def _in_ranges(network: Network, config: Config) -> Iterator[Node]:
    """Nodes whose tensors fill the Activation Memory are made in ranges of channels, each right behind that of its
    residual, of which the memory is free then: so tensors of other images of the batch find room."""
    counts, alone = _counts(network, config)
    later: dict[str, list[Node]] = {}  # of a residual for one node the ranges that are not yet made
    for node in network.nodes:
        if node.name not in counts:
            yield node
            continue
        first, *others = _ranges(node, counts[node.name])
        yield first
        if node.name in alone:
            later[node.name] = others
            continue
        for other in others:
            if node.residual in later:
                yield later[node.residual].pop(0)
            yield other
        parts = [part.name for part in (first, *others)]
        yield Node(node.name, "concat", parts[0], (1, 1), clamp=node.clamp, scale=node.scale, others=tuple(parts[1:]))
