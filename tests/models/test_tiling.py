# SPDX-License-Identifier: Apache-2.0
import dataclasses

import numpy as np
import pytest

from models import grouping, km, stream, tiling
from models.config import load_config
from models.layer import Layer
from models.lines import LineShape
from models.tiling import Cut


def make_layer(chw=(5, 9, 11), krs=(12, 3, 2), stride=(1, 1), padding=(1, 1, 1, 1), k=1, m=1):
    rng = np.random.default_rng(0)
    channels = krs[0]
    return Layer(
        activations=rng.integers(0, 3, chw).astype(np.uint8),
        weights=km.project(rng.integers(-9, 10, (channels, chw[0], *krs[1:])).astype(np.int8), k, m, 0),
        bias=np.zeros(channels, np.int32),
        multiplier=np.ones(channels, np.int32),
        shift=np.ones(channels, np.int32),
        stride=stride,
        padding=padding,
        k=k,
        m=m,
    )


def test_descriptor():
    config = load_config("small")
    layer = make_layer(stride=(2, 1), padding=(1, 0, 3, 2), k=2, m=4)
    plan = tiling.make_plan(config, layer, Cut(LineShape(4, 11), LineShape(2, 7), 3))
    d = plan.descriptor
    assert layer.out_shape == (12, 4, 15)
    assert (d.k_log2, d.m_log2, d.act_signed, d.out_signed, d.skip) == (1, 2, 0, 0, 1)
    assert (d.in_c, d.in_h, d.in_w, d.out_k, d.out_h, d.out_w, d.kernel_r, d.kernel_s) == (5, 9, 11, 12, 4, 15, 3, 2)
    assert (d.stride_y, d.stride_x, d.pad_top, d.pad_left) == (1, 0, 1, 3)
    assert (d.lines_y, d.lines_x, d.tiles_y, d.tiles_x) == (3, 1, 2, 3)
    assert (d.chunks, d.splits, d.split_c) == (2, 3, 2)  # chunks of 8 channels
    assert d.out_idx_base == 15 and d.out_lines == 6 and d.vectors == 2 * 5 * 6
    assert d.out_act_base == plan.in_act_limit > 0 and d.out_act_limit == 8 * 2048
    assert list(d.as_dict())[:3] == ["k_log2", "m_log2", "act_signed"]


@pytest.mark.parametrize(
    "change,layer,message",
    [
        ({"WgtDepth": 8}, {}, "90 weight vectors, the Weight Memory holds at most 64"),
        ({"ParDepth": 8}, {}, "12 output channels, the Parameter Memory holds at most 8"),
        ({"IdxDepth": 4}, {}, "123 input and output lines, the Index Memory holds at most 32"),
        ({"ActDepth": 2}, {}, "[0-9]+ words of input and output, the Activation Memory holds at most 16"),
        ({"RegionPos": 16}, {}, "30 positions in the input window of a tile, a region holds at most 16"),
        ({}, {"k": 1, "m": 4}, "36 positions of a tile, the accumulators hold at 1/4 at most 32"),
    ],
)
def test_does_not_fit(change, layer, message):
    config = dataclasses.replace(load_config("small"), **change)
    tile = LineShape(4, 9) if layer else LineShape(3, 5)
    with pytest.raises(ValueError, match=f"^layer does not fit: {message}"):
        tiling.make_plan(config, make_layer(**layer), Cut(LineShape(4, 11), tile))


@pytest.mark.parametrize("plane,name", [((65536, 1), "in_h"), ((1, 65536), "in_w")])
def test_dimensions_of_the_descriptor(plane, name):
    config = dataclasses.replace(load_config("small"), IdxDepth=2**20)
    layer = make_layer((1, *plane), (1, 1, 1), padding=(0, 0, 0, 0))
    with pytest.raises(ValueError, match=f"^layer does not fit: 65536 as {name}, the descriptor holds at most 65535"):
        tiling.make_plan(config, layer, Cut(LineShape(1, 1), LineShape(1, 1)))


