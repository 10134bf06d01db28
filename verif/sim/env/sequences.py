# SPDX-License-Identifier: Apache-2.0
"""Virtual sequences: load tensors, push layers, wait, fetch results. They run on the virtual sequencer."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cached_property

from cocotb import start_soon
from cocotb.triggers import ClockCycles
from pyuvm import uvm_sequence, uvm_sequencer, uvm_status_e

from models import stream
from models.descriptor import Descriptor
from models.layer import Layer
from models.lines import LINE_BITS
from models.program import Program
from models.stream import Packet
from models.tiling import Plan
from verif.shared.stalls import NO_STALLS, Stalls
from verif.sim.env.counters import PER_PE, TOTALS, combine
from verif.sim.env.device import device
from verif.sim.env.layer_reference import descriptor_field
from verif.sim.env.stream_agent import Reception, Transfer

# Cycles that a transfer may take per beat when both sides stall as hard as they may, and at the start.
CYCLES_PER_BEAT, CYCLES_TO_START = 200, 2000


class CoreError(AssertionError):
    """The core reports an error that the stimulus did not mean to cause; `causes` names it."""

    def __init__(self, causes: list[str]):
        super().__init__(f"the core reports {', '.join(causes)}")
        self.causes = causes


class VirtualSequencer(uvm_sequencer):
    """What a virtual sequence works with: register model, interrupts and the sequencers of the streams."""

    def connect_phase(self):
        env = self.get_parent()
        self.config = self.cdb_get("CONFIG")
        self.registers = env.registers
        self.interrupts = env.interrupts
        self.run_monitor, self.tensors, self.result_agent = env.run_monitor, env.tensors, env.result_agent
        self.bus = env.register_agent.sequencer
        self.weights = env.weight_agent.sequencer
        self.activations = env.activation_agent.sequencer
        self.results = env.result_agent.sequencer


class ItemSequence(uvm_sequence):
    """Has the agent on whose sequencer it is started carry out one item."""

    def __init__(self, item):
        super().__init__("item")
        self.item = item

    async def body(self):
        await self.start_item(self.item)
        await self.finish_item(self.item)


class CoreSequence(uvm_sequence):
    """Register access by name and interrupt waits for the sequences below and for tests."""

    async def write(self, register: str, **fields: int) -> None:
        """Write a register by field; raises AssertionError when the core answers SLVERR."""
        status = await self.sequencer.registers[register].write(self.sequencer.registers.encode(register, **fields))
        assert status == uvm_status_e.UVM_IS_OK, f"write of {register} answered SLVERR"

    async def read(self, register: str) -> dict[str, int]:
        """A register's fields; raises AssertionError when the core answers SLVERR."""
        status, value = await self.sequencer.registers[register].read()
        assert status == uvm_status_e.UVM_IS_OK, f"read of {register} answered SLVERR"
        return self.sequencer.registers.decode(register, value)

    def events(self):
        """The interrupts so far, for `finish`."""
        return self.sequencer.interrupts.counts.copy()

    async def finish(self, cause: str, since, cycles: int) -> None:
        """Wait for an interrupt; raises CoreError when an error comes first."""
        if await self.sequencer.interrupts.wait(cause, "error", since=since, cycles=cycles) == "error":
            raise CoreError(await self.errors())

    async def errors(self) -> list[str]:
        """Error causes that are set."""
        return [cause for cause, on in (await self.read("ERROR")).items() if on]


class EnableInterrupts(CoreSequence):
    """Enable every interrupt."""

    async def body(self):
        await self.write("INTR_ENABLE", **dict.fromkeys(self.sequencer.registers.decode("INTR_ENABLE", 0), 1))


class _Load(CoreSequence):
    """A load: registers, command, packets, interrupt. A malformed packet raises CoreError."""

    command = done = ""

    def __init__(self, packets: list[Packet], stalls: Stalls):
        super().__init__(self.command)
        self.packets, self.stalls = packets, stalls

    async def program(self) -> None:
        raise NotImplementedError

    async def body(self):
        await self.program()
        since = self.events()
        await self.write("CTRL", **{self.command: 1})
        sequencer = self.sequencer.activations if self.command == "act_load" else self.sequencer.weights
        await ItemSequence(Transfer(self.packets, self.stalls)).start(sequencer)
        beats = sum(len(packet.beats) for packet in self.packets)
        await self.finish(self.done, since, CYCLES_TO_START + CYCLES_PER_BEAT * beats)


