# SPDX-License-Identifier: Apache-2.0
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from models import grouping, km, lines, masks, reference, tiling, work
from models.config import load_config
from models.layer import Layer
from models.lines import LineShape
from models.tiling import Cut

CASES = [  # plane, kernel, stride, padding, line, tile
    ((9, 11), (3, 2), (1, 1), (1, 1, 1, 1), (4, 11), (3, 5)),
    ((7, 7), (3, 3), (2, 2), (1, 1, 1, 1), (7, 7), (2, 4)),
    ((5, 40), (1, 5), (1, 2), (0, 0, 3, 2), (1, 24), (2, 9)),
    ((12, 10), (7, 1), (2, 1), (3, 3, 0, 0), (3, 4), (1, 6)),
    ((1, 1), (3, 3), (1, 1), (3, 3, 3, 3), (1, 1), (2, 2)),
    ((9, 12), (1, 1), (2, 2), (0, 0, 0, 0), (1, 12), (2, 6)),  # every other line is left out
    ((9, 12), (1, 3), (2, 1), (1, 1, 1, 1), (1, 12), (3, 6)),  # looked up, in vain
    ((9, 12), (1, 1), (2, 2), (2, 2, 0, 0), (4, 12), (2, 6)),
]


def window(d, layer, ty, tx):
    """Plane positions of a window in rows that a tap meets, the lines that are looked up, and the (position, r, s)
    triples that its passes meet."""
    sy, sx = layer.stride
    seen, lines_met, met = set(), set(), []
    skips = layer.kernel[0] == 1 and sy in (2, 4) and d.line_h == 1 and d.pad_top % sy == 0
    for y in range(ty * d.tile_h, min(ty * d.tile_h + d.tile_h, d.out_h)):
        for x in range(tx * d.tile_w, min(tx * d.tile_w + d.tile_w, d.out_w)):
            for r in range(d.kernel_r):
                for s in range(d.kernel_s):
                    iy, ix = y * sy - d.pad_top + r, x * sx - d.pad_left + s
                    if 0 <= iy < d.in_h and 0 <= ix < d.in_w:
                        met.append((iy, ix, r, s))
    heights = min(d.tile_h, d.out_h - ty * d.tile_h), min(d.tile_w, d.out_w - tx * d.tile_w)
    for y in range((heights[0] - 1) * sy + d.kernel_r):
        for x in range((heights[1] - 1) * sx + d.kernel_s):
            iy, ix = ty * d.tile_h * sy - d.pad_top + y, tx * d.tile_w * sx - d.pad_left + x
            if 0 <= iy < d.in_h and 0 <= ix < d.in_w:
                used = sy == 3 or any((y - r) % sy == 0 for r in range(d.kernel_r))
                if used:
                    seen.add((iy, ix))
                if used or not skips:
                    lines_met.add((iy // d.line_h, ix // d.line_w))
    return seen, lines_met, met


@pytest.mark.parametrize("plane,kernel,stride,padding,line,tile", CASES)
@pytest.mark.parametrize("skip", [True, False])
def test_against_the_definition(plane, kernel, stride, padding, line, tile, skip, rng):
    c, k = 3, 10
    layer = Layer(
        activations=masks.activations(masks.clustered((c, *plane), 0.4, rng), rng, True),
        weights=km.project(rng.integers(-2, 3, (k, c, *kernel)).astype(np.int8), 2, 4, 0),
        bias=np.zeros(k, np.int32),
        multiplier=np.ones(k, np.int32),
        shift=np.ones(k, np.int32),
        stride=stride,
        padding=padding,
        k=2,
        m=4,
        skip=skip,
    )
    plan = tiling.make_plan(load_config("small"), layer, Cut(LineShape(*line), LineShape(*tile)))
    d = plan.descriptor
    found = work.measure(d, layer)
    packed = lines.compress(layer.activations, plan.cut.line)
    macs = 0
    for tile_number in range(d.out_lines):
        ty, tx = divmod(tile_number, d.tiles_x)
        seen, touched, met = window(d, layer, ty, tx)
        fetch = found.fetches[tile_number]
        assert sorted(fetch.lines) == sorted(ly * d.lines_x + lx for ly, lx in touched)
        for channel in range(c):
            plane_values = layer.activations[channel]
            emissions = np.zeros((d.kernel_r, d.kernel_s), int)
            octets = [Counter() for _ in range(d.taps)]
            for y, x, r, s in met:
                emissions[r, s] += plane_values[y, x] != 0 or not skip
                if plane_values[y, x] != 0 or not skip:
                    row, column = y - r - d.y.windows[ty][0], x - s - d.x.windows[tx][0]
                    octets[r * d.kernel_s + s][(row * d.x.window + column) // 8] += 1
                if plane_values[y, x] != 0:
                    macs += np.count_nonzero(layer.weights[:, channel, r, s])
            assert found.emissions[tile_number, channel].tolist() == emissions.ravel().tolist()
            assert found.lasts[tile_number, channel].tolist() == [of[max(of)] if of else 0 for of in octets]
            pieces = load = 0
            for ly, lx in touched:
                line = ly * d.lines_x + lx
                needed, marked = [], set()
                for y in range(ly * d.line_h, ly * d.line_h + d.line_h):
                    for x in range(lx * d.line_w, lx * d.line_w + d.line_w):
                        bit = (y % d.line_h) * d.line_w + x % d.line_w
                        if (y, x) in seen and (plane_values[y, x] != 0 or not skip):
                            marked.add((y, bit // 8))
                        if (y, x) in seen and plane_values[y, x] != 0:
                            needed.append(bit)
                pieces += len(marked)
                in_last = sum(1 for _, octet in marked if octet == max(o for _, o in marked))
                load += len(marked) + (max(0, 3 - in_last) if marked else 0)
                column = fetch.lines.index(line)
                if needed:
                    bitmap = int(packed.bitmaps[channel, line])
                    ranks = [(bitmap & ((1 << bit) - 1)).bit_count() for bit in needed]
                    pointer = int((-(-packed.counts.ravel()[: channel * d.in_lines + line] // 8)).sum())
                    assert fetch.first_word[channel, column] == pointer + min(ranks) // 8
                    assert fetch.words[channel, column] == max(ranks) // 8 - min(ranks) // 8 + 1
                else:
                    assert fetch.words[channel, column] == 0
            assert found.pieces[tile_number, channel] == pieces
            assert found.load[tile_number, channel] == load
        heights = min(d.tile_h, d.out_h - ty * d.tile_h), min(d.tile_w, d.out_w - tx * d.tile_w)
        assert found.positions[tile_number] == (heights[0] - 1) * d.tile_w + heights[1]
    assert found.macs == macs == work.count_macs(d, layer.activations, layer.weight_counts)


def simple(layer, **changes):
    """A descriptor for counting, of a layer with all input channels in one group as the planner cuts it."""
    dense = replace(layer, weights=grouping.spread(layer.weights, layer.groups), groups=1, kind="conv")
    plan = tiling.make_plan(load_config("medium"), dense, Cut(LineShape(3, 9), LineShape(2, 3)))
    return replace(plan.descriptor, **changes)


def test_products_of_groups(rng):
    activations = masks.activations(masks.clustered((6, 8, 9), 0.5, rng), rng, True)
    weights = rng.integers(-1, 2, (9, 2, 3, 3)).astype(np.int8)
    numbers = [np.ones(9, np.int32)] * 3
    layer = Layer(activations, weights, *numbers, padding=(1, 1, 1, 1), groups=3)
    sums = reference.convolve((activations != 0).astype(np.uint8), np.abs(weights), (1, 1), (1, 1, 1, 1), 3)
    d = simple(layer)
    assert work.measure(d, layer).macs == work.count_macs(d, activations, layer.weight_counts) == sums.sum()


@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
def test_products_of_a_max_pool(dtype, rng):
    """Comparisons with 0 are none; to int8 values the lanes add 128."""
    x = rng.integers(0, 3, (4, 8, 9)).astype(np.int16)
    x = (x if dtype == np.uint8 else x - 128).astype(dtype)
    layer = Layer.pool("max_pool", x, (3, 2), stride=(2, 1), padding=(1, 0, 0, 1))
    signed = int(dtype == np.int8)
    d = simple(layer, maximum=1, act_signed=signed, skip=1 - signed)
    zero = np.iinfo(dtype).min
    windows = reference.sum_pool((x != zero).astype(np.uint8), (3, 2), (2, 1), (1, 0, 0, 1))
    measured = work.measure(d, layer)
    assert measured.macs == windows.sum() == work.count_macs(d, x, layer.weight_counts)
    inside = reference.sum_pool(np.ones_like(x).view(np.uint8), (3, 2), (2, 1), (1, 0, 0, 1)).sum()
    assert measured.emissions.sum() == (inside if signed else windows.sum())
