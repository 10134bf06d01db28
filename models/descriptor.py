# SPDX-License-Identifier: Apache-2.0
"""The layer descriptor of docs/architecture.md section 5, and what it means: axes, windows of tiles, work units."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass

from models import reference
from models.lines import LINE_BITS, LineShape


@dataclass(frozen=True)
class Axis:
    """One direction of a layer, rows or columns: input plane, outputs, kernel, and the sizes of lines and tiles."""

    size: int
    out: int
    kernel: int
    stride: int
    before: int  # padding; negative where the first window begins inside the plane
    line: int
    lines: int
    tile: int
    tiles: int

    @property
    def reach(self) -> int:
        """Positions from the first to the last that an output meets, padding included."""
        return reference.in_size(self.out, self.kernel, self.stride)

    @property
    def after(self) -> int:
        """Padding behind the plane, as far as an output meets it."""
        return max(0, self.reach - self.before - self.size)

    @property
    def window(self) -> int:
        """Positions that the outputs of a whole tile meet."""
        return reference.in_size(self.tile, self.kernel, self.stride)

    @property
    def counts(self) -> list[int]:
        """Outputs of each tile: fewer in the last."""
        return [min(self.tile, self.out - tile * self.tile) for tile in range(self.tiles)]

    @property
    def windows(self) -> list[tuple[int, int]]:
        """What each tile meets: [first, last) of the plane, negative or beyond its size in the padding."""
        firsts = (tile * self.tile * self.stride - self.before for tile in range(self.tiles))
        return [
            (first, first + reference.in_size(count, self.kernel, self.stride))
            for first, count in zip(firsts, self.counts, strict=True)
        ]

    @property
    def inside(self) -> list[tuple[int, int]]:
        """The part of each window that lies in the plane; first = last where none does."""
        clipped = ((min(max(first, 0), self.size), min(last, self.size)) for first, last in self.windows)
        return [(first, max(first, last)) for first, last in clipped]


@dataclass(frozen=True)
class Unit:
    """A work unit: one share of the input channels of a job, which is a tile (row-major number) of a chunk. A last
    group of few channels may leave none for it."""

    job: int
    tile: int
    chunk: int
    channels: range


def _entries(base: int, channels: int, pitch: int, lines: int) -> list[int]:
    return [base + channel * pitch + line for channel in range(channels) for line in range(lines)]


@dataclass(frozen=True)
class Descriptor:
    """The layer descriptor; names, meanings and units are those of ``layer_t`` (words, vectors, index entries;
    strides less 1)."""

    k_log2: int
    m_log2: int
    act_signed: int
    out_signed: int
    skip: int
    maximum: int
    tap_shared: int
    in_c: int
    in_h: int
    in_w: int
    out_k: int
    out_h: int
    out_w: int
    kernel_r: int
    kernel_s: int
    stride_y: int
    stride_x: int
    pad_top: int
    pad_left: int
    line_h: int
    line_w: int
    lines_y: int
    lines_x: int
    tile_h: int
    tile_w: int
    tiles_y: int
    tiles_x: int
    chunks: int
    splits: int
    split_c: int
    groups: int
    group_c: int
    group_chunks: int
    wgt_base: int
    par_base: int
    in_idx_base: int
    out_idx_base: int
    in_pitch: int
    out_pitch: int
    out_act_base: int
    out_act_limit: int
    clamp_lo: int
    clamp_hi: int
    residual: int = 0
    res_signed: int = 0
    res_idx_base: int = 0
    res_pitch: int = 0
    res_multiplier: int = 0
    res_shift: int = 0
    out_append: int = 0
    out_section: int = 0
    keep_slot: int = 0
    continue_slot: int = 0

    def as_dict(self) -> dict[str, int]:
        """The fields by name."""
        return asdict(self)

    @property
    def k(self) -> int:
        """Weights kept of a group."""
        return 1 << self.k_log2

    @property
    def m(self) -> int:
        """Output channels of a group."""
        return 1 << self.m_log2

    @property
    def ratio(self) -> int:
        """m / k: output channels that a lane serves. Of a legal mode."""
        return self.m // self.k

    @property
    def y(self) -> Axis:
        """The rows."""
        return Axis(
            self.in_h,
            self.out_h,
            self.kernel_r,
            self.stride_y + 1,
            self.pad_top,
            self.line_h,
            self.lines_y,
            self.tile_h,
            self.tiles_y,
        )

    @property
    def x(self) -> Axis:
        """The columns."""
        return Axis(
            self.in_w,
            self.out_w,
            self.kernel_s,
            self.stride_x + 1,
            self.pad_left,
            self.line_w,
            self.lines_x,
            self.tile_w,
            self.tiles_x,
        )

    @property
    def stride(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self.y.stride, self.x.stride

    @property
    def padding(self) -> tuple[int, int, int, int]:
        """(top, bottom, left, right), at the bottom and right as far as an output meets it; negative at the top or left
        where the first window begins inside the plane."""
        y, x = self.y, self.x
        return y.before, y.after, x.before, x.after

    @property
    def taps(self) -> int:
        """Positions of the kernel."""
        return self.kernel_r * self.kernel_s

    def half_regions(self, region_pos: int) -> bool:
        """Whether two regions share a buffer of so many positions: of a 1x1 kernel, if they are small enough, unless
        half a buffer has no word in each of two memories."""
        rows, columns = (self.tile_h - 1) * (self.stride_y + 1) + 1, (self.tile_w - 1) * (self.stride_x + 1) + 1
        return region_pos >= 4 * LINE_BITS and self.taps == 1 and 2 * rows * columns <= region_pos

    @property
    def line(self) -> LineShape:
        """The input's line block."""
        return LineShape(self.line_h, self.line_w)

    @property
    def tile(self) -> LineShape:
        """The output's tile, its line block."""
        return LineShape(self.tile_h, self.tile_w)

    @property
    def line_step(self) -> int:
        """Lines from one that is looked up to the one below: kernels of one row leave out lines of one row."""
        y = self.y
        steps = y.kernel == 1 and y.line == 1 and y.stride != 3 and (y.before < 0 or y.before % y.stride == 0)
        return y.stride if steps else 1

    @property
    def in_lines(self) -> int:
        """Input lines of a channel."""
        return self.lines_y * self.lines_x

    @property
    def out_lines(self) -> int:
        """Output lines of a channel: tiles."""
        return self.tiles_y * self.tiles_x

    @property
    def in_entries(self) -> int:
        """Index entries from the input's first line to its last."""
        return (self.in_c - 1) * self.in_pitch + self.in_lines

    @property
    def out_entries(self) -> int:
        """Index entries from the output's first line to its last."""
        return (self.out_k - 1) * self.out_pitch + self.out_lines

    @property
    def in_index(self) -> list[int]:
        """Index entries of the input's lines, in order channel, line."""
        return _entries(self.in_idx_base, self.in_c, self.in_pitch, self.in_lines)

    @property
    def out_index(self) -> list[int]:
        """Index entries of the output's lines, in order channel, line."""
        return _entries(self.out_idx_base, self.out_k, self.out_pitch, self.out_lines)

    @property
    def res_entries(self) -> int:
        """Index entries from the residual's first line to its last; 0 without a residual."""
        return self.residual * ((self.out_k - 1) * self.res_pitch + self.out_lines)

    @property
    def res_index(self) -> list[int]:
        """Index entries of the residual's lines, in order channel, line; none without a residual."""
        return _entries(self.res_idx_base, self.residual * self.out_k, self.res_pitch, self.out_lines)

    @property
    def channel_vectors(self) -> int:
        """Weight vectors of a channel in a chunk."""
        return 1 if self.tap_shared else self.taps

    @property
    def vectors(self) -> int:
        """Weight vectors."""
        return (1 if self.tap_shared else self.chunks) * self.group_c * self.channel_vectors

    def vector(self, chunk: int, channel: int) -> int:
        """Address of the first weight vector of an input channel that the chunk reads."""
        own = 0 if self.tap_shared else chunk * self.group_c
        return self.wgt_base + (own + channel - self.channels(chunk).start) * self.channel_vectors

    def channels(self, chunk: int) -> range:
        """Input channels that a chunk reads: those of its group."""
        first = chunk // self.group_chunks * self.group_c
        return range(first, min(first + self.group_c, self.in_c))

    @property
    def readers(self) -> list[int]:
        """Chunks that read each input channel."""
        first_chunks = (channel // self.group_c * self.group_chunks for channel in range(self.in_c))
        return [min(self.group_chunks, self.chunks - first) for first in first_chunks]

    @property
    def passes(self) -> int:
        """Passes of all units, were no activation zero."""
        return self.out_lines * sum(self.readers) * self.taps

    @property
    def jobs(self) -> int:
        """Tiles of chunks, each computed in `splits` units."""
        return self.out_lines * self.chunks

    def shares(self, chunk: int) -> list[range]:
        """Input channels of each unit of a job of the chunk."""
        channels = self.channels(chunk)
        firsts = (channels.start + split * self.split_c for split in range(self.splits))
        return [range(min(first, channels.stop), min(first + self.split_c, channels.stop)) for first in firsts]

    @property
    def tile_order(self) -> list[int]:
        """Numbers of the tiles in the scheduler's order: rows at the border last, for there are the light ones."""
        rows = list(range(self.tiles_y))
        if self.tiles_y > 2:
            rows = [*rows[1:-1], 0, self.tiles_y - 1]
        return [row * self.tiles_x + column for row in rows for column in range(self.tiles_x)]

    def units(self) -> Iterator[Unit]:
        """The units in the scheduler's order."""
        tiles = self.tile_order
        for job, (tile, chunk) in enumerate((tile, chunk) for tile in tiles for chunk in range(self.chunks)):
            for share in self.shares(chunk):
                yield Unit(job, tile, chunk, share)
