"""Reference convolution and requantisation in exact integers.

Terms: activations (C, H, W), weights (K, C, R, S), outputs (K, Ho, Wo); padding is (top, bottom, left, right).
"""

import numpy as np

INT32 = np.iinfo(np.int32)


def out_size(size: int, kernel: int, stride: int, before: int, after: int) -> int:
    """Output positions along one direction; 0 or less when the kernel does not fit into the padded plane."""
    return (size + before + after - kernel) // stride + 1


def pad(activations: np.ndarray, padding: tuple[int, int, int, int]) -> np.ndarray:
    """(C, H, W) with rows and columns of zeros added."""
    top, bottom, left, right = padding
    return np.pad(activations, [(0, 0), (top, bottom), (left, right)])


def convolve(
    activations: np.ndarray,
    weights: np.ndarray,
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int, int, int] = (0, 0, 0, 0),
) -> np.ndarray:
    """Cross-correlation of (C, H, W) with (K, C, R, S), as networks use it; returns int64 (K, Ho, Wo).

    Raises ValueError when an accumulator leaves int32, where the core would wrap.
    """
    c, h, w = activations.shape
    k, _, r, s = weights.shape
    ho = out_size(h, r, stride[0], *padding[:2])
    wo = out_size(w, s, stride[1], *padding[2:])
    # Doubles add these integers exactly, at BLAS speed: |sum| < 2^53 up to C * R * S = 2^38.
    padded = pad(activations, padding).astype(np.float64)
    acc = np.zeros((k, ho * wo))
    for i in range(r):
        for j in range(s):
            rows = slice(i, i + (ho - 1) * stride[0] + 1, stride[0])
            cols = slice(j, j + (wo - 1) * stride[1] + 1, stride[1])
            acc += weights[:, :, i, j].astype(np.float64) @ padded[:, rows, cols].reshape(c, ho * wo)
    acc = acc.astype(np.int64).reshape(k, ho, wo)
    if acc.size and (acc.min() < INT32.min or acc.max() > INT32.max):
        worst = acc.max() if acc.max() > INT32.max else acc.min()
        raise ValueError(f"accumulator: {worst} leaves int32, the core would wrap")
    return acc


def requantize(
    acc: np.ndarray, bias: np.ndarray, multiplier: np.ndarray, shift: np.ndarray, low: int, high: int
) -> np.ndarray:
    """``clamp(((acc + bias) * multiplier + (1 << (shift - 1))) >> shift)`` of int64 (K, Ho, Wo) accumulators.

    bias, multiplier (0..2^31-1) and shift (1..62) are (K,). Returns uint8 when low >= 0, else int8.
    Source: TOSA ``apply_scale_32`` with single rounding.
    """
    column = (slice(None),) + (None,) * (acc.ndim - 1)
    total = acc.astype(np.int64) + bias.astype(np.int64)[column]
    product = total * multiplier.astype(np.int64)[column]  # 33 by 32 bits, signed: fits 64
    # floor((p + 2^(s-1)) / 2^s) = floor((floor(p / 2^(s-1)) + 1) / 2): the sum cannot leave 64 bits.
    rounded = ((product >> (shift.astype(np.int64)[column] - 1)) + 1) >> 1
    return np.clip(rounded, low, high).astype(np.uint8 if low >= 0 else np.int8)
