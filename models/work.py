"""What a layer's units have to do: counts that follow from the activation mask and the cut alone.

All arrays are indexed by tile (row-major), then input channel.
"""

from dataclasses import dataclass

import numpy as np

from models import lines
from models.layer import Layer
from models.tiling import Plan

OCTET = 8  # positions of a line from which the region loader takes those of one row in a cycle
LINE_BEGIN = 3  # cycles from the first piece of a line's last octet to that of the next line
WORD_BYTES = 8


@dataclass(frozen=True)
class Fetch:
    """What a tile's window reads: line numbers; of each line in each channel the first Activation Memory word, counted
    from the input's section, and the number of words, both int64 (C, lines)."""

    lines: list[int]
    first_word: np.ndarray
    words: np.ndarray


@dataclass(frozen=True)
class Work:
    """Counts of one layer.

    emissions: int64 (tiles, C, R*S), activations that meet each weight vector; pieces, load: int64 (tiles, C), pieces
    that the region loader writes and cycles it takes; fetches: what each tile reads; positions: int64 (tiles,), from a
    tile's first to its last, gaps at the right of partial tiles included; segments: 64-bit segments of a pass; macs:
    products of two non-zero operands.
    """

    emissions: np.ndarray
    pieces: np.ndarray
    load: np.ndarray
    fetches: list[Fetch]
    positions: np.ndarray
    segments: int
    macs: int


def _emissions(mask: np.ndarray, layer: Layer, plan: Plan) -> np.ndarray:
    d = plan.descriptor
    sy, sx = layer.stride
    top, bottom, left, right = layer.padding
    padded = np.pad(mask, [(0, 0), (top, bottom), (left, right)])
    grid = (d.in_c, d.tiles_y, d.tile_h, d.tiles_x, d.tile_w)
    fill = [(0, 0), (0, d.tiles_y * d.tile_h - d.out_h), (0, d.tiles_x * d.tile_w - d.out_w)]
    counts = np.empty((d.tiles_y * d.tiles_x, d.in_c, d.kernel_r * d.kernel_s), np.int64)
    for r in range(d.kernel_r):
        for s in range(d.kernel_s):
            seen = padded[:, r : r + (d.out_h - 1) * sy + 1 : sy, s : s + (d.out_w - 1) * sx + 1 : sx]
            blocks = np.pad(seen, fill).reshape(grid).sum((2, 4), dtype=np.int64)
            counts[:, :, r * d.kernel_s + s] = blocks.reshape(d.in_c, -1).T
    return counts