class LoadWeights(_Load):
    """Load weight vectors, one a beat, from `base` on."""

    command, done = "wgt_load", "wgt_done"

    def __init__(self, beats: list[int], base: int, k_log2: int, m_log2: int, stalls: Stalls = NO_STALLS, count=None):
        """``count``: vectors that the core is told to expect, by default as many as there are beats."""
        super().__init__([Packet(beats)], stalls)
        self.base, self.mode = base, {"k_log2": k_log2, "m_log2": m_log2}
        self.count = len(beats) if count is None else count

    async def program(self):
        await self.write("WGT_BASE", value=self.base)
        await self.write("WGT_COUNT", value=self.count)
        await self.write("WGT_MODE", **self.mode)


class LoadParameters(_Load):
    """Load requantisation parameters, one channel a beat, from entry `base` on."""

    command, done = "par_load", "par_done"

    def __init__(self, beats: list[int], base: int, stalls: Stalls = NO_STALLS, count=None):
        super().__init__([Packet(beats)], stalls)
        self.base, self.count = base, len(beats) if count is None else count

    async def program(self):
        await self.write("PAR_BASE", value=self.base)
        await self.write("PAR_COUNT", value=self.count)


class LoadActivations(_Load):
    """Load lines to index entries from `idx_base` on, their bytes into the section [act_base, act_limit)."""

    command, done = "act_load", "act_done"

    def __init__(
        self,
        packets: list[Packet],
        idx_base: int,
        act_base: int,
        act_limit: int,
        line_pos: int,
        stalls: Stalls = NO_STALLS,
        count=None,
    ):
        super().__init__(packets, stalls)
        self.idx_base, self.section, self.line_pos = idx_base, (act_base, act_limit), line_pos
        self.count = len(packets) if count is None else count

    async def program(self):
        await self.write("ACT_IDX_BASE", value=self.idx_base)
        await self.write("ACT_LINES", value=self.count)
        await self.write("ACT_BASE", value=self.section[0])
        await self.write("ACT_LIMIT", value=self.section[1])
        await self.write("ACT_LINE_POS", value=self.line_pos)


class LoadLayer(CoreSequence):
    """Everything that a layer reads: weights, then parameters, and meanwhile its activations and its residual."""

    def __init__(
        self,
        layer: Layer,
        plan: Plan,
        stalls: Stalls = NO_STALLS,
        with_activations: bool = True,
        with_residual: bool = True,
    ):
        """``with_activations``, ``with_residual`` False: that is there already, for example as a layer's output."""
        super().__init__("load_layer")
        self.layer, self.plan, self.stalls = layer, plan, stalls
        self.with_activations, self.with_residual = with_activations, with_residual

    async def load_lines(self):
        """The input, then the residual."""
        plan, d = self.plan, self.plan.descriptor
        if self.with_activations:
            packets, section = stream.activation_packets(plan, self.layer), (plan.in_act_base, plan.in_act_limit)
            await LoadActivations(packets, d.in_idx_base, *section, d.line_h * d.line_w, self.stalls).start(
                self.sequencer
            )
        if self.with_residual and d.residual:
            packets, section = stream.residual_packets(plan, self.layer), (plan.in_act_limit, plan.res_act_limit)
            await LoadActivations(packets, d.res_idx_base, *section, d.tile_h * d.tile_w, self.stalls).start(
                self.sequencer
            )

    async def body(self):
        d, sequencer = self.plan.descriptor, self.sequencer
        loading = start_soon(self.load_lines())
        beats = stream.weight_beats(self.plan.config, self.layer)
        await LoadWeights(beats, d.wgt_base, d.k_log2, d.m_log2, self.stalls).start(sequencer)
        await LoadParameters(stream.parameter_beats(self.layer), d.par_base, self.stalls).start(sequencer)
        await loading


class PushLayer(CoreSequence):
    """Write a descriptor and queue the layer, waiting for room in the queue."""

    def __init__(self, descriptor: Descriptor):
        super().__init__("push_layer")
        self.descriptor = descriptor

    async def body(self):
        for register, fields in layer_registers(self.sequencer.registers, self.descriptor).items():
            await self.write(register, **fields)
        while (await self.read("STATUS"))["queue_level"] >= self.sequencer.config.QueueDepth:
            await self.sequencer.interrupts.wait(
                "layer_done", since=self.events(), cycles=layer_cycles(self.descriptor)
            )
        await self.write("CTRL", layer_push=1)


class WaitLayers(CoreSequence):
    """Wait until the queue is empty and no layer runs; raises CoreError when a layer ends with an error."""

    def __init__(self, cycles: int):
        """``cycles``: how long one layer may take."""
        super().__init__("wait_layers")
        self.cycles = cycles

    async def body(self):
        since = self.events()
        while (await self.read("STATUS"))["layer_busy"]:
            await self.finish("layer_done", since, self.cycles)
            since = self.events()
        if causes := await self.errors():
            raise CoreError(causes)


