# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from models import masks

SHAPES = [((64, 64, 64), 0.5), ((64, 56, 56), 0.45), ((128, 28, 28), 0.4), ((256, 14, 14), 0.35), ((512, 7, 7), 0.3)]


@pytest.mark.parametrize("shape,density", SHAPES)
def test_clustered_looks_like_a_network(shape, density, rng):
    mask = masks.clustered(shape, density, rng)
    assert mask.dtype == bool and mask.shape == shape
    assert abs(mask.mean() - density) < 0.002
    for plane in (mask, mask.transpose(0, 2, 1)):
        found = masks.statistics(plane[None])
        assert 0.26 <= found.spread <= 0.40
        assert 0.01 <= found.dead <= 0.20
        assert found.always_on > 0
        # In a 7x7 plane the channel's own mean takes a part of the correlation away.
        assert 0.2 - (shape[1] < 10) * 0.15 <= found.neighbours <= 0.5
    assert abs(masks.statistics(masks.bernoulli(shape, density, rng)[None]).neighbours) < 0.1


def test_statistics_of_masks_known():
    """Four channels: dead, always on, vertical stripes two wide, rows that alternate."""
    stripes = np.tile([True, True, False, False], (8, 2))
    rows = np.repeat([[True], [False]] * 4, 8, axis=1)
    found = masks.statistics(np.stack([np.zeros((8, 8), bool), np.ones((8, 8), bool), stripes, rows])[None])
    assert (found.density, found.dead, found.always_on) == (0.5, 0.25, 0.25)
    assert found.spread == pytest.approx(np.std([0, 1, 0.5, 0.5]))
    # Of the seven neighbours of a row: four alike and three not in stripes, all alike in rows.
    assert found.neighbours == pytest.approx((1 / 7 + 1) / 2)
    assert np.isnan(masks.statistics(np.ones((1, 3, 4, 4), bool)).neighbours)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 5, 5), (3, 1, 70), (40, 9, 2)])
@pytest.mark.parametrize("density", [0.0, 0.05, 0.5, 0.97, 1.0])
def test_clustered_density_on_any_shape(shape, density, rng):
    mask = masks.clustered(shape, density, rng)
    assert mask.shape == shape
    assert abs(mask.sum() - density * mask.size) <= 1 + 0.01 * mask.size


def test_bernoulli_density(rng):
    assert abs(masks.bernoulli((64, 64, 64), 0.3, rng).mean() - 0.3) < 0.01


@pytest.mark.parametrize("shape", [(1, 1, 1), (6, 5, 4), (16, 14, 14)])
def test_adversarial(shape, rng):
    made = {name: make(shape, rng) for name, make in masks.ADVERSARIAL.items()}
    assert all(m.shape == shape and m.dtype == bool for m in made.values())
    assert not made["empty"].any() and made["full"].all()
    assert made["single"].sum() == 1
    board = made["checkerboard"]
    for axis in range(3):
        assert (np.diff(board.astype(int), axis=axis) != 0).all()
    if shape[0] == 16:
        assert 0 < (~made["empty_channels"].any((1, 2))).sum() < 16
        rows = made["empty_rows"].any(2)
        assert rows.any() and not rows.all()


@pytest.mark.parametrize("signed,dtype", [(False, np.uint8), (True, np.int8)])
def test_activations_fill_exactly_the_mask(signed, dtype, rng):
    mask = masks.bernoulli((8, 30, 30), 0.5, rng)
    values = masks.activations(mask, rng, signed)
    assert values.dtype == dtype
    np.testing.assert_array_equal(values != 0, mask)
    assert values.max() == np.iinfo(dtype).max and values.min() == np.iinfo(dtype).min


def test_reproducible():
    a, b = (masks.clustered((8, 9, 9), 0.4, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(a, b)
