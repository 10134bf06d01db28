# SPDX-License-Identifier: Apache-2.0
"""Cover points of cocotb-coverage that are counted directly.

The package's decorators compare one sample with every bin, which is too slow for thousands of weight vectors and
bins; here numpy does the classification and a cover point only adds up. Storage and export are the package's.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product

import numpy as np
from cocotb_coverage.coverage import CoverPoint, coverage_db


class Bins(CoverPoint):
    """A cover point whose bins are strings; `hit` counts one of them."""

    def hit(self, label: str, times: int = 1) -> None:
        """Add to a bin. Raises KeyError for a label that is not a bin: then the plan and the sampling disagree."""
        if label not in self._hits:
            raise KeyError(f"{self._name}: {label!r} is not a bin")
        before = self._hits[label]
        self._hits[label] = before + times
        if before < self._at_least <= before + times:
            self._parent._update_coverage(self._weight)


def point(name: str, labels: Iterable[str]) -> Bins:
    """The cover point of that name, made with these bins when it does not exist yet."""
    return coverage_db[name] if name in coverage_db else Bins(name, bins=list(labels))


def cross(*parts: Iterable[str]) -> list[str]:
    """Bin labels of a cross: every combination of the parts' labels, joined by "/"."""
    return ["/".join(labels) for labels in product(*parts)]


class Ranges:
    """Labels for ranges of integers, from the lowest value of each: (0, 1, 2, 8) -> "0", "1", "2-7", "8+"."""

    def __init__(self, *lowest: int, last: int | None = None):
        """``last``: the largest value possible; without it the last range is open."""
        self.lowest = lowest
        ends = [*(low - 1 for low in lowest[1:]), last]
        self.labels = [
            f"{low}+" if end is None else str(low) if low == end else f"{low}-{end}"
            for low, end in zip(lowest, ends, strict=True)
        ]

    def __call__(self, value: int) -> str:
        """The label of the range that holds a value."""
        return self.labels[int(np.searchsorted(self.lowest, value, side="right")) - 1]

    def count(self, values: np.ndarray) -> dict[str, int]:
        """How many values fall into each range, those that occur."""
        where = np.searchsorted(self.lowest, np.ravel(values), side="right") - 1
        counts = np.bincount(where, minlength=len(self.labels))
        return {label: int(n) for label, n in zip(self.labels, counts, strict=True) if n}