class FetchLines(CoreSequence):
    """Send the lines of consecutive index entries out; `packets` is how many came. The scoreboard compares them."""

    def __init__(self, idx_base: int, lines: int, stalls: Stalls = NO_STALLS):
        super().__init__("fetch_lines")
        self.idx_base, self.lines, self.stalls = idx_base, lines, stalls

    async def body(self):
        await self.write("RES_IDX_BASE", value=self.idx_base)
        await self.write("RES_LINES", value=self.lines)
        since = self.events()
        taking = start_soon(ItemSequence(Reception(self.lines, self.stalls)).start(self.sequencer.results))
        await self.write("CTRL", result_send=1)
        await self.finish("result_done", since, CYCLES_TO_START + 2 * CYCLES_PER_BEAT * self.lines)
        await taking


class ReadCounters(CoreSequence):
    """Read all counters of the last layer into `counters`, and with ``per_pe`` those of each PE."""

    def __init__(self, pes: int = 0):
        """``pes``: how many PEs to read as well."""
        super().__init__("read_counters")
        self.pes = pes

    async def body(self):
        raw = {name: (await self.read(name))["value"] for name in TOTALS}
        self.counters = combine(raw)
        for pe in range(self.pes):
            await self.write("PE_SELECT", value=pe)
            for name in PER_PE:
                await self.read(name)


class RunLayer(CoreSequence):
    """A layer from the first register to the last result line, whole or in the parts that are given.

    `counters` has what the core counted, `seconds` the wall time from the push to the end of the layer.
    """

    def __init__(
        self,
        layer: Layer,
        plan: Plan,
        load_stalls: Stalls = NO_STALLS,
        result_stalls: Stalls = NO_STALLS,
        pes: int = 0,
        parts: list[Descriptor] | None = None,
    ):
        super().__init__("run_layer")
        self.layer, self.plan, self.pes = layer, plan, pes
        self.parts = parts or [plan.descriptor]
        self.load_stalls, self.result_stalls = load_stalls, result_stalls

    async def body(self):
        d, sequencer = self.plan.descriptor, self.sequencer
        await LoadLayer(self.layer, self.plan, self.load_stalls).start(sequencer)
        started = time.perf_counter()
        await self.compute()
        self.seconds = time.perf_counter() - started
        reading = ReadCounters(self.pes)
        await reading.start(sequencer)
        self.counters = reading.counters
        await FetchLines(d.out_idx_base, d.out_entries, self.result_stalls).start(sequencer)

    async def compute(self):
        """Push the layer, or its parts, and wait for the end."""
        for descriptor in self.parts:
            await PushLayer(descriptor).start(self.sequencer)
        await WaitLayers(layer_cycles(self.plan.descriptor)).start(self.sequencer)


class LoadProgram(_Load):
    """Load words into the Program Memory, one a beat, from word `base` on."""

    command, done = "prg_load", "prg_done"

    def __init__(self, words: list[int], base: int = 0, stalls: Stalls = NO_STALLS, count=None):
        super().__init__([Packet(words)], stalls)
        self.base, self.count = base, len(words) if count is None else count

    async def program(self):
        await self.write("PRG_BASE", value=self.base)
        await self.write("PRG_COUNT", value=self.count)


@dataclass(frozen=True)
class RunStalls:
    """How the host holds back on each stream of a run."""

    weights: Stalls = NO_STALLS
    activations: Stalls = NO_STALLS
    results: Stalls = NO_STALLS

    @property
    def patience(self) -> int:
        """Cycles in which the host does nothing, at most; longer waits are too rare to happen."""
        return int(30 * max(self.weights.wait, self.activations.wait, self.results.wait))


NO_RUN_STALLS = RunStalls()


