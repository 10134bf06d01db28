# SPDX-License-Identifier: Apache-2.0
"""Directed layers: the corners of geometry, number formats, activation masks and index patterns."""

import os
from dataclasses import replace
from itertools import combinations, product
from unittest.mock import patch

import numpy as np
import pytest
import pyuvm

from models import km, masks
from models.lines import LineShape, default_shape
from models.stream import decode_output
from models.tiling import Cut, make_plan
from verif.shared.stimulus import make_layer, strips
from verif.sim.env.scenario import CoreTest
from verif.sim.env.sequences import RunLayer

# name: (C, H, W), K, (R, S), what differs from make_layer's defaults, cut (line, tile, splits) or None for a simple one
SAME = {"padding": (1, 1, 1, 1)}
DENSE = {"mode": (1, 1), "skip": False}
CASES = {
    "planes": {
        "1x1": ((20, 1, 1), 9, (1, 1), {}, None),
        "1x1, 3x3 kernel": ((5, 1, 1), 8, (3, 3), SAME, None),
        "one row": ((6, 1, 40), 8, (1, 5), {"padding": (0, 0, 2, 2)}, None),
        "one column": ((6, 40, 1), 8, (5, 1), {"padding": (2, 2, 0, 0)}, None),
        "64 wide": ((4, 6, 64), 8, (3, 3), SAME, ((1, 64), (1, 64), 1)),
        "wider than a line": ((3, 5, 100), 8, (3, 3), SAME, ((1, 64), (1, 50), 1)),
        "wider than two lines": ((2, 3, 150), 4, (1, 3), {}, ((1, 64), (1, 64), 1)),
        "lines are columns": ((3, 70, 3), 4, (3, 1), {}, ((64, 1), (32, 2), 1)),
        "full lines": ((3, 3, 64), 4, (1, 1), {"mask": "full"}, ((1, 64), (1, 64), 1)),
        "one position short of full lines": ((3, 3, 63), 4, (1, 1), {"mask": "full"}, ((1, 63), (1, 63), 1)),
        "empty rows": ((4, 6, 64), 4, (2, 2), {"mask": "empty_rows"}, ((1, 64), (1, 60), 1)),
    },
    "kernels and strides": {
        "2x5": ((4, 9, 11), 8, (2, 5), {}, None),
        "7x1": ((4, 9, 11), 8, (7, 1), {"padding": (3, 3, 0, 0)}, None),
        "7x7": ((3, 9, 9), 8, (7, 7), {"padding": (3, 3, 3, 3)}, ((4, 9), (3, 3), 1)),
        "stride 2 along rows": ((4, 9, 11), 8, (3, 3), SAME | {"stride": (2, 1)}, None),
        "stride 2 along columns": ((4, 9, 11), 8, (3, 3), SAME | {"stride": (1, 2)}, None),
        "stride 2": ((4, 9, 11), 8, (3, 3), SAME | {"stride": (2, 2)}, None),
        "stride 2, 1x1": ((8, 11, 9), 8, (1, 1), {"stride": (2, 2)}, None),
        "stride 2, 7x7": ((3, 14, 14), 8, (7, 7), {"stride": (2, 2), "padding": (3, 2, 2, 3)}, ((4, 14), (3, 3), 1)),
        "padding alone in a window": ((3, 2, 2), 4, (1, 1), {"padding": (3, 3, 3, 3)}, ((2, 2), (2, 2), 1)),
    },
    "large kernels and strides": {
        "AlexNet's first": ((3, 31, 31), 8, (11, 11), {"stride": (4, 4)}, ((2, 31), (2, 2), 1)),
        "AlexNet's first, padded": (
            (2, 26, 23),
            8,
            (11, 11),
            {"stride": (4, 4), "padding": (2,) * 4},
            ((2, 23), (1, 4), 1),
        ),
        "5x5/3, padding 7": ((4, 9, 10), 8, (5, 5), {"stride": (3, 3), "padding": (7,) * 4}, ((3, 10), (3, 3), 2)),
        "1x11": ((4, 5, 30), 8, (1, 11), {"padding": (0, 0, 5, 5)}, ((2, 30), (2, 11), 1)),
        "11x1/4": ((4, 30, 5), 8, (11, 1), {"stride": (4, 1), "padding": (7, 6, 0, 0)}, None),
        "1x1/4, gaps between the positions met": ((6, 13, 14), 8, (1, 1), {"stride": (4, 4)}, ((4, 14), (3, 4), 2)),
        "2x3/4": ((4, 11, 17), 8, (2, 3), {"stride": (4, 3), "padding": (0, 3, 7, 1)}, ((1, 17), (3, 3), 1)),
        "padding of 7 alone in a window": ((3, 2, 2), 4, (1, 1), {"padding": (7,) * 4}, ((2, 2), (3, 3), 1)),
        "a line a position, a window of 251 lines": ((2, 251, 1), 4, (11, 1), {"stride": (4, 1)}, ((1, 1), (61, 1), 1)),
        "most taps a region holds": ((2, 24, 12), 4, (22, 11), {"padding": (0, 7, 0, 2)}, ((4, 12), (1, 1), 2)),
    },
    "cuts": {
        "one position a tile": ((4, 4, 5), 8, (3, 3), SAME, ((1, 1), (1, 1), 1)),
        "a split a channel": ((7, 5, 5), 8, (3, 3), SAME, ((5, 5), (5, 5), 7)),
        "uneven splits": ((11, 6, 6), 17, (3, 3), SAME, ((6, 6), (3, 6), 4)),
        "one output channel": ((9, 5, 5), 1, (3, 3), {}, None),
        "many chunks": ((2, 4, 4), 70, (1, 1), {}, None),
    },
    "number formats": {
        "signed in and out": ((6, 6, 6), 8, (3, 3), {"signed": True, "clamp": (-128, 127)}, None),
        "unsigned in, signed out": ((6, 6, 6), 8, (3, 3), {"clamp": (-100, 100)}, None),
        "narrow clamp": ((6, 6, 6), 8, (3, 3), {"clamp": (3, 6)}, None),
        "output all zero": ((6, 6, 6), 8, (3, 3), {"clamp": (0, 0)}, None),
    },
    "smallest": {  # for Icarus
        "signed, stride 2, padding at each side": (
            (2, 3, 4),
            5,
            (3, 2),
            {"stride": (2, 1), "padding": (1, 2, 3, 0), "signed": True, "clamp": (-128, 127)},
            ((2, 4), (1, 5), 2),
        ),
        "7x5/3, padding 7": ((1, 5, 6), 3, (7, 5), {"stride": (3, 4), "padding": (7, 4, 0, 5)}, ((2, 6), (2, 2), 1)),
        "wider than a line, 1/4": ((1, 1, 70), 3, (1, 1), {"mode": (1, 4), "density": 0.2}, ((1, 64), (1, 32), 1)),
    },
    "tiny": {  # for PEs of gates: every one of the four has a unit
        "2/4, 3x3": ((2, 4, 4), 8, (3, 3), SAME | {"density": 0.3}, ((4, 4), (2, 4), 2)),
    },
    "dense baseline": {
        "whole": ((6, 8, 8), 8, (3, 3), DENSE | SAME, None),
        "split": ((9, 8, 8), 8, (2, 2), DENSE, ((4, 8), (4, 7), 3)),
        "wide": ((3, 4, 90), 5, (1, 2), DENSE | {"stride": (1, 2)}, ((1, 64), (1, 45), 1)),
    },
}


