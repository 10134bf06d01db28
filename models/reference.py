# SPDX-License-Identifier: Apache-2.0
"""Reference convolution, pooling and requantisation in exact integers.

Terms: activations (C, H, W), weights (K, C, R, S), outputs (K, Ho, Wo); padding is (top, bottom, left, right).
"""

from collections.abc import Iterator
from functools import reduce
from typing import TypeVar

import numpy as np
import numpy.typing as npt

_T = TypeVar("_T", bound=np.generic)
Bytes = npt.NDArray[np.int8 | np.uint8]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]

INT32 = np.iinfo(np.int32)
INT24 = (-(2**23), 2**23 - 1)
RESIDUAL_SHIFT = 9  # least shift beside a residual, which is added in 1/256 of an output step


def out_size(size: int, kernel: int, stride: int, before: int, after: int) -> int:
    """Output positions along one direction; 0 or less when the kernel does not fit into the padded plane."""
    return (size + before + after - kernel) // stride + 1


def in_size(count: int, kernel: int, stride: int) -> int:
    """Input positions that ``count`` outputs in a row meet: what `out_size` needs for so many of them."""
    return (count - 1) * stride + kernel


def _spread(channels: Int32) -> Int64:
    """(K,) values against (..., K, Ho, Wo), as int64."""
    return channels.astype(np.int64)[:, None, None]


def pad(activations: npt.NDArray[_T], padding: tuple[int, int, int, int], value: int = 0) -> npt.NDArray[_T]:
    """(..., H, W) with rows and columns added, of zeros unless another value is given."""
    top, bottom, left, right = padding
    widths = [(0, 0)] * (activations.ndim - 2) + [(top, bottom), (left, right)]
    return np.pad(activations, widths, constant_values=value)


def _taps(
    padded: npt.NDArray[_T], kernel: tuple[int, int], stride: tuple[int, int]
) -> Iterator[tuple[int, int, npt.NDArray[_T]]]:
    """Kernel positions (i, j), each with the elements (..., Ho, Wo) of the padded (..., H, W) that it meets."""
    ho, wo = (out_size(padded.shape[axis - 2], kernel[axis], stride[axis], 0, 0) for axis in (0, 1))
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            rows = slice(i, i + (ho - 1) * stride[0] + 1, stride[0])
            yield i, j, padded[..., rows, j : j + (wo - 1) * stride[1] + 1 : stride[1]]


def convolve(
    activations: Bytes,
    weights: npt.NDArray[np.int8],
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int, int, int] = (0, 0, 0, 0),
    groups: int = 1,
) -> Int64:
    """Cross-correlation of (..., C, H, W) with (K, C / groups, R, S), as networks use it; int64 (..., K, Ho, Wo).

    With groups, the n-th share of the output channels reads the n-th share of the input channels.

    Raises ValueError when an accumulator leaves int32, where the core would wrap.
    """
    k, _, r, s = weights.shape
    # Floating point adds these integers exactly, at BLAS speed, while sums stay in its mantissa: doubles up to
    # C * R * S = 2^38, single precision for most layers of small networks.
    largest = int(np.abs(weights.astype(np.int64)).sum((1, 2, 3)).max(initial=0)) * 255
    exact: np.dtype[np.floating] = np.dtype(np.float32 if largest < 2**24 else np.float64)
    # Channels first: all positions of all planes are the columns of one product.
    padded = np.moveaxis(pad(activations, padding), -3, 0).astype(exact)
    total = np.zeros((), exact)
    for i, j, met in _taps(padded, (r, s), stride):
        tap = weights[:, :, i, j].reshape(groups, k // groups, -1).astype(exact)
        total = total + tap @ met.reshape(groups, len(met) // groups, -1)
    acc = np.moveaxis(total.astype(np.int64).reshape(k, *met.shape[1:]), 0, -3)
    if acc.size and (acc.min() < INT32.min or acc.max() > INT32.max):
        worst = acc.max() if acc.max() > INT32.max else acc.min()
        raise ValueError(f"accumulator: {worst} leaves int32, the core would wrap")
    return acc


def sum_pool(
    activations: Bytes, kernel: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int, int, int]
) -> Int64:
    """Sums over windows of (..., H, W), padding counting as zeros; int64 (..., Ho, Wo)."""
    return reduce(np.add, (met.astype(np.int64) for _, _, met in _taps(pad(activations, padding), kernel, stride)))


def max_pool(
    activations: Bytes, kernel: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int, int, int]
) -> Bytes:
    """The largest value inside the plane of each window of (..., H, W); the activations' dtype."""
    padded = pad(activations, padding, np.iinfo(activations.dtype).min)
    return reduce(np.maximum, (met for _, _, met in _taps(padded, kernel, stride)))


def requantize(acc: Int64, bias: Int32, multiplier: Int32, shift: Int32, low: int, high: int) -> Bytes:
    """``clamp(((acc + bias) * multiplier + (1 << (shift - 1))) >> shift)`` of int64 (..., K, Ho, Wo) accumulators.

    bias, multiplier (0..2^31-1) and shift (1..62) are (K,). Returns uint8 when low >= 0, else int8.
    Source: TOSA ``apply_scale_32`` with single rounding.
    """
    product = (acc + _spread(bias)) * _spread(multiplier)  # 33 by 32 bits, signed: fits 64
    return _clamp(_halve(product >> (_spread(shift) - 1)), low, high)


def _halve(value: Int64) -> Int64:
    """Half, rounded half up. So that the rounding constant cannot overflow 64 bits it is added behind the shift:
    floor((p + 2^(s-1)) / 2^s) = floor((floor(p / 2^(s-1)) + 1) / 2)."""
    return (value + 1) >> 1


def _clamp(value: Int64, low: int, high: int) -> Bytes:
    return np.clip(value, low, high).astype(np.uint8 if low >= 0 else np.int8)


def requantize_residual(
    acc: Int64,
    bias: Int32,
    multiplier: Int32,
    shift: Int32,
    residual: Bytes,
    residual_multiplier: int,
    residual_shift: int,
    low: int,
    high: int,
) -> Bytes:
    """`requantize` with a residual int8 or uint8 (..., K, Ho, Wo) added: docs/numbers.md section 3.

    Both operands are brought to 1/256 of an output step, saturated to 24 bits, added and rounded once.
    Raises ValueError for a shift below RESIDUAL_SHIFT.
    """
    if min(shift.min(), residual_shift) < RESIDUAL_SHIFT:
        raise ValueError(
            f"shift: {min(shift.min(), residual_shift)}, expected at least {RESIDUAL_SHIFT} beside a residual"
        )
    own = _halve(((acc + _spread(bias)) * _spread(multiplier)) >> (_spread(shift) - RESIDUAL_SHIFT))
    other = _halve((residual.astype(np.int64) * residual_multiplier) >> (residual_shift - RESIDUAL_SHIFT))
    total = np.clip(own, *INT24) + np.clip(other, *INT24)
    return _clamp((total + 128) >> 8, low, high)
