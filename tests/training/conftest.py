# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest


@pytest.fixture
def rng(request):
    """A generator of its own for every test, reproducible by the test's name."""
    return np.random.default_rng(list(request.node.nodeid.encode()))
