# SPDX-License-Identifier: Apache-2.0
"""The stream agents on a wire, with the protocol rules: packets arrive as sent under all stalls, and none half."""

from pathlib import Path
from unittest.mock import PropertyMock, patch

import cocotb
import pytest
import pyuvm
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles
from pyuvm import uvm_analysis_export, uvm_env, uvm_test

from models.stream import Packet
from verif.shared.paths import ROOT
from verif.shared.stalls import NO_STALLS, Stalls
from verif.sim import seed
from verif.sim.env.axi_stream import LineBus
from verif.sim.env.bus_monitor import HandshakeMonitor
from verif.sim.env.sequences import ItemSequence
from verif.sim.env.stream_agent import Reception, ResultAgent, StreamAgent, StreamPort, Transfer
from verif.sim.kit import bounded

STALLS = (NO_STALLS, Stalls(1, 1), Stalls(8, 1), Stalls(1, 8), Stalls(20, 20))


class Inbox(uvm_analysis_export):
    def __init__(self, name, parent):
        super().__init__(name, parent)
        self.packets = []

    def write(self, packet):
        self.packets.append(packet)


class WireEnv(uvm_env):
    def build_phase(self):
        self.source = StreamAgent("source", self, StreamPort("s_axis", LineBus, 1))
        self.sink = ResultAgent("sink", self, StreamPort("m_axis", LineBus, 2))
        self.sent, self.received = Inbox("sent", self), Inbox("received", self)

    def connect_phase(self):
        self.source.ap.connect(self.sent)
        self.sink.ap.connect(self.received)

    def clear(self):
        self.sent.packets.clear()
        self.received.packets.clear()


def packets(rng, count):
    found = []
    for _ in range(count):
        beats = [int(rng.integers(1 << 63)) for _ in range(rng.integers(1, 6))]
        keeps = [0xFF] * (len(beats) - 1) + [(1 << int(rng.integers(1, 9))) - 1]
        found.append(Packet(beats, keeps))
    return found


class WireTest(uvm_test):
    bound_us: float

    def build_phase(self):
        self.env = WireEnv("env", self)

    async def start(self):
        dut = cocotb.top
        dut.rst_ni.value = 0
        Clock(dut.clk_i, 10, "ns").start()
        await ClockCycles(dut.clk_i, 3)
        dut.rst_ni.value = 1
        await ClockCycles(dut.clk_i, 3)

    async def exchange(self, sent, source_stalls, sink_stalls):
        reception = Reception(len(sent), sink_stalls)
        take = cocotb.start_soon(ItemSequence(reception).start(self.env.sink.sequencer))
        await ItemSequence(Transfer(sent, source_stalls)).start(self.env.source.sequencer)
        await take

    async def run_phase(self):
        self.raise_objection()
        await self.start()
        await bounded(self.scenario(), self.bound_us, cocotb.top)
        self.drop_objection()


@pyuvm.test()
class EveryPacketArrives(WireTest):
    bound_us = 500

    async def scenario(self):
        rng, expected = seed.rng(0), []
        for source in STALLS:
            for sink in STALLS:
                sent = packets(rng, 30)
                expected += sent
                await self.exchange(sent, source, sink)
        assert self.env.received.packets == expected
        assert self.env.sent.packets == expected
        # Stalls and gaps of every length class inside and between packets have occurred.
        assert int(cocotb.top.u_protocol.seen_q.value) == 0xFFFFF


@pyuvm.test()
class ResetDropsATransfer(WireTest):
    """At each kind of place: inside a packet, in a stall and in a gap; nothing of the packet under way may be left."""

    bound_us = 16

    async def scenario(self):
        rng, dut = seed.rng(0), cocotb.top
        for stalls in ((NO_STALLS, NO_STALLS), (NO_STALLS, Stalls(1, 8)), (Stalls(1, 8), NO_STALLS)):
            lost = cocotb.start_soon(self.exchange(packets(rng, 50), *stalls))
            await ClockCycles(dut.clk_i, 100)
            while self.env.source.monitor.idle or self.env.sink.monitor.idle:
                await ClockCycles(dut.clk_i, 1)
            dut.rst_ni.value = 0
            await ClockCycles(dut.clk_i, 2)
            dut.rst_ni.value = 1
            await lost
            assert 0 < len(self.env.received.packets) < 50
            self.env.clear()
            sent = packets(rng, 5)
            await self.exchange(sent, NO_STALLS, NO_STALLS)
            assert self.env.received.packets == self.env.sent.packets == sent
            self.env.clear()


@pyuvm.test()
class AsleepWhenIdle(WireTest):
    """The monitors do not wake for the clock: a layer has to run as fast as without Python."""

    bound_us = 40

    async def scenario(self):
        await self.exchange(packets(seed.rng(0), 3), NO_STALLS, NO_STALLS)
        await ClockCycles(cocotb.top.clk_i, 3)
        with patch.object(HandshakeMonitor, "in_reset", new_callable=PropertyMock) as looks:
            await ClockCycles(cocotb.top.clk_i, 1000)
        assert looks.call_count == 0


@pytest.mark.parametrize("testcase", ["EveryPacketArrives", "ResetDropsATransfer", "AsleepWhenIdle"])
def test_agents(run_block, testcase):
    run_block(
        "stream_wire",
        testcase=testcase,
        extra_sources=(Path(__file__).parent / "stream_wire.sv", ROOT / "verif" / "hdl" / "axis_protocol.sv"),
        public=("axis_protocol.seen_q",),
    )
