"""A layer as the core's memories hold it: decoded, computed, and what the counters have to show of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from models import km, lines, reference, work
from models.config import Config
from models.layer import Layer
from models.lines import Lines, LineShape
from models.tiling import WORD_BYTES, Cut, Descriptor, Plan

_DESCRIPTOR_FIELDS = [field.name for field in fields(Descriptor)]


@dataclass(frozen=True)
class LayerDone:
    """A layer that the core has taken, with what it has to produce and what its counters have to show."""

    descriptor: Descriptor
    activations: np.ndarray  # int8 or uint8 (C, H, W)
    weights: np.ndarray  # int8 (K, C, R, S)
    output: np.ndarray  # int8 or uint8 (K, Ho, Wo)
    lanes: tuple[np.ndarray, np.ndarray]  # values and indices, (chunks, C, R, S, L)
    macs: int
    bytes_written: int
    overflow: bool

    @property
    def padded_k(self) -> int:
        """Output channels of all chunks together."""
        return self.lanes[0].shape[0] * self.lanes[0].shape[-1] << self.descriptor.m_log2 - self.descriptor.k_log2

    @property
    def lines_written(self) -> int:
        """Output lines."""
        d = self.descriptor
        return d.out_k * d.tiles_y * d.tiles_x


def descriptor_field(register: str, field: str) -> str:
    """The descriptor's name of a field of a LAYER_* register: the field's own, the register's, or both joined."""
    stem = register.removeprefix("LAYER_").lower()
    return next(name for name in (field, stem, f"{stem}_{field}") if name in _DESCRIPTOR_FIELDS)


def descriptor_of(registers: dict[str, dict[str, int]]) -> Descriptor:
    """The layer descriptor that the LAYER_* registers (field values by name) describe; what was not written is 0."""
    found = dict.fromkeys(_DESCRIPTOR_FIELDS, 0) | {
        descriptor_field(register, field): value
        for register, values in registers.items()
        if register.startswith("LAYER_")
        for field, value in values.items()
    }
    for name in ("clamp_lo", "clamp_hi"):
        found[name] -= (found[name] & 0x100) << 1  # 9 bits, two's complement
    return Descriptor(**found)


def count_macs(activations: np.ndarray, weights: np.ndarray, d: Descriptor) -> int:
    """Multiplications of a non-zero activation (C, H, W) with a non-zero weight (K, C, R, S)."""
    sy, sx = d.stride_y2 + 1, d.stride_x2 + 1
    padded = pad_plane(activations != 0, d)
    total = 0
    for r in range(d.kernel_r):
        for s in range(d.kernel_s):
            seen = padded[:, r : r + (d.out_h - 1) * sy + 1 : sy, s : s + (d.out_w - 1) * sx + 1 : sx]
            total += int((weights[:, :, r, s] != 0).sum(0) @ seen.sum((1, 2)))
    return total


def memory_accesses(done: LayerDone, config: Config) -> dict[str, int]:
    """What the PEs read of each memory: vectors, words and index entries, however many an access serves."""
    d = done.descriptor
    sy, sx = d.stride_y2 + 1, d.stride_x2 + 1
    bottom = max(0, (d.out_h - 1) * sy + d.kernel_r - d.pad_top - d.in_h)
    right = max(0, (d.out_w - 1) * sx + d.kernel_s - d.pad_left - d.in_w)
    unscaled = np.ones(d.out_k, np.int32)  # only the tensors matter here
    layer = Layer(
        done.activations,
        done.weights,
        unscaled,
        unscaled,
        unscaled,
        (sy, sx),
        (d.pad_top, bottom, d.pad_left, right),
        1 << d.k_log2,
        1 << d.m_log2,
        skip=bool(d.skip),
    )
    cut = Cut(LineShape(d.line_h, d.line_w), LineShape(d.tile_h, d.tile_w), d.splits)
    measured = work.measure(layer, Plan(config, d, cut, in_act_base=0, in_act_limit=0, wgt_count=0))
    once = {
        "WGT": np.count_nonzero(measured.emissions),
        "ACT": sum(int(fetch.words.sum()) for fetch in measured.fetches),
        "IDX": d.in_c * sum(len(fetch.lines) for fetch in measured.fetches),
    }
    return {memory: d.chunks * count for memory, count in once.items()}


def pad_plane(tensor: np.ndarray, d: Descriptor) -> np.ndarray:
    """(C, H, W) with the layer's padding; rows and columns that no window reaches are cut off."""
    height = (d.out_h - 1) * (d.stride_y2 + 1) + d.kernel_r
    width = (d.out_w - 1) * (d.stride_x2 + 1) + d.kernel_s
    bottom = max(0, height - d.pad_top - d.in_h)
    right = max(0, width - d.pad_left - d.in_w)
    return np.pad(tensor, [(0, 0), (d.pad_top, bottom), (d.pad_left, right)])[:, :height, :width]


def compute_layer(
    d: Descriptor, vectors: np.ndarray, bitmaps: Sequence[int], packed: Sequence[bytes], parameters: Sequence[int]
) -> LayerDone:
    """What a layer has to produce from the contents of the memories.

    vectors: uint16 (chunks * C * R * S, L), each lane {index[3:0], value[7:0]}; bitmaps, packed: the input's lines in
    order channel, line; parameters: beats of the parameter stream, one an output channel.
    """
    k, m = 1 << d.k_log2, 1 << d.m_log2
    lanes = vectors.reshape(d.chunks, d.in_c, d.kernel_r, d.kernel_s, -1)
    values, indices = lanes.astype(np.uint8).view(np.int8), (lanes >> 8).astype(np.uint8)
    along_k = [np.moveaxis(x, -1, 1).reshape(-1, *lanes.shape[1:4]) for x in (values, indices)]
    weights = km.decompress(*along_k, k, m, 0, d.chunks * lanes.shape[-1] * m // k)[: d.out_k]

    dtype = np.int8 if d.act_signed else np.uint8
    compressed = Lines(np.array(bitmaps, np.uint64).reshape(d.in_c, -1), np.frombuffer(b"".join(packed), np.uint8))
    activations = lines.decompress(compressed, LineShape(d.line_h, d.line_w), (d.in_c, d.in_h, d.in_w), dtype)

    bias = np.array([p & 0xFFFFFFFF for p in parameters], np.uint32).view(np.int32)
    multiplier = np.array([p >> 32 & 0x7FFFFFFF for p in parameters], np.int32)
    shift = np.array([p >> 64 & 0x3F for p in parameters], np.int32)
    acc = reference.convolve(pad_plane(activations, d), weights, (d.stride_y2 + 1, d.stride_x2 + 1))
    output = reference.requantize(acc, bias, multiplier, shift, d.clamp_lo, d.clamp_hi)
    output = output.astype(np.int8 if d.out_signed else np.uint8)
    counts = lines.compress(output, LineShape(d.tile_h, d.tile_w)).counts
    return LayerDone(
        descriptor=d,
        activations=activations,
        weights=weights,
        output=output,
        lanes=(values, indices),
        macs=count_macs(activations, weights, d),
        bytes_written=int(counts.sum()),
        overflow=int((-(-counts // WORD_BYTES)).sum()) > d.out_act_limit - d.out_act_base,
    )