def cut_of(layer, shapes):
    """The case's cut, or whole rows for lines and a tile of up to 4x8."""
    if shapes:
        line, tile, splits = shapes
        return Cut(LineShape(*line), LineShape(*tile), splits)
    _, ho, wo = layer.out_shape
    return Cut(default_shape(*layer.activations.shape[1:]), LineShape(min(4, ho), min(8, wo)))


class LayerTest(CoreTest):
    async def run_layer(self, layer, cut):
        await self.run_plan(layer, make_plan(self.config, layer, cut))

    async def run_plan(self, layer, plan, parts=None, expected=None):
        run = RunLayer(layer, plan, pes=self.config.NumPe, parts=parts)
        await run.start(self.sequencer)
        # Beside the scoreboard, which decodes what the core was given: what the stimulus meant.
        found = decode_output(self.env.results.take(), plan)
        assert np.array_equal(found, layer.expected if expected is None else expected)


@pyuvm.test()
class DirectedLayers(LayerTest):
    bound_us = 1000

    async def scenario(self):
        for name, (shape, out_channels, kernel, options, shapes) in CASES[os.environ["GROUP"]].items():
            self.logger.info("case %s", name)
            with patch("models.layer.MAX_KERNEL", 22):  # of pools
                layer = make_layer(self.rng, shape, out_channels, kernel, **options)
            await self.run_layer(layer, cut_of(layer, shapes))


