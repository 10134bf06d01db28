# SPDX-License-Identifier: Apache-2.0
"""What a layer's units have to do: counts that follow from the activation mask and the cut alone.

All arrays are indexed by tile (row-major), then input channel.
"""

from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from models import lines, reference
from models.descriptor import Descriptor
from models.lines import WORD_BYTES
from models.reference import Bytes

OCTET = 8  # positions of a line from which the region loader takes those of one row in a cycle
LINE_BEGIN = 3  # cycles from the first piece of a line's last octet to that of the next line


Counts = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool]
_T = TypeVar("_T", bound=np.generic)


class Tensors(Protocol):
    """A layer, or what the core has taken for one: activations (C, H, W), the non-zero weights of each input channel
    and tap over all outputs, int64 (C, R*S), and the residual (K, Ho, Wo)."""

    @property
    def activations(self) -> Bytes: ...

    @property
    def weight_counts(self) -> Counts: ...

    @property
    def residual(self) -> Bytes | None: ...


@dataclass(frozen=True)
class Fetch:
    """What a tile's window reads: line numbers; of each line in each channel, int64 (C, lines), the first Activation
    Memory word, counted from the input's section, the number of words, the pieces that the region loader writes, the
    cycles that it takes, and those more that the pieces' marks take."""

    lines: list[int]
    first_word: Counts
    words: Counts
    pieces: Counts
    load: Counts
    marks: Counts


@dataclass(frozen=True)
class Work:
    """Counts of one layer.

    emissions: int64 (tiles, C, R*S), activations that meet each weight vector; lasts: of these, those that the scanner
    takes as the last octet; pieces, load: int64 (tiles, C), pieces that the region loader writes and cycles it takes;
    fetches: what each tile reads; positions: int64 (tiles,), from a tile's first to its last, gaps at the right of
    partial tiles included; rows: int64 (tiles,), of its accumulators in each quad of banks; segments: 64-bit segments
    of a pass; macs: products of two non-zero operands; residual_words: Activation Memory words of the residual's lines.
    """

    emissions: Counts
    lasts: Counts
    pieces: Counts
    load: Counts
    fetches: list[Fetch]
    positions: Counts
    rows: Counts
    segments: int
    macs: int
    residual_words: int


def _emissions(d: Descriptor, mask: Mask) -> Counts:
    """int64 (tiles, C, R*S): positions of the mask (C, H, W) that each tap meets over the outputs of a tile."""
    padded = pad_plane(d, mask)
    sy, sx = d.stride
    grid = (d.in_c, d.tiles_y, d.tile_h, d.tiles_x, d.tile_w)
    fill = [(0, 0), (0, d.tiles_y * d.tile_h - d.out_h), (0, d.tiles_x * d.tile_w - d.out_w)]
    counts = np.empty((d.out_lines, d.in_c, d.taps), np.int64)
    rows, columns = reference.in_size(d.out_h, 1, sy), reference.in_size(d.out_w, 1, sx)
    for r in range(d.kernel_r):
        for s in range(d.kernel_s):
            seen = padded[:, r : r + rows : sy, s : s + columns : sx]
            blocks = np.pad(seen, fill).reshape(grid).sum((2, 4), dtype=np.int64)
            counts[:, :, r * d.kernel_s + s] = blocks.reshape(d.in_c, -1).T
    return counts


def _lasts(d: Descriptor, mask: Mask) -> Counts:
    """int64 (tiles, C, R*S): of the emissions those of the last octet, in the positions of the tile's window."""
    from models.cycles import fetched  # late: numba takes a second to import

    counts = np.empty((d.out_lines, d.in_c, d.taps), np.int64)
    fetched.last_octets(
        np.ascontiguousarray(pad_plane(d, mask)),
        (d.out_h, d.out_w),
        (d.tile_h, d.tile_w),
        d.stride,
        (d.kernel_r, d.kernel_s),
        d.x.window,
        counts,
    )
    return counts


