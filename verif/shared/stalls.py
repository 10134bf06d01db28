# SPDX-License-Identifier: Apache-2.0
"""How the sides of a handshake hold back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Stalls:
    """How a side of a handshake holds back: runs of go and of wait cycles with the given mean lengths.

    ``wait`` 0 never holds back. Both lengths are geometric, so that every length occurs.
    """

    go: float = 1.0
    wait: float = 0.0

    def __post_init__(self):
        if self.go < 1 or (self.wait and self.wait < 1):
            raise ValueError(
                f"stalls: go {self.go}, wait {self.wait}, expected means of at least one cycle (or wait 0)"
            )

    def pauses(self, rng: np.random.Generator) -> Iterator[bool] | None:
        """A pause generator for cocotbext-axi, one value a cycle; None when it never holds back."""
        return self._pauses(rng) if self.wait else None

    def _pauses(self, rng: np.random.Generator) -> Iterator[bool]:
        while True:
            for mean, pause in ((self.go, False), (self.wait, True)):
                for _ in range(rng.geometric(1 / mean)):
                    yield pause


NO_STALLS = Stalls()
# Never, single wait cycles, long waits, mostly waiting: for tests that cross those of several sides.
STALLS = (NO_STALLS, Stalls(2, 1), Stalls(8, 8), Stalls(1, 4))