def test_bad_splits():
    with pytest.raises(ValueError, match="splits: 6, expected 1 to C = 5"):
        tiling.make_plan(load_config("small"), make_layer(), Cut(LineShape(4, 11), LineShape(3, 5), 6))


@pytest.mark.parametrize("name", ["small", "paper"])
@pytest.mark.parametrize("k,m", km.MODES)
@pytest.mark.parametrize(
    "plane,kernel,stride", [((7, 7), (3, 3), 1), ((40, 70), (7, 7), 2), ((1, 1), (1, 1), 2), ((3, 100), (1, 7), 1)]
)
def test_candidates_fit(name, k, m, plane, kernel, stride):
    config = load_config(name)
    layer = make_layer((6, *plane), (20, *kernel), (stride, stride), (3, 3, 3, 3), k, m)
    tiles = tiling.tile_candidates(config, layer)
    assert tiles
    for tile in tiles:
        for splits in tiling.split_candidates(config, tiling.describe(config, layer, Cut(LineShape(1, 1), tile))):
            plan = tiling.make_plan(config, layer, Cut(LineShape(1, min(plane[1], 64)), tile, splits))
            assert plan.descriptor.splits == splits


def test_no_candidate():
    config = dataclasses.replace(load_config("small"), RegionPos=40)
    with pytest.raises(ValueError, match="49 positions in the input window of one output, a region holds at most 40"):
        tiling.tile_candidates(config, make_layer((1, 9, 9), (4, 7, 7)))


