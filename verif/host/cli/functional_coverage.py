# SPDX-License-Identifier: Apache-2.0
"""Functional coverage: cocotb-coverage's YAML exports merged over runs.

The package's own merge adds a new group's coverage to its parents once per file, so its totals
depend on the order of the files. Here only the bins are merged, and everything else follows from them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml


@dataclass
class CoverPoint:
    """A cover point or cross: hits of each bin, and how many a bin needs to count as covered."""

    at_least: int
    bins: dict[str, int] = field(default_factory=dict)

    @property
    def covered(self) -> int:
        return sum(hits >= self.at_least for hits in self.bins.values())

    @property
    def missing(self) -> list[str]:
        return [name for name, hits in self.bins.items() if hits < self.at_least]


def merge_functional(files: Sequence[Path]) -> dict[str, CoverPoint]:
    """Cover points by full name, bins and hits of all `files` added.

    Raises:
        ValueError: two files disagree about a point's at_least.
    """
    merged: dict[str, CoverPoint] = {}
    for file in files:
        with file.open() as stream:
            database = yaml.load(stream, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)) or {}
        for name, item in database.items():
            if "bins:_hits" not in item:
                continue  # a group: the sum of its points
            point = merged.setdefault(name, CoverPoint(item["at_least"]))
            if point.at_least != item["at_least"]:
                raise ValueError(f"{file}: {name} has at_least {item['at_least']}, other runs {point.at_least}")
            for label, hits in item["bins:_hits"].items():
                point.bins[str(label)] = point.bins.get(str(label), 0) + hits
    return dict(sorted(merged.items()))
