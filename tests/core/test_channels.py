# SPDX-License-Identifier: Apache-2.0
"""Channel mode: depthwise layers, groups and pools of every kind, unsigned and signed."""

import os
from dataclasses import replace

import numpy as np
import pytest
import pyuvm

from models.descriptor import Descriptor
from models.lines import LineShape, default_shape
from models.stream import decode_output
from models.tiling import Cut, make_plan
from verif.host.runner import SimulationFailure
from verif.shared.stimulus import make_layer, make_pool, random_cut, random_layer, random_stalls
from verif.sim.env.scenario import CoreTest
from verif.sim.env.sequences import RunLayer

SAME = {"padding": (1, 1, 1, 1)}
SIGNED = {"signed": True}
# name: (C, H, W), K, (R, S), groups, what differs from make_layer's defaults, cut (line, tile, splits) or None
GROUPS = {
    "depthwise": {
        "3x3": ((8, 9, 10), 8, (3, 3), 8, SAME, None),
        "3x3/2": ((8, 9, 10), 8, (3, 3), 8, SAME | {"stride": (2, 2)}, None),
        "ragged": ((11, 6, 7), 11, (3, 3), 11, SAME | SIGNED | {"clamp": (-128, 127)}, ((3, 7), (3, 7), 3)),
        "fewer channels than lanes": ((3, 6, 7), 3, (2, 3), 3, {}, None),
        "two outputs a channel": ((7, 6, 6), 14, (3, 3), 7, SAME, ((6, 6), (3, 6), 2)),
        "1/4": ((18, 5, 6), 18, (3, 3), 18, SAME | {"mode": (1, 4)}, ((5, 6), (5, 6), 5)),
        "2/4, ragged": ((13, 5, 6), 13, (3, 3), 13, SAME | {"mode": (2, 4)}, None),
        "dense": ((9, 6, 6), 9, (3, 3), 9, SAME | {"skip": False}, None),
    },
    "groups": {
        "2 of whole chunks": ((6, 6, 7), 16, (3, 3), 2, SAME | {"mode": (1, 2)}, ((3, 7), (3, 7), 2)),
        "2 of two chunks": ((10, 5, 5), 16, (1, 1), 2, {}, None),
        "4 in two chunks": ((8, 6, 7), 8, (3, 3), 4, SAME, None),
        "8 in mode 2/4": ((16, 5, 6), 24, (1, 3), 8, {"mode": (2, 4)}, ((5, 6), (5, 4), 3)),
        "3 that straddle chunks": ((9, 5, 6), 18, (3, 2), 3, {}, ((5, 6), (4, 5), 4)),
        "5, each of one chunk and a half": ((10, 4, 5), 30, (1, 1), 5, {}, None),
    },
}
# name: kind, (C, H, W), (R, S), what differs from make_pool's defaults, cut
POOLS = {
    "max pools": {
        "2x2/2": ("max_pool", (8, 8, 10), (2, 2), {"stride": (2, 2)}, None),
        "3x3/2 with padding": ("max_pool", (8, 9, 11), (3, 3), SAME | {"stride": (2, 2)}, None),
        "ragged, 3x2": ("max_pool", (11, 7, 6), (3, 2), {"padding": (1, 0, 0, 1)}, ((7, 6), (3, 3), 3)),
        "fewer channels than lanes": ("max_pool", (3, 5, 5), (3, 3), SAME, None),
        "hardly anything": ("max_pool", (5, 8, 9), (3, 3), SAME | {"density": 0.03}, None),
        "full": ("max_pool", (5, 8, 9), (3, 3), SAME | {"mask": "full"}, ((8, 8), (2, 9), 2)),
        "dense": ("max_pool", (4, 6, 6), (2, 2), {"skip": False}, None),
    },
    "signed max pools": {
        "2x2/2": ("max_pool", (8, 8, 10), (2, 2), SIGNED | {"stride": (2, 2)}, None),
        "3x3/2 with padding": ("max_pool", (8, 9, 11), (3, 3), SIGNED | SAME | {"stride": (2, 2)}, None),
        "ragged": ("max_pool", (11, 7, 6), (3, 2), SIGNED | {"padding": (1, 0, 0, 1)}, ((7, 6), (3, 3), 3)),
        "empty": ("max_pool", (5, 6, 6), (3, 3), SIGNED | SAME | {"density": 0.0}, None),
        "windows in the padding alone": ("max_pool", (5, 2, 3), (1, 2), SIGNED | {"padding": (3, 3, 3, 3)}, None),
    },
    "sum pools": {
        "2x2/2": ("average_pool", (8, 8, 10), (2, 2), {"stride": (2, 2)}, None),
        "3x3 with padding": ("average_pool", (9, 7, 8), (3, 3), SAME | SIGNED | {"clamp": (-128, 127)}, None),
        "global, 7x7": ("average_pool", (21, 7, 7), (7, 7), {}, ((7, 7), (1, 1), 2)),
        "global, 13x13": ("average_pool", (10, 13, 13), (13, 13), {}, ((4, 13), (1, 1), 3)),
        "one position, of a signed tensor": ("average_pool", (6, 5, 6), (1, 1), SIGNED | {"clamp": (-9, 90)}, None),
    },
}
SMALLEST = {  # for Icarus
    "depthwise": ((5, 4, 4), 5, (2, 2), 5, {}, ((4, 4), (3, 3), 2)),
    "max pool": ("max_pool", (5, 4, 4), (2, 2), {"stride": (2, 2)}, ((4, 4), (2, 2), 1)),
    "signed max pool": ("max_pool", (3, 4, 4), (2, 2), SIGNED | {"stride": (2, 2)}, ((4, 4), (2, 2), 3)),
    "sum pool": ("average_pool", (5, 3, 3), (3, 3), SIGNED | {"clamp": (-128, 127)}, ((3, 3), (1, 1), 2)),
}
CASES = GROUPS | POOLS | {"smallest": SMALLEST}


