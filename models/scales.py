# SPDX-License-Identifier: Apache-2.0
"""Scales and zero points of other tools in the core's integers: docs/numbers.md, section 6."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from models.reference import RESIDUAL_SHIFT, Bytes, Int32, Int64

_MULTIPLIER_BITS = 31
_MAX_SHIFT = 62
_SHRINK = np.linspace(1, 0.4, 25)  # of the largest value: ranges that are tried


def fixed_point(ratio: npt.NDArray[np.floating] | float) -> tuple[Int32, Int32]:
    """Multiplier and shift, int32, with multiplier / 2^shift nearest to the ratios (positive, below 2^22).

    Raises ValueError for a ratio that the shifts beside a residual cannot express.
    """
    _, exponent = np.frexp(np.asarray(ratio, np.float64))
    shift = np.minimum(_MULTIPLIER_BITS - exponent, _MAX_SHIFT)
    multiplier = np.minimum(np.rint(np.ldexp(ratio, shift)), 2**31 - 1)
    if shift.min() < RESIDUAL_SHIFT:
        raise ValueError(f"scale: ratio {np.max(ratio)} of input to output step, expected below 2^22")
    return multiplier.astype(np.int32), shift.astype(np.int32)


def least_error_step(values: npt.NDArray[np.float64], levels: int) -> float:
    """The step with the least squared error of values rounded to at most ``levels`` steps each way."""
    largest = np.abs(values).max()
    if largest == 0:
        return 1.0
    low = 0 if values.min() >= 0 else -levels - 1
    errors = []
    for step in largest * _SHRINK / levels:
        errors.append(np.square(np.clip(np.rint(values / step), low, levels) * step - values).mean())
    return float(largest * _SHRINK[int(np.argmin(errors))] / levels)


def shifted(tensor: Bytes, zero_point: int) -> Bytes:
    """An 8-bit tensor with zero point 0 of the same values: uint8 if none is negative, else int8.

    Raises ValueError where that takes more than eight bits.
    """
    wide = tensor.astype(np.int16) - zero_point
    low, high = int(wide.min(initial=0)), int(wide.max(initial=0))
    for dtype in (np.uint8, np.int8):
        if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
            return wide.astype(dtype)
    raise ValueError(
        f"zero point: {zero_point} leaves {low}..{high}, expected 0..255 or -128..127: quantise the tensor again"
    )


def bias_without_zero_point(bias: Int32, weights: npt.NDArray[np.int8], zero_point: int) -> Int32:
    """The bias, int32 (K,), with which unpadded activations may keep their zero point; weights: int8 (K, C, R, S).

    Raises ValueError for a bias that leaves int32.
    """
    wide: Int64 = bias.astype(np.int64) - zero_point * weights.astype(np.int64).sum((1, 2, 3))
    if np.abs(wide).max(initial=0) > np.iinfo(np.int32).max:
        raise ValueError(f"bias: {wide[np.abs(wide).argmax()]} with zero point {zero_point}, expected 32 bits")
    return wide.astype(np.int32)


def of_tflite(multiplier: Int32, shift: Int32) -> tuple[Int32, Int32]:
    """The core's multiplier and shift, int32, of TFLite's quantized_multiplier and shift (positive: to the left).

    Raises ValueError for a shift that the core lacks.
    """
    right = 31 - np.asarray(shift, np.int32)
    if right.min() < 1 or right.max() > _MAX_SHIFT:
        raise ValueError(f"shift: {np.asarray(shift).tolist()}, expected {31 - _MAX_SHIFT} to 30")
    return np.asarray(multiplier, np.int32), right
