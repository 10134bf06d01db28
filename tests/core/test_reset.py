# SPDX-License-Identifier: Apache-2.0
"""Resets in the middle of work: whatever was under way is gone, and the next layer is right."""

import os

import cocotb
import pytest
import pyuvm
from cocotb import start_soon
from cocotb.triggers import ClockCycles

from models import cycle_model, km, stream, work
from models.lines import LineShape
from models.tiling import Cut, make_plan
from verif.shared.stalls import Stalls
from verif.shared.stimulus import make_layer, random_layer, random_stalls
from verif.sim.env.counters import STATES
from verif.sim.env.scenario import CoreTest
from verif.sim.env.sequences import (
    CoreSequence,
    FetchLines,
    LoadActivations,
    LoadLayer,
    LoadParameters,
    LoadWeights,
    PushLayer,
    RunLayer,
    WaitLayers,
    layer_cycles,
)

SLOW = Stalls(1, 8)


class SoftReset(CoreSequence):
    async def body(self):
        await self.write("CTRL", soft_reset=1)


class ResetTest(CoreTest):
    """KIND is rst_ni or soft_reset."""

    async def cut(self):
        if os.environ["KIND"] == "rst_ni":
            await self.reset()
        else:
            await SoftReset("soft_reset").start(self.sequencer)
            await ClockCycles(cocotb.top.clk_i, 20)


@pyuvm.test()
class ResetDuringLayer(ResetTest):
    """RESETS of them come at random points of layers of all modes."""

    bound_us = 1000

    async def scenario(self):
        for _ in range(int(os.environ["RESETS"])):
            layer, plan = self.layer()
            cycles = cycle_model.predict(plan, work.measure(plan.descriptor, layer)).cycles
            await LoadLayer(layer, plan).start(self.sequencer)
            await PushLayer(plan.descriptor).start(self.sequencer)
            while not self.working():
                await ClockCycles(cocotb.top.clk_i, 1)
            await ClockCycles(cocotb.top.clk_i, int(self.rng.integers(1, cycles * 3 // 4)))
            assert (await self.status())["layer_busy"] and self.working(), "the layer has ended before the reset"
            await self.cut()
            layer, plan = self.layer()
            await RunLayer(layer, plan, random_stalls(self.rng)).start(self.sequencer)

    def layer(self):
        return random_layer(
            self.rng, self.config, km.MODES[self.rng.integers(len(km.MODES))], work=int(os.environ["WORK"])
        )

    def working(self):
        """Some PE has a unit."""
        idle = sum(STATES.index("NO_UNIT") << 3 * pe for pe in range(self.config.NumPe))
        return int(cocotb.top.pe_state_o.value) != idle


@pyuvm.test()
class ResetDuringTransfers(ResetTest):
    """While a load of each kind is under way, while results are sent, and with nothing under way."""

    bound_us = 500

    async def scenario(self):
        layer = make_layer(self.rng, (6, 8, 9), 12, (3, 3))
        plan = make_plan(self.config, layer, Cut(LineShape(2, 9), LineShape(2, 7)))
        d = plan.descriptor
        lines = stream.activation_packets(plan, layer)
        for _ in range(3):
            for engine, agent, load in (
                (
                    "wgt_busy",
                    self.env.weight_agent,
                    LoadWeights(stream.weight_beats(self.config, layer), 0, 1, 2, SLOW),
                ),
                ("par_busy", self.env.weight_agent, LoadParameters(stream.parameter_beats(layer), 0, SLOW)),
                ("act_busy", self.env.activation_agent, LoadActivations(lines, 0, 0, plan.in_act_limit, 18, SLOW)),
            ):
                await self.cut_off(load, engine, agent)
        await RunLayer(layer, plan).start(self.sequencer)
        for _ in range(4):
            await LoadLayer(layer, plan).start(self.sequencer)
            await PushLayer(d).start(self.sequencer)
            await WaitLayers(layer_cycles(d)).start(self.sequencer)
            fetch = FetchLines(d.out_idx_base, d.out_entries, SLOW)
            await self.cut_off(fetch, "result_busy", self.env.result_agent)
        await RunLayer(layer, plan).start(self.sequencer)
        assert not any((await self.status()).values())
        await self.cut()
        await RunLayer(layer, plan).start(self.sequencer)

    async def cut_off(self, sequence, engine, agent):
        """Start a transfer, reset inside one of its packets, and end the sequence, which is left without an answer."""
        task = start_soon(sequence.start(self.sequencer))
        await ClockCycles(cocotb.top.clk_i, int(self.rng.integers(1, 60)))
        while not (await self.status())[engine] or agent.monitor.idle:
            assert not task.done(), f"{sequence} has ended before the reset"
        await self.cut()
        task.cancel()


@pytest.mark.parametrize("kind", ["rst_ni", "soft_reset"])
def test_reset_during_a_layer(simulate, kind):
    simulate("ResetDuringLayer", KIND=kind, RESETS=6, WORK=30_000)


@pytest.mark.parametrize("kind", ["rst_ni", "soft_reset"])
def test_reset_during_transfers(simulate, kind):
    simulate("ResetDuringTransfers", KIND=kind)


def test_reset_on_icarus_as_on_verilator(simulate):
    run = {"KIND": "soft_reset", "RESETS": 1, "WORK": 5_000}
    assert simulate("ResetDuringLayer", sim="icarus", **run) == simulate("ResetDuringLayer", **run)
