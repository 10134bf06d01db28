# SPDX-License-Identifier: Apache-2.0
"""A module of its own as a build of the runner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from verif.host.runner import Build, build, sources_of
from verif.host.synth.gates import gate_level

_STATES = "*.state_q"  # for the words of verif.sim.kit.bounds


def build_block(
    top: str,
    parameters: Mapping[str, int],
    sim: str = "verilator",
    *,
    public: Sequence[str] = (),
    writable: Sequence[str] = (),
    extra_sources: Sequence[Path] = (),
    coverage: bool = False,
    waves: bool = False,
) -> Build:
    """Module `top` of rtl/ or of `extra_sources`; the other arguments and errors are those of the runner's `build`.

    `sim` "gates" is Icarus on the module's netlist of cells.
    """
    sources = sources_of(top, tuple(extra_sources))
    if sim == "gates":
        sources, parameters, sim = gate_level(top, sources, parameters, top), {}, "icarus"
    return build(
        top,
        sources,
        parameters,
        sim,
        coverage=coverage,
        waves=waves,
        public=(*public, _STATES),
        writable=writable,
    )
