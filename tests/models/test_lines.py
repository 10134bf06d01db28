# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from models import lines, masks
from models.lines import Lines, LineShape

SHAPES = [(3, 64, 64), (2, 1, 1), (5, 7, 7), (4, 14, 14), (2, 9, 65), (2, 5, 130), (1, 100, 3), (2, 33, 20)]


@pytest.mark.parametrize("chw", SHAPES)
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("density", [0.0, 0.4, 1.0])
def test_round_trip(chw, signed, density, rng):
    tensor = masks.activations(masks.bernoulli(chw, density, rng), rng, signed)
    for shape in (lines.default_shape(*chw[1:]), LineShape(1, 64), LineShape(64, 1), LineShape(4, 14)):
        packed = lines.compress(tensor, shape)
        assert packed.data.size == np.count_nonzero(tensor)
        np.testing.assert_array_equal(lines.decompress(packed, shape, chw, tensor.dtype), tensor)


def test_against_the_definition(rng):
    tensor = masks.activations(masks.bernoulli((2, 9, 11), 0.5, rng), rng, True)
    shape = LineShape(4, 5)
    packed = lines.compress(tensor, shape)
    assert packed.bitmaps.shape == (2, 9)
    index = 0
    every = packed.packed()
    for c in range(2):
        for row in range(3):
            for col in range(3):
                bitmap, found = int(packed.bitmaps[c, row * 3 + col]), []
                for i in range(4):
                    for j in range(5):
                        y, x = row * 4 + i, col * 5 + j
                        value = tensor[c, y, x] if y < 9 and x < 11 else 0
                        assert bitmap >> (i * 5 + j) & 1 == (value != 0)
                        found += [value] if value else []
                assert bitmap < 1 << 20
                assert every[index].view(np.int8).tolist() == found
                index += 1


@pytest.mark.parametrize(
    "plane,expected",
    [
        ((64, 64), (1, 64)),
        ((7, 7), (7, 7)),
        ((14, 14), (4, 14)),
        ((28, 28), (2, 28)),
        ((5, 100), (1, 64)),
        ((2, 1), (2, 1)),
    ],
)
def test_default_shape(plane, expected):
    assert lines.default_shape(*plane) == LineShape(*expected)


def test_malformed(rng):
    tensor = masks.activations(masks.bernoulli((2, 9, 11), 0.5, rng), rng, False)
    shape = LineShape(4, 5)
    good = lines.compress(tensor, shape)
    with pytest.raises(ValueError, match="bytes, expected the bitmaps' population"):
        lines.decompress(Lines(good.bitmaps, good.data[:-1]), shape, (2, 9, 11), np.uint8)
    zeroed = good.data.copy()
    zeroed[7] = 0
    with pytest.raises(ValueError, match="byte 7 is zero"):
        lines.decompress(Lines(good.bitmaps, zeroed), shape, (2, 9, 11), np.uint8)
    for bit in (4 * 5, 63, 1):  # beyond the block, last bit, column 11 of the plane
        stray = good.bitmaps.copy()
        stray[1, 2] |= np.uint64(1 << bit)
        data = np.insert(good.data, good.counts[:1].sum() + good.counts[1, :2].sum(), 1)
        with pytest.raises(ValueError, match="line 2 of channel 1 has a bit outside the 9x11 plane"):
            lines.decompress(Lines(stray, data), shape, (2, 9, 11), np.uint8)
    with pytest.raises(ValueError, match="bitmaps: shape"):
        lines.decompress(good, shape, (2, 9, 17), np.uint8)
    with pytest.raises(ValueError, match="float64 .*, expected int8 or uint8"):
        lines.compress(tensor.astype(float), shape)
    for bad in ((0, 8), (5, 13), (1, 65)):
        with pytest.raises(ValueError, match="line shape: "):
            LineShape(*bad)
