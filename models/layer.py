# SPDX-License-Identifier: Apache-2.0
"""A convolution layer as the core runs it: tensors, geometry, sparsity mode and requantisation."""

from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import numpy as np
import numpy.typing as npt

from models import km, reference
from models.reference import Bytes, Int32

MAX_KERNEL = 7
MAX_PADDING = 3
MAX_STRIDE = 2


def _require(ok: bool, field: str, found: object, expected: str) -> None:
    if not ok:
        raise ValueError(f"{field}: {found}, expected {expected}")


@dataclass(frozen=True)
class Layer:
    """One layer. Construction raises a one-line ValueError that names the field, its value and what was expected.

    activations: int8 or uint8 (C, H, W); weights: int8 (K, C, R, S), k/m-sparse along K;
    bias, multiplier, shift: int32 (K,); stride: (rows, columns); padding: (top, bottom, left, right);
    clamp: (low, high), where low >= 0 makes the output uint8 and otherwise int8;
    skip: False multiplies zero activations too (with k = m = 1 the dense baseline).
    """

    activations: Bytes
    weights: npt.NDArray[np.int8]
    bias: Int32
    multiplier: Int32
    shift: Int32
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    k: int = 1
    m: int = 1
    clamp: tuple[int, int] = (0, 255)
    skip: bool = True

    def __post_init__(self) -> None:
        a, w = self.activations, self.weights
        _require(a.dtype in (np.int8, np.uint8), "activations", f"dtype {a.dtype}", "int8 or uint8")
        _require(a.ndim == 3 and a.size > 0, "activations", f"shape {a.shape}", "(C, H, W), none of them 0")
        _require(w.dtype == np.int8, "weights", f"dtype {w.dtype}", "int8")
        _require(w.ndim == 4 and w.size > 0, "weights", f"shape {w.shape}", "(K, C, R, S), none of them 0")
        _require(
            w.shape[1] == a.shape[0], "weights", f"shape {w.shape}", f"C = {a.shape[0]} as in activations {a.shape}"
        )
        _require(
            max(w.shape[2:]) <= MAX_KERNEL, "weights", f"shape {w.shape}", f"a kernel of at most {MAX_KERNEL} each way"
        )
        for name in ("bias", "multiplier", "shift"):
            value = getattr(self, name)
            _require(value.dtype == np.int32, name, f"dtype {value.dtype}", "int32")
            _require(value.shape == w.shape[:1], name, f"shape {value.shape}", f"(K,) = ({w.shape[0]},)")
        _require(self.multiplier.min() >= 0, "multiplier", self.multiplier.min(), "0 to 2^31-1")
        for extreme in (self.shift.min(), self.shift.max()):
            _require(1 <= extreme <= 62, "shift", extreme, "1 to 62")
        _require(
            len(self.stride) == 2 and all(1 <= v <= MAX_STRIDE for v in self.stride),
            "stride",
            self.stride,
            f"(rows, columns), each 1 to {MAX_STRIDE}",
        )
        _require(
            len(self.padding) == 4 and all(0 <= v <= MAX_PADDING for v in self.padding),
            "padding",
            self.padding,
            f"(top, bottom, left, right), each 0 to {MAX_PADDING}",
        )
        bounds = "low <= high within 0..255 (uint8) or, for low < 0, within -128..127 (int8)"
        _require(len(self.clamp) == 2, "clamp", self.clamp, bounds)
        low, high = self.clamp
        _require(-128 <= low <= high <= (255 if low >= 0 else 127), "clamp", self.clamp, bounds)
        _require(
            min(self.out_shape) > 0,
            "weights",
            f"kernel {w.shape[2:]}",
            f"one that fits into the padded plane of {a.shape[1:]} and padding {self.padding}",
        )
        km.check(w, self.k, self.m, 0, "weights")

    @property
    def kernel(self) -> tuple[int, int]:
        """(R, S)."""
        return self.weights.shape[2], self.weights.shape[3]

    @property
    def out_shape(self) -> tuple[int, int, int]:
        """(K, Ho, Wo)."""
        _, h, w = self.activations.shape
        r, s = self.kernel
        top, bottom, left, right = self.padding
        return (
            self.weights.shape[0],
            reference.out_size(h, r, self.stride[0], top, bottom),
            reference.out_size(w, s, self.stride[1], left, right),
        )

    @property
    def signed(self) -> bool:
        """Whether the activations are int8."""
        return self.activations.dtype == np.int8

    @cached_property
    def expected(self) -> Bytes:
        """The reference output, uint8 or int8 (K, Ho, Wo), read-only."""
        acc = reference.convolve(self.activations, self.weights, self.stride, self.padding)
        output = reference.requantize(acc, self.bias, self.multiplier, self.shift, *self.clamp)
        output.flags.writeable = False
        return output

    def save(self, path: str | Path) -> None:
        """Write the layer as NPZ, one array a field."""
        arrays: dict[str, Any] = {f.name: np.asarray(getattr(self, f.name)) for f in fields(self)}
        np.savez(path, **arrays)

    @classmethod
    def load(cls, path: str | Path) -> "Layer":
        """Read a layer from NPZ; ``stride`` and ``padding`` may be scalars, ``skip`` may be left out.

        Raises ValueError for a file that is not NPZ, for a missing, unknown or non-integer array and for what
        construction rejects, and OSError for a file that cannot be read.
        """
        with open(path, "rb") as file:
            # numpy would take other files for single arrays or pickles.
            if not is_zipfile(file):
                raise ValueError("not an NPZ file")
            try:
                with np.load(path, allow_pickle=False) as npz:
                    arrays: dict[str, Any] = {name: np.asarray(value) for name, value in npz.items()}
            except Exception as error:  # zipfile, the decompressors and numpy each have their own for damaged files
                raise ValueError(f"not a sound NPZ file: {error or type(error).__name__}") from None
        names = [f.name for f in fields(cls)]
        for name in names[:-1]:
            _require(name in arrays, name, "missing", f"the arrays {', '.join(names[:-1])} and optionally skip")
        for name, value in arrays.items():
            _require(name in names, name, "unknown array", f"only {', '.join(names)}")
            _require(value.dtype.kind in "iub", name, f"dtype {value.dtype}", "integers")
        sizes = {"stride": (2,), "padding": (4,), "clamp": (2,), "k": (), "m": (), "skip": ()}
        for name, size in sizes.items():
            if name not in arrays:
                continue
            value = arrays[name]
            if value.shape == () and name in ("stride", "padding"):
                value = np.full(size, value)
            _require(value.shape == size, name, f"shape {value.shape}", f"{size}")
            arrays[name] = tuple(int(v) for v in value) if size else int(value)
        if "skip" in arrays:
            _require(arrays["skip"] in (0, 1), "skip", arrays["skip"], "0 or 1")
            arrays["skip"] = bool(arrays["skip"])
        return cls(**arrays)
