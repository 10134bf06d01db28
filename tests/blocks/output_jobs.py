# SPDX-License-Identifier: Apache-2.0
"""Layers and jobs for the tests of the output stage: accumulators, where they lie in PEs and slots, and their lines.

Places follow docs/architecture.md section 7.6 and the description of a slot in rtl/output/spcore_output_pkg.sv.
"""

from dataclasses import dataclass, field

import numpy as np

from models.lines import LineShape, compress
from models.reference import requantize, requantize_residual
from verif.shared.structs import struct

PARAM = struct("param_t")
ROWS = 32  # of an accumulator bank


def to_flat(words: np.ndarray) -> int:
    """32-bit words as one vector, the first in its low bits."""
    return int.from_bytes(words.astype("<u4").tobytes(), "little")


def from_flat(flat: int, count: int) -> np.ndarray:
    """Inverse of to_flat, uint32 (count,)."""
    return np.frombuffer(int(flat).to_bytes(4 * count, "little"), "<u4")


def place(channel, position, ratio: int):
    """Row and bank of a PE's accumulators, by channel of the chunk and position; `ratio` is log2 of m/k."""
    share, quad_k = 4 >> ratio, 4 << ratio  # positions in a row, channels of a quad
    return position // share, channel // quad_k * 16 + position % share * quad_k + channel % quad_k


def _skew_bits(banks: int) -> list[int]:
    """The bank bit that each bit of a row number is sent to, where there are enough."""
    return [0, 1, *range(4, banks.bit_length() - 1), 2, 3][:5]


def skew(row: int, banks: int) -> int:
    """What the bank number of a row's accumulators is exclusive-ored with in a slot."""
    return sum((row >> i & 1) << bit for i, bit in enumerate(_skew_bits(banks)))


def unskew(bank, banks: int):
    """The row bits that `bank` (a number or an array) stands for: the inverse of skew."""
    return sum((bank >> bit & 1) << i for i, bit in enumerate(_skew_bits(banks)))


@dataclass
class Job:
    """A (tile, chunk): what its units hand over and the lines that it must become."""

    number: int
    info: dict  # drain_info_t
    acc: np.ndarray  # the units' sum with what was kept, int32 (channels of the chunk, positions up to the tile's last)
    rows: list[np.ndarray]  # of each unit, uint32 (rows, banks)
    lines: dict[int, np.ndarray]  # index address: uint8 (64,), zeros outside the plane; in order of channels
    open_lines: set[int] = field(default_factory=set)
    res_lines: dict[int, np.ndarray] = field(default_factory=dict)  # residual by index address, as `lines`


