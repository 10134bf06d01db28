# SPDX-License-Identifier: Apache-2.0
"""The cocotbext-axi buses that carry the core's packets beat by beat, and how a side of them holds back.

cocotbext-axi works byte by byte where a bus has TKEEP, which costs tens of microseconds a beat on a 64-byte
bus. Here a beat is one element: TDATA is one integer, and TKEEP travels as the element's sideband.
"""

from __future__ import annotations

from cocotb.triggers import RisingEdge
from cocotbext.axi import AxiStreamBus, AxiStreamFrame, AxiStreamSource

from models.stream import Packet


class VectorBus(AxiStreamBus):
    """A bus without TKEEP: s_axis_wgt."""

    _optional_signals = ["tvalid", "tready", "tlast"]


class LineBus(AxiStreamBus):
    """A bus whose TKEEP is carried as one integer a beat: s_axis_act and m_axis_res."""

    _optional_signals = {"tvalid": "tvalid", "tready": "tready", "tlast": "tlast", "tuser": "tkeep"}


class SleepingSource(AxiStreamSource):
    """An AxiStreamSource on these buses that sleeps while TREADY is low: a run may leave it so for long."""

    async def _run(self):
        frame, offset, bus, self.active = None, 0, self.bus, False
        edge, ready = RisingEdge(self.clock), RisingEdge(bus.tready)
        while True:
            await edge
            if bus.tvalid.value and not bus.tready.value:
                await ready
                continue
            if frame is None and not self.queue.empty():
                frame, offset, self.active = self.queue.get_nowait(), 0, True
                self.dequeue_event.set()
                self.queue_occupancy_bytes -= len(frame)
                self.queue_occupancy_frames -= 1
                self.current_frame = frame
                frame.normalize()
            if frame is not None and not self.pause:
                bus.tdata.value = frame.tdata[offset]
                if hasattr(bus, "tuser"):
                    bus.tuser.value = frame.tuser[offset]
                offset += 1
                last = offset == len(frame.tdata)
                bus.tvalid.value, bus.tlast.value = 1, int(last)
                if last:
                    frame.handle_tx_complete()
                    frame = self.current_frame = None
            else:
                bus.tvalid.value = bus.tlast.value = 0
                self.active = frame is not None
                if frame is None and self.queue.empty():
                    self.idle_event.set()
                    self.active_event.clear()
                    await self.active_event.wait()


def frame_of(packet: Packet) -> AxiStreamFrame:
    """The packet for an AxiStreamSource."""
    return AxiStreamFrame(packet.beats, tuser=packet.keeps or None)


def packet_of(frame: AxiStreamFrame) -> Packet:
    """The packet that an AxiStreamSink received (not compacted)."""
    return Packet(list(frame.tdata), list(frame.tuser))
