# SPDX-License-Identifier: Apache-2.0
"""Activation lines: up to 64 positions of one channel as a 64-bit bitmap and the packed non-zero bytes.

A plane of H x W positions is cut into a row-major grid of ceil(H / line_h) x ceil(W / line_w) blocks.
Bit ``i * line_w + j`` of a line's bitmap is position (i, j) of its block; bits outside the plane are 0.
The non-zero bytes follow in ascending bit order. Lines of a tensor are ordered by channel, then grid.
"""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from models.reference import Bytes

_T = TypeVar("_T", bound=np.generic)

LINE_BITS = 64
WORD_BYTES = 8  # of the Activation Memory, where each line starts at a word


@dataclass(frozen=True)
class LineShape:
    """Rows and columns of the block of positions that one line holds; raises ValueError beyond 64."""

    line_h: int
    line_w: int

    def __post_init__(self) -> None:
        if self.line_h < 1 or self.line_w < 1 or self.line_h * self.line_w > LINE_BITS:
            raise ValueError(
                f"line shape: {self.line_h}x{self.line_w}, expected 1 to {LINE_BITS} positions of at least 1x1"
            )

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of lines that cover a plane."""
        return -(-height // self.line_h), -(-width // self.line_w)


def default_shape(height: int, width: int) -> LineShape:
    """Whole rows of the plane, as many as 64 positions hold; 1x64 segments of wider planes."""
    line_w = min(width, LINE_BITS)
    return LineShape(min(height, LINE_BITS // line_w), line_w)


@dataclass(frozen=True)
class Lines:
    """A compressed (C, H, W) tensor.

    bitmaps: uint64 (C, lines per channel); data: uint8, the packed bytes of all lines one after another.
    """

    bitmaps: npt.NDArray[np.uint64]
    data: npt.NDArray[np.uint8]

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """Packed bytes of each line, int64 (C, lines per channel)."""
        counts: npt.NDArray[np.int64] = np.bitwise_count(self.bitmaps).astype(np.int64)
        return counts

    @property
    def words(self) -> npt.NDArray[np.int64]:
        """Activation Memory words of each line, int64 (C, lines per channel)."""
        words: npt.NDArray[np.int64] = -(-self.counts // WORD_BYTES)
        return words

    def packed(self) -> list[npt.NDArray[np.uint8]]:
        """The packed bytes of each line, in the order of ``bitmaps.ravel()``."""
        return np.split(self.data, np.cumsum(self.counts)[:-1])


def to_blocks(tensor: npt.NDArray[_T], shape: LineShape) -> npt.NDArray[_T]:
    """(C, H, W) -> (C, lines per channel, line_h * line_w), zeros outside the plane."""
    c, h, w = tensor.shape
    rows, cols = shape.grid(h, w)
    padded = np.pad(tensor, [(0, 0), (0, rows * shape.line_h - h), (0, cols * shape.line_w - w)])
    blocks = padded.reshape(c, rows, shape.line_h, cols, shape.line_w).swapaxes(2, 3)
    return blocks.reshape(c, rows * cols, shape.line_h * shape.line_w)


def _bits(bitmaps: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool]:
    """uint64 (...) -> bool (..., 64), bit 0 first."""
    octets = np.ascontiguousarray(bitmaps.astype("<u8"))[..., None].view(np.uint8)
    return np.unpackbits(octets, axis=-1, bitorder="little").astype(bool)


def to_bitmaps(bits: npt.NDArray[np.bool]) -> npt.NDArray[np.uint64]:
    """bool (..., n <= 64) -> uint64 (...), element 0 in bit 0."""
    padded = np.zeros((*bits.shape[:-1], LINE_BITS), np.uint8)
    padded[..., : bits.shape[-1]] = bits
    return np.packbits(padded, axis=-1, bitorder="little").view("<u8")[..., 0].astype(np.uint64)


def compress(tensor: Bytes, shape: LineShape) -> Lines:
    """Compress int8 or uint8 (C, H, W); raises ValueError for another type or rank."""
    if tensor.dtype not in (np.int8, np.uint8) or tensor.ndim != 3:
        raise ValueError(f"tensor: {tensor.dtype} {tensor.shape}, expected int8 or uint8 (C, H, W)")
    blocks = to_blocks(tensor, shape)
    return Lines(to_bitmaps(blocks != 0), blocks[blocks != 0].view(np.uint8))


def decompress(lines: Lines, shape: LineShape, chw: tuple[int, int, int], dtype: type[np.int8 | np.uint8]) -> Bytes:
    """Inverse of compress, to int8 or uint8 (C, H, W).

    Raises ValueError when the number of lines or bytes disagrees with the shape, a bit outside the
    plane is set, or a packed byte is zero.
    """
    c, h, w = chw
    rows, cols = shape.grid(h, w)
    if lines.bitmaps.shape != (c, rows * cols):
        raise ValueError(f"bitmaps: shape {lines.bitmaps.shape}, expected {(c, rows * cols)} for {chw} in {shape}")
    if lines.data.size != lines.counts.sum():
        raise ValueError(f"data: {lines.data.size} bytes, expected the bitmaps' population, {lines.counts.sum()}")
    if not lines.data.all():
        raise ValueError(f"data: byte {int(np.argmin(lines.data))} is zero, expected non-zero bytes only")
    inside = to_bitmaps(to_blocks(np.ones((1, h, w), np.uint8), shape) != 0)
    stray = np.argwhere(lines.bitmaps & ~inside)
    if len(stray):
        channel, line = (int(i) for i in stray[0])
        raise ValueError(f"bitmaps: line {line} of channel {channel} has a bit outside the {h}x{w} plane")
    blocks = np.zeros((c, rows * cols, LINE_BITS), np.uint8)
    blocks[_bits(lines.bitmaps)] = lines.data
    blocks = blocks[..., : shape.line_h * shape.line_w].reshape(c, rows, cols, shape.line_h, shape.line_w)
    plane = blocks.swapaxes(2, 3).reshape(c, rows * shape.line_h, cols * shape.line_w)
    return np.ascontiguousarray(plane[:, :h, :w]).view(dtype)
