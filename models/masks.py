# SPDX-License-Identifier: Apache-2.0
"""Generators of activation masks, bool (C, H, W), True where an activation is non-zero.

Independent masks flatter a design. Measured on trained networks: the densities of channels spread with a
standard deviation of 0.26 to 0.40, 2-16 % of channels are dead and some always on, and horizontal
neighbours correlate by 0.2 to 0.5 once the channel's mean is removed. ``clustered`` reproduces that.
"""

from dataclasses import dataclass
from functools import reduce

import numpy as np
import numpy.typing as npt

from models.reference import Bytes

Shape = tuple[int, int, int]
Mask = npt.NDArray[np.bool]
Floats = npt.NDArray[np.float64]

_DENSITY_STD = 0.33
_DEAD = (0.02, 0.16)
_ALWAYS_ON = (0.01, 0.05)
_BLOB_SHARE = 0.55  # of the field's variance; gives neighbours a correlation of about 0.3
_BLUR = np.array([1, 4, 6, 4, 1]) / 16


def bernoulli(shape: Shape, density: float, rng: np.random.Generator) -> Mask:
    """Independent positions with one density."""
    return rng.random(shape) < density


@dataclass(frozen=True)
class Statistics:
    """What a mask looks like to the core, means over images. spread: standard deviation of the channels' densities;
    dead, always_on: shares of the channels; neighbours: correlation of horizontal neighbours, each channel's mean
    removed (NaN where no channel varies)."""

    density: float
    spread: float
    dead: float
    always_on: float
    neighbours: float


def statistics(masks: Mask) -> Statistics:
    """Of bool masks (N, C, H, W)."""
    channels = masks.mean((2, 3))
    rest = masks - channels[:, :, None, None]
    variance, pairs = np.square(rest).mean(), rest[..., 1:] * rest[..., :-1]
    return Statistics(
        density=float(channels.mean()),
        spread=float(channels.std(1).mean()),
        dead=float((channels == 0).mean()),
        always_on=float((channels == 1).mean()),
        neighbours=float(pairs.mean() / variance) if variance and pairs.size else float("nan"),
    )


def _channel_densities(channels: int, positions: int, density: float, rng: np.random.Generator) -> Floats:
    """Beta-distributed densities of the channels, some dead, some always on, with exactly the asked mean."""
    dead = round(channels * min(rng.uniform(*_DEAD), 1 - density))
    on = round(channels * min(rng.uniform(*_ALWAYS_ON), density / 2))
    live = channels - dead - on
    target = density * channels - on  # what the live channels add up to
    if not live or not 0 < target < live:
        return np.full(channels, density)
    mean = target / live
    # Near 0 and 1 no distribution spreads as far as asked: stay at 80 % of the variance possible.
    variance = min(_DENSITY_STD**2, 0.8 * mean * (1 - mean))
    total = mean * (1 - mean) / variance - 1
    # Evenly spaced quantiles of a large sample, so that few channels still have the distribution's shape.
    sample = np.sort(rng.beta(mean * total, (1 - mean) * total, size=64 * live))
    p = np.clip(sample[32::64], 1e-9, 1.0)
    least = min(1 / positions, mean / 2)  # a live channel has a non-zero
    # p ** e stays within 0..1 and its sum falls with e: bisect for the asked sum.
    low, high = 2.0**-40, 2.0**40
    for _ in range(100):
        e = np.sqrt(low * high)
        low, high = (e, high) if np.maximum(p**e, least).sum() > target else (low, e)
    return rng.permutation(np.concatenate([np.zeros(dead), np.ones(on), np.maximum(p**e, least)]))


def _smooth(field: Floats, axis: int) -> Floats:
    """Binomial blur along one axis, keeping unit variance."""
    n = field.shape[axis] - len(_BLUR) + 1
    parts = (w * np.take(field, np.arange(i, i + n), axis) for i, w in enumerate(_BLUR))
    total: Floats = reduce(np.add, parts) / np.sqrt((_BLUR**2).sum())
    return total


def clustered(shape: Shape, density: float, rng: np.random.Generator) -> Mask:
    """Masks like a trained network's: see the module's text. Meets the density within half a position a channel."""
    c, h, w = shape
    margin = len(_BLUR) - 1
    blobs = _smooth(_smooth(rng.standard_normal((c, h + margin, w + margin)), 1), 2)
    field = np.sqrt(_BLOB_SHARE) * blobs + np.sqrt(1 - _BLOB_SHARE) * rng.standard_normal(shape)
    # Round to whole positions without drift: the running sum of the counts follows that of the densities.
    wanted = np.rint(np.cumsum(_channel_densities(c, h * w, density, rng)) * h * w)
    counts = np.clip(np.diff(wanted, prepend=0), 0, h * w)
    rank = np.argsort(np.argsort(-field.reshape(c, -1), axis=1), axis=1)
    mask: Mask = rank < counts[:, None]
    return mask.reshape(shape)


def empty(shape: Shape, rng: np.random.Generator) -> Mask:
    """No activation at all."""
    return np.zeros(shape, bool)


def full(shape: Shape, rng: np.random.Generator) -> Mask:
    """Every activation non-zero."""
    return np.ones(shape, bool)


def checkerboard(shape: Shape, rng: np.random.Generator) -> Mask:
    """Alternating positions, in a random phase."""
    mask: Mask = (np.indices(shape).sum(0) + rng.integers(2)) % 2 == 0
    return mask


def single(shape: Shape, rng: np.random.Generator) -> Mask:
    """One non-zero in the whole tensor."""
    mask = np.zeros(shape, bool)
    mask[tuple(rng.integers(shape))] = True
    return mask


def empty_channels(shape: Shape, rng: np.random.Generator) -> Mask:
    """About half of the channels empty, the others dense."""
    return np.broadcast_to(rng.random((shape[0], 1, 1)) < 0.5, shape) & (rng.random(shape) < 0.9)


def empty_rows(shape: Shape, rng: np.random.Generator) -> Mask:
    """About half of the rows of each channel empty, the others dense."""
    return np.broadcast_to(rng.random((*shape[:2], 1)) < 0.5, shape) & (rng.random(shape) < 0.9)


ADVERSARIAL = {f.__name__: f for f in (empty, full, checkerboard, single, empty_channels, empty_rows)}


def activations(mask: Mask, rng: np.random.Generator, signed: bool) -> Bytes:
    """Random non-zero int8 or uint8 values where the mask is True, 0 elsewhere."""
    values = rng.integers(1, 256, mask.shape, np.uint8)
    return np.where(mask, values, 0).astype(np.uint8).view(np.int8 if signed else np.uint8)
