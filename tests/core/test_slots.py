# SPDX-License-Identifier: Apache-2.0
"""Layers in parts along C: all but the last keep their sums in the staging slots, the others continue them."""

from dataclasses import replace

import pytest
import pyuvm

from models import stream
from models.layer import Layer
from models.tiling import Plan, make_plan
from tests.core.pushed_layers import PushedLayersTest
from verif.shared.stimulus import Memories, make_layer, random_cut, random_plan, random_stalls, with_residual
from verif.sim.env.sequences import CoreError, LoadLayer, LoadWeights


def slice_c(layer: Layer, first: int, last: int) -> Layer:
    """The layer's input channels [first, last); a residual is the last part's alone."""
    here = slice(first, last)
    part = replace(layer, activations=layer.activations[here], weights=layer.weights[:, here])
    return part if last == layer.activations.shape[0] else replace(part, residual=None)


def part_plans(memories: Memories, layer: Layer, plan: Plan, cuts: list[int], splits: list[int]) -> list[Plan]:
    """The (placed) layer in parts along C; their weights are placed here."""
    d, parts = plan.descriptor, []
    for number, (first, last) in enumerate(zip([0, *cuts], [*cuts, d.in_c], strict=True)):
        part = slice_c(layer, first, last)
        own = make_plan(memories.config, part, replace(plan.cut, splits=min(splits[number], last - first)))
        placed = replace(
            own.descriptor,
            wgt_base=memories.weights,
            par_base=d.par_base,
            in_idx_base=d.in_idx_base + first * d.in_pitch,
            out_idx_base=d.out_idx_base,
            res_idx_base=d.res_idx_base,
            out_act_base=d.out_act_base,
            out_act_limit=d.out_act_limit,
            keep_slot=int(last < d.in_c),
            continue_slot=int(first > 0),
        )
        memories.weights += placed.vectors
        parts.append(replace(own, descriptor=placed))
    return parts


class SlotsTest(PushedLayersTest):
    def tensor(self, memories: Memories, out_channels: int, mode=(2, 4), channels: int = 9) -> tuple[Layer, Plan]:
        """A layer of as many jobs as there are slots at most, placed; some with a residual."""
        layer = make_layer(self.rng, (channels, 5, 6), out_channels, (3, 2), mode=mode, padding=(1, 1, 0, 1))
        if self.rng.random() < 0.5:
            layer = with_residual(self.rng, layer, signed=bool(self.rng.integers(2)))
        chunks = make_plan(self.config, layer, random_cut(self.rng, self.config, layer)).descriptor.chunks
        most = self.config.slots // chunks
        while True:
            plan = make_plan(self.config, layer, random_cut(self.rng, self.config, layer))
            if plan.descriptor.out_lines <= most:
                return layer, memories.place(layer, plan)

    async def load(self, layer: Layer, plan: Plan, cuts: list[int], parts: list[Plan]):
        """Load input, residual and parameters, and the weights of each part."""
        await LoadLayer(layer, plan, random_stalls(self.rng)).start(self.sequencer)
        for first, last, part in zip([0, *cuts], [*cuts, plan.descriptor.in_c], parts, strict=True):
            beats, d = stream.weight_beats(self.config, slice_c(layer, first, last)), part.descriptor
            await LoadWeights(beats, d.wgt_base, d.k_log2, d.m_log2).start(self.sequencer)


@pyuvm.test()
class Parts(SlotsTest):
    """Layers in two and more parts, of one unit a job or more; each is fetched and so compared with the whole one."""

    bound_us = 1500

    async def scenario(self):
        for number, (out_channels, mode, cuts) in enumerate(
            [(8, (2, 4), [4]), (32, (2, 4), [1, 2, 8]), (16, (1, 4), [3, 6]), (7, (1, 1), [5]), (4, (1, 2), [8])]
        ):
            memories = Memories(self.config)
            layer, plan = self.tensor(memories, out_channels, mode)
            splits = self.rng.integers(1, 4, len(cuts) + 1).tolist()
            parts = part_plans(memories, layer, plan, cuts, splits)
            await self.load(layer, plan, cuts, parts)
            await self.run_all(*(part.descriptor for part in parts))
            await self.fetch(plan)
            if number == 0:  # the same again: nothing is left of the sums
                await self.run_all(*(part.descriptor for part in parts))
                await self.fetch(plan)


@pyuvm.test()
class GivenUp(SlotsTest):
    """Sums that nobody continues are in no layer's way; what cannot be continued is refused, and costs nothing."""

    bound_us = 1500

    async def refused(self, d):
        with pytest.raises(CoreError) as caught:
            await self.run_all(d)
        assert caught.value.causes == ["descriptor"]
        await self.env.registers["ERROR"].write(self.env.registers.encode("ERROR", descriptor=1))

    async def scenario(self):
        memories, cuts = Memories(self.config), [4]
        layer, plan = self.tensor(memories, 8)
        parts = part_plans(memories, layer, plan, cuts, [1, 2])
        other = make_layer(self.rng, (3, 9, 9), 20, (3, 3))
        many = memories.place(other, random_plan(self.rng, self.config, other))
        first, last = (part.descriptor for part in parts)
        await self.load(layer, plan, cuts, parts)
        await LoadLayer(other, many).start(self.sequencer)
        await self.refused(last)  # nothing was kept
        await self.run_all(first)
        await self.refused(replace(last, out_k=last.out_k - 1))
        await self.run_all(last)
        await self.fetch(plan)
        await self.refused(last)
        await self.run_all(first, many.descriptor)
        await self.fetch(many)
        await self.refused(last)
        await self.run_all(first, first, last)
        await self.fetch(plan)
        await self.run_all(first)
        await self.env.registers["CTRL"].write(self.env.registers.encode("CTRL", soft_reset=1))
        await self.refused(last)
        await self.load(layer, plan, cuts, parts)
        await self.run_all(first, last)
        await self.fetch(plan)


@pytest.mark.parametrize("testcase", ["Parts", "GivenUp"])
def test_slots(simulate, testcase):
    simulate(testcase)


def test_slots_on_icarus_as_on_verilator(simulate):
    assert simulate("Parts", sim="icarus") == simulate("Parts")
