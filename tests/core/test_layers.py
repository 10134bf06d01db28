# SPDX-License-Identifier: Apache-2.0
"""Several layers: queued back to back, chained through memory, loads and transfers beside a running layer."""

import os
from dataclasses import replace

import cocotb
import pytest
import pyuvm
from cocotb import start_soon
from cocotb.triggers import ClockCycles

from models import km, stream
from models.lines import LineShape
from models.stream import Packet, line_packet
from models.tiling import Cut, make_plan
from verif.shared.stalls import NO_STALLS, Stalls
from verif.shared.stimulus import Memories, long_layer, make_layer, random_cut, random_layer, random_stalls
from verif.sim.env.scenario import CoreTest
from verif.sim.env.sequences import (
    CoreSequence,
    FetchLines,
    ItemSequence,
    LoadActivations,
    LoadLayer,
    LoadParameters,
    PushLayer,
    ReadCounters,
    RunLayer,
    WaitLayers,
    layer_cycles,
)
from verif.sim.env.stream_agent import Transfer


class LayersTest(CoreTest):
    async def fetch(self, plan):
        await FetchLines(plan.descriptor.out_idx_base, plan.descriptor.out_entries, random_stalls(self.rng)).start(
            self.sequencer
        )

    async def wait(self, *plans):
        await WaitLayers(sum(layer_cycles(plan.descriptor) for plan in plans)).start(self.sequencer)


@pyuvm.test()
class BackToBack(LayersTest):
    """LAYERS of them, all loaded first, then pushed as fast as the queue takes them."""

    bound_us = 500

    async def scenario(self):
        memories, plans = Memories(self.config), []
        for number in range(int(os.environ["LAYERS"])):
            mode = km.MODES[number % len(km.MODES)]
            layer, plan = memories.random_layer(self.rng, mode, work=int(os.environ["WORK"]))
            await LoadLayer(layer, plan).start(self.sequencer)
            plans.append(plan)
        for plan in plans:
            await PushLayer(plan.descriptor).start(self.sequencer)
        await self.wait(*plans)
        await ReadCounters().start(self.sequencer)  # of the last one
        for plan in plans:
            await self.fetch(plan)


@pyuvm.test()
class Chained(LayersTest):
    """Four layers, each one's input section the output section of the one before, queued without the host between."""

    bound_us = 1000

    async def scenario(self):
        memories, plans = Memories(self.config), []
        activations, kernel = None, ((3, 3), (1, 1), (2, 3), (3, 2))
        for number in range(4):
            shape = (6, 9, 10) if activations is None else activations.shape
            mode = km.MODES[self.rng.integers(len(km.MODES))]
            layer = make_layer(
                self.rng,
                shape,
                int(self.rng.integers(3, 20)),
                kernel[number],
                mode=mode,
                signed=number == 3,
                clamp=(-128, 127) if number == 2 else (0, 255),
            )
            cut = random_cut(self.rng, self.config, layer)
            if activations is not None:
                layer = replace(layer, activations=activations)
                cut = replace(cut, line=plans[-1].cut.tile)
            plan = memories.place(layer, make_plan(self.config, layer, cut), plans[-1] if plans else None)
            await LoadLayer(layer, plan, with_activations=activations is None).start(self.sequencer)
            plans.append(plan)
            activations = layer.expected
        for plan in plans:
            await PushLayer(plan.descriptor).start(self.sequencer)
        await self.wait(*plans)
        for plan in reversed(plans):
            await self.fetch(plan)


@pyuvm.test()
class Overlapped(LayersTest):
    """While one layer runs, the next one is loaded and the one before is sent out."""

    bound_us = 200

    async def scenario(self):
        memories, ended, running = Memories(self.config), None, None
        for number in range(5):
            layer, plan = memories.random_layer(self.rng, km.MODES[(3 * number) % len(km.MODES)], work=40_000)
            fetching = start_soon(self.fetch(ended)) if ended else None
            await LoadLayer(layer, plan, random_stalls(self.rng)).start(self.sequencer)
            if fetching:
                await fetching
            if running:
                await self.wait(running)
            await PushLayer(plan.descriptor).start(self.sequencer)
            ended, running = running, plan
        await self.fetch(ended)
        await self.wait(running)
        await self.fetch(running)


@pyuvm.test()
class AllEnginesAtOnce(LayersTest):
    """A long layer runs while weights, activations and results of others move, with STATUS read all the while."""

    bound_us = 5000

    async def scenario(self):
        memories = Memories(self.config)
        first, plan_1 = memories.random_layer(self.rng, (2, 4), work=10_000)
        await LoadLayer(first, plan_1).start(self.sequencer)
        await PushLayer(plan_1.descriptor).start(self.sequencer)
        await self.wait(plan_1)
        long, plan_2 = long_layer(self.rng, self.config)
        plan_2 = memories.place(long, plan_2)
        await LoadLayer(long, plan_2).start(self.sequencer)
        third, plan_3 = memories.random_layer(self.rng, (1, 2), work=10_000)
        await PushLayer(plan_2.descriptor).start(self.sequencer)
        tasks = [start_soon(self.fetch(plan_1)), start_soon(LoadLayer(third, plan_3).start(self.sequencer))]
        status = self.env.registers["STATUS"]
        while not all(task.done() for task in tasks):
            await status.read()
        for task in tasks:
            await task
        await PushLayer(plan_3.descriptor).start(self.sequencer)
        await self.wait(plan_2, plan_3)
        await self.fetch(plan_2)
        await self.fetch(plan_3)


