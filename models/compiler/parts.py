# SPDX-License-Identifier: Apache-2.0
"""Parts along K: a layer as several that append, each with weights and parameters that fit beside others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from math import ceil

import numpy as np
import numpy.typing as npt

from models import stream
from models.compiler.cuts import Choice, predicted_best
from models.config import Config
from models.descriptor import Descriptor
from models.tiling import chunk_channels
from models.work import Fetch, Work


@dataclass(frozen=True)
class Way:
    """How layers are cut: a part's weights fill at most 1 / share of the Weight Memory; tapered: each part has half of
    what is left, so that little is left to do when the last weights have come."""

    share: int
    tapered: bool = False


@dataclass(frozen=True)
class LayerPart:
    """One of a layer's parts.

    descriptor: everything lies at 0; first, first_input: its first output and input channel;
    vectors, parameters: the rows of the layer's weights and parameters that are its own; cycles, tail: predicted.
    """

    descriptor: Descriptor
    first: int
    first_input: int
    vectors: range
    parameters: range
    cycles: int
    tail: int


@dataclass(frozen=True)
class Parts:
    """A node's parts and the rows of all of its weights and parameters, as the weight stream brings them."""

    node: str
    config: Config
    choice: Choice
    parts: tuple[LayerPart, ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Output channels of the parts, which tell ways of cutting the node apart."""
        return tuple(len(part.parameters) for part in self.parts)

    @cached_property
    def weights(self) -> npt.NDArray[np.uint8]:
        """uint8 (vectors, bytes)."""
        return stream.weight_rows(self.config, self.choice.layer)

    @cached_property
    def parameters(self) -> npt.NDArray[np.uint8]:
        """uint8 (K, bytes)."""
        return stream.parameter_rows(self.config, self.choice.layer)


def _ranges(count: int, most: int, tapered: bool) -> Iterator[range]:
    """Ranges, none longer than `most`: of about equal length, or tapered, each half of what is left."""
    parts, first = ceil(count / most), 0
    while first < count:
        left = count - first
        length = min(most, ceil(left / 2)) if tapered else ceil(left / parts)
        yield range(first, first + length)
        first, parts = first + length, parts - 1


def check_chunk(config: Config, node: str, vectors: int) -> None:
    """Raise ValueError for a layer of which a chunk has too many weight vectors."""
    if vectors > (memory := config.WgtBanks * config.WgtDepth):
        raise ValueError(
            f"{node}: {vectors} weight vectors of one chunk, the Weight Memory holds at most {memory}; the core cannot "
            "keep the sums of a layer that is cut along C"
        )


def divide(
    config: Config, node: str, choice: Choice, way: Way, hidden: bool, predicted: dict[tuple[range, int], Choice]
) -> Parts:
    """The parts of a layer in one way, none with more channels than the Parameter Memory holds.
    hidden: as for `Cutter`; predicted: cuts of parts of this choice, by their input and number of output channels, that
    are known from other ways: found ones are added.

    Raises ValueError, with the node's name, where not even a chunk fits.
    """
    d = choice.descriptor
    chunk_k = chunk_channels(config, d.k, d.m)
    by_group = d.groups > 1
    block = d.group_chunks if by_group else 1  # chunks that stay together
    vectors = 0 if d.tap_shared else block * d.group_c * d.channel_vectors
    memory = config.WgtBanks * config.WgtDepth
    check_chunk(config, node, d.vectors if d.tap_shared else vectors)
    if block * chunk_k > config.ParDepth:
        raise ValueError(
            f"{node}: {block * chunk_k} output channels of one {'group' if by_group else 'chunk'}, the Parameter "
            f"Memory holds at most {config.ParDepth}"
        )
    most = max(1, min(memory // way.share // max(1, vectors), config.ParDepth // (block * chunk_k)))
    found: list[LayerPart] = []
    for blocks in _ranges(d.groups if by_group else d.chunks, most, way.tapered):
        chunks = range(blocks.start * block, min(blocks.stop * block, d.chunks))
        first, last = chunks.start * chunk_k, min(chunks.stop * chunk_k, d.out_k)
        part = replace(
            d,
            chunks=len(chunks),
            out_k=last - first,
            group_chunks=block if by_group else len(chunks),
        )
        measured, channels = choice.work, range(d.in_c)
        if by_group:
            channels = range(blocks.start * d.group_c, min(blocks.stop * d.group_c, d.in_c))
            part = replace(part, groups=len(blocks), in_c=len(channels))
            measured = _of_channels(measured, slice(channels.start, channels.stop))
        cut = choice
        if part.out_k < d.out_k or d.vectors > memory // 2:  # or its cut was chosen for parts
            if (channels, part.out_k) not in predicted:
                words = choice.out_words * part.out_k // d.out_k
                own = replace(choice, descriptor=part, work=measured, out_words=words)
                predicted[channels, part.out_k] = predicted_best(config, own, hidden)
            cut = predicted[channels, part.out_k]
        part = replace(part, splits=cut.descriptor.splits, split_c=cut.descriptor.split_c)
        rows = (
            range(0, d.vectors) if d.tap_shared else range(*(n * vectors // block for n in (chunks.start, chunks.stop)))
        )
        found.append(LayerPart(part, first, channels.start, rows, range(first, last), cut.cycles, cut.tail))
    return Parts(node, config, choice, tuple(found))


def _of_channels(work: Work, channels: slice) -> Work:
    """The work of some input channels; macs and residual words stay those of all."""
    fetches = [
        Fetch(f.lines, *(counts[channels] for counts in (f.first_word, f.words, f.pieces, f.load, f.marks)))
        for f in work.fetches
    ]
    emissions, pieces, load = (counts[:, channels] for counts in (work.emissions, work.pieces, work.load))
    return replace(work, emissions=emissions, pieces=pieces, load=load, fetches=fetches)
