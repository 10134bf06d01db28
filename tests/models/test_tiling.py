# SPDX-License-Identifier: Apache-2.0
import dataclasses

import numpy as np
import pytest

from models import km, tiling
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
        for splits in tiling.split_candidates(config, layer, tile):
            plan = tiling.make_plan(config, layer, Cut(LineShape(1, min(plane[1], 64)), tile, splits))
            assert plan.descriptor.splits == splits


def test_no_candidate():
    config = dataclasses.replace(load_config("small"), RegionPos=40)
    with pytest.raises(ValueError, match="49 positions in the input window of one output, a region holds at most 40"):
        tiling.tile_candidates(config, make_layer((1, 9, 9), (4, 7, 7)))


@pytest.mark.parametrize(
    "changes", [{"groups": 3}, {"residual": np.zeros((12, 9, 12), np.uint8)}, {"kind": "max_pool"}]
)
def test_kinds_that_the_core_lacks(changes):
    layer = make_layer((3, 9, 11))
    ((name, _),) = changes.items()
    if name == "kind":
        layer = Layer.pool("max_pool", layer.activations, (3, 2), padding=(1, 1, 1, 1))
    elif name == "groups":
        layer = dataclasses.replace(layer, weights=layer.weights[:, :1], **changes)
    else:
        layer = dataclasses.replace(layer, shift=np.full(12, 9, np.int32), residual_shift=9, **changes)
    with pytest.raises(ValueError, match=f"{name}: .*the core runs no other yet"):
        tiling.make_plan(load_config("small"), layer, Cut(LineShape(1, 1), LineShape(1, 1)))
