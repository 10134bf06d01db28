# SPDX-License-Identifier: Apache-2.0
"""What is wrong with an input packet, by the rules of docs/architecture.md sections 3 and 4."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models import lines, stream
from models.config import Config
from models.lines import WORD_BYTES
from models.stream import Packet, line_packet

# Of several faults of one beat of s_axis_wgt the first of these counts.
_WEIGHT_FAULTS = ("wgt_index_order", "wgt_index_range", "par_range", "wgt_tlast_early", "wgt_tlast_late")


def weight_stream_fault(
    config: Config, packet: Packet, memory: str, count: int, mode: tuple[int, int]
) -> tuple[int, str]:
    """The beat of a packet of s_axis_wgt at which a load of ``count`` beats fails and the fault, or all beats and "".

    ``memory``: "weights", whose ``mode`` is (k_log2, m_log2), "parameters" or "program".
    """
    found = []
    if len(packet.beats) < count:
        found.append((len(packet.beats) - 1, "wgt_tlast_early"))
    if len(packet.beats) > count:
        found.append((count - 1, "wgt_tlast_late"))
    beats = packet.beats[:count]
    if memory == "weights":
        found += _weight_faults(config, beats, mode)
    elif memory == "parameters":
        found += _parameter_faults(beats)
    everything = len(packet.beats), ""
    return min(found, key=lambda fault: (fault[0], _WEIGHT_FAULTS.index(fault[1])), default=everything)


def weight_lanes(config: Config, beats: Sequence[int]) -> np.ndarray:
    """Weight beats -> uint16 (beats, L), each {index[3:0], value[7:0]}."""
    size = stream.weight_bytes(config)
    octets = np.frombuffer(b"".join(beat.to_bytes(size, "little") for beat in beats), np.uint8)
    bits = np.unpackbits(octets.reshape(-1, size), axis=1, bitorder="little")
    bits = bits[:, : stream.LANE_BITS * config.NumLanes].reshape(len(beats), config.NumLanes, stream.LANE_BITS)
    return bits @ (1 << np.arange(stream.LANE_BITS, dtype=np.uint16))


def _weight_faults(config: Config, beats: Sequence[int], mode: tuple[int, int]) -> list[tuple[int, str]]:
    k, m = (1 << log2 for log2 in mode)
    index = (weight_lanes(config, beats) >> 8).astype(int).reshape(len(beats), -1, k)
    found = []
    for broken, error in (
        ((index >= m).any((1, 2)), "wgt_index_range"),
        ((np.diff(index, axis=2) <= 0).any((1, 2)), "wgt_index_order"),
    ):
        if broken.any():
            found.append((int(np.argmax(broken)), error))
    return found


def _parameter_faults(beats: Sequence[int]) -> list[tuple[int, str]]:
    bad = (i for i, beat in enumerate(beats) if not 1 <= beat >> 64 & 0x3F <= 62 or beat >> 63 & 1)
    return [(beat, "par_range") for beat in bad]


def line_fault(config: Config, packet: Packet, line_pos: int, room: int) -> str | None:
    """What is wrong with a packet of s_axis_act: a line of ``line_pos`` positions, with so many words left for it."""
    bitmap = packet.beats[0] & (1 << lines.LINE_BITS) - 1
    if packet.keeps[0] != 0xFF:
        return "act_population"
    if bitmap >> line_pos:
        return "act_bitmap"
    population = bitmap.bit_count()
    if -(-population // WORD_BYTES) > room:
        return "act_overflow"
    good = line_packet(bitmap, bytes(population), config.StreamBytes).keeps
    last, due = len(packet.keeps) - 1, len(good) - 1
    for beat, (keep, expected) in enumerate(zip(packet.keeps, good, strict=False)):
        if (beat == last) != (beat == due):
            return "act_tlast_early" if beat == last else "act_tlast_late"
        if keep != expected:
            return "act_population"
    return None
