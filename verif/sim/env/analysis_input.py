# SPDX-License-Identifier: Apache-2.0
"""An analysis export for components that listen to more than one port."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyuvm import uvm_analysis_export


class AnalysisInput(uvm_analysis_export):
    """Hands what is written to a function."""

    def __init__(self, name, parent, function: Callable[[Any], None]):
        super().__init__(name, parent)
        self.write = function
