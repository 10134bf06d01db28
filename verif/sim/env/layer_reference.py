# SPDX-License-Identifier: Apache-2.0
"""A layer as the core's memories hold it: decoded, computed, and what the counters have to show of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from models import km, lines, reference, work
from models.descriptor import Descriptor
from models.lines import Lines, LineShape

SECTION_FULL = 1 << 24  # past any memory: a section that has overflowed has no room

_DESCRIPTOR_FIELDS = [field.name for field in fields(Descriptor)]
_SIGNED = {"clamp_lo": 9, "clamp_hi": 9, "pad_top": 8, "pad_left": 8}  # bits


@dataclass(frozen=True)
class LayerDone:
    """A layer that the core has taken, with what it has to produce and what its counters have to show."""

    descriptor: Descriptor
    activations: np.ndarray  # int8 or uint8 (C, H, W)
    weights: np.ndarray  # int8 (K, group_c, R, S)
    residual: np.ndarray | None  # int8 or uint8 (K, Ho, Wo)
    output: np.ndarray  # int8 or uint8 (K, Ho, Wo); (0, Ho, Wo) of a layer that keeps its slots
    kept: np.ndarray | None  # int64 (K, Ho, Wo), the sums that stay in its slots
    lanes: tuple[np.ndarray, np.ndarray]  # values and indices, (chunks, group_c, R, S, L)
    weight_counts: np.ndarray  # int64 (C, R*S), non-zero weights over all outputs
    macs: int
    bytes_written: int
    overflow: bool
    section_start: int  # word that its output goes to
    section_end: int  # first word of the output section that is not used; SECTION_FULL after an overflow
    appended: bool  # to what is in the section already

    @property
    def lines_written(self) -> int:
        """Output lines, unless the section overflows."""
        return 0 if self.descriptor.keep_slot else len(self.descriptor.out_index)

    @property
    def padded_k(self) -> int:
        """Output channels of all chunks together."""
        return self.lanes[0].shape[0] * self.lanes[0].shape[-1] * self.descriptor.ratio


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
    for name, bits in _SIGNED.items():
        found[name] -= found[name] >> bits - 1 << bits  # two's complement
    return Descriptor(**found)


def memory_accesses(done: LayerDone) -> dict[str, int]:
    """What is read of each memory for a layer: vectors, words and index entries.

    Those of the PEs, however many an access serves, and those of residual lines.
    """
    d = done.descriptor
    measured = work.measure(d, done)
    passes = measured.emissions.sum(2, keepdims=True) if d.tap_shared else measured.emissions
    of_channels = {
        "WGT": np.count_nonzero(passes, axis=(0, 2)),
        "ACT": np.sum([fetch.words.sum(1) for fetch in measured.fetches], axis=0),
        "IDX": np.full(d.in_c, sum(len(fetch.lines) for fetch in measured.fetches)),
    }
    accesses = {memory: int(counts @ d.readers) for memory, counts in of_channels.items()}
    accesses["ACT"] += measured.residual_words
    accesses["IDX"] += len(d.res_index)
    return accesses


def _largest(operands: np.ndarray, weights: np.ndarray, stride: tuple[int, int]) -> np.ndarray:
    """The largest of 0 and the products of each window of uint8 (C, H, W) with weights (K, C, R, S) of 0 and 1."""
    r, s = weights.shape[2:]
    rows, columns = (
        (size - kernel) // step + 1 for size, kernel, step in zip(operands.shape[1:], (r, s), stride, strict=True)
    )
    found = np.zeros((len(weights), rows, columns), np.int64)
    for i, j in np.ndindex(r, s):
        met = operands[:, i : i + rows * stride[0] : stride[0], j : j + columns * stride[1] : stride[1]]
        for channel, seen in enumerate(met[:, :rows, :columns]):
            reads = weights[:, channel, i, j] == 1
            found[reads] = np.maximum(found[reads], seen)
    return found


def _accumulate(d: Descriptor, activations: np.ndarray, weights: np.ndarray, chunk_k: int) -> np.ndarray:
    """Sums or maxima, int64 (K, Ho, Wo): each group's chunks of its channels; weights: (K, group_c, R, S)."""
    if d.maximum and d.act_signed:
        activations = (activations.astype(np.int16) + 128).astype(np.uint8)
    padded = work.pad_plane(d, activations)
    found = []
    for first in range(0, d.chunks, d.group_chunks):
        channels, outputs = d.channels(first), slice(first * chunk_k, (first + d.group_chunks) * chunk_k)
        part = padded[channels.start : channels.stop], weights[outputs, : len(channels)], d.stride
        found.append(_largest(*part) if d.maximum else reference.convolve(*part))
    return np.concatenate(found)


