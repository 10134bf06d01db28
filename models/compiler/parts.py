# SPDX-License-Identifier: Apache-2.0
"""Parts of layers along K and C.

Along K: a layer as several that append, each with weights and parameters that fit beside others. Along C, where the
weights of one chunk do not fit: all but the last of a chunk keep their sums in the staging slots.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from math import ceil

import numpy as np
import numpy.typing as npt

from models import stream
from models.compiler.cuts import Choice, keeps_slots, predicted_best
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
    vectors, parameters: the rows of the layer's weights and parameters that are its own, none of these where sums are
    kept; cycles, tail: predicted.
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
        return tuple(part.descriptor.out_k for part in self.parts)

    @property
    def runs(self) -> list[range]:
        """The parts that have to follow one another, by number: those along C of the same outputs."""
        ends = [number + 1 for number, part in enumerate(self.parts) if not part.descriptor.keep_slot]
        return [range(first, end) for first, end in zip([0, *ends], ends, strict=False)]

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


@dataclass(frozen=True)
class _Piece:
    """Some of a layer: its descriptor, first output channel, input channels, and rows of its weights."""

    descriptor: Descriptor
    first: int
    channels: range
    vectors: range


def _check(config: Config, node: str, d: Descriptor) -> None:
    """Raise ValueError, with the node's name, for a layer of which no part fits."""
    memory, taps, group = config.WgtBanks * config.WgtDepth, d.channel_vectors, d.groups > 1
    block = d.group_chunks if group else 1  # chunks that stay together
    vectors = d.vectors if d.tap_shared else block * d.group_c * taps
    too_many = (
        f"{node}: {vectors} weight vectors of one {'group' if group else 'chunk'}, the Weight Memory holds at most "
        f"{memory}"
    )
    if keeps_slots(config, d):
        if d.out_lines > config.slots:
            raise ValueError(
                f"{too_many}; in parts along C its {d.out_lines} tiles are more than the {config.slots} staging slots "
                "that keep their sums"
            )
        if taps > memory:
            raise ValueError(f"{too_many}, less than the {taps} of a channel")
    elif vectors > memory:
        raise ValueError(too_many)
    channels = block * chunk_channels(config, d.k, d.m)
    if channels > config.ParDepth:
        raise ValueError(
            f"{node}: {channels} output channels of one {'group' if group else 'chunk'}, the Parameter Memory holds at "
            f"most {config.ParDepth}"
        )


def _along_k(config: Config, d: Descriptor, way: Way) -> Iterator[_Piece]:
    """The layer in chunks, or groups, as many as the way and the Parameter Memory allow."""
    chunk_k, by_group = chunk_channels(config, d.k, d.m), d.groups > 1
    block = d.group_chunks if by_group else 1
    chunk = 0 if d.tap_shared else d.group_c * d.channel_vectors
    memory = config.WgtBanks * config.WgtDepth
    most = max(1, min(memory // way.share // max(1, block * chunk), config.ParDepth // (block * chunk_k)))
    for blocks in _ranges(d.groups if by_group else d.chunks, most, way.tapered):
        chunks = range(blocks.start * block, min(blocks.stop * block, d.chunks))
        first, last = chunks.start * chunk_k, min(chunks.stop * chunk_k, d.out_k)
        channels = range(d.in_c)
        part = replace(d, chunks=len(chunks), out_k=last - first, group_chunks=block if by_group else len(chunks))
        if by_group:
            channels = range(blocks.start * d.group_c, min(blocks.stop * d.group_c, d.in_c))
            part = replace(part, groups=len(blocks), in_c=len(channels))
        rows = range(0, d.vectors) if d.tap_shared else range(chunks.start * chunk, chunks.stop * chunk)
        yield _Piece(part, first, channels, rows)


def _along_c(config: Config, piece: _Piece, way: Way) -> Iterator[_Piece]:
    """A chunk in parts of as many input channels as the way allows."""
    d, taps = piece.descriptor, piece.descriptor.channel_vectors
    most = max(1, config.WgtBanks * config.WgtDepth // way.share // taps)
    for channels in _ranges(d.in_c, most, tapered=False):
        keeps, size = channels.stop < d.in_c, len(channels)
        part = replace(
            d,
            in_c=size,
            group_c=size,
            keep_slot=int(keeps),
            continue_slot=int(channels.start > 0),
            residual=0 if keeps else d.residual,
        )
        begin = piece.vectors.start + channels.start * taps
        yield _Piece(part, piece.first, channels, range(begin, begin + size * taps))


def divide(
    config: Config, node: str, choice: Choice, way: Way, hidden: bool, predicted: dict[tuple[range, int], Choice]
) -> Parts:
    """The parts of a layer in one way, none with more channels than the Parameter Memory holds.
    hidden: as for `Cutter`; predicted: cuts of parts of this choice, by their input and number of output channels, that
    are known from other ways: found ones are added.

    Raises ValueError, with the node's name, where not even a chunk, or a chunk of a channel, fits.
    """
    whole = choice.descriptor
    _check(config, node, whole)
    pieces = list(_along_k(config, whole, way))
    if keeps_slots(config, whole):
        pieces = [part for piece in pieces for part in _along_c(config, piece, way)]
    found: list[LayerPart] = []
    for piece in pieces:
        d, cut = piece.descriptor, choice
        # That of a whole layer was chosen for it, unless it was for parts.
        if d.vectors < whole.vectors or d.out_k < whole.out_k or d.vectors > config.WgtBanks * config.WgtDepth // 2:
            key = piece.channels, d.out_k
            if key not in predicted:
                measured = _of_channels(choice.work, piece.channels)
                words = 0 if d.keep_slot else choice.out_words * d.out_k // whole.out_k
                own = replace(choice, descriptor=d, work=measured, out_words=words)
                predicted[key] = predicted_best(config, own, hidden)
            cut = predicted[key]
        d = replace(d, splits=cut.descriptor.splits, split_c=cut.descriptor.split_c)
        parameters = range(0) if d.keep_slot else range(piece.first, piece.first + d.out_k)
        found.append(LayerPart(d, piece.first, piece.channels.start, piece.vectors, parameters, cut.cycles, cut.tail))
    return Parts(node, config, choice, tuple(found))


def _of_channels(work: Work, inputs: range) -> Work:
    """The work of some input channels; macs and residual words stay those of all."""
    channels = slice(inputs.start, inputs.stop)
    fetches = [
        Fetch(f.lines, *(counts[channels] for counts in (f.first_word, f.words, f.pieces, f.load, f.marks)))
        for f in work.fetches
    ]
    emissions, lasts, pieces, load = (
        counts[:, channels] for counts in (work.emissions, work.lasts, work.pieces, work.load)
    )
    return replace(work, emissions=emissions, lasts=lasts, pieces=pieces, load=load, fetches=fetches)
