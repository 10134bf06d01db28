# SPDX-License-Identifier: Apache-2.0
"""Axes, windows and units of a descriptor against their definitions, output by output."""

from dataclasses import replace

import numpy as np
import pytest

from models import km, tiling
from models.config import load_config
from models.layer import Layer
from models.lines import LineShape
from models.tiling import Cut

CASES = [  # plane, kernel, stride, padding, tile, splits
    ((9, 11), (3, 2), (1, 1), (1, 1, 1, 1), (3, 5), 3),
    ((7, 8), (3, 3), (2, 2), (1, 1, 1, 1), (2, 4), 1),
    ((5, 40), (1, 5), (1, 2), (0, 0, 3, 2), (2, 9), 5),
    ((1, 1), (3, 3), (1, 1), (3, 3, 3, 3), (2, 2), 2),
    ((12, 6), (5, 1), (1, 1), (0, 0, 0, 0), (1, 6), 4),
]


@pytest.fixture(params=CASES)
def plan(request):
    plane, kernel, stride, padding, tile, splits = request.param
    rng = np.random.default_rng(1)
    ones = np.ones(21, np.int32)
    weights = km.project(rng.integers(1, 9, (21, 5, *kernel)).astype(np.int8), 2, 8, 0)
    layer = Layer(
        rng.integers(0, 3, (5, *plane)).astype(np.uint8), weights, 0 * ones, ones, ones, stride, padding, 2, 8
    )
    cut = Cut(LineShape(1, plane[1]), LineShape(*tile), splits)
    return layer, tiling.make_plan(load_config("small"), layer, cut)


def test_mode_and_counts(plan):
    layer, plan = plan
    d = plan.descriptor
    assert (d.k, d.m, d.ratio) == (2, 8, 4) and d.stride == layer.stride
    assert d.taps == layer.weights[0, 0].size and plan.cut == Cut(d.line, d.tile, d.splits)
    assert d.in_entries == 5 * layer.activations.shape[1] and d.out_entries == 21 * d.out_lines
    assert d.vectors == 2 * 5 * d.taps and d.jobs == 2 * d.out_lines


@pytest.mark.parametrize("direction", [0, 1])
def test_axes(plan, direction):
    layer, plan = plan
    axis = (plan.descriptor.y, plan.descriptor.x)[direction]
    kernel, stride, pad = layer.kernel[direction], layer.stride[direction], layer.padding[2 * direction]
    met = [{out * stride - pad + tap for tap in range(kernel)} for out in range(axis.out)]  # by each output
    assert axis.reach == max(met[-1]) + pad + 1
    assert axis.after == max(0, max(met[-1]) - (axis.size - 1)) <= layer.padding[2 * direction + 1]
    assert plan.descriptor.padding[2 * direction : 2 * direction + 2] == (pad, axis.after)
    assert sum(axis.counts) == axis.out and len(axis.counts) == axis.tiles
    first_out = 0
    for count, window, inside in zip(axis.counts, axis.windows, axis.inside, strict=True):
        seen = set.union(*met[first_out : first_out + count])
        assert window == (min(seen), max(seen) + 1)
        assert set(range(*inside)) == {p for p in range(*window) if 0 <= p < axis.size}
        assert count < axis.tile or axis.window == window[1] - window[0]
        first_out += count


def test_units(plan):
    _, plan = plan
    d = plan.descriptor
    units = list(d.units())
    assert [unit.job for unit in units] == [job for job in range(d.jobs) for _ in range(d.splits)]
    seen = [(unit.tile, unit.chunk, channel) for unit in units for channel in unit.channels]
    assert sorted(seen) == list(np.ndindex(d.out_lines, d.chunks, d.in_c))
    rows = list(dict.fromkeys(unit.tile // d.tiles_x for unit in units))
    assert rows == (list(range(d.tiles_y)) if d.tiles_y < 3 else [*range(1, d.tiles_y - 1), 0, d.tiles_y - 1])


@pytest.mark.parametrize(
    "kernel,tile_w,stride_x,half", [(1, 32, 0, 1), (1, 33, 0, 0), (1, 16, 1, 1), (1, 17, 1, 0), (3, 8, 0, 0)]
)
def test_half_regions(kernel, tile_w, stride_x, half):
    """Of 1x1 kernels, up to half of 512 positions; not of a buffer of two words or fewer."""
    ones = np.ones(8, np.int32)
    layer = Layer(np.ones((1, 8, 64), np.uint8), np.ones((8, 1, 1, 1), np.int8), 0 * ones, ones, ones, k=1, m=1)
    plan = tiling.make_plan(load_config("small"), layer, Cut(LineShape(1, 64), LineShape(2, 8)))
    sizes = {"kernel_r": kernel, "kernel_s": kernel, "tile_h": 8, "tile_w": tile_w, "stride_x": stride_x}
    d = replace(plan.descriptor, **sizes)
    assert d.half_regions(512) == half and not d.half_regions(128)
