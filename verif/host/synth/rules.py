# SPDX-License-Identifier: Apache-2.0
"""What cannot be built, or has grown: the reasons for which `make synth` fails."""

from __future__ import annotations

from verif.host.synth.fanout import MAX_LOADS
from verif.host.synth.flow import Measured
from verif.host.synth.hierarchy import more_loads
from verif.host.synth.mapping import MAX_ARRAY_BITS
from verif.host.synth.timing import LIMIT_FO4


def faults(unit: Measured) -> list[str]:
    """The reasons against one unit, as text."""
    found = list(unit.faults)
    for array in unit.arrays:
        found.append(
            f"array {array['name']} of {array['words']} x {array['width']} bits with {array['reads']} read and "
            f"{array['writes']} write ports outside the wrappers of rtl/mem (limit {MAX_ARRAY_BITS} bits)"
        )
    for group, path in unit.paths.items():
        if path["fo4"] > LIMIT_FO4:
            found.append(
                f"{group}: {path['fo4']:.1f} FO4 ({path['levels']} levels) from {path['from']} to {path['to']}, "
                f"limit {LIMIT_FO4:.0f}"
            )
    for start, end, length in unit.through:
        found.append(f"path from input {start} to output {end} ({length:.1f} FO4)")
    limit = more_loads(unit.module) or MAX_LOADS
    for net in unit.wide_nets:
        if net["loads"] > limit:
            found.append(
                f"net {net['name']} with {net['loads']} loads is driven by logic ({net['driver']}), limit {limit}"
            )
    return found
