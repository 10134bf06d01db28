"""Agents of the three AXI4-Streams: two that the environment drives, one that it receives."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import cocotb
from cocotb.triggers import Event, FallingEdge, First
from cocotbext.axi import AxiStreamMonitor, AxiStreamSink, AxiStreamSource
from pyuvm import (
    uvm_agent,
    uvm_analysis_port,
    uvm_component,
    uvm_driver,
    uvm_sequence_item,
    uvm_sequencer,
)

from verif import seed
from verif.env.streams import NO_STALLS, Packet, Stalls


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
    bus: type
    number: int

    def connect(self, model: type):
        """An AxiStreamSource, Sink or Monitor on this port of the device under test."""
        dut = cocotb.top
        bus = self.bus.from_prefix(dut, self.prefix)
        quiet(self.prefix)
        return model(bus, dut.clk_i, reset=dut.rst_ni, reset_active_level=False, byte_lanes=1)


def quiet(prefix: str) -> None:
    """Silence what cocotbext-axi logs of each frame and access on a port: formatting it costs more than the transfer."""
    logging.getLogger(f"cocotb.{cocotb.top._name}.{prefix}").setLevel(logging.WARNING)


class StreamDriver(uvm_driver):
    """Sends the packets of Transfer items."""

    def build_phase(self):
        self.port = self.cdb_get("PORT")

    def start_of_simulation_phase(self):
        self.source = self.port.connect(AxiStreamSource)
        self.rng = seed.rng(self.port.number)

    async def run_phase(self):
        cocotb.start_soon(self._drop_at_reset())
        while True:
            transfer = await self.seq_item_port.get_next_item()
            self.source.set_pause_generator(transfer.stalls.pauses(self.rng))
            for packet in transfer.packets:
                self.source.send_nowait(packet.frame())
            await self.source.wait()
            self.source.clear_pause_generator()
            self.source.pause = False
            self.seq_item_port.item_done()

    async def _drop_at_reset(self):
        while True:
            await FallingEdge(cocotb.top.rst_ni)
            self.source.clear()


class StreamMonitor(uvm_component):
    """Publishes every packet seen on an input stream."""

    def build_phase(self):
        self.port = self.cdb_get("PORT")
        self.ap = uvm_analysis_port("ap", self)

    def start_of_simulation_phase(self):
        self.monitor = self.port.connect(AxiStreamMonitor)

    @property
    def idle(self) -> bool:
        """No packet is under way or waits to be published."""
        return self.monitor.idle() and self.monitor.empty()

    async def run_phase(self):
        while True:
            self.ap.write(Packet.of_frame(await self.monitor.recv(compact=False)))


class StreamAgent(uvm_agent):
    """Sequencer, driver and monitor of one input stream; `port` and `ap` are its interface."""

    def __init__(self, name, parent, port: StreamPort):
        self.port = port
        super().__init__(name, parent)

    def build_phase(self):
        self.cdb_set("PORT", self.port, "*")
        self.sequencer = uvm_sequencer("sequencer", self)
        self.driver = StreamDriver("driver", self)
        self.monitor = StreamMonitor("monitor", self)

    def connect_phase(self):
        self.driver.seq_item_port.connect(self.sequencer.seq_item_export)
        self.ap = self.monitor.ap


class ResultMonitor(uvm_component):
    """Publishes every packet of the result stream.

    cocotbext-axi's sink is its monitor with TREADY added, so it serves the driver as well. TREADY is high at rest:
    a packet that nobody asked for is seen.
    """

    def build_phase(self):
        self.port = self.cdb_get("PORT")
        self.ap = uvm_analysis_port("ap", self)
        self.received = 0
        self.arrival = Event()

    def start_of_simulation_phase(self):
        self.sink = self.port.connect(AxiStreamSink)

    async def run_phase(self):
        while True:
            self.ap.write(Packet.of_frame(await self.sink.recv(compact=False)))
            self.received += 1
            self.arrival.set()


class ResultDriver(uvm_driver):
    """Stalls TREADY and counts packets as Reception items ask."""

    def build_phase(self):
        self.port = self.cdb_get("PORT")
        self.rng = seed.rng(self.port.number)

    async def run_phase(self):
        monitor = self.get_parent().monitor
        while True:
            reception = await self.seq_item_port.get_next_item()
            wanted = monitor.received + reception.packets
            monitor.sink.set_pause_generator(reception.stalls.pauses(self.rng))
            reset = FallingEdge(cocotb.top.rst_ni)
            while monitor.received < wanted:
                monitor.arrival.clear()
                if await First(monitor.arrival.wait(), reset) is reset:
                    break
            monitor.sink.clear_pause_generator()
            monitor.sink.pause = False
            self.seq_item_port.item_done()


class ResultAgent(uvm_agent):
    """Sequencer, driver and monitor of the result stream."""

    def __init__(self, name, parent, port: StreamPort):
        self.port = port
        super().__init__(name, parent)

    def build_phase(self):
        self.cdb_set("PORT", self.port, "*")
        self.sequencer = uvm_sequencer("sequencer", self)
        self.monitor = ResultMonitor("monitor", self)
        self.driver = ResultDriver("driver", self)

    def connect_phase(self):
        self.driver.seq_item_port.connect(self.sequencer.seq_item_export)
        self.ap = self.monitor.ap
