import numpy as np
import pytest

from models import masks

LAYERS = [((64, 64, 64), 0.5), ((64, 56, 56), 0.45), ((128, 28, 28), 0.4), ((256, 14, 14), 0.35), ((512, 7, 7), 0.3)]


def neighbour_correlation(mask, axis):
    """Correlation of neighbours along an axis with each channel's mean removed."""
    x = mask - mask.mean((1, 2), keepdims=True)
    a, b = np.take(x, range(1, x.shape[axis]), axis), np.take(x, range(x.shape[axis] - 1), axis)
    return (a * b).mean() / (x * x).mean()


@pytest.mark.parametrize("shape,density", LAYERS)
def test_clustered_looks_like_a_network(shape, density, rng):
    mask = masks.clustered(shape, density, rng)
    assert mask.dtype == bool and mask.shape == shape
    assert abs(mask.mean() - density) < 0.002
    channels = mask.mean((1, 2))
    assert 0.26 <= channels.std() <= 0.40
    assert 0.01 <= (channels == 0).mean() <= 0.20
    assert (channels == 1).any()
    for axis in (1, 2):
        correlation = neighbour_correlation(mask, axis)
        # In a 7x7 plane the channel's own mean takes a part of the correlation away.
        assert 0.2 - (shape[1] < 10) * 0.15 <= correlation <= 0.5
    assert abs(neighbour_correlation(masks.bernoulli(shape, density, rng), 2)) < 0.1


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
