"""Resets in the middle of work: whatever was under way is gone, and the next layer is right."""

import os

import cocotb
import pytest
import pyuvm
from cocotb import start_soon
from cocotb.triggers import ClockCycles
from tests.core.simulate import simulate

from models import km
from models.lines import LineShape
from models.tiling import Cut, make_plan
from verif.env.core_test import CoreTest
from verif.env.sequences import (
    CoreSequence,
    EnableInterrupts,
    FetchLines,
    LoadLayer,
    PushLayer,
    RunLayer,
    WaitLayers,
    layer_cycles,
)
from verif.env.streams import Stalls
from verif.stimulus import make_layer, random_layer, random_stalls


class SoftReset(CoreSequence):
    async def body(self):
        await self.write("CTRL", soft_reset=1)


@pyuvm.test()
class ResetDuringLayer(CoreTest):
    """KIND is rst_ni or soft_reset; RESETS of them come at random points of layers of all modes."""

    async def scenario(self):
        for _ in range(int(os.environ["RESETS"])):
            layer, plan = self.layer()
            await LoadLayer(layer, plan).start(self.core)
            await PushLayer(plan.descriptor).start(self.core)
            await ClockCycles(cocotb.top.clk_i, int(self.rng.integers(1, int(os.environ["WORK"]) // 20)))
            if os.environ["KIND"] == "rst_ni":
                await self.reset()
            else:
                await SoftReset("soft_reset").start(self.core)
                await ClockCycles(cocotb.top.clk_i, 20)
            layer, plan = self.layer()
            await RunLayer(layer, plan, random_stalls(self.rng)).start(self.core)

    def layer(self):
        return random_layer(self.rng, self.config, km.MODES[self.rng.integers(len(km.MODES))], work=int(os.environ["WORK"]))


@pyuvm.test()
class ResetDuringTransfers(CoreTest):
    """rst_ni while loads are under way, then while results are sent."""

    async def scenario(self):
        layer = make_layer(self.rng, (6, 8, 9), 12, (3, 3))
        plan = make_plan(self.config, layer, Cut(LineShape(2, 9), LineShape(2, 7)))
        for _ in range(4):
            loading = start_soon(LoadLayer(layer, plan, Stalls(2, 4)).start(self.core))
            await ClockCycles(cocotb.top.clk_i, int(self.rng.integers(60, 300)))
            await self.cut_off(loading)
        await RunLayer(layer, plan).start(self.core)
        for _ in range(4):
            await LoadLayer(layer, plan).start(self.core)
            await PushLayer(plan.descriptor).start(self.core)
            await WaitLayers(layer_cycles(plan.descriptor)).start(self.core)
            d = plan.descriptor
            fetch = FetchLines(d.out_idx_base, d.out_k * plan.out_lines, Stalls(1, 4))
            sending = start_soon(fetch.start(self.core))
            checker = self.env.scoreboard.checker
            wanted = checker.compared + int(self.rng.integers(1, d.out_k))
            while checker.compared < wanted:
                await ClockCycles(cocotb.top.clk_i, int(self.rng.integers(1, 20)))
            await self.cut_off(sending)
        await RunLayer(layer, plan).start(self.core)

    async def cut_off(self, task):
        """Reset the core and end a sequence that the reset has left without an answer."""
        await self.env.clock_reset.reset()
        await ClockCycles(cocotb.top.clk_i, 10)
        task.cancel()
        await EnableInterrupts("enable").start(self.core)


@pytest.mark.parametrize("kind", ["rst_ni", "soft_reset"])
def test_reset_during_a_layer(kind):
    simulate("ResetDuringLayer", KIND=kind, RESETS=6, WORK=30_000)


def test_reset_during_transfers():
    simulate("ResetDuringTransfers")


def test_reset_on_icarus_as_on_verilator():
    run = {"KIND": "soft_reset", "RESETS": 1, "WORK": 5_000}
    assert simulate("ResetDuringLayer", sim="icarus", **run) == simulate("ResetDuringLayer", **run)
