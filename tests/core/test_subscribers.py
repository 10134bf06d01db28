# SPDX-License-Identifier: Apache-2.0
"""Nothing rests on the order in which subscribers were connected: verdict, digest, cycles and coverage are the same."""

import json
import os
from pathlib import Path

import pytest
import pyuvm
from cocotb.triggers import ClockCycles
from cocotb_coverage.coverage import CoverPoint, coverage_db

from tests.descriptor_cases import legal_layer
from verif.sim import seed
from verif.sim.env.device import device
from verif.sim.env.scenario import CoreTest
from verif.sim.env.sequences import CoreSequence, RunLayer


class Interlude(CoreSequence):
    """A command that is refused, and a soft reset of the idle core."""

    async def body(self):
        await self.write("RES_LINES", value=0)
        await self.write("CTRL", result_send=1)
        await ClockCycles(device().clk_i, 100)
        assert await self.errors() == ["command_range"]
        await self.read("STATUS")
        await self.write("CTRL", soft_reset=1)
        await ClockCycles(device().clk_i, 20)


@pyuvm.test()
class Ordered(CoreTest):
    """Layers, an error and resets with the subscribers of each port in the order ORDER."""

    bound_us = 150

    def end_of_elaboration_phase(self):
        env = self.env
        agents = (env.register_agent, env.weight_agent, env.activation_agent, env.result_agent)
        for port in (env.predictor.ap, *(agent.ap for agent in agents)):
            match os.environ["ORDER"]:
                case "reversed":
                    port.subscribers.reverse()
                case "shuffled":
                    seed.rng(100).shuffle(port.subscribers)

    async def scenario(self):
        layer, plan = legal_layer(self.config)
        for break_ in (Interlude("interlude").start(self.sequencer), self.reset()):
            await RunLayer(layer, plan, pes=self.config.NumPe).start(self.sequencer)
            await break_
        await RunLayer(layer, plan).start(self.sequencer)
        assert self.env.counters.checked_pes == 2 and len(self.env.counters.cycles) == 3

    def report_phase(self):
        super().report_phase()
        path = Path(f"{type(self).__name__}.json")
        bins = {name: item.detailed_coverage for name, item in coverage_db.items() if isinstance(item, CoverPoint)}
        path.write_text(json.dumps(json.loads(path.read_text()) | {"bins": bins}))


@pytest.fixture(scope="module")
def as_connected(simulate):
    return simulate("Ordered", ORDER="as connected")


@pytest.mark.parametrize("order", ["reversed", "shuffled"])
def test_any_order_of_subscribers(simulate, order, as_connected):
    assert sum(as_connected["bins"]["protocol.soft_reset"].values()) == 1
    assert simulate("Ordered", ORDER=order) == as_connected
