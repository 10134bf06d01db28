# SPDX-License-Identifier: Apache-2.0
"""The one seed of a simulation: cocotb gives it to `random`, the runner to the simulator, this to numpy."""

from __future__ import annotations

import cocotb
import numpy as np


def rng(*stream: int) -> np.random.Generator:
    """A generator seeded by the run's seed; distinct `stream` numbers give independent sequences."""
    return np.random.default_rng((cocotb.RANDOM_SEED, *stream))