class ChannelTest(CoreTest):
    def layer(self, first, *rest):
        """Layer and cut of a case."""
        if isinstance(first, str):
            shape, kernel, options, cut = rest
            layer = make_pool(self.rng, first, shape, kernel, **options)
        else:
            out_channels, kernel, groups, options, cut = rest
            options = {"mode": (1, 1)} | options
            layer = make_layer(self.rng, first, out_channels, kernel, groups=groups, **options)
        if cut is None:
            _, height, width = layer.activations.shape
            _, ho, wo = layer.out_shape
            return layer, Cut(default_shape(height, width), LineShape(min(2, ho), min(5, wo)))
        return layer, Cut(LineShape(*cut[0]), LineShape(*cut[1]), cut[2])

    async def run_layer(self, layer, plan):
        run = RunLayer(layer, plan, random_stalls(self.rng), random_stalls(self.rng), pes=self.config.NumPe)
        await run.start(self.sequencer)
        assert np.array_equal(decode_output(self.env.results.take(), plan), layer.expected)
        return run


@pyuvm.test()
class DirectedChannels(ChannelTest):
    """The layers of one entry of CASES, each on a core that has run the ones before."""

    bound_us = 3000

    async def scenario(self):
        for name, case in CASES[os.environ["GROUP"]].items():
            layer, cut = self.layer(*case)
            self.logger.info("%s: %s", name, cut)
            await self.run_layer(layer, make_plan(self.config, layer, cut))


@pyuvm.test()
class RandomChannels(ChannelTest):
    """Random layers of channel mode."""

    bound_us = 8000

    async def scenario(self):
        for number in range(int(os.environ["LAYERS"])):
            while True:
                layer, plan = random_layer(self.rng, self.config, (1, 1) if number % 3 else (2, 4), 30_000)
                if layer.groups > 1 or layer.kind != "conv":
                    break
            self.logger.info("layer %d: %s", number, plan.descriptor)
            await self.run_layer(layer, plan)


@pyuvm.test()
class OneLaneWorks(ChannelTest):
    """MACS of a pool is its busy cycles: one product in each."""

    bound_us = 500

    async def scenario(self):
        layer = make_pool(self.rng, "max_pool", (8, 8, 8), (3, 3), padding=(1, 1, 1, 1))
        run = await self.run_layer(layer, make_plan(self.config, layer, random_cut(self.rng, self.config, layer)))
        assert run.counters["MACS"] == run.counters["BUSY"] > 0


@pyuvm.test()
class SumForMaximum(ChannelTest):
    """A core that adds where it should compare would be seen: the host asks for one, and expects the other."""

    bound_us = 500

    async def scenario(self):
        layer = make_pool(self.rng, "max_pool", (4, 6, 6), (2, 2), mask="full")
        plan = make_plan(self.config, layer, Cut(LineShape(6, 6), LineShape(5, 5)))
        changed: Descriptor = replace(plan.descriptor, maximum=0)
        run = RunLayer(layer, replace(plan, descriptor=changed), pes=self.config.NumPe)
        await run.start(self.sequencer)
        assert np.array_equal(decode_output(self.env.results.take(), plan), layer.expected), "a sum came, not a maximum"


@pytest.mark.parametrize("group", CASES)
def test_directed(simulate, group):
    simulate("DirectedChannels", GROUP=group)


def test_random(simulate):
    simulate("RandomChannels", LAYERS=9)


def test_medium_configuration(simulate):
    simulate("RandomChannels", config="medium", LAYERS=3)


def test_one_lane_works(simulate):
    simulate("OneLaneWorks")


def test_a_sum_is_no_maximum(simulate):
    with pytest.raises(SimulationFailure, match="a sum came, not a maximum"):
        simulate("SumForMaximum")


def test_directed_on_icarus_as_on_verilator(simulate):
    assert simulate("DirectedChannels", sim="icarus", GROUP="smallest") == simulate(
        "DirectedChannels", GROUP="smallest"
    )
