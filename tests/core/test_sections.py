# SPDX-License-Identifier: Apache-2.0
"""Numbered output sections: parts of a tensor along K follow each other in one, whatever runs between."""

from dataclasses import replace

import pytest
import pyuvm

from models import stream
from models.layer import Layer
from models.tiling import Plan, make_plan, with_splits
from tests.core.pushed_layers import PushedLayersTest
from verif.shared.stimulus import Memories, make_layer, random_cut, random_plan, random_stalls
from verif.sim.env.sequences import CoreError, FetchLines, LoadLayer, LoadParameters, LoadWeights


def slice_k(layer: Layer, first: int, last: int) -> Layer:
    """The layer's output channels [first, last), a multiple of m where they begin."""
    here = slice(first, last)
    names = ("weights", "bias", "multiplier", "shift") + (() if layer.residual is None else ("residual",))
    return replace(layer, **{name: getattr(layer, name)[here] for name in names})


def part_plans(memories: Memories, layer: Layer, plan: Plan, cuts: list[int], section: int) -> list[tuple[Layer, Plan]]:
    """The (placed) layer in parts along K that append to one section; their weights are placed here."""
    d, parts = plan.descriptor, []
    for first, last in zip([0, *cuts], [*cuts, d.out_k], strict=True):
        part = slice_k(layer, first, last)
        own = with_splits(make_plan(memories.config, part, plan.cut), d.splits)
        placed = replace(
            own.descriptor,
            wgt_base=memories.weights,
            par_base=d.par_base + first,
            in_idx_base=d.in_idx_base,
            out_idx_base=d.out_idx_base + first * d.out_pitch,
            res_idx_base=d.res_idx_base + first * d.res_pitch,
            out_act_base=d.out_act_base,
            out_act_limit=d.out_act_limit,
            out_section=section,
            out_append=int(first > 0),
        )
        memories.weights += placed.vectors
        parts.append((part, replace(own, descriptor=placed)))
    return parts


class SectionsTest(PushedLayersTest):
    def tensor(self, memories: Memories, channels: int = 5, out_channels: int = 22, mode=(2, 4)):
        """A layer with a random cut, placed, and its parts along K in a section."""
        layer = make_layer(self.rng, (channels, 7, 9), out_channels, (3, 2), mode=mode, padding=(1, 1, 0, 1))
        plan = memories.place(layer, random_plan(self.rng, self.config, layer))
        return layer, plan

    async def load(self, layer: Layer, plan: Plan, parts: list[tuple[Layer, Plan]]):
        """Load the input and the parameters of all, and the weights of each part."""
        await LoadLayer(layer, plan, random_stalls(self.rng)).start(self.sequencer)
        for part, own in parts:
            d = own.descriptor
            beats = stream.weight_beats(self.config, part)
            await LoadWeights(beats, d.wgt_base, d.k_log2, d.m_log2).start(self.sequencer)
            await LoadParameters(stream.parameter_beats(part), d.par_base).start(self.sequencer)


@pyuvm.test()
class Parts(SectionsTest):
    """Two tensors, each in parts that take turns, then a layer that reads one of them as a whole."""

    bound_us = 1000

    async def scenario(self):
        memories = Memories(self.config)
        (one, plan_1), (two, plan_2) = self.tensor(memories), self.tensor(memories, mode=(1, 2))
        parts_1 = part_plans(memories, one, plan_1, [4, 16], 5)
        parts_2 = part_plans(memories, two, plan_2, [10], 31)
        reader = replace(make_layer(self.rng, one.expected.shape, 6, (2, 3), mode=(1, 4)), activations=one.expected)
        cut = replace(random_cut(self.rng, self.config, reader), line=plan_1.cut.tile)
        plan_3 = memories.place(reader, make_plan(self.config, reader, cut), plan_1)
        await self.load(one, plan_1, parts_1)
        await self.load(two, plan_2, parts_2)
        await LoadLayer(reader, plan_3, with_activations=False).start(self.sequencer)
        order = [parts_1[0], parts_2[0], parts_1[1], parts_1[2], parts_2[1]]
        await self.run_all(*(plan.descriptor for _, plan in order), plan_3.descriptor)
        for plan in (plan_3, plan_2, plan_1):
            await self.fetch(plan)
        # Again, with the sections reset by their first parts.
        await self.run_all(*(plan.descriptor for _, plan in parts_2))
        await self.fetch(plan_2)


@pyuvm.test()
class FullSections(SectionsTest):
    """A part that does not fit overflows, and so do those behind it; a soft reset forgets where sections end."""

    bound_us = 1000

    async def scenario(self):
        memories = Memories(self.config)
        layer, plan = self.tensor(memories)
        parts = part_plans(memories, layer, plan, [12], 7)
        await self.load(layer, plan, parts)
        first, second = (own.descriptor for _, own in parts)
        short = replace(second, out_act_limit=second.out_act_limit - 1)
        await self.run_all(first)
        for d in (short, second):
            with pytest.raises(CoreError) as caught:
                await self.run_all(d)
            assert caught.value.causes == ["out_overflow"]
            await self.env.registers["ERROR"].write(self.env.registers.encode("ERROR", out_overflow=1))
        await self.run_all(first, second)
        await self.fetch(plan)
        await self.env.registers["CTRL"].write(self.env.registers.encode("CTRL", soft_reset=1))
        await self.load(layer, plan, parts)
        await self.run_all(second)  # begins at the base
        await FetchLines(second.out_idx_base, second.out_entries).start(self.sequencer)
        await self.run_all(first, second)
        await self.fetch(plan)


@pytest.mark.parametrize("testcase", ["Parts", "FullSections"])
def test_sections(simulate, testcase):
    simulate(testcase)


def test_sections_on_icarus_as_on_verilator(simulate):
    assert simulate("FullSections", sim="icarus") == simulate("FullSections")