class LayerOfJobs:
    """A random layer: descriptor, parameters and jobs with random accumulators.

    ctx, first_job: its context and the number of its first job. place: added to its bases. kept: a layer with the same
    outputs whose sums it continues; keeps: it keeps its own.
    """

    def __init__(
        self,
        gen,
        lanes: int,
        ctx: int = 0,
        first_job: int = 0,
        place: int = 0,
        kept: "LayerOfJobs | None" = None,
        keeps: bool = False,
        **fixed,
    ) -> None:
        self.ctx, self.kept = ctx, kept
        if kept:
            shape = kept.layer
            fixed |= {name: shape[name] for name in ("tile_w", "tile_h", "chunks", "out_k")}
            fixed |= {"ratio": kept.derived["ratio"], "tiles": (shape["tiles_y"], shape["tiles_x"])}
        ratio = fixed.get("ratio", int(gen.integers(3)))
        limit = 32 if ratio == 2 else 64
        tile_w = fixed.get("tile_w", int(gen.integers(1, limit + 1)))
        tile_h = fixed.get("tile_h", int(gen.integers(1, limit // tile_w + 1)))
        tiles_y, tiles_x = fixed.get("tiles", tuple(int(x) for x in gen.integers(1, 4, 2)))
        chunk_k = lanes << ratio
        chunks = fixed.get("chunks", int(gen.integers(1, 4)))
        out_k = fixed.get("out_k", int(gen.integers((chunks - 1) * chunk_k + 1, chunks * chunk_k + 1)))
        splits = fixed.get("splits", int(gen.choice([1, 2, 5])))
        signed = bool(gen.integers(2))
        low, high = (-128, 127) if signed else (0, 255)
        if gen.random() < 0.5:
            low, high = sorted(int(x) for x in gen.integers(low, high + 1, 2))
        low, high = fixed.get("clamp", (low, high))
        out_h = tiles_y * tile_h - int(gen.integers(tile_h))
        out_w = tiles_x * tile_w - int(gen.integers(tile_w))
        if fixed.get("full_tiles"):
            out_h, out_w = tiles_y * tile_h, tiles_x * tile_w
        if kept:
            out_h, out_w = kept.layer["out_h"], kept.layer["out_w"]
        self.layer = {
            "out_signed": signed,
            "out_k": out_k,
            "out_h": out_h,
            "out_w": out_w,
            "tile_h": tile_h,
            "tile_w": tile_w,
            "tiles_y": tiles_y,
            "tiles_x": tiles_x,
            "chunks": chunks,
            "splits": splits,
            "par_base": int(gen.integers(1000)) + place,
            "out_idx_base": int(gen.integers(1000)) + place,
            "out_pitch": tiles_y * tiles_x + int(gen.choice([0, 5])),
            "out_act_base": int(gen.integers(1000)) + place,
            "out_section": int(gen.integers(32)),
            "clamp_lo": low,
            "clamp_hi": high,
            "keep_slot": keeps,
            "continue_slot": kept is not None,
        }
        self.layer["out_act_limit"] = self.layer["out_act_base"] + fixed.get("words", 1 << 20)
        self.derived = {"ratio": ratio, "chunk_k": chunk_k, "jobs": tiles_y * tiles_x * chunks % 256}
        self.bias = gen.integers(-(2**31), 2**31, out_k) >> gen.integers(0, 32, out_k)
        self.multiplier = gen.integers(0, 2**31, out_k)
        self.shift = gen.integers(1, 63, out_k)
        sensible = gen.random(out_k) < 0.9  # results that are not all 0 or clamped
        self.shift[sensible] = gen.integers(50, 60, sensible.sum())
        if fixed.get("residual", gen.random() < 0.5):
            self._draw_residual(gen, place)
        self.jobs = [
            self._job(gen, ty, tx, chunk, number, first_job)
            for number, (ty, tx, chunk) in enumerate(np.ndindex(tiles_y, tiles_x, chunks), first_job)
        ]

    def _draw_residual(self, gen, place: int) -> None:
        """A residual of the size of an output."""
        multiplier = int(gen.integers(2**31)) >> int(gen.integers(20))
        self.layer |= {
            "residual": 1,
            "res_signed": bool(gen.integers(2)),
            "res_idx_base": int(gen.integers(1000)) + place,
            "res_pitch": self.layer["tiles_y"] * self.layer["tiles_x"] + int(gen.integers(3)),
            "res_multiplier": multiplier,
            "res_shift": max(9, multiplier.bit_length() + int(gen.integers(-3, 3))),
        }
        self.shift = np.maximum(self.shift, 9)

    def _residual(self, gen, shape: tuple[int, int]) -> np.ndarray:
        """Bytes of some channels and positions, of any density."""
        values = gen.integers(-128, 128, shape) * (gen.random(shape) < gen.choice([0, 0.3, 0.8, 1]))
        return values.astype(np.uint8).view(np.int8 if self.layer["res_signed"] else np.uint8)

    def residual_line(self, address: int) -> dict:
        """The residual line of an index entry, fields of line_read_rsp_t."""
        line = next(job.res_lines[address] for job in self.jobs if address in job.res_lines)
        packed = compress(line[None, None], LineShape(1, 64))
        return {"bitmap": int(packed.bitmaps[0, 0]), "bytes": int.from_bytes(packed.data.tobytes(), "little")}

    def _job(self, gen, ty: int, tx: int, chunk: int, number: int, first_job: int) -> Job:
        d, ratio, chunk_k = self.layer, self.derived["ratio"], self.derived["chunk_k"]
        h, w = min(d["tile_h"], d["out_h"] - ty * d["tile_h"]), min(d["tile_w"], d["out_w"] - tx * d["tile_w"])
        npos = (h - 1) * d["tile_w"] + w
        acc = gen.integers(-(2**31), 2**31, (d["splits"], chunk_k, npos))  # of positions outside the plane as well
        rows, banks = place(*np.indices((chunk_k, npos)), ratio)
        images = []
        for unit in acc:
            image = gen.integers(-(2**31), 2**31, (rows.max() + 1, 4 * chunk_k >> ratio))
            image[rows, banks] = unit
            images.append(image.astype(np.uint32))
        channels = self.channels(chunk)
        first, last = channels.start, channels.stop
        total = acc.sum(0).astype(np.int32)  # wraps as the adders do
        if self.kept:
            total = total + self.kept.jobs[number - first_job].acc
        numbers = self.bias[first:last], self.multiplier[first:last], self.shift[first:last]
        bounds = d["clamp_lo"], d["clamp_hi"]
        inside = np.arange(npos) % d["tile_w"] < w
        out_line = ty * d["tiles_x"] + tx
        lines, res_lines = {}, {}
        if d.get("residual"):
            residual = self._residual(gen, (last - first, 64))  # of positions that nobody asks for as well
            for channel in range(first, last):
                res_lines[d["res_idx_base"] + channel * d["res_pitch"] + out_line] = residual[channel - first]
            other = residual[:, :npos, None], d["res_multiplier"], d["res_shift"]
            out = requantize_residual(total[: last - first, :, None], *numbers, *other, *bounds)
        else:
            out = requantize(total[: last - first, :, None], *numbers, *bounds)
        out = out[..., 0].view(np.uint8)
        for channel in range(first, last):
            line = np.zeros(64, np.uint8)
            line[:npos] = out[channel - first] * inside
            lines[d["out_idx_base"] + channel * d["out_pitch"] + out_line] = line
        info = {
            "ctx": self.ctx,
            "job": number,
            "split": d["splits"] > 1 or self.kept is not None,
            "chunk": chunk,
            "out_line": out_line,
            "tile_h": h,
            "tile_w": w,
        }
        if d["keep_slot"]:
            lines, res_lines = {}, {}
        return Job(number, info, total, images, lines, set(lines), res_lines)

    def channels(self, chunk: int) -> range:
        """The layer's channels in a chunk."""
        chunk_k = self.derived["chunk_k"]
        return range(chunk * chunk_k, min((chunk + 1) * chunk_k, self.layer["out_k"]))

    def parameter(self, address: int) -> int:
        channel = address - self.layer["par_base"]
        assert 0 <= channel < self.layer["out_k"], f"parameters of channel {channel} are read"
        return PARAM.pack(
            {"shift": self.shift[channel], "multiplier": self.multiplier[channel], "bias": self.bias[channel]}
        )
