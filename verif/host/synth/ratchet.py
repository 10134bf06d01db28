# SPDX-License-Identifier: Apache-2.0
"""The figures that the units had last (ratchet.json): what has grown since fails."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from verif.host.synth.flow import Measured

RATCHET = Path(__file__).parent / "ratchet.json"
GROWTH = 1.03


def figures(measured: Mapping[str, Measured]) -> dict[str, dict[str, float]]:
    """What the ratchet keeps of each unit, by label: area in GE and the longest path in FO4."""
    return {
        label: {
            "area_ge": round(unit.area_ge),
            "path_fo4": round(max((p["fo4"] for p in unit.paths.values()), default=0.0), 1),
        }
        for label, unit in measured.items()
    }


def grown(now: Mapping[str, Mapping[str, float]], kept: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Reasons against units whose area has grown by more than 3 %, or that the ratchet does not know."""
    found = []
    for label, unit in now.items():
        if label not in kept:
            found.append(f"{label}: not in the ratchet; UPDATE=1 enters it")
        elif unit["area_ge"] > kept[label]["area_ge"] * GROWTH:
            more = 100 * (unit["area_ge"] / max(kept[label]["area_ge"], 1) - 1)
            found.append(
                f"{label}: {unit['area_ge']:.0f} GE, {more:.1f} % more than the {kept[label]['area_ge']:.0f} kept"
            )
    return found


def read(key: str, path: Path = RATCHET) -> dict[str, dict[str, float]]:
    """The figures kept for one configuration and library."""
    return json.loads(path.read_text()).get(key, {}) if path.exists() else {}


def write(key: str, now: Mapping[str, Mapping[str, float]], path: Path = RATCHET) -> None:
    """Keep these figures for one configuration and library."""
    everything = json.loads(path.read_text()) if path.exists() else {}
    everything[key] = dict(now)
    path.write_text(json.dumps(everything, indent=1, sort_keys=True) + "\n")