@pyuvm.test()
class EveryPadding(LayerTest):
    """Each side from 0 to 7 with each stride, tiles that do not divide the plane; the same on all sides of a plane that
    windows fill."""

    bound_us = 2000

    async def scenario(self):
        for stride in product(range(1, 5), repeat=2):
            for paddings in (4 * (0,), (0, 2, 4, 6), (1, 3, 5, 7)):
                await self.padded((6, 7), stride, self.rng.permutation(paddings).tolist())
            pad = int(self.rng.integers(1, 8))
            windows = (4 - 2 * pad + step * (1 + 2 * pad // step) for step in stride)
            await self.padded(tuple(windows), stride, 4 * [pad])

    async def padded(self, plane, stride, padding):
        layer = make_layer(self.rng, (3, *plane), 6, (4, 4), stride=stride, padding=tuple(padding))
        _, ho, wo = layer.out_shape
        await self.run_layer(layer, Cut(LineShape(2, plane[1]), LineShape(min(3, ho), min(4, wo))))


@pyuvm.test()
class EveryKernel(LayerTest):
    """All 121 kernel sizes, and 1x1 with each stride; strides and modes take turns."""

    bound_us = 4000

    async def scenario(self):
        strides = list(product(range(1, 5), repeat=2))
        for number, (r, s) in enumerate([*product(range(1, 12), repeat=2), *[(1, 1)] * 16]):
            mode = km.MODES[number % len(km.MODES)]
            shape = (2, max(8, r + 2), max(9, s + 1))
            layer = make_layer(self.rng, shape, 6, (r, s), mode=mode, stride=strides[number % 16])
            _, ho, wo = layer.out_shape
            await self.run_layer(layer, Cut(LineShape(3, shape[2]), LineShape(min(2, ho), min(3 if s > 6 else 4, wo))))


@pyuvm.test()
class Strips(LayerTest):
    """Layers in strips of tile rows, which read a part of each channel and write a part of each output channel."""

    bound_us = 1000

    async def scenario(self):
        for number, (kernel, options, line, tile) in enumerate(
            (
                ((3, 3), SAME, (1, 11), (2, 5)),
                ((3, 3), SAME | {"stride": (2, 2)}, (4, 11), (2, 5)),
                ((5, 2), {"stride": (3, 1), "padding": (7, 7, 0, 3)}, (3, 4), (1, 7)),
                ((1, 1), {"stride": (4, 4)}, (5, 11), (1, 3)),
                ((11, 3), {"padding": (5, 5, 1, 1)}, (2, 11), (4, 8)),
            )
        ):
            layer = make_layer(self.rng, (3, 23, 11), 9, kernel, **options)
            plan = make_plan(self.config, layer, Cut(LineShape(*line), LineShape(*tile), 1 + number % 2))
            for count in (2, 30):
                await self.run_plan(layer, plan, strips(plan, count))


@pyuvm.test()
class InsideThePlane(LayerTest):
    """Windows that begin up to 64 rows and columns inside the plane; what lies before is not met."""

    bound_us = 1000

    async def scenario(self):
        for top, left, kernel, stride, line in (
            (1, 0, (3, 3), (1, 1), (1, 10)),
            (0, 3, (2, 3), (2, 1), (4, 5)),
            (5, 2, (1, 1), (3, 4), (3, 20)),
            (64, 0, (3, 2), (1, 2), (64, 1)),
            (7, 64, (3, 3), (1, 1), (1, 64)),
        ):
            plane = (3, top + 9, left + 10)
            whole = make_layer(self.rng, plane, 5, kernel, stride=stride, padding=(0, 2, 0, 1))
            part = replace(whole, activations=whole.activations[:, top:, left:])
            _, ho, wo = part.out_shape
            cut = Cut(LineShape(*line), LineShape(min(3, ho), min(4, wo)))
            plan, like = make_plan(self.config, whole, cut), make_plan(self.config, part, cut).descriptor
            same = {name: getattr(like, name) for name in ("out_h", "out_w", "tiles_y", "tiles_x", "out_pitch")}
            inside = replace(plan.descriptor, pad_top=-top, pad_left=-left, **same)
            await self.run_plan(whole, replace(plan, descriptor=inside), expected=part.expected)


@pyuvm.test()
class EveryMask(LayerTest):
    """Adversarial activation masks and extreme densities in every mode, with few weights, whole and split."""

    bound_us = 2000

    async def scenario(self):
        for mode in km.MODES:
            for number, mask in enumerate((*masks.ADVERSARIAL, "bernoulli", "bernoulli")):
                layer = make_layer(
                    self.rng,
                    (8, 5, 6),
                    5,
                    (2, 3),
                    mode=mode,
                    mask=mask,
                    density=(0.05, 0.95)[number % 2],
                    skip=mode != (1, 1) or number % 2 == 0,
                    zero_weights=(0.1, 0.7)[number % 2],
                )
                if mask == "single":  # and next to no output
                    layer = replace(layer, bias=np.full_like(layer.bias, -30))
                await self.run_layer(layer, Cut(LineShape(2, 6), LineShape(2, 4), 1 + number % 3))


@pyuvm.test()
class EveryPlane(LayerTest):
    """Each kind of plane in every mode."""

    bound_us = 2000

    async def scenario(self):
        for mode in km.MODES:
            for height, width in ((1, 1), (1, 9), (9, 1), (5, 6), (2, 64), (2, 70)):
                kernel = (min(2, height), min(3, width))
                layer = make_layer(self.rng, (3, height, width), 9, kernel, mode=mode)
                _, ho, wo = layer.out_shape
                tile = LineShape(min(2, ho), min(wo, 16 if self.rng.random() < 0.5 else 11))
                await self.run_layer(layer, Cut(default_shape(height, width), tile))


@pyuvm.test()
class EveryFormat(LayerTest):
    """Signed and unsigned inputs and outputs in every mode."""

    bound_us = 1000

    async def scenario(self):
        for mode, signed, clamp in product(km.MODES, (False, True), ((0, 255), (-128, 127))):
            layer = make_layer(self.rng, (4, 4, 5), 9, (2, 2), mode=mode, signed=signed, clamp=clamp)
            await self.run_layer(layer, cut_of(layer, None))


@pyuvm.test()
class EveryIndexPattern(LayerTest):
    """One input channel for each index pattern of a group; each group of the vector starts at another one."""

    bound_us = 1000

    async def scenario(self):
        for k, m in km.MODES:
            await self.run_layer(*self.layer(k, m))

    def layer(self, k, m):
        patterns = list(combinations(range(m), k))
        groups = self.config.NumLanes // k
        layer = make_layer(self.rng, (len(patterns), 1, 2), groups * m, (1, 1), mode=(k, m), mask="full")
        weights = np.zeros_like(layer.weights)
        for group in range(groups):
            for channel in range(len(patterns)):
                for index in patterns[(channel + group * 7) % len(patterns)]:
                    weights[group * m + index, channel] = self.rng.choice([-1, 1]) * self.rng.integers(1, 128)
        return replace(layer, weights=weights), Cut(LineShape(1, 2), LineShape(1, 2))


@pytest.mark.parametrize("group", CASES)
def test_directed(simulate, group):
    simulate("DirectedLayers", GROUP=group)


def test_directed_on_icarus_as_on_verilator(simulate):
    assert simulate("DirectedLayers", sim="icarus", GROUP="smallest") == simulate("DirectedLayers", GROUP="smallest")


@pytest.mark.parametrize("sim", ["gates"])
def test_directed_on_gates_as_on_verilator(simulate, sim):
    """The PEs are netlists of library cells."""
    assert simulate("DirectedLayers", sim=sim, GROUP="tiny") == simulate("DirectedLayers", GROUP="tiny")


@pytest.mark.parametrize(
    "testcase",
    [
        "EveryPadding",
        "EveryKernel",
        "Strips",
        "InsideThePlane",
        "EveryMask",
        "EveryPlane",
        "EveryFormat",
        "EveryIndexPattern",
    ],
)
def test_sweep(simulate, testcase):
    simulate(testcase)
