# SPDX-License-Identifier: Apache-2.0
"""Agents of the three AXI4-Streams: two that the environment drives, one that it receives."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import cocotb
from cocotb.task import Task
from cocotb.triggers import FallingEdge
from cocotbext.axi import AxiStreamBus, AxiStreamSink
from pyuvm import (
    uvm_agent,
    uvm_analysis_port,
    uvm_component,
    uvm_driver,
    uvm_sequence_item,
    uvm_sequencer,
)

from models.stream import Packet
from verif.shared.stalls import NO_STALLS, Stalls
from verif.sim import seed
from verif.sim.env.axi_stream import SleepingSource, frame_of
from verif.sim.env.bus_monitor import HandshakeMonitor
from verif.sim.env.device import device


class Transfer(uvm_sequence_item):
    """Packets to send one after another. Done when the last beat was taken, or when a reset dropped it."""

    def __init__(self, packets: list[Packet], stalls: Stalls = NO_STALLS):
        super().__init__("transfer")
        self.packets = packets
        self.stalls = stalls


class Reception(uvm_sequence_item):
    """Take ``packets`` packets with the given stalls of TREADY. Done when they came, or after a reset."""

    def __init__(self, packets: int, stalls: Stalls = NO_STALLS):
        super().__init__("reception")
        self.packets = packets
        self.stalls = stalls


@dataclass(frozen=True)
class StreamPort:
    """Where a stream is: prefix of its signals and bus class; `number` gives its random generator."""

    prefix: str
    bus: type[AxiStreamBus]
    number: int

    def connect(self, model: type):
        """An AxiStreamSource or AxiStreamSink on this port of the device under test."""
        dut = device()
        bus = self.bus.from_prefix(dut, self.prefix)
        quiet(self.prefix)
        return model(bus, dut.clk_i, reset=dut.rst_ni, reset_active_level=False, byte_lanes=1)


def quiet(prefix: str) -> None:
    """Silence what cocotbext-axi logs of each frame and access: formatting it costs more than the transfer."""
    logging.getLogger(f"cocotb.{device()._name}.{prefix}").setLevel(logging.ERROR)


class StreamDriver(uvm_driver):
    """Sends the packets of Transfer items."""

    def build_phase(self):
        self.port = self.cdb_get("PORT")

    def start_of_simulation_phase(self):
        self.source = self.port.connect(SleepingSource)
        self.rng = seed.rng(self.port.number)

    async def run_phase(self):
        while True:
            transfer = await self.seq_item_port.get_next_item()
            self.source.set_pause_generator(transfer.stalls.pauses(self.rng))
            for packet in transfer.packets:
                self.source.send_nowait(frame_of(packet))
            await self.source.wait()
            self.source.clear_pause_generator()
            self.source.pause = False
            self.seq_item_port.item_done()

    def drop(self):
        """Stop offering and end the item."""
        self.source.clear()
        self.source.assert_reset()


class ResultDriver(uvm_driver):
    """Takes the packets of Reception items. TREADY is high at rest: a packet that nobody asked for is seen."""

    def build_phase(self):
        self.port = self.cdb_get("PORT")
        self._taking: Task | None = None

    def start_of_simulation_phase(self):
        self.sink = self.port.connect(AxiStreamSink)
        self.rng = seed.rng(self.port.number)

    async def run_phase(self):
        while True:
            reception = await self.seq_item_port.get_next_item()
            self.sink.clear()  # of packets that nobody asked for
            self.sink.set_pause_generator(reception.stalls.pauses(self.rng))
            self._taking = cocotb.start_soon(self._take(reception.packets))
            await self._taking.complete
            self.sink.clear_pause_generator()
            self.sink.pause = False
            self.seq_item_port.item_done()

    async def _take(self, packets: int):
        for _ in range(packets):
            await self.sink.recv(compact=False)

    def drop(self):
        """Forget the packet under way and end the item."""
        self.sink.assert_reset()
        if self._taking:
            self._taking.cancel()


class StreamMonitor(uvm_component):
    """Publishes every packet of a stream with its last beat."""

    def build_phase(self):
        self.port = self.cdb_get("PORT")
        self.ap = uvm_analysis_port("ap", self)
        self._packet = Packet()
        self.beats = 0  # so far

    def start_of_simulation_phase(self):
        payload = ["tlast", "tdata", "tkeep"]
        if not hasattr(device(), f"{self.port.prefix}_tkeep"):
            payload.pop()
        HandshakeMonitor(self.port.prefix, "t", payload, self._beat)

    @property
    def idle(self) -> bool:
        """No packet is under way."""
        return not self._packet.beats

    @property
    def beats_of_packet(self) -> int:
        """Beats so far of the packet under way."""
        return len(self._packet.beats)

    def _beat(self, transfer: list[int]):
        last, data, *keep = transfer
        self.beats += 1
        self._packet.beats.append(data)
        self._packet.keeps += keep
        if last:
            packet, self._packet = self._packet, Packet()
            self.ap.write(packet)

    def drop(self):
        """Forget the packet under way."""
        self._packet = Packet()


class StreamAgent(uvm_agent):
    """Sequencer, driver and monitor of an input stream; `port` and `ap` are its interface."""

    driver_type: type[uvm_driver] = StreamDriver

    def __init__(self, name, parent, port: StreamPort):
        self.port = port
        super().__init__(name, parent)

    def build_phase(self):
        self.cdb_set("PORT", self.port, "*")
        self.sequencer = uvm_sequencer("sequencer", self)
        self.driver = self.driver_type("driver", self)
        self.monitor = StreamMonitor("monitor", self)

    def connect_phase(self):
        self.driver.seq_item_port.connect(self.sequencer.seq_item_export)
        self.ap = self.monitor.ap

    async def run_phase(self):
        while True:
            await FallingEdge(device().rst_ni)
            self.drop()

    def drop(self):
        """This side of the stream is reset: what is under way is lost."""
        self.driver.drop()
        self.monitor.drop()


class ResultAgent(StreamAgent):
    """The same of the result stream: its driver receives."""

    driver_type = ResultDriver