def groups_layer(c, k, groups, mode=(1, 1)):
    """A layer of 1x1 planes with weights that are all there, as far as k/m allows."""
    weights = grouping.spread(np.arange(1, k * c // groups + 1).reshape(k, c // groups, 1, 1), groups) % 127 + 1
    weights = grouping.gather(km.project(weights.astype(np.int8), *mode, 0), groups)
    ones = np.ones(k, np.int32)
    return Layer(np.ones((c, 1, 1), np.uint8), weights, ones, ones, ones, k=mode[0], m=mode[1], groups=groups)


@pytest.mark.parametrize(
    "c, k, groups, mode, expected",
    [
        (6, 10, 1, (1, 1), (1, 6, 3)),
        (6, 16, 2, (1, 1), (2, 3, 2)),  # whole chunks of 4 lanes: groups as they are
        (10, 10, 10, (1, 1), (3, 4, 1)),  # depthwise: four channels a chunk, two in the last
        (3, 3, 3, (1, 1), (1, 3, 1)),
        (6, 12, 3, (1, 2), (2, 4, 1)),  # 8 channels a chunk: two groups of 4 share it
        (9, 18, 3, (1, 1), (2, 6, 3)),  # two groups of 6 fill three chunks; the last has two, for one group
        (8, 12, 2, (1, 1), (1, 8, 3)),
    ],
)
def test_groups_fill_whole_chunks(c, k, groups, mode, expected):
    """Groups of the descriptor, and their vectors: they hold each weight once, where the convolution has it."""
    config = load_config("small")  # 4 lanes
    layer = groups_layer(c, k, groups, mode)
    plan = tiling.make_plan(config, layer, Cut(LineShape(1, 1), LineShape(1, 1)))
    d = plan.descriptor
    assert (d.groups, d.group_c, d.group_chunks) == expected == tuple(tiling.channel_groups(config, layer))
    values, indices = stream.lane_arrays(config, layer)
    assert len(values) == d.chunks and values.size == d.vectors * config.NumLanes
    dense, rebuilt = grouping.spread(layer.weights, groups)[:, :, 0, 0], np.zeros((d.chunks * 4 * d.ratio, c), np.int8)
    for chunk, c_local, lane in np.ndindex(d.chunks, d.group_c, config.NumLanes):
        value, index = values[chunk, c_local, 0, 0, lane], indices[chunk, c_local, 0, 0, lane]
        channel = d.channels(chunk).start + c_local
        if channel < c:
            rebuilt[chunk * 4 * d.ratio + lane // mode[0] * mode[1] + index, channel] += value
        else:
            assert value == 0
    assert np.array_equal(rebuilt[:k], dense) and not rebuilt[k:].any()
    assert d.readers == [sum(channel in d.channels(chunk) for chunk in range(d.chunks)) for channel in range(c)]


@pytest.mark.parametrize("channels, groups", [(3, 1), (4, 1), (5, 2), (13, 4)])
@pytest.mark.parametrize("kind", ["max_pool", "average_pool"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
def test_pools_share_vectors(kind, dtype, channels, groups):
    """A vector for each lane's channel, whatever the window; the bias of an int8 maximum takes its 128 back."""
    config = load_config("small")
    numbers = {name: np.ones(channels, np.int32) for name in ("bias", "multiplier", "shift")}
    layer = Layer.pool(kind, np.ones((channels, 3, 4), dtype), (3, 2), **numbers if kind == "average_pool" else {})
    plan = tiling.make_plan(config, layer, Cut(LineShape(3, 4), LineShape(1, 3), min(2, channels)))
    d = plan.descriptor
    assert (d.groups, d.group_c, d.group_chunks) == (groups, min(channels, 4), 1)
    assert (d.maximum, d.tap_shared, d.vectors) == (kind == "max_pool", 1, min(channels, 4))
    assert d.skip == (kind == "average_pool" or dtype == np.uint8)
    assert stream.weight_beats(config, layer) == [1 << 12 * lane for lane in range(min(channels, 4))]
    biases = {beat & 0xFFFFFFFF for beat in stream.parameter_beats(layer)}
    assert biases == {1 if kind == "average_pool" else 0 if dtype == np.uint8 else 2**32 - 128}
    assert all(d.vector(chunk, channel) == channel % 4 for chunk in range(d.chunks) for channel in d.channels(chunk))
    # Splits divide the channels of a group; the last group may leave some of them without any.
    shares = [d.shares(chunk) for chunk in range(d.chunks)]
    assert [c for of_chunk in shares for share in of_chunk for c in share] == list(range(channels))
    assert all(len(of_chunk) == d.splits for of_chunk in shares)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
def test_residual_lies_between_input_and_output(dtype):
    layer, cut = make_layer((3, 9, 11)), Cut(LineShape(1, 11), LineShape(3, 12))
    plain = tiling.make_plan(load_config("small"), layer, cut)
    residual = np.zeros(layer.out_shape, dtype)
    residual[2, 4] = 1  # 12 positions of a line: two words
    factors = {"shift": np.full(12, 9, np.int32), "residual_multiplier": 5, "residual_shift": 20}
    plan = tiling.make_plan(load_config("small"), dataclasses.replace(layer, residual=residual, **factors), cut)
    d, p = plan.descriptor, plain.descriptor
    assert plain.res_act_limit == plain.in_act_limit == p.out_act_base and p.residual == p.res_entries == 0
    assert (plan.in_act_limit, plan.res_act_limit) == (plain.in_act_limit, plain.in_act_limit + 2)
    assert (d.res_idx_base, d.res_pitch, d.res_entries) == (d.in_entries, d.out_lines, d.out_entries)
    assert (d.out_idx_base, d.out_act_base) == (d.in_entries + d.res_entries, plan.res_act_limit)
    assert (d.residual, d.res_signed, d.res_multiplier, d.res_shift) == (1, int(dtype == np.int8), 5, 20)


@pytest.mark.parametrize("plane", [(112, 112), (7, 7), (1, 5), (3, 200)])
def test_line_candidates(plane):
    """Of each height from one row to eight, none much narrower than fits."""
    found = tiling.line_candidates(*plane)
    assert len(set(found)) == len(found) and {line.line_h for line in found} == set(range(1, min(8, plane[0]) + 1))
    for line in found:
        most = min(plane[1], 64 // line.line_h)
        assert line.line_w <= most and 4 * line.line_w >= 3 * most