@pyuvm.test()
class EarlyStreams(LayersTest):
    """Packets that are offered before the command that takes them wait at their first beat, for any time."""

    bound_us = 500

    async def scenario(self):
        # Every line is full, so that no packet is over before its command has been answered.
        layer = make_layer(self.rng, (6, 2, 64), 9, (1, 3), mask="full")
        plan = make_plan(self.config, layer, Cut(LineShape(1, 64), LineShape(1, 31)))
        d = plan.descriptor
        lines = stream.activation_packets(plan, layer)
        weights = [Packet(stream.weight_beats(self.config, layer))]
        for wait in (-4, -3, -2, -1, 0, 3, 6, 30):
            early = EarlyLoad(
                self.sequencer.weights,
                Transfer(weights),
                wait,
                "wgt_load",
                WGT_BASE=0,
                WGT_COUNT=plan.descriptor.vectors,
            )
            early.mode = {"k_log2": d.k_log2, "m_log2": d.m_log2}
            await early.start(self.sequencer)
            await EarlyLoad(
                self.sequencer.activations,
                Transfer(lines, Stalls(5, 1)),
                wait,
                "act_load",
                ACT_IDX_BASE=0,
                ACT_LINES=len(lines),
                ACT_BASE=0,
                ACT_LIMIT=plan.in_act_limit,
                ACT_LINE_POS=64,
            ).start(self.sequencer)
        # Parameters and activations load side by side, slowly.
        parameters = LoadParameters(stream.parameter_beats(layer), 0, Stalls(1, 40))
        again = LoadActivations(lines, 0, 0, plan.in_act_limit, 64, Stalls(1, 12))
        tasks = [start_soon(sequence.start(self.sequencer)) for sequence in (parameters, again)]
        while not all(task.done() for task in tasks):
            await self.env.registers["STATUS"].read()
        await PushLayer(d).start(self.sequencer)
        await self.wait(plan)
        await self.fetch(plan)


class EarlyLoad(CoreSequence):
    """A load whose packets are offered ``wait`` cycles before its command's register write starts (negative: after)."""

    mode = None

    def __init__(self, stream_sequencer, item: Transfer, wait: int, command: str, **registers: int):
        super().__init__(command)
        self.stream_sequencer, self.item, self.wait = stream_sequencer, item, wait
        self.command, self.values = command, registers

    async def body(self):
        for register, value in self.values.items():
            await self.write(register, value=value)
        if self.mode:
            await self.write("WGT_MODE", **self.mode)
        since = self.events()
        feeding = start_soon(self.after(-self.wait, ItemSequence(self.item).start(self.stream_sequencer)))
        await self.after(self.wait, self.write("CTRL", **{self.command: 1}))
        await feeding
        await self.finish(self.command.replace("load", "done"), since, 5000)

    async def after(self, cycles: int, action):
        """Do something after a number of cycles, at once when it is not positive."""
        if cycles > 0:
            await ClockCycles(cocotb.top.clk_i, cycles)
        await action


@pyuvm.test()
class LinesInAndOut(LayersTest):
    """Lines come in and go out at once; empty ones take a beat, so both ask for the Index Memory in every cycle."""

    bound_us = 500

    async def scenario(self):
        count = 300
        lines = [line_packet(0, b"", self.config.StreamBytes)] * count
        await LoadActivations(lines, 0, 0, 0, 64).start(self.sequencer)
        for stalls in (NO_STALLS, Stalls(1, 1), Stalls(2, 1), Stalls(3, 2), Stalls(8, 2)):
            loading = start_soon(LoadActivations(lines, count, 0, 0, 64, stalls).start(self.sequencer))
            await FetchLines(0, count).start(self.sequencer)
            await loading
        # Parameters come in meanwhile, slowly.
        layer = make_layer(self.rng, (1, 2, 2), 20, (1, 1))
        loading = start_soon(LoadParameters(stream.parameter_beats(layer), 0, Stalls(1, 40)).start(self.sequencer))
        fetching = start_soon(FetchLines(count, count, Stalls(2, 2)).start(self.sequencer))
        while not (loading.done() or fetching.done()):
            await self.env.registers["STATUS"].read()
        await loading
        await fetching


@pyuvm.test()
class SameLayerTwice(LayersTest):
    """A layer takes the same cycles the second time, whatever ran between: nothing of a layer stays behind."""

    bound_us = 500

    async def scenario(self):
        planned = random_layer(self.rng, self.config, (2, 4), work=40_000)
        between = random_layer(self.rng, self.config, (1, 2), work=40_000)
        counters = []
        for layer, plan in (planned, between, planned):
            run = RunLayer(layer, plan)
            await run.start(self.sequencer)
            counters.append(run.counters)
        differ = {name: (value, counters[2][name]) for name, value in counters[0].items() if counters[2][name] != value}
        assert not differ, f"counters of the first and the second time: {differ}"
        assert cocotb.top.irq_o.value == 0


def test_more_layers_than_the_queue_holds(simulate):
    simulate("BackToBack", LAYERS=8, WORK=15_000)


def test_back_to_back_on_icarus_as_on_verilator(simulate):
    run = {"LAYERS": 2, "WORK": 800}
    assert simulate("BackToBack", sim="icarus", **run) == simulate("BackToBack", **run)


@pytest.mark.parametrize(
    "testcase", ["Chained", "Overlapped", "AllEnginesAtOnce", "EarlyStreams", "LinesInAndOut", "SameLayerTwice"]
)
def test_layers(simulate, testcase):
    simulate(testcase)
