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

    @cached_property
    def weights(self) -> npt.NDArray[np.uint8]:
        """uint8 (vectors, bytes)."""
        return stream.weight_rows(self.config, self.choice.layer)

    @cached_property
    def parameters(self) -> npt.NDArray[np.uint8]:
        """uint8 (K, bytes)."""
        return stream.parameter_rows(self.config, self.choice.layer)


def _ranges(count: int, most: int) -> Iterator[range]:
    """Ranges of about equal length, none longer than `most`."""
    parts = ceil(count / most)
    for n in range(parts):
        yield range(count * n // parts, count * (n + 1) // parts)


def check_chunk(config: Config, node: str, vectors: int) -> None:
    """Raise ValueError for a layer of which a chunk has too many weight vectors."""
    if vectors > (memory := config.WgtBanks * config.WgtDepth):
        raise ValueError(
            f"{node}: {vectors} weight vectors of one chunk, the Weight Memory holds at most {memory}; the core cannot "
            "keep the sums of a layer that is cut along C"
        )


def divide(config: Config, node: str, choice: Choice, most_vectors: int, hidden: bool) -> Parts:
    """The parts of a layer: none with more weight vectors than given, nor more channels than the Parameter Memory.
    hidden: as for `Cutter`.

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
    most = max(1, min(most_vectors // max(1, vectors), config.ParDepth // (block * chunk_k)))
    found: list[LayerPart] = []
    alike: dict[int, Choice] = {}  # of parts of whole chunks that differ in their output channels alone
    for blocks in _ranges(d.groups if by_group else d.chunks, most):
        chunks = range(blocks.start * block, min(blocks.stop * block, d.chunks))
        first, last = chunks.start * chunk_k, min(chunks.stop * chunk_k, d.out_k)
        part = replace(
            d,
            chunks=len(chunks),
            out_k=last - first,
            group_chunks=block if by_group else len(chunks),
        )
        measured, first_input = choice.work, 0
        if by_group:
            channels = range(blocks.start * d.group_c, min(blocks.stop * d.group_c, d.in_c))
            first_input = channels.start
            part = replace(part, groups=len(blocks), in_c=len(channels))
            measured = _of_channels(measured, slice(channels.start, channels.stop))
        cut = (
            choice
            if part.out_k == d.out_k
            else replace(choice, descriptor=part, work=measured, out_words=choice.out_words * part.out_k // d.out_k)
        )
        if cut is choice and d.vectors > memory // 2:  # its cut was chosen for parts
            cut = predicted_best(config, choice, hidden)
        elif cut is not choice:
            cut = alike[part.out_k] if part.out_k in alike and not by_group else predicted_best(config, cut, hidden)
            alike[part.out_k] = cut
        part = replace(part, splits=cut.descriptor.splits, split_c=cut.descriptor.split_c)
        rows = (
            range(0, d.vectors) if d.tap_shared else range(*(n * vectors // block for n in (chunks.start, chunks.stop)))
        )
        found.append(LayerPart(part, first, first_input, rows, range(first, last), cut.cycles, cut.tail))
    return Parts(node, config, choice, tuple(found))


def _of_channels(work: Work, channels: slice) -> Work:
    """The work of some input channels; macs and residual words stay those of all."""
    fetches = [
        Fetch(f.lines, *(counts[channels] for counts in (f.first_word, f.words, f.pieces, f.load, f.marks)))
        for f in work.fetches
    ]
    emissions, pieces, load = (counts[:, channels] for counts in (work.emissions, work.pieces, work.load))
    return replace(work, emissions=emissions, pieces=pieces, load=load, fetches=fetches)
