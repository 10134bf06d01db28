# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from models import km

MODES = pytest.mark.parametrize("k,m", km.MODES)


@MODES
@pytest.mark.parametrize("shape,d", [((37,), 0), ((32, 3), 0), ((5, 18, 3), 1), ((4, 3, 2, 33), 3), ((2, 16, 3), -2)])
def test_round_trip(k, m, shape, d, rng):
    tensor = km.project(rng.integers(-128, 128, shape, np.int8), k, m, d)
    tensor[rng.random(shape) < 0.3] = 0  # groups short of non-zeros
    values, indices = km.compress(tensor, k, m, d)
    assert values.dtype == np.int8 and indices.dtype == np.uint8
    expected = list(shape)
    expected[d] = -(-shape[d] // m) * k
    assert values.shape == indices.shape == tuple(expected)
    by_group = np.moveaxis(indices, d, -1).reshape(-1, k).astype(int)
    assert (np.diff(by_group, axis=-1) > 0).all() and by_group.max() < m
    np.testing.assert_array_equal(km.decompress(values, indices, k, m, d, shape[d]), tensor)


def test_against_a_loop(rng):
    tensor = km.project(rng.integers(-9, 10, (3, 12, 5), np.int8), 2, 4, 1)
    values, indices = km.compress(tensor, 2, 4, 1)
    for a in range(3):
        for b in range(5):
            for g in range(3):
                group = tensor[a, 4 * g : 4 * g + 4, b]
                found = dict(zip(indices[a, 2 * g : 2 * g + 2, b], values[a, 2 * g : 2 * g + 2, b], strict=True))
                assert len(found) == 2
                assert [found.get(i, 0) for i in range(4)] == group.tolist()


def test_filler_takes_the_lowest_free_indices():
    values, indices = km.compress(np.array([0, 0, 7, 0, 0, 0, 0, 0, 9, 0, 0, 0], np.int8), 2, 4, 0)
    assert values.tolist() == [0, 7, 0, 0, 9, 0]
    assert indices.tolist() == [0, 2, 0, 1, 0, 1]


def test_too_many_non_zeros_names_the_group():
    tensor = np.zeros((8, 3), np.int8)
    tensor[4:7, 2] = 1
    with pytest.raises(ValueError, match=r"weights: group 1 at \[4:8, 2\] has 3 non-zeros, 2/4 along dimension 0"):
        km.compress(tensor, 2, 4, 0, "weights")


@pytest.mark.parametrize("k,m", [(3, 4), (0, 4), (2, 2), (8, 16)])
def test_illegal_mode(k, m):
    with pytest.raises(ValueError, match=f"k/m: {k}/{m} is not a mode"):
        km.check_mode(k, m)


@pytest.mark.parametrize(
    "values,indices,n,message",
    [
        ([1, 2], [0, 4], 4, "4 is out of range, expected 0..3"),
        ([1, 2], [2, 1], 4, r"\[2, 1\] in group 0, expected strictly ascending"),
        ([1, 2], [1, 1], 4, "strictly ascending"),
        ([1, 2], [0, 3], 3, "non-zero beyond the 3 elements"),
        ([1, 2], [0, 1], 5, "2 along dimension 0, expected 4"),
        ([1, 2], [0, 1, 2], 4, r"shape \(3,\), expected"),
    ],
)
def test_malformed(values, indices, n, message):
    with pytest.raises(ValueError, match=message):
        km.decompress(np.array(values, np.int8), np.array(indices, np.uint8), 2, 4, 0, n)


@MODES
def test_projection_keeps_the_largest(k, m, rng):
    dense = rng.integers(-128, 128, (3 * m, 4), np.int8)
    sparse = km.project(dense, k, m, 0)
    km.check(sparse, k, m, 0)
    for column in range(4):
        for group in range(0, 3 * m, m):
            magnitudes = np.abs(dense[group : group + m, column].astype(int))
            kept = np.abs(sparse[group : group + m, column].astype(int))
            assert sorted(kept)[-k:] == sorted(magnitudes)[-k:]
    np.testing.assert_array_equal(km.project(sparse, k, m, 0), sparse)


def test_projection_breaks_ties_by_index():
    assert km.project(np.array([3, -3, 3, -3], np.int8), 2, 4, 0).tolist() == [3, -3, 0, 0]
    assert km.project(np.array([1, -128, 127, 2], np.int8), 1, 4, 0).tolist() == [0, -128, 0, 0]
    np.testing.assert_allclose(km.project(np.array([0.1, -0.4, 0.3]), 1, 2, 0), [0, -0.4, 0.3])
