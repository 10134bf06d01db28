# SPDX-License-Identifier: Apache-2.0
"""Virtual sequences: load tensors, push layers, wait, fetch results. They run on the virtual sequencer."""

from __future__ import annotations

import time

from cocotb import start_soon
from pyuvm import uvm_sequence, uvm_sequencer, uvm_status_e

from models import stream
from models.descriptor import Descriptor
from models.layer import Layer
from models.stream import Packet
from models.tiling import Plan
from verif.shared.stalls import NO_STALLS, Stalls
from verif.sim.env.counters import PER_PE, TOTALS, combine
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
