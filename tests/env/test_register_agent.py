# SPDX-License-Identifier: Apache-2.0
"""The register agent and the interrupt service on the host side of the core alone: accesses, monitor, events, reset."""

import cocotb
import pyuvm
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles
from pyuvm import uvm_env, uvm_test

from models.config import load_config
from tests.blocks.command_bench import PARAMETERS, STATUS
from verif.sim import seed
from verif.sim.env.analysis_input import AnalysisInput
from verif.sim.env.interrupts import CAUSES, CLOCK_NS, Interrupts, InterruptTimeout
from verif.sim.env.predictor import Predictor
from verif.sim.env.register_agent import BusAccess, RegisterAccess, RegisterAdapter, RegisterAgent
from verif.sim.env.register_model import RegisterModel
from verif.sim.env.scoreboard import Checker
from verif.sim.env.sequences import EnableInterrupts, ItemSequence, VirtualSequencer
from verif.sim.kit import bounded

CONFIG = load_config("small")


class Host(VirtualSequencer):
    def connect_phase(self):
        env = self.get_parent()
        self.config, self.registers, self.interrupts = CONFIG, env.registers, env.interrupts
        self.bus = env.agent.sequencer


class HostEnv(uvm_env):
    def build_phase(self):
        self.registers = RegisterModel()
        self.cdb_set("REGISTERS", self.registers, "*")
        self.cdb_set("CONFIG", CONFIG, "*")
        self.checker = Checker(CONFIG)
        self.seen: list[BusAccess] = []
        self.agent = RegisterAgent("agent", self)
        self.interrupts = Interrupts("interrupts", self)
        self.host = Host("host", self)
        self.predictor = Predictor("predictor", self)
        self.inbox = AnalysisInput("inbox", self, self.seen.append)
        self.conclusions = AnalysisInput("conclusions", self, self.checker.conclude)

    def connect_phase(self):
        self.registers.map.set_sequencer(self.agent.sequencer, RegisterAdapter("adapter"))
        self.registers.map.set_auto_predict(True)
        self.agent.ap.connect(self.inbox)
        self.agent.ap.connect(self.predictor.accesses)
        self.predictor.ap.connect(self.conclusions)


@pyuvm.test()
class RegisterAgentTest(uvm_test):
    bound_us = 40

    def build_phase(self):
        self.env = HostEnv("env", self)

    async def run_phase(self):
        self.raise_objection()
        dut = cocotb.top
        for name in dir(dut):
            if name.endswith("_i") and name not in ("clk_i",):
                getattr(dut, name).value = 0
        dut.rst_ni.value = 0
        Clock(dut.clk_i, CLOCK_NS, "ns").start()
        await bounded(self.scenario(), self.bound_us, dut)
        assert not self.env.checker.wrong, self.env.checker.problems
        self.drop_objection()

    async def scenario(self):
        await self.reset()
        await self.accesses()
        await self.events()
        await self.cut_off()

    async def reset(self):
        cocotb.top.rst_ni.value = 0
        await ClockCycles(cocotb.top.clk_i, 4)
        cocotb.top.rst_ni.value = 1
        await ClockCycles(cocotb.top.clk_i, 8)

    async def poke(self, name, write, data=0):
        address = self.env.registers.address(name) if isinstance(name, str) else name
        access = RegisterAccess(address, write, data)
        await ItemSequence(access).start(self.env.host.bus)
        return access

    async def accesses(self):
        rng, registers = seed.rng(9), self.env.registers
        for _ in range(40):
            value = int(rng.integers(1 << 24))
            await self.poke("WGT_BASE", True, value)
            assert (await self.poke("WGT_BASE", False)).data == value
        assert not (await self.poke(0xF00, False)).okay
        assert not (await self.poke("ID", True, 1)).okay
        assert len(self.env.seen) == 82
        assert self.env.seen[-3] == BusAccess(registers.address("WGT_BASE"), False, value, True)
        assert self.env.seen[-2].address == 0xF00 and not self.env.seen[-2].okay

    async def events(self):
        dut, service = cocotb.top, self.env.interrupts
        await EnableInterrupts("enable").start(self.env.host)
        done = (("wgt", "done_weights"), ("wgt", "done_params"), ("act", "done"), ("layer", "done"), ("res", "done"))
        for cause, (engine, field) in zip(CAUSES, done, strict=False):
            since = service.counts.copy()
            status = getattr(dut, f"{engine}_status_i")
            status.value = STATUS[engine].pack({field: 1})
            await ClockCycles(dut.clk_i, 1)
            status.value = 0
            assert await service.wait(cause, since=since, cycles=200) == cause
            await ClockCycles(dut.clk_i, 50)
            assert dut.irq_o.value == 0
        try:
            await service.wait("error", since=service.counts.copy(), cycles=50)
        except InterruptTimeout:
            pass
        else:
            raise AssertionError("waiting for an event that never comes has to end")

    async def cut_off(self):
        """A reset in the middle of accesses: they end, and the next one works."""
        for delay in range(1, 8):
            access = cocotb.start_soon(self.poke("PAR_BASE", True, 5))
            await ClockCycles(cocotb.top.clk_i, delay)
            await self.reset()
            await access
            await self.poke("PAR_BASE", True, delay)
            assert (await self.poke("PAR_BASE", False)).data == delay


def test_register_agent(run_block):
    run_block("spcore_host", PARAMETERS, testcase="RegisterAgentTest")