def pad_plane(d: Descriptor, tensor: npt.NDArray[_T]) -> npt.NDArray[_T]:
    """(C, H, W) with the layer's padding; rows and columns that no window reaches are cut off."""
    top, bottom, left, right = d.padding
    met = tensor[:, max(0, -top) :, max(0, -left) :]
    return reference.pad(met, (max(0, top), bottom, max(0, left), right))[:, : d.y.reach, : d.x.reach]


def count_macs(d: Descriptor, activations: Bytes, weight_counts: Counts) -> int:
    """Products of two operands that are not 0; that of an int8 maximum is the activation plus 128. Activations:
    (C, H, W); weight_counts: as in `Tensors`."""
    zero = -128 if d.maximum and d.act_signed else 0
    return _products(_emissions(d, activations != zero), weight_counts)


def _products(emissions: Counts, weight_counts: Counts) -> int:
    return int((emissions.sum(0) * weight_counts).sum())


def _fetches(d: Descriptor, nonzero: Mask) -> list[Fetch]:
    """What each tile's window reads of each channel, and what becomes of it."""
    from models.cycles import fetched  # late: numba takes a second to import

    bits = lines.to_blocks(nonzero, d.line)
    rank = np.cumsum(bits, axis=2, dtype=np.int64)  # of a non-zero: its place among the packed bytes, from 1
    sizes = -(-rank[:, :, -1] // WORD_BYTES)
    pointers = (np.cumsum(sizes) - sizes.ravel()).reshape(sizes.shape)
    met: list[list[int]] = []  # lines, by tile
    windows: list[tuple[int, ...]] = []
    for (y0, y1), (top, _) in zip(d.y.inside, d.y.windows, strict=True):
        for (x0, x1), (left, _) in zip(d.x.inside, d.x.windows, strict=True):
            empty = y0 == y1 or x0 == x1
            rows = range(0) if empty else range(y0 // d.line_h, (y1 - 1) // d.line_h + 1, d.line_step)
            columns = range(0) if empty else range(x0 // d.line_w, (x1 - 1) // d.line_w + 1)
            met.append([ly * d.lines_x + lx for ly in rows for lx in columns])
            windows += [(y0, y1, x0, x1, top, left, line == met[-1][0]) for line in met[-1]]
    numbers = np.array([line for tile in met for line in tile], np.int64)
    counts = np.empty((len(numbers), 5, d.in_c), np.int64)
    fetched.count(
        np.ascontiguousarray(bits),
        rank,
        pointers,
        numbers,
        np.array(windows, np.int64).reshape(-1, 7),
        d.x.window,
        d.line_w,
        d.lines_x,
        d.y.stride,
        d.kernel_r,
        d.skip,
        *np.empty((2, d.in_c), np.int64),
        counts,
    )
    ends = np.cumsum([len(tile) for tile in met])
    return [Fetch(tile, *counts[end - len(tile) : end].transpose(1, 2, 0)) for tile, end in zip(met, ends, strict=True)]


def measure(d: Descriptor, layer: Tensors) -> Work:
    """Count a layer's work as the descriptor cuts it."""
    nonzero = layer.activations != 0
    mask = nonzero if d.skip else np.ones_like(nonzero)
    heights, widths = np.array(d.y.counts), np.array(d.x.counts)
    positions = ((heights[:, None] - 1) * d.tile_w + widths).ravel()
    emissions = _emissions(d, mask)
    fetches = _fetches(d, nonzero)
    last = (d.tile_h - 1) * d.y.stride * d.x.window + (d.tile_w - 1) * d.x.stride  # position of a tile in its window
    return Work(
        emissions=emissions,
        lasts=_lasts(d, mask),
        pieces=np.array([fetch.pieces.sum(1) for fetch in fetches]),
        load=np.array([fetch.load.sum(1) for fetch in fetches]),
        fetches=fetches,
        positions=positions,
        rows=-(-positions * d.ratio // 4),
        segments=last // 64 + 1,
        macs=_products(emissions, layer.weight_counts)
        if d.skip
        else count_macs(d, layer.activations, layer.weight_counts),
        residual_words=0 if layer.residual is None else int(lines.compress(layer.residual, d.tile).words.sum()),
    )
