# SPDX-License-Identifier: Apache-2.0
"""The core's streams, beat by beat (docs/architecture.md section 3), from and to tensors."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from models import grouping, km, lines
from models.config import Config
from models.layer import Layer
from models.lines import Lines, LineShape
from models.reference import Bytes
from models.tiling import Plan, channel_groups, chunk_channels

BITMAP_BYTES = 8
LANE_BITS = 12
PARAMETER_BITS = 72  # shift, multiplier and bias, in whole bytes


@dataclass
class Packet:
    """Beats up to TLAST: TDATA and, of a stream that has it, TKEEP of each."""

    beats: list[int] = field(default_factory=list)
    keeps: list[int] = field(default_factory=list)


def weight_bytes(config: Config) -> int:
    """Width of the weight stream in bytes: a vector of L lanes or one channel's parameters."""
    return -(-max(LANE_BITS * config.NumLanes, PARAMETER_BITS) // 8)


def beats_of(rows: npt.NDArray[np.uint8]) -> list[int]:
    """uint8 (beats, bytes), byte 0 in the lowest bits -> one integer a beat."""
    return [int.from_bytes(row.tobytes(), "little") for row in rows]


def lane_arrays(config: Config, layer: Layer) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.uint8]]:
    """Values (int8) and indices (uint8) of the weight vectors, (chunks, group_c, R, S, L).

    Lane l belongs to group l // k of the chunk and stands for output channel
    ``chunk * L * m / k + (l // k) * m + index``. K is padded with zero channels to whole chunks. Of a pool one
    vector for each lane's channel, (1, group_c, 1, 1, L).
    """
    channels = channel_groups(config, layer).channels
    if layer.kind != "conv":
        values = np.eye(channels, config.NumLanes, dtype=np.int8).reshape(1, channels, 1, 1, -1)
        return values, np.zeros(values.shape, np.uint8)
    k, group_c, r, s = layer.weights.shape
    chunk_k = chunk_channels(config, layer.k, layer.m)
    joined = channels // group_c
    filled = np.pad(layer.weights, [(0, -layer.groups % joined * (k // layer.groups))] + [(0, 0)] * 3)
    groups = filled.reshape(-1, joined * (k // layer.groups), group_c, r, s)
    dense = np.concatenate([grouping.spread(group, joined) for group in groups])
    chunks = -(-k // chunk_k)
    padded = np.pad(dense[: chunks * chunk_k], [(0, max(0, chunks * chunk_k - len(dense)))] + [(0, 0)] * 3)
    values, indices = km.compress(padded, layer.k, layer.m, 0, "weights")
    lanes = (-1, config.NumLanes, channels, r, s)
    return np.moveaxis(values.reshape(lanes), 1, -1), np.moveaxis(indices.reshape(lanes), 1, -1)


def weight_rows(config: Config, layer: Layer) -> npt.NDArray[np.uint8]:
    """One weight vector a beat, in order chunk, c, r, s; lane l in bits 12 l + 11 : 12 l as {index, value}.

    uint8 (beats, bytes of the stream).
    """
    values, indices = (part.reshape(-1, config.NumLanes) for part in lane_arrays(config, layer))
    lanes = values.view(np.uint8).astype("<u2") | indices.astype("<u2") << 8
    bits = np.unpackbits(lanes[..., None].view(np.uint8), axis=-1, bitorder="little")[..., :LANE_BITS]
    octets = np.packbits(bits.reshape(len(lanes), -1), axis=1, bitorder="little")
    return np.pad(octets, [(0, 0), (0, weight_bytes(config) - octets.shape[1])])


def weight_beats(config: Config, layer: Layer) -> list[int]:
    """`weight_rows`, one integer a beat."""
    return beats_of(weight_rows(config, layer))


def parameter_beats(layer: Layer) -> list[int]:
    """One output channel a beat: shift in bits 69:64, multiplier in 63:32, bias in 31:0. The bias takes back the 128
    that are added to the activations of an int8 maximum."""
    bias = layer.bias - 128 if layer.kind == "max_pool" and layer.signed else layer.bias
    columns = zip(layer.shift.tolist(), layer.multiplier.tolist(), bias.tolist(), strict=True)
    return [shift << 64 | multiplier << 32 | bias & 0xFFFFFFFF for shift, multiplier, bias in columns]


def parameter_rows(config: Config, layer: Layer) -> npt.NDArray[np.uint8]:
    """`parameter_beats`, uint8 (K, bytes of the stream)."""
    size = weight_bytes(config)
    octets = b"".join(beat.to_bytes(size, "little") for beat in parameter_beats(layer))
    return np.frombuffer(octets, np.uint8).reshape(-1, size)


def line_packet(bitmap: int, packed: bytes, stream_bytes: int) -> Packet:
    """A line: its bitmap, then the packed bytes."""
    parts = [packed[start : start + stream_bytes] for start in range(0, len(packed), stream_bytes)]
    return Packet(
        [bitmap, *(int.from_bytes(part, "little") for part in parts)],
        [(1 << BITMAP_BYTES) - 1, *((1 << len(part)) - 1 for part in parts)],
    )


def packets_of(compressed: Lines, stream_bytes: int) -> list[Packet]:
    """One packet a line, in order channel, line number."""
    pairs = zip(compressed.bitmaps.ravel().tolist(), compressed.packed(), strict=True)
    return [line_packet(bitmap, packed.tobytes(), stream_bytes) for bitmap, packed in pairs]


def _line_packets(tensor: Bytes, shape: LineShape, stream_bytes: int) -> list[Packet]:
    """The lines of int8 or uint8 (C, H, W), in order channel, line number."""
    return packets_of(lines.compress(tensor, shape), stream_bytes)


def activation_packets(plan: Plan, layer: Layer) -> list[Packet]:
    """The input, one packet a line, in order channel, line number."""
    return _line_packets(layer.activations, plan.descriptor.line, plan.config.StreamBytes)


def residual_packets(plan: Plan, layer: Layer) -> list[Packet]:
    """The residual, one packet a line, in order channel, line number; none where the layer has none."""
    if layer.residual is None:
        return []
    return _line_packets(layer.residual, plan.descriptor.tile, plan.config.StreamBytes)


def expected_packets(plan: Plan, layer: Layer) -> list[Packet]:
    """The result stream's packets, in order channel, line number, from the reference output."""
    return _line_packets(layer.expected, plan.descriptor.tile, plan.config.StreamBytes)


def decode_packet(packet: Packet, stream_bytes: int) -> tuple[int, bytes]:
    """Bitmap and packed bytes of one line; raises ValueError for any breach of the format."""
    if not packet.beats:
        raise ValueError("packet: no beat, expected at least the bitmap")
    (bitmap, *body), (keep, *keeps) = packet.beats, packet.keeps
    if keep != (1 << BITMAP_BYTES) - 1 or bitmap >> 8 * BITMAP_BYTES:
        raise ValueError(f"bitmap beat: tkeep {keep:#x}, expected 0xff and zeros above")
    population = bitmap.bit_count()
    if len(body) != -(-population // stream_bytes):
        raise ValueError(f"packet: {len(body)} beats of bytes, expected those of {population} non-zeros")
    packed = b""
    for beat, keep in zip(body, keeps, strict=True):
        count = min(stream_bytes, population - len(packed))
        if keep != (1 << count) - 1 or beat >> 8 * count:
            raise ValueError(f"bytes beat: tkeep {keep:#x}, expected {(1 << count) - 1:#x} and zeros above")
        packed += beat.to_bytes(count, "little")
    if 0 in packed:
        raise ValueError(f"packed byte {packed.index(0)} is zero, expected non-zero bytes only")
    return bitmap, packed


def decode_output(packets: Iterable[Packet], plan: Plan) -> Bytes:
    """The output tensor, uint8 or int8 (K, Ho, Wo), from one packet an index entry from its first line to its last.

    Raises ValueError for malformed packets or a wrong number of them.
    """
    d = plan.descriptor
    received = list(packets)
    if len(received) != d.out_entries:
        raise ValueError(f"result stream: {len(received)} lines, expected {d.out_entries}")
    decoded = [decode_packet(received[entry - d.out_idx_base], plan.config.StreamBytes) for entry in d.out_index]
    bitmaps = np.array([bitmap for bitmap, _ in decoded], np.uint64).reshape(d.out_k, d.out_lines)
    data = np.frombuffer(b"".join(packed for _, packed in decoded), np.uint8)
    dtype = np.int8 if d.out_signed else np.uint8
    return lines.decompress(Lines(bitmaps, data), d.tile, (d.out_k, d.out_h, d.out_w), dtype)
