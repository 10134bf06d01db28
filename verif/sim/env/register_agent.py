# SPDX-License-Identifier: Apache-2.0
"""Agent of the AXI4-Lite port: drives register accesses for the register model, and watches the bus passively."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from cocotb.triggers import FallingEdge
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiResp
from pyuvm import (
    uvm_access_e,
    uvm_agent,
    uvm_analysis_port,
    uvm_component,
    uvm_driver,
    uvm_reg_adapter,
    uvm_reg_bus_op,
    uvm_sequence_item,
    uvm_sequencer,
    uvm_status_e,
)

from verif.sim.env.bus_monitor import HandshakeMonitor
from verif.sim.env.device import device
from verif.sim.env.stream_agent import quiet

PREFIX = "s_axil"
REGISTER_BYTES = 4


class RegisterAccess(uvm_sequence_item):
    """One access to ``size`` bytes of a word; a read fills in ``data``, both fill in ``okay``."""

    def __init__(self, address: int, write: bool, data: int = 0, size: int = REGISTER_BYTES):
        super().__init__("access")
        self.address, self.write, self.data, self.size, self.okay = address, write, data, size, False


@dataclass(frozen=True)
class BusAccess:
    """One access seen on the bus: byte address, data, whether the response was OKAY, and which bytes were written.

    Bytes that are not written are 0.
    """

    address: int
    write: bool
    data: int
    okay: bool
    written: int = 0xFFFFFFFF  # a mask of bits


class RegisterAdapter(uvm_reg_adapter):
    """Between the register model's operations and RegisterAccess items."""

    def reg2bus(self, rw: uvm_reg_bus_op) -> RegisterAccess:
        return RegisterAccess(rw.addr, rw.kind == uvm_access_e.UVM_WRITE, rw.data)

    def bus2reg(self, bus_item: RegisterAccess, rw: uvm_reg_bus_op) -> None:
        rw.kind = uvm_access_e.UVM_WRITE if bus_item.write else uvm_access_e.UVM_READ
        rw.addr, rw.data = bus_item.address, bus_item.data
        rw.status = uvm_status_e.UVM_IS_OK if bus_item.okay else uvm_status_e.UVM_NOT_OK


class RegisterDriver(uvm_driver):
    """Carries out RegisterAccess items."""

    def start_of_simulation_phase(self):
        dut = device()
        bus = AxiLiteBus.from_prefix(dut, PREFIX)
        quiet(PREFIX)
        self.master = AxiLiteMaster(bus, dut.clk_i, dut.rst_ni, reset_active_level=False)

    async def run_phase(self):
        while True:
            access = await self.seq_item_port.get_next_item()
            if access.write:
                done = await self.master.write(access.address, access.data.to_bytes(access.size, "little"))
            else:
                done = await self.master.read(access.address, access.size)
                access.data = int.from_bytes(done.data, "little") if done else 0
            access.okay = bool(done) and done.resp == AxiResp.OKAY  # a reset leaves it undone
            self.seq_item_port.item_done()


class RegisterMonitor(uvm_component):
    """Publishes every access in the order of the responses; an access that a reset cut off is never published."""

    def build_phase(self):
        self.ap = uvm_analysis_port("ap", self)
        # Requests without an answer.
        self._aw: deque[list[int]] = deque()
        self._w: deque[list[int]] = deque()
        self._ar: deque[list[int]] = deque()

    def start_of_simulation_phase(self):
        for channel, payload, function in (
            ("aw", ["awaddr"], self._aw.append),
            ("w", ["wdata", "wstrb"], self._w.append),
            ("b", ["bresp"], self._written),
            ("ar", ["araddr"], self._ar.append),
            ("r", ["rdata", "rresp"], self._read),
        ):
            HandshakeMonitor(PREFIX, channel, payload, function)

    async def run_phase(self):
        while True:
            await FallingEdge(device().rst_ni)
            for requests in (self._aw, self._w, self._ar):
                requests.clear()

    def _written(self, transfer: list[int]):
        (address,), (data, strobe), (response,) = self._aw.popleft(), self._w.popleft(), transfer
        written = sum(0xFF << 8 * byte for byte in range(REGISTER_BYTES) if strobe >> byte & 1)
        self.ap.write(BusAccess(address, True, data & written, response == AxiResp.OKAY, written))

    def _read(self, transfer: list[int]):
        (address,), (data, response) = self._ar.popleft(), transfer
        self.ap.write(BusAccess(address, False, data, response == AxiResp.OKAY))


class RegisterAgent(uvm_agent):
    """Sequencer, driver and monitor of the AXI4-Lite port."""

    def build_phase(self):
        self.sequencer = uvm_sequencer("sequencer", self)
        self.driver = RegisterDriver("driver", self)
        self.monitor = RegisterMonitor("monitor", self)

    def connect_phase(self):
        self.driver.seq_item_port.connect(self.sequencer.seq_item_export)
        self.ap = self.monitor.ap