def _ranges(plan: Plan, layer: Layer) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Rows and columns [first, last) of the plane that the windows of the tile rows and columns hold."""
    d = plan.descriptor
    found = []
    for axis, (tiles, tile, out, kernel, size) in enumerate(
        ((d.tiles_y, d.tile_h, d.out_h, d.kernel_r, d.in_h), (d.tiles_x, d.tile_w, d.out_w, d.kernel_s, d.in_w))
    ):
        stride, pad = layer.stride[axis], layer.padding[2 * axis]
        spans = []
        for t in range(tiles):
            count = min(tile, out - t * tile)
            first = t * tile * stride - pad
            spans.append((min(max(first, 0), size), max(min(first + (count - 1) * stride + kernel, size), 0)))
        found.append([(a, max(a, b)) for a, b in spans])
    return found[0], found[1]


def _load(mask: np.ndarray, plan: Plan, y_spans, x_spans) -> tuple[np.ndarray, np.ndarray]:
    """(pieces, load): a piece is what is marked in one octet and one row of a line; each line takes time to begin."""
    d = plan.descriptor
    row = np.arange(mask.shape[1]) % d.line_h
    octet_rows = -(-OCTET // d.line_w)
    counts = np.zeros((d.tiles_y, d.tiles_x, d.in_c), np.int64)
    begins = np.zeros_like(counts)
    for tx, (x0, x1) in enumerate(x_spans):
        pieces = np.zeros(mask.shape[:2], np.int64)
        counted = np.zeros(mask.shape[:2], bool)  # the present piece holds something
        for x in range(x0, x1):
            column = x % d.line_w
            counted[:, (row * d.line_w + column) % OCTET == 0 if column else slice(None)] = False
            opens = mask[:, :, x] & ~counted
            pieces += opens
            counted |= opens
        total = np.concatenate([np.zeros((d.in_c, 1), np.int64), np.cumsum(pieces, axis=1)], axis=1)
        for ty, (y0, y1) in enumerate(y_spans):
            counts[ty, tx] = total[:, y1] - total[:, y0]
            for y in range(y0 - y0 % d.line_h, y1, d.line_h):
                for x in range(x0 - x0 % d.line_w, x1, d.line_w):
                    block = mask[:, max(y, y0) : min(y + d.line_h, y1), max(x, x0) : min(x + d.line_w, x1)]
                    # Taking the last octet's pieces as many as it may have.
                    begins[ty, tx] += max(0, LINE_BEGIN - min(block.shape[1], octet_rows)) * block.any((1, 2))
    return counts.reshape(-1, d.in_c), (counts + begins).reshape(-1, d.in_c)


def _fetches(nonzero: np.ndarray, plan: Plan, y_spans, x_spans) -> list[Fetch]:
    """What each tile's window reads of each channel."""
    d = plan.descriptor
    bits = lines.to_blocks(nonzero, plan.cut.line)
    rank = np.cumsum(bits, axis=2)  # of a non-zero: its place among the packed bytes, from 1
    sizes = -(-rank[:, :, -1] // WORD_BYTES)
    pointers = (np.cumsum(sizes) - sizes.ravel()).reshape(sizes.shape)
    i, j = np.divmod(np.arange(d.line_h * d.line_w), d.line_w)
    found = []
    for y0, y1 in y_spans:
        for x0, x1 in x_spans:
            met, first_words, word_counts = [], [], []
            empty = y0 == y1 or x0 == x1
            for ly in () if empty else range(y0 // d.line_h, (y1 - 1) // d.line_h + 1):
                for lx in range(x0 // d.line_w, (x1 - 1) // d.line_w + 1):
                    y, x = ly * d.line_h + i, lx * d.line_w + j
                    line = ly * d.lines_x + lx
                    needed = bits[:, line] & (y0 <= y) & (y < y1) & (x0 <= x) & (x < x1)
                    last = (rank[:, line] * needed).max(1)
                    first = np.where(needed, rank[:, line], lines.LINE_BITS).min(1)
                    met.append(line)
                    first_words.append(pointers[:, line] + (first - 1) // WORD_BYTES)
                    word_counts.append(np.where(last > 0, (last - 1) // WORD_BYTES - (first - 1) // WORD_BYTES + 1, 0))
            shape = (d.in_c, len(met))
            words = np.array(first_words, np.int64).T.reshape(shape), np.array(word_counts, np.int64).T.reshape(shape)
            found.append(Fetch(met, *words))
    return found


def measure(layer: Layer, plan: Plan) -> Work:
    """Count a layer's work under a plan."""
    d = plan.descriptor
    nonzero = layer.activations != 0
    mask = nonzero if layer.skip else np.ones_like(nonzero)
    y_spans, x_spans = _ranges(plan, layer)
    sy, sx = layer.stride
    win_w = (d.tile_w - 1) * sx + d.kernel_s
    heights = np.minimum(d.tile_h, d.out_h - d.tile_h * np.arange(d.tiles_y))
    widths = np.minimum(d.tile_w, d.out_w - d.tile_w * np.arange(d.tiles_x))
    positions = ((heights[:, None] - 1) * d.tile_w + widths).ravel()
    emissions = _emissions(mask, layer, plan)
    useful = emissions if layer.skip else _emissions(nonzero, layer, plan)
    weights = np.count_nonzero(layer.weights, axis=0).reshape(d.in_c, -1)
    pieces, load = _load(mask, plan, y_spans, x_spans)
    return Work(
        emissions=emissions,
        pieces=pieces,
        load=load,
        fetches=_fetches(nonzero, plan, y_spans, x_spans),
        positions=positions,
        segments=((d.tile_h - 1) * sy * win_w + (d.tile_w - 1) * sx) // 64 + 1,
        macs=int((useful.sum(0) * weights).sum()),
    )