def _decompress(
    bitmaps: Sequence[int], packed: Sequence[bytes], shape: LineShape, chw: tuple[int, int, int], signed: int
) -> np.ndarray:
    """The tensor of which lines were read, in order channel, line."""
    compressed = Lines(np.array(bitmaps, np.uint64).reshape(chw[0], -1), np.frombuffer(b"".join(packed), np.uint8))
    return lines.decompress(compressed, shape, chw, np.int8 if signed else np.uint8)


def compute_layer(
    d: Descriptor,
    vectors: np.ndarray,
    bitmaps: Sequence[int],
    packed: Sequence[bytes],
    parameters: Sequence[int],
    residual: tuple[Sequence[int], Sequence[bytes]],
    section_start: int,
    appended: bool,
    continued: np.ndarray | None = None,
) -> LayerDone:
    """What a layer has to produce from the contents of the memories.

    vectors: uint16 (vectors, L), each lane {index[3:0], value[7:0]}; bitmaps, packed: the input's lines in
    order channel, line; parameters: beats of the parameter stream, one an output channel; residual: bitmaps and packed
    bytes of its lines, if the layer has one; section_start: word that its output goes to; continued: the sums of the
    layer before, int64 (K, Ho, Wo), that this one continues. One that keeps its own needs no parameters.
    """
    if d.tap_shared:
        shape = (d.chunks, d.group_c, d.kernel_r, d.kernel_s, vectors.shape[1])
        lanes = np.broadcast_to(vectors.reshape(1, d.group_c, 1, 1, -1), shape)
    else:
        lanes = vectors.reshape(d.chunks, d.group_c, d.kernel_r, d.kernel_s, -1)
    values, indices = lanes.astype(np.uint8).view(np.int8), (lanes >> 8).astype(np.uint8)
    along_k = (-1, *lanes.shape[1:4])
    kept, places = np.moveaxis(values, -1, 1).reshape(along_k), np.moveaxis(indices, -1, 1).reshape(along_k)
    chunk_k = lanes.shape[-1] * d.ratio
    weights = km.decompress(kept, places, d.k, d.m, 0, d.chunks * chunk_k)[: d.out_k]
    weight_counts = np.zeros((d.in_c, d.taps), np.int64)
    for chunk, counts in enumerate(np.count_nonzero(values, axis=-1).reshape(d.chunks, d.group_c, -1)):
        channels = d.channels(chunk)
        weight_counts[channels.start : channels.stop] += counts[: len(channels)]

    activations = _decompress(bitmaps, packed, d.line, (d.in_c, d.in_h, d.in_w), d.act_signed)
    out_shape = (d.out_k, d.out_h, d.out_w)

    bias = np.array([p & 0xFFFFFFFF for p in parameters], np.uint32).view(np.int32)
    multiplier = np.array([p >> 32 & 0x7FFFFFFF for p in parameters], np.int32)
    shift = np.array([p >> 64 & 0x3F for p in parameters], np.int32)
    acc = _accumulate(d, activations, weights, chunk_k)
    if continued is not None:
        acc = acc + continued
    added = None
    output: np.ndarray
    if d.keep_slot:
        output = np.empty((0, d.out_h, d.out_w), np.uint8)
    elif d.residual:
        added = _decompress(*residual, d.tile, out_shape, d.res_signed)
        factors = d.res_multiplier, d.res_shift
        output = reference.requantize_residual(acc, bias, multiplier, shift, added, *factors, d.clamp_lo, d.clamp_hi)
    else:
        output = reference.requantize(acc, bias, multiplier, shift, d.clamp_lo, d.clamp_hi)
    output = output.astype(np.int8 if d.out_signed else np.uint8)
    written = lines.compress(output, d.tile)
    words = int(written.words.sum())
    overflow = words > max(0, d.out_act_limit - section_start)
    return LayerDone(
        descriptor=d,
        activations=activations,
        weights=weights,
        residual=added,
        output=output,
        kept=acc if d.keep_slot else None,
        lanes=(values, indices),
        weight_counts=weight_counts,
        macs=work.count_macs(d, activations, weight_counts),
        bytes_written=int(written.counts.sum()),
        overflow=overflow,
        section_start=section_start,
        section_end=SECTION_FULL if overflow else section_start + words,
        appended=appended,
    )
