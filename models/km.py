# SPDX-License-Identifier: Apache-2.0
"""k/m:d structured sparsity: of every m consecutive elements along dimension d, at most k are non-zero.

Source: SparseCore (SysML 2018); for convolution weights (K, C, R, S) d is the output depth, d = 0.

A compressed tensor is a pair of arrays of one shape: the tensor's, with dimension d replaced by
``ceil(n / m) * k``. Entry ``g * k + i`` along d holds the i-th kept value of group g and its index
(0..m-1) within the group. Indices ascend strictly within a group.
"""

from typing import TypeVar

import numpy as np
import numpy.typing as npt

_T = TypeVar("_T", bound=np.generic)

MODES = ((1, 1), (1, 2), (2, 4), (4, 8), (1, 4), (2, 8), (4, 16))


def check_mode(k: int, m: int) -> None:
    """Raise ValueError unless k/m is one of MODES."""
    if (k, m) not in MODES:
        legal = ", ".join(f"{a}/{b}" for a, b in MODES)
        raise ValueError(f"k/m: {k}/{m} is not a mode of the core, expected one of {legal}")


def _groups(tensor: npt.NDArray[_T], m: int, d: int) -> npt.NDArray[_T]:
    """The tensor with d moved last, padded with zeros to a multiple of m and cut into (..., groups, m)."""
    moved = np.moveaxis(tensor, d, -1)
    pad = -moved.shape[-1] % m
    padded = np.pad(moved, [(0, 0)] * (moved.ndim - 1) + [(0, pad)])
    return padded.reshape(*moved.shape[:-1], padded.shape[-1] // m, m)


def _merge(groups: npt.NDArray[_T], d: int) -> npt.NDArray[_T]:
    """Inverse of _groups, padding kept."""
    flat = groups.reshape(*groups.shape[:-2], groups.shape[-2] * groups.shape[-1])
    return np.moveaxis(flat, -1, d)


def check(tensor: npt.NDArray[np.generic], k: int, m: int, d: int, name: str = "tensor") -> None:
    """Raise ValueError, naming the first offending group, unless ``tensor`` satisfies k/m along d."""
    check_mode(k, m)
    counts = np.count_nonzero(_groups(tensor, m, d), axis=-1)
    broken = np.argwhere(counts > k)
    if len(broken):
        *rest, group = (int(i) for i in broken[0])
        position = [*rest[: d % tensor.ndim], slice(group * m, group * m + m), *rest[d % tensor.ndim :]]
        text = ", ".join(f"{p.start}:{p.stop}" if isinstance(p, slice) else str(p) for p in position)
        raise ValueError(
            f"{name}: group {group} at [{text}] has {int(counts[tuple(broken[0])])} non-zeros, "
            f"{k}/{m} along dimension {d} allows {k} ({len(broken)} such groups)"
        )


def compress(
    tensor: npt.NDArray[_T], k: int, m: int, d: int, name: str = "tensor"
) -> tuple[npt.NDArray[_T], npt.NDArray[np.uint8]]:
    """Compress along d; returns (values of the tensor's dtype, indices uint8), shapes as in the module's text.

    A group with fewer than k non-zeros is filled with explicit zeros that take the lowest free
    indices, so that the k indices remain distinct and, sorted, strictly ascending: that is possible
    for every group because k <= m, and it makes the encoding of a tensor unique.

    Raises ValueError for an illegal mode or a group with more than k non-zeros.
    """
    check(tensor, k, m, d, name)
    groups = _groups(tensor, m, d)
    # A stable sort by "is zero" lists the non-zeros' indices first, then the free ones, each ascending.
    indices = np.sort(np.argsort(groups == 0, axis=-1, kind="stable")[..., :k], axis=-1)
    values = np.take_along_axis(groups, indices, axis=-1)
    return _merge(values, d), _merge(indices.astype(np.uint8), d)


def decompress(
    values: npt.NDArray[_T], indices: npt.NDArray[np.uint8], k: int, m: int, d: int, n: int
) -> npt.NDArray[_T]:
    """Inverse of compress; ``n`` is the size of dimension d of the result.

    Raises ValueError when the shapes disagree, an index is out of range or not ascending within its
    group, or a non-zero value lies in the padding.
    """
    check_mode(k, m)
    if values.shape != indices.shape:
        raise ValueError(f"indices: shape {indices.shape}, expected that of the values, {values.shape}")
    expected = -(-n // m) * k
    if values.shape[d] != expected:
        raise ValueError(f"values: {values.shape[d]} along dimension {d}, expected {expected} for n={n} at {k}/{m}")
    v, i = _groups(values, k, d), _groups(indices, k, d).astype(np.int64)
    if i.size and (i.min() < 0 or i.max() >= m):
        bad = int(i.max() if i.max() >= m else i.min())
        raise ValueError(f"indices: {bad} is out of range, expected 0..{m - 1} for {k}/{m}")
    if (np.diff(i, axis=-1) <= 0).any():
        where = np.argwhere((np.diff(i, axis=-1) <= 0).any(axis=-1))[0]
        found = i[tuple(where)].tolist()
        raise ValueError(f"indices: {found} in group {int(where[-1])}, expected strictly ascending")
    groups = np.zeros((*v.shape[:-1], m), values.dtype)
    np.put_along_axis(groups, i, v, axis=-1)
    padded = _merge(groups, d)
    kept, padding = np.split(padded, [n], axis=d)
    if padding.any():
        raise ValueError(f"values: non-zero beyond the {n} elements of dimension {d}")
    return kept


def project(dense: npt.NDArray[_T], k: int, m: int, d: int) -> npt.NDArray[_T]:
    """Magnitude projection: keep the k largest magnitudes of each group, zero the rest; same shape and dtype.

    Of equal magnitudes the lower index is kept. This is the pruning step of the paper's training loop.
    """
    check_mode(k, m)
    groups = _groups(dense, m, d)
    magnitude = np.abs(groups.astype(np.float64 if groups.dtype.kind == "f" else np.int64))
    keep = np.argsort(-magnitude, axis=-1, kind="stable")[..., :k]
    kept = np.zeros_like(groups)
    np.put_along_axis(kept, keep, np.take_along_axis(groups, keep, axis=-1), axis=-1)
    return np.take(_merge(kept, d), np.arange(dense.shape[d]), axis=d)
