# SPDX-License-Identifier: Apache-2.0
"""The environment of the whole core: agents, predictor, scoreboard, counters, coverage, virtual sequencer, clock."""

from __future__ import annotations

from cocotb.clock import Clock
from cocotb.triggers import ClockCycles
from pyuvm import uvm_analysis_export, uvm_component, uvm_env

from models.stream import Packet
from verif.sim.env.analysis_input import AnalysisInput
from verif.sim.env.axi_stream import LineBus, VectorBus
from verif.sim.env.conclusions import Conclusion, Reset
from verif.sim.env.counters import CounterMonitor, LayerCounters
from verif.sim.env.coverage_collector import CoverageCollector
from verif.sim.env.device import device
from verif.sim.env.interrupts import CLOCK_NS, Interrupts
from verif.sim.env.line_monitor import LineMonitor
from verif.sim.env.predictor import Predictor
from verif.sim.env.program_words import Engine
from verif.sim.env.register_agent import RegisterAdapter, RegisterAgent
from verif.sim.env.register_model import RegisterModel
from verif.sim.env.run_monitor import RunMonitor
from verif.sim.env.scoreboard import Scoreboard
from verif.sim.env.sequences import VirtualSequencer
from verif.sim.env.stream_agent import ResultAgent, StreamAgent, StreamPort
from verif.sim.env.tensor_checker import TensorChecker

WEIGHTS = StreamPort("s_axis_wgt", VectorBus, 1)
ACTIVATIONS = StreamPort("s_axis_act", LineBus, 2)
RESULTS = StreamPort("m_axis_res", LineBus, 3)
RESET_CYCLES = 4


class ClockReset(uvm_component):
    """Drives clk_i and rst_ni."""

    def start_of_simulation_phase(self):
        device().rst_ni.value = 0
        # Low first: at time 0 nothing has a value yet and no bus model may sample.
        Clock(device().clk_i, CLOCK_NS, "ns").start(start_high=False)

    async def reset(self):
        """Hold the core in reset for some cycles."""
        dut = device()
        dut.rst_ni.value = 0
        await ClockCycles(dut.clk_i, RESET_CYCLES)
        dut.rst_ni.value = 1
        await ClockCycles(dut.clk_i, RESET_CYCLES)


class ResultStore(uvm_analysis_export):
    """Keeps the result packets for whoever wants the tensor: `take` hands them over."""

    def __init__(self, name, parent):
        super().__init__(name, parent)
        self._packets: list[Packet] = []

    def write(self, packet: Packet):
        self._packets.append(packet)

    def take(self) -> list[Packet]:
        """The packets since the last call."""
        taken, self._packets = self._packets, []
        return taken


class CoreEnv(uvm_env):
    """Give it a Config under "CONFIG" in the configuration database."""

    def build_phase(self):
        self.registers = RegisterModel()
        self.cdb_set("REGISTERS", self.registers, "*")
        self.clock_reset = ClockReset("clock_reset", self)
        self.register_agent = RegisterAgent("register_agent", self)
        self.weight_agent = StreamAgent("weight_agent", self, WEIGHTS)
        self.activation_agent = StreamAgent("activation_agent", self, ACTIVATIONS)
        self.result_agent = ResultAgent("result_agent", self, RESULTS)
        self.line_monitor = LineMonitor("line_monitor", self)
        self.interrupts = Interrupts("interrupts", self)
        self.predictor = Predictor("predictor", self)
        self.scoreboard = Scoreboard("scoreboard", self)
        self.run_monitor = RunMonitor("run_monitor", self)
        self.tensors = TensorChecker("tensors", self)
        self.counters = CounterMonitor("counters", self)
        self.layer_counters = LayerCounters("layer_counters", self)
        self.coverage = CoverageCollector("coverage", self)
        self.results = ResultStore("results", self)
        self.resets = AnalysisInput("resets", self, self._reset)
        self.virtual_sequencer = VirtualSequencer("virtual_sequencer", self)

    def connect_phase(self):
        self.registers.map.set_sequencer(self.register_agent.sequencer, RegisterAdapter("adapter"))
        self.registers.map.set_auto_predict(True)
        streams = (self.weight_agent, self.activation_agent, self.result_agent)
        self.predictor.monitors = [agent.monitor for agent in streams]
        engines = (Engine.WEIGHTS, Engine.ACTIVATIONS, Engine.RESULTS)
        self.run_monitor.monitors = {engine: agent.monitor for engine, agent in zip(engines, streams, strict=True)}
        self.scoreboard.line_checker.written = self.run_monitor.line_written
        self.layer_counters.ended, self.layer_counters.alone = self._layer_ended, self.counters.begins_alone
        self.register_agent.ap.connect(self.predictor.accesses)
        for agent, inputs in zip(
            streams,
            (
                (self.predictor.weights, self.run_monitor.weights),
                (self.predictor.activations, self.run_monitor.activations),
                (self.predictor.results, self.run_monitor.results, self.scoreboard.results, self.results),
            ),
            strict=True,
        ):
            for stream_input in inputs:
                agent.ap.connect(stream_input)
        self.line_monitor.ap.connect(self.scoreboard.lines)
        self.run_monitor.ap.connect(self.coverage.sightings)
        for conclusions in (
            self.scoreboard.conclusions,
            self.scoreboard.line_conclusions,
            self.run_monitor.conclusions,
            self.tensors.analysis_export,
            self.counters.analysis_export,
            self.coverage.analysis_export,
            self.resets,
        ):
            self.predictor.ap.connect(conclusions)

    def _layer_ended(self, counters: dict[str, int]) -> None:
        self.counters.ended(counters)
        self.run_monitor.layer_ended()

    def _reset(self, conclusion: Conclusion):
        """The host resets its ends of the streams when it resets the core; with rst_ni they do so by themselves."""
        match conclusion:
            case Reset("soft_reset"):
                for agent in (self.weight_agent, self.activation_agent, self.result_agent):
                    agent.drop()
            case Reset("rst_ni"):
                self.registers.block.reset()
