# SPDX-License-Identifier: Apache-2.0
"""A layer as the core runs it: kind, tensors, geometry, sparsity mode and requantisation."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import numpy as np
import numpy.typing as npt

from models import grouping, km, reference
from models.reference import RESIDUAL_SHIFT, Bytes, Int32, Int64

MAX_KERNEL = 11
MAX_POOL = 22  # rows and columns of a pool's window
MAX_PADDING = 7
MAX_STRIDE = 4

KINDS = ("conv", "max_pool", "average_pool")

# The arrays of a layer file by kind: those that it has to have, and those that it may have besides.
_NEEDED = {
    "conv": ("activations", "weights", "bias", "multiplier", "shift", "stride", "padding", "k", "m", "clamp"),
    "max_pool": ("activations", "kernel", "stride", "padding"),
    "average_pool": ("activations", "kernel", "bias", "multiplier", "shift", "stride", "padding", "clamp"),
}
_RESIDUAL = ("residual", "residual_multiplier", "residual_shift")
_OPTIONAL = {
    "conv": ("kind", "skip", "groups", *_RESIDUAL),
    "max_pool": ("kind", "skip"),
    "average_pool": ("kind", "skip", *_RESIDUAL),
}
_SIZES = {"kernel": (2,), "stride": (2,), "padding": (4,), "clamp": (2,)} | dict.fromkeys(
    ("k", "m", "skip", "groups", "residual_multiplier", "residual_shift"), ()
)


def _require(ok: bool, field: str, found: object, expected: str) -> None:
    if not ok:
        raise ValueError(f"{field}: {found}, expected {expected}")


def _unchanged(dtype: np.dtype[Any], channels: int) -> dict[str, Any]:
    """The numbers that leave values of a type as they are."""
    info = np.iinfo(dtype)
    return {
        "bias": np.zeros(channels, np.int32),
        "multiplier": np.full(channels, 1 << 30, np.int32),
        "shift": np.full(channels, 30, np.int32),
        "clamp": (int(info.min), int(info.max)),
    }


@dataclass(frozen=True)
class Layer:
    """One layer. Construction raises a one-line ValueError that names the field, its value and what was expected.

    kind: "conv"; "max_pool" or "average_pool", which `pool` makes: pools have weights of 1, a channel's own to each;
    activations: int8 or uint8 (C, H, W); weights: int8 (K, C / groups, R, S), k/m-sparse along K;
    bias, multiplier, shift: int32 (K,), which leave the values of a max pool as they are;
    stride: (rows, columns); padding: (top, bottom, left, right);
    clamp: (low, high), where low >= 0 makes the output uint8 and otherwise int8;
    skip: False multiplies zero activations too (with k = m = 1 the dense baseline);
    residual: int8 or uint8 (K, Ho, Wo) that is added, with its multiplier and shift; not to a max pool.
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
    kind: str = "conv"
    groups: int = 1
    residual: Bytes | None = None
    residual_multiplier: int = 0
    residual_shift: int = 0

    @classmethod
    def pool(cls, kind: str, activations: Bytes, kernel: tuple[int, int], **others: Any) -> "Layer":
        """A pool with a window (R, S).

        ``others``: stride, padding and skip; of an average pool, which sums, also bias, multiplier, shift (the divisor
        lies in them), clamp and the residual.
        """
        _require(
            len(kernel) == 2 and all(1 <= n <= MAX_POOL for n in kernel),
            "kernel",
            kernel,
            f"(R, S), each 1 to {MAX_POOL}",
        )
        channels = activations.shape[0] if activations.ndim else 0
        numbers = _unchanged(activations.dtype, channels) if kind == "max_pool" else {}
        weights = np.ones((channels, 1, *kernel), np.int8)
        return cls(activations, weights, kind=kind, groups=channels, **numbers, **others)

    def __post_init__(self) -> None:
        a, w = self.activations, self.weights
        _require(self.kind in KINDS, "kind", self.kind, f"one of {', '.join(KINDS)}")
        _require(a.dtype in (np.int8, np.uint8), "activations", f"dtype {a.dtype}", "int8 or uint8")
        _require(a.ndim == 3 and a.size > 0, "activations", f"shape {a.shape}", "(C, H, W), none of them 0")
        _require(w.dtype == np.int8, "weights", f"dtype {w.dtype}", "int8")
        _require(w.ndim == 4 and w.size > 0, "weights", f"shape {w.shape}", "(K, C / groups, R, S), none of them 0")
        for name, channels in (("C", a.shape[0]), ("K", w.shape[0])):
            _require(
                self.groups >= 1 and channels % self.groups == 0,
                "groups",
                self.groups,
                f"a divisor of {name} = {channels}",
            )
        group_c = a.shape[0] // self.groups
        of = f"{a.shape[0]} / {self.groups} = " if self.groups > 1 else ""
        _require(
            w.shape[1] == group_c,
            "weights",
            f"shape {w.shape}",
            f"{'C / groups' if of else 'C'} = {of}{group_c} as in activations {a.shape}",
        )
        most = MAX_KERNEL if self.kind == "conv" else MAX_POOL
        _require(max(w.shape[2:]) <= most, "weights", f"shape {w.shape}", f"a kernel of at most {most} each way")
        for name in ("bias", "multiplier", "shift"):
            value = getattr(self, name)
            _require(value.dtype == np.int32, name, f"dtype {value.dtype}", "int32")
            _require(value.shape == w.shape[:1], name, f"shape {value.shape}", f"(K,) = ({w.shape[0]},)")
        _require(self.multiplier.min() >= 0, "multiplier", self.multiplier.min(), "0 to 2^31-1")
        least, beside = (1, "") if self.residual is None else (RESIDUAL_SHIFT, " beside a residual")
        for extreme in (self.shift.min(), self.shift.max()):
            _require(least <= extreme <= 62, "shift", extreme, f"{least} to 62{beside}")
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
            "weights" if self.kind == "conv" else "kernel",
            f"kernel {w.shape[2:]}",
            f"one that fits into the padded plane of {a.shape[1:]} and padding {self.padding}",
        )
        self._check_residual()
        if self.kind == "conv":
            km.check_mode(self.k, self.m)
            # Where m outputs are of several groups, those of each input channel count.
            whole = w.shape[0] // self.groups % self.m == 0
            km.check(w if whole else grouping.spread(w, self.groups), self.k, self.m, 0, "weights")
        else:
            self._check_pool()

    def _check_residual(self) -> None:
        if self.residual is None:
            return
        found = self.residual
        _require(found.dtype in (np.int8, np.uint8), "residual", f"dtype {found.dtype}", "int8 or uint8")
        _require(found.shape == self.out_shape, "residual", f"shape {found.shape}", f"(K, Ho, Wo) = {self.out_shape}")
        multiplier, shift = self.residual_multiplier, self.residual_shift
        _require(0 <= multiplier < 2**31, "residual_multiplier", multiplier, "0 to 2^31-1")
        _require(RESIDUAL_SHIFT <= shift <= 62, "residual_shift", shift, f"{RESIDUAL_SHIFT} to 62")

    def _check_pool(self) -> None:
        channels = self.activations.shape[0]
        ones = self.groups == channels == len(self.weights) and (self.weights == 1).all()
        _require(bool(ones), "weights", "others", f"ones, one channel's for each output, of a {self.kind}")
        _require((self.k, self.m) == (1, 1), "k/m", f"{self.k}/{self.m}", f"1/1 of a {self.kind}")
        if self.kind == "max_pool":
            _require(self.residual is None, "residual", "an array", "none of a max_pool")
            for name, value in _unchanged(self.activations.dtype, channels).items():
                found = getattr(self, name)
                _require(bool(np.all(found == value)), name, found, f"{value}, which leaves a max_pool's values")

    @property
    def title(self) -> str:
        """The kind in words, such as "conv in 4 groups with residual" or "max_pool 3x3"."""
        if self.kind != "conv":
            text = f"{self.kind} {self.kernel[0]}x{self.kernel[1]}"
        elif self.groups == 1:
            text = "conv"
        else:
            text = f"conv in {self.groups} groups"
        return text if self.residual is None else f"{text} with residual"

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
    def weight_counts(self) -> Int64:
        """Non-zero weights of each input channel and tap over all outputs, int64 (C, R*S)."""
        k, group_c, r, s = self.weights.shape
        by_group = self.weights.reshape(self.groups, k // self.groups, group_c, r * s)
        counts: Int64 = (by_group != 0).sum(axis=1, dtype=np.int64).reshape(-1, r * s)
        return counts

    @property
    def signed(self) -> bool:
        """Whether the activations are int8."""
        return self.activations.dtype == np.int8

    @property
    def sums(self) -> Int64:
        """What is requantised, int64 (K, Ho, Wo): sums of products, or the largest values."""
        if self.kind == "conv":
            return reference.convolve(self.activations, self.weights, self.stride, self.padding, self.groups)
        pool = reference.max_pool if self.kind == "max_pool" else reference.sum_pool
        return pool(self.activations, self.kernel, self.stride, self.padding).astype(np.int64)

    @cached_property
    def expected(self) -> Bytes:
        """The reference output, uint8 or int8 (K, Ho, Wo), read-only."""
        numbers = self.sums, self.bias, self.multiplier, self.shift
        if self.residual is None:
            output = reference.requantize(*numbers, *self.clamp)
        else:
            other = self.residual, self.residual_multiplier, self.residual_shift
            output = reference.requantize_residual(*numbers, *other, *self.clamp)
        output.flags.writeable = False
        return output

    def save(self, path: str | Path) -> None:
        """Write the layer as NPZ."""
        names = [*_NEEDED[self.kind], *_OPTIONAL[self.kind]]
        if self.residual is None:
            names = [name for name in names if name not in _RESIDUAL]
        arrays: dict[str, Any] = {name: np.asarray(getattr(self, name)) for name in names}
        np.savez(path, **arrays)

    @classmethod
    def load(cls, path: str | Path) -> "Layer":
        """Read a layer from NPZ; ``stride``, ``padding`` and ``kernel`` may be scalars.

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
        kind = str(arrays.pop("kind", "conv"))
        _require(kind in KINDS, "kind", kind, f"one of {', '.join(KINDS)}")
        needed, known = _NEEDED[kind], _NEEDED[kind] + _OPTIONAL[kind]
        for name in arrays:
            _require(name in known, name, "unknown array", f"of kind {kind} only {', '.join(known)}")
        if not arrays.keys().isdisjoint(_RESIDUAL):
            needed += _RESIDUAL
        for name in needed:
            _require(name in arrays, name, "missing", f"of kind {kind} the arrays {', '.join(needed)}")
        for name, value in arrays.items():
            _require(value.dtype.kind in "iub", name, f"dtype {value.dtype}", "integers")
            if (size := _SIZES.get(name)) is None:
                continue
            if value.shape == () and name in ("stride", "padding", "kernel"):
                value = np.full(size, value)
            _require(value.shape == size, name, f"shape {value.shape}", f"{size}")
            arrays[name] = tuple(int(v) for v in value) if size else int(value)
        if "skip" in arrays:
            _require(arrays["skip"] in (0, 1), "skip", arrays["skip"], "0 or 1")
            arrays["skip"] = bool(arrays["skip"])
        return cls(**arrays) if kind == "conv" else cls.pool(kind, **arrays)
