# SPDX-License-Identifier: Apache-2.0
"""Networks of known shapes with random weights."""

from models.networks.known import NAMES, build

__all__ = ["NAMES", "build"]
