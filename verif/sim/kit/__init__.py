# SPDX-License-Identifier: Apache-2.0
"""What block tests share: bounds in simulated time."""

from verif.sim.kit.bounds import block_test, bounded

__all__ = ["block_test", "bounded"]