class RunProgram(CoreSequence):
    """A program from its words to the last result, each stream on its own; no register is touched in between.

    The scoreboard compares the results and every line that is written, with the model of the core and with the
    network. `record` is what was seen of the run, `seconds` its wall time.
    Raises CoreError when the run ends with an error: see `EndFailedRun`.
    """

    def __init__(self, program: Program, stalls: RunStalls = NO_RUN_STALLS, words: list[int] | None = None):
        """``words``: instead of the program's own."""
        super().__init__("run_program")
        self.program, self.stalls = program, stalls
        self.words = program.encode()[0].tolist() if words is None else words

    async def body(self):
        sequencer, program = self.sequencer, self.program
        if self.words:
            await LoadProgram(self.words, stalls=self.stalls.weights).start(sequencer)
        for register, value in program.encode()[1].items():
            await self.write(register, value=value)
        sequencer.tensors.program = program
        sequencer.run_monitor.host_patience = self.stalls.patience
        since, started = self.events(), time.perf_counter()
        await self.write("CTRL", run=1)
        self.inputs = start_soon(self.weights()), start_soon(self.activations())
        self.taking = start_soon(self.results())
        # The run monitor fails sooner when nothing moves.
        await self.sequencer.interrupts.wait("run_done", since=since, cycles=run_cycles(program))
        self.seconds = time.perf_counter() - started
        self.record = sequencer.run_monitor.record
        if (await self.read("RUN_ERROR"))["failed"]:
            raise CoreError(await self.errors())
        for task in (*self.inputs, self.taking):
            await task

    @cached_property
    def _weights(self) -> list[Packet]:
        return [Packet(self.program.weight_beats(load)) for load in self.program.weights]

    def weight_packets(self, iteration: int) -> list[Packet]:
        """What the weight loads bring, in each iteration the same."""
        return self._weights

    def activation_packets(self, iteration: int) -> list[Packet]:
        """What the activation loads bring."""
        program, width = self.program, self.sequencer.config.StreamBytes
        return [packet for load in program.activations for packet in program.input_packets(load, iteration, width)]

    async def weights(self):
        """Weights and parameters, an iteration after the other."""
        for iteration in range(self.program.iterations if self.program.weights else 0):
            transfer = Transfer(self.weight_packets(iteration), self.stalls.weights)
            await ItemSequence(transfer).start(self.sequencer.weights)

    async def activations(self):
        """The input."""
        for iteration in range(self.program.iterations if self.program.activations else 0):
            transfer = Transfer(self.activation_packets(iteration), self.stalls.activations)
            await ItemSequence(transfer).start(self.sequencer.activations)

    async def results(self):
        """Take the results."""
        lines = sum(transfer.lines for transfer in self.program.results) * self.program.iterations
        if lines:
            await ItemSequence(Reception(lines, self.stalls.results)).start(self.sequencer.results)


class EndFailedRun(CoreSequence):
    """What a host does after a run that an error has ended: it gets rid of what it still offers, flushes, clears the
    causes. `status` has STATUS before that, `error` RUN_ERROR and `iteration` RUN_ERROR_ITERATION.

    A stream that is not swallowed has no load under way: one that no packet can complete takes what is left.
    """

    def __init__(self, run: RunProgram):
        super().__init__("end_failed_run")
        self.run = run

    async def body(self):
        sequencer, (weights, activations) = self.sequencer, self.run.inputs
        while not self.run.record.failed:  # the faulty packet has not ended
            await ClockCycles(device().clk_i, 20)
        self.status = await self.read("STATUS")
        self.error, self.iteration = await self.read("RUN_ERROR"), (await self.read("RUN_ERROR_ITERATION"))["value"]
        sequencer.result_agent.driver.drop()
        await self.run.taking
        if not self.status["wgt_discard"] and not weights.done():
            await self.write("WGT_BASE", value=0)
            await self.write("WGT_COUNT", value=sequencer.config.WgtBanks * sequencer.config.WgtDepth)
            await self.write("CTRL", wgt_load=1)
            await weights
            await ItemSequence(Transfer([Packet([0])])).start(sequencer.weights)
        if not self.status["act_discard"] and not activations.done():
            await self.write("ACT_LINE_POS", value=LINE_BITS)
            for register, value in (
                ("ACT_IDX_BASE", 0),
                ("ACT_LINES", sequencer.config.IdxBanks * sequencer.config.IdxDepth),
                ("ACT_BASE", 0),
                ("ACT_LIMIT", 0),
            ):
                await self.write(register, value=value)
            await self.write("CTRL", act_load=1)
            await activations
            await ItemSequence(Transfer([Packet([0], [1])])).start(sequencer.activations)
        await weights
        await activations
        await ClockCycles(device().clk_i, 20)
        await self.write("CTRL", wgt_flush=1, act_flush=1)
        await self.write("ERROR", **dict.fromkeys(await self.errors(), 1))


def run_cycles(program: Program) -> int:
    """A generous bound on a run's cycles, with stalls."""
    beats = sum(load.count for load in program.weights) + 10 * sum(load.lines for load in program.activations)
    layers = sum(layer_cycles(step.descriptor) for step in program.layers)
    return CYCLES_TO_START + program.iterations * (layers + CYCLES_PER_BEAT * beats)


def layer_registers(registers, descriptor: Descriptor) -> dict[str, dict[str, int]]:
    """The LAYER_* registers' fields that describe a layer."""
    values = descriptor.as_dict()
    return {
        register: {field: values[descriptor_field(register, field)] for field in registers.decode(register, 0)}
        for register in registers.names
        if register.startswith("LAYER_")
    }


def layer_cycles(d: Descriptor) -> int:
    """A generous bound on a layer's cycles: one PE alone, dense, and as much again for loading and draining."""
    return 20_000 + 4 * d.passes * (d.tile_h * d.tile_w + 16) + 100 * d.out_entries
