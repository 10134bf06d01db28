# SPDX-License-Identifier: Apache-2.0
"""Layers with a residual: formats, extremes, empty and full lines, parts along K, others that read and write lines."""

from dataclasses import replace

import numpy as np
import pytest
import pyuvm
from cocotb import start_soon

from models import km
from models.lines import LineShape
from models.stream import decode_output, line_packet, parameter_beats, weight_beats
from models.tiling import Cut, make_plan
from tests.core.test_sections import part_plans
from verif.shared.stimulus import Memories, make_layer, random_plan, random_stalls, with_residual
from verif.sim.env.scenario import CoreTest
from verif.sim.env.sequences import (
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

CLAMPS = {False: ((0, 255), (0, 96)), True: ((-128, 127), (-20, 45))}  # of uint8 and int8 outputs


class ResidualTest(CoreTest):
    async def run_layer(self, layer, plan):
        """From the loads to the results, which are compared with the layer's own reference."""
        await RunLayer(layer, plan, random_stalls(self.rng), random_stalls(self.rng)).start(self.sequencer)
        assert np.array_equal(decode_output(self.env.results.take(), plan), layer.expected)

    def layer(self, mode, out_channels, clamp, *, signed, density, **numbers):
        layer = make_layer(self.rng, (5, 6, 11), out_channels, (3, 2), mode=mode, padding=(1, 1, 0, 1), clamp=clamp)
        return replace(with_residual(self.rng, layer, signed=signed, density=density), **numbers)


@pyuvm.test()
class Formats(ResidualTest):
    """Every mode with each number format of residual and output; ragged channels, any cut, any density."""

    bound_us = 2000

    async def scenario(self):
        cases = [(res, out, clamp) for res in (False, True) for out in (False, True) for clamp in CLAMPS[out]]
        for number, (signed, _, clamp) in enumerate(cases):
            mode = km.MODES[number % len(km.MODES)]
            density = (0.0, 0.05, 0.5, 0.9, 1.0)[number % 5]
            layer = self.layer(mode, 4 * number + 3, clamp, signed=signed, density=density)
            await self.run_layer(layer, random_plan(self.rng, self.config, layer))


@pyuvm.test()
class Extremes(ResidualTest):
    """Residuals that saturate, vanish or hit the least and the largest shift, against accumulators that saturate."""

    bound_us = 2000

    async def scenario(self):
        largest = 2**31 - 1
        for number, (multiplier, shift) in enumerate(
            [(largest, 9), (largest, 30), (0, 62), (1, 9), (largest, 62), (1 << 22, 22), (255, 17)]
        ):
            signed = number % 2 == 1
            clamp = CLAMPS[signed][0]
            numbers = {"residual_multiplier": multiplier, "residual_shift": shift}
            layer = self.layer((2, 4), 17, clamp, signed=signed, density=0.8, **numbers)
            if number % 3 == 0:  # accumulators that saturate as well
                layer = replace(layer, shift=np.full_like(layer.shift, 9), multiplier=layer.multiplier | 1 << 30)
            await self.run_layer(layer, random_plan(self.rng, self.config, layer))


@pyuvm.test()
class Block(ResidualTest):
    """A residual block: its input is added to what two layers make of it; the second comes in parts along K, unsigned
    and signed."""

    bound_us = 2000

    async def scenario(self):
        for clamp in (CLAMPS[False][0], CLAMPS[True][0]):
            await self.block(clamp)

    async def block(self, clamp):
        memories, tile = Memories(self.config), LineShape(3, 7)
        one = make_layer(self.rng, (20, 7, 13), 12, (3, 3), padding=(1, 1, 1, 1))
        plan_1 = memories.place(one, make_plan(self.config, one, Cut(tile, LineShape(2, 9))))
        two = make_layer(self.rng, one.expected.shape, 20, (3, 3), mode=(1, 2), padding=(1,) * 4, clamp=clamp)
        two = replace(with_residual(self.rng, replace(two, activations=one.expected)), residual=one.activations)
        plan_2 = memories.place(two, make_plan(self.config, two, Cut(LineShape(2, 9), tile, 3)), plan_1, plan_1)
        plan_2 = replace(plan_2, descriptor=replace(plan_2.descriptor, res_idx_base=plan_1.descriptor.in_idx_base))
        parts = part_plans(memories, two, plan_2, [8, 14], 3)
        await LoadLayer(one, plan_1).start(self.sequencer)
        await PushLayer(plan_1.descriptor).start(self.sequencer)
        for part, plan in parts:
            d = plan.descriptor
            await LoadWeights(weight_beats(self.config, part), d.wgt_base, d.k_log2, d.m_log2).start(self.sequencer)
            await LoadParameters(parameter_beats(part), d.par_base).start(self.sequencer)
            await PushLayer(d).start(self.sequencer)
        cycles = sum(layer_cycles(plan.descriptor) for plan in (plan_1, *(own for _, own in parts)))
        await WaitLayers(cycles).start(self.sequencer)
        await FetchLines(plan_2.descriptor.out_idx_base, plan_2.descriptor.out_entries).start(self.sequencer)
        assert np.array_equal(decode_output(self.env.results.take(), plan_2), two.expected)


@pyuvm.test()
class LinesEverywhere(ResidualTest):
    """While residual lines are read, others are loaded, one a cycle as they are empty, and a result is sent."""

    bound_us = 2000

    async def scenario(self):
        memories = Memories(self.config)
        layer = with_residual(self.rng, make_layer(self.rng, (2, 16, 16), 40, (1, 1), mode=(1, 1), density=0.9))
        plan = memories.place(layer, make_plan(self.config, layer, Cut(LineShape(4, 16), LineShape(4, 16))))
        d = plan.descriptor
        await LoadLayer(layer, plan).start(self.sequencer)
        empty = [line_packet(0, b"", self.config.StreamBytes)] * 400
        for stalls in (random_stalls(self.rng), random_stalls(self.rng)):
            await PushLayer(d).start(self.sequencer)
            others = [
                start_soon(LoadActivations(empty, memories.entries, 0, 0, 64).start(self.sequencer)),
                start_soon(FetchLines(d.in_idx_base, d.in_entries, stalls).start(self.sequencer)),
            ]
            await WaitLayers(layer_cycles(d)).start(self.sequencer)
            for other in others:
                await other
            self.env.results.take()
            await FetchLines(d.out_idx_base, d.out_entries, stalls).start(self.sequencer)
            assert np.array_equal(decode_output(self.env.results.take(), plan), layer.expected)


@pyuvm.test()
class Briefly(ResidualTest):
    """A layer small enough for Icarus."""

    bound_us = 2000

    async def scenario(self):
        layer = make_layer(self.rng, (2, 3, 4), 9, (2, 2), mode=(2, 4), clamp=(-128, 127))
        layer = with_residual(self.rng, layer, signed=True)
        await self.run_layer(layer, random_plan(self.rng, self.config, layer))


@pytest.mark.parametrize("testcase", ["Formats", "Extremes", "Block", "LinesEverywhere"])
def test_residual(simulate, testcase):
    simulate(testcase)


def test_residual_on_icarus_as_on_verilator(simulate):
    assert simulate("Briefly", sim="icarus") == simulate("Briefly")
