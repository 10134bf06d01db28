# SPDX-License-Identifier: Apache-2.0
"""The cocotbext-axi buses that carry the core's packets beat by beat, and how a side of them holds back.

cocotbext-axi works byte by byte where a bus has TKEEP, which costs tens of microseconds a beat on a 64-byte
bus. Here a beat is one element: TDATA is one integer, and TKEEP travels as the element's sideband.
"""

from __future__ import annotations

from cocotbext.axi import AxiStreamBus, AxiStreamFrame

from models.stream import Packet


class VectorBus(AxiStreamBus):
    """A bus without TKEEP: s_axis_wgt."""

    _optional_signals = ["tvalid", "tready", "tlast"]


class LineBus(AxiStreamBus):
    """A bus whose TKEEP is carried as one integer a beat: s_axis_act and m_axis_res."""

    _optional_signals = {"tvalid": "tvalid", "tready": "tready", "tlast": "tlast", "tuser": "tkeep"}


def frame_of(packet: Packet) -> AxiStreamFrame:
    """The packet for an AxiStreamSource."""
    return AxiStreamFrame(packet.beats, tuser=packet.keeps or None)


def packet_of(frame: AxiStreamFrame) -> Packet:
    """The packet that an AxiStreamSink received (not compacted)."""
    return Packet(list(frame.tdata), list(frame.tuser))
