# SPDX-License-Identifier: Apache-2.0
"""The environment can fail: with a corrupted expectation, a missing result, no result at all, and a core that hangs."""

import os
from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest
import pyuvm
from cocotb.triggers import Event

from models.config import load_config
from tests.descriptor_cases import legal_layer
from verif.host.runner import SimulationFailure
from verif.shared.layer_files import DIRECTORY, save_layers
from verif.sim.env.interrupts import Interrupts
from verif.sim.env.line_monitor import line_content
from verif.sim.env.scenario import CoreTest
from verif.sim.env.sequences import (
    CoreSequence,
    FetchLines,
    LoadLayer,
    PushLayer,
    ReadCounters,
    WaitLayers,
    layer_cycles,
)
from verif.sim.programs.given_layers import GivenLayers
from verif.sim.programs.layer_bound import bound_us


@pyuvm.test()
class Corrupted(CoreTest):
    """A correct core, with one thing changed in what the environment expects of it."""

    bound_us = 200

    async def scenario(self):
        layer, plan = legal_layer(self.config)
        d, checker, contents = plan.descriptor, self.env.scoreboard.checker, self.env.predictor.model.contents
        await LoadLayer(layer, plan).start(self.sequencer)
        await PushLayer(d).start(self.sequencer)
        if os.environ["CHANGE"] == "line":
            line = self.env.scoreboard.line_checker.due[d.out_idx_base][0]
            object.__setattr__(line, "content", line.content ^ line_content(3 << 40, 0, 0))
        await WaitLayers(layer_cycles(d)).start(self.sequencer)
        line = next(i for i in range(d.out_idx_base, len(contents.bitmaps)) if len(contents.packed[i]) > 1)
        match os.environ["CHANGE"]:
            case "byte":
                contents.packed[line] = bytes([contents.packed[line][0] ^ 1]) + contents.packed[line][1:]
            case "bitmap":
                contents.bitmaps[line] ^= 3 << 40
            case "macs":
                object.__setattr__(self.env.counters.layer, "macs", self.env.counters.layer.macs + 1)
            case "accesses":
                object.__setattr__(self.env.counters.layer, "activations", np.zeros_like(layer.activations))
            case "interrupts":
                checker.interrupts["layer_done"] += 1
            case "nothing fetched":
                return
        await ReadCounters().start(self.sequencer)
        await FetchLines(d.out_idx_base, d.out_entries).start(self.sequencer)
        if os.environ["CHANGE"] == "missing":
            checker.due += self.env.results.take()[:1]


class LoadWithoutBeats(CoreSequence):
    """A load of weights whose beats never come."""

    async def body(self):
        await self.write("WGT_COUNT", value=3)
        since = self.events()
        await self.write("CTRL", wgt_load=1)
        await self.finish("wgt_done", since, cycles=1_000_000)


@pyuvm.test()
class Hangs(CoreTest):
    """Waits in vain."""

    bound_us = 20

    async def scenario(self):
        await LoadWithoutBeats("load_without_beats").start(self.sequencer)


@pyuvm.test()
class NoInterrupt(GivenLayers):
    """The program that commands run, on a host that never hears of an interrupt."""

    bound_us = None

    async def scenario(self):
        with patch.object(Interrupts, "wait", lambda *_, **__: Event().wait()):
            await super().scenario()


def test_a_given_layer_that_hangs(simulate, tmp_path):
    config = load_config("small")
    layer, plan = legal_layer(config)
    for predicted in (1000, None):
        save_layers(tmp_path, [(layer, replace(plan, predicted=predicted))])
        with pytest.raises(SimulationFailure) as failure:
            simulate("NoInterrupt", **{DIRECTORY: tmp_path})
        text = str(failure.value)
        assert f"layer 1 of 1: not done after {bound_us(replace(plan, predicted=predicted)):g} us" in text
        assert "await self.finish(self.done, since" in text


@pytest.mark.parametrize("sim", ["verilator", "icarus"])
def test_a_hang_is_explained(simulate, sim):
    with pytest.raises(SimulationFailure) as failure:
        simulate("Hangs", sim=sim)
    text = str(failure.value)
    assert "not done after 20 us" in text
    assert 'await self.finish("wgt_done", since, cycles=1_000_000)' in text
    assert "u_weight_loader.state_q = StWeights" in text
    assert "u_activation_loader.state_q = StIdle" in text


@pytest.mark.parametrize(
    "change, message",
    [
        ("line", r"line: index entry \d+ of layer: bitmap 0x"),
        ("byte", r"result: packet \d+: byte 0 of beat 1 is"),
        ("bitmap", r"result: packet \d+: bitmap 0x"),
        ("macs", "counters: MACS is"),
        ("accesses", "counters: WGT_READS and WGT_HITS are"),
        ("interrupts", "interrupts: .1 layer_done expected"),
        ("missing", "missing: 1 result packets never came"),
        ("nothing fetched", "nothing was compared"),
    ],
)
def test_a_wrong_core_would_fail(simulate, change, message):
    with pytest.raises(SimulationFailure, match=message):
        simulate("Corrupted", CHANGE=change)
