# SPDX-License-Identifier: Apache-2.0
"""What is fetched of a line for a window, how long the region loader takes, and how the scanner takes what a pass finds
there: the inner loops of `models/work.py`."""

import numpy as np
import numpy.typing as npt

from models.cycles.compiled import whole
from models.cycles.state import Ints
from models.lines import LINE_BITS, WORD_BYTES
from models.work import LINE_BEGIN, OCTET

NEXT_WORD = 2  # cycles to write a word of a bitmap that is left for another
SEEN_WORD = 1  # more of them, to read that one if it was written before


@whole
def count(
    bits: npt.NDArray[np.bool],
    rank: Ints,
    pointers: Ints,
    numbers: Ints,
    windows: Ints,
    window_w: int,
    line_w: int,
    lines_x: int,
    stride: int,
    kernel_r: int,
    skip: int,
    at: Ints,
    seen: Ints,
    counts: Ints,
) -> None:
    """Fill ``counts``, int64 (fetches, 5, C): first word, words, pieces, cycles in the region loader, cycles more
    that the pieces' marks take, of each fetch.

    bits, rank: (C, lines, positions), the non-zeros and how many there are up to each; pointers: (C, lines), first
    words of the lines; numbers: (fetches,), of the lines; windows: int64 (fetches, 7), first and last row and column
    inside the plane, and the row and column where the window begins, whether
    it is the window's first line; window_w: its columns; at, seen: (C,), room for the bitmap's word that the loader
    is in, and for those that it was in, as bits.
    """
    channels, _, positions = bits.shape
    line_h = positions // line_w
    for number in range(len(numbers)):
        line = numbers[number]
        y0, y1, x0, x1, top, left, begins = windows[number]
        if begins:
            seen[:] = 0
        for channel in range(channels):
            first, last = LINE_BITS, 0
            pieces = in_octet = in_last = marks = 0
            for i in range(line_h):
                y = line // lines_x * line_h + i
                # A row that no tap meets is left out; with stride 3 all count as met.
                row = y0 <= y < y1 and ((y - top) % stride < kernel_r or stride == 3)
                piece = False
                for j in range(line_w):
                    position, x = i * line_w + j, line % lines_x * line_w + j
                    if position % OCTET == 0:
                        piece = False
                        if in_octet:
                            in_last, in_octet = in_octet, 0
                    if not (row and x0 <= x < x1):
                        continue
                    if bits[channel, line, position]:
                        first = min(first, rank[channel, line, position])
                        last = rank[channel, line, position]
                    elif skip:
                        continue
                    # Another word: the one before is written first. Its bits of a piece that lies in both take a cycle.
                    word = ((y - top) * window_w + x - left) // LINE_BITS
                    if not seen[channel]:
                        seen[channel] = 1 << word
                    elif word != at[channel]:
                        marks += NEXT_WORD + piece + (SEEN_WORD if seen[channel] >> word & 1 else 0)
                        seen[channel] |= 1 << word
                    at[channel] = word
                    if not piece:
                        piece = True
                        pieces += 1
                        in_octet += 1
            if in_octet:
                in_last = in_octet
            counts[number, 0, channel] = pointers[channel, line] + (first - 1) // WORD_BYTES
            counts[number, 1, channel] = (last - 1) // WORD_BYTES - (first - 1) // WORD_BYTES + 1 if last else 0
            counts[number, 2, channel] = pieces
            counts[number, 4, channel] = marks
            counts[number, 3, channel] = pieces + (max(0, LINE_BEGIN - in_last) if pieces else 0)


@whole
def last_octets(
    bits: npt.NDArray[np.bool],
    out: tuple[int, int],
    tile: tuple[int, int],
    stride: tuple[int, int],
    kernel: tuple[int, int],
    window_w: int,
    counts: Ints,
) -> None:
    """Fill ``counts``, int64 (tiles, C, taps): emissions of the last octet of a pass that has any.

    bits: the padded plane (C, H, W); out, tile, stride, kernel: rows and columns.
    """
    tiles_x = -(-out[1] // tile[1])
    for number in range(counts.shape[0]):
        top, left = number // tiles_x * tile[0], number % tiles_x * tile[1]
        rows, columns = min(tile[0], out[0] - top), min(tile[1], out[1] - left)
        for channel in range(counts.shape[1]):
            for tap in range(counts.shape[2]):
                y0, x0 = top * stride[0] + tap // kernel[1], left * stride[1] + tap % kernel[1]
                octet = found = 0
                for i in range(rows * columns - 1, -1, -1):
                    y, x = i // columns * stride[0], i % columns * stride[1]
                    if not bits[channel, y0 + y, x0 + x]:
                        continue
                    if found and (y * window_w + x) // OCTET != octet:
                        break
                    octet = (y * window_w + x) // OCTET
                    found += 1
                counts[number, channel, tap] = found
