# SPDX-License-Identifier: Apache-2.0
"""The cocotbext-axi buses that carry the core's packets beat by beat, and how a side of them holds back.

cocotbext-axi works byte by byte where a bus has TKEEP, which costs tens of microseconds a beat on a 64-byte
bus. Here a beat is one element: TDATA is one integer, and TKEEP travels as the element's sideband.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
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


@dataclass(frozen=True)
class Stalls:
    """How a side of a handshake holds back: runs of go and of wait cycles with the given mean lengths.

    ``wait`` 0 never holds back. Both lengths are geometric, so that every length occurs.
    """

    go: float = 1.0
    wait: float = 0.0

    def __post_init__(self):
        if self.go < 1 or (self.wait and self.wait < 1):
            raise ValueError(
                f"stalls: go {self.go}, wait {self.wait}, expected means of at least one cycle (or wait 0)"
            )

    def pauses(self, rng: np.random.Generator) -> Iterator[bool] | None:
        """A pause generator for cocotbext-axi, one value a cycle; None when it never holds back."""
        return self._pauses(rng) if self.wait else None

    def _pauses(self, rng: np.random.Generator) -> Iterator[bool]:
        while True:
            for mean, pause in ((self.go, False), (self.wait, True)):
                for _ in range(rng.geometric(1 / mean)):
                    yield pause


NO_STALLS = Stalls()
