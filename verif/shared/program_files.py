# SPDX-License-Identifier: Apache-2.0
"""Programs on their way from a command to the simulation, and what comes back."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

DIRECTORY = "SPARSECORE_PROGRAMS"  # environment: where a simulation finds its programs
COUNT = "SPARSECORE_PROGRAM_COUNT"  # environment: how many there are
PROGRAM = "program{}.npz"
REPORT = "report{}.json"
RESULTS = "results{}.npz"  # what the result stream brought, (images, C, H, W), and "names" of these


@dataclass(frozen=True)
class LayerReport:
    """A layer of a run: cycles from the retirement of the layer before to its own, and products of non-zeros."""

    cycles: int
    macs: int


@dataclass(frozen=True)
class RunReport:
    """What was seen of a run.

    cycles: from its start to the last line sent; layers: those of all iterations in order; retired: of each engine the
    cycles since the start at which its descriptors retired; lines, packets: that were compared; seconds: wall time.
    """

    cycles: int
    layers: list[LayerReport]
    retired: dict[str, list[int]]
    lines: int
    packets: int
    seconds: float

    def write(self, file: Path) -> None:
        """Leave it for the command."""
        file.write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, file: Path) -> RunReport:
        """What `write` left."""
        values = json.loads(file.read_text())
        return cls(**values | {"layers": [LayerReport(**layer) for layer in values["layers"]]})
