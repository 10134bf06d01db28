# SPDX-License-Identifier: Apache-2.0
"""Weights of a convolution in groups: each group's on its own, as ONNX has them, or as those of one convolution."""

from typing import TypeVar

import numpy as np
import numpy.typing as npt

_T = TypeVar("_T", bound=np.generic)


def spread(weights: npt.NDArray[_T], groups: int) -> npt.NDArray[_T]:
    """(K, C / groups, R, S) -> (K, C, R, S): zeros for the input channels of other groups."""
    if groups == 1:
        return weights
    k, c, r, s = weights.shape
    dense = np.zeros((groups, k // groups, groups, c, r, s), weights.dtype)
    each = np.arange(groups)
    dense[each, :, each] = weights.reshape(groups, k // groups, c, r, s)
    return dense.reshape(k, groups * c, r, s)


def gather(dense: npt.NDArray[_T], groups: int) -> npt.NDArray[_T]:
    """Inverse of `spread`; what lies between the groups is lost."""
    k, c, r, s = dense.shape
    each = np.arange(groups)
    parts = dense.reshape(groups, k // groups, groups, c // groups, r, s)[each, :, each]
    return parts.reshape(k, c // groups, r, s)
