# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the environment's tests."""

import numpy as np
import pytest


@pytest.fixture
def rng() -> np.random.Generator:
    """The same numbers in every run."""
    return np.random.default_rng(5)
