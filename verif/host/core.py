# SPDX-License-Identifier: Apache-2.0
"""The whole core as a build of the runner: sources, protocol rules and what the environment reads of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from models.config import load_config
from verif.host.runner import Build, RunResult, build, run, sources_of
from verif.host.runner.run import LIMIT_S
from verif.host.synth.gates import gate_level
from verif.shared.paths import ROOT
from verif.shared.variables import CONFIG_VARIABLE

TOP = "sparsecore"
_PE = "spcore_pe"
_HDL = tuple(ROOT / "verif" / "hdl" / f"{name}.sv" for name in ("axis_protocol", "axil_protocol", "core_bind"))
_STORE = "spcore_activation_store."
_LAYERS = "spcore_layer_setup."
_PUBLIC = (
    "axis_protocol.seen_q",
    *(f"{_STORE}{signal}" for signal in ("take", "line")),
    *(f"{_LAYERS}{port}" for port in ("all_done_i", "status_o", "restart_o")),
    "spcore_counters.counters_o",
)
_STATES = ("*.state_q",)  # for the words of verif.sim.kit.bounds

# Which code of a large core runs often (`make bench UPDATE=1` records it); what differs from the core it was recorded
# of is compiled without.
PROFILE = ROOT / "verif" / "host" / "speed" / "paper.profdata"

# With the PEs' own checks every PE gets code of its own (rtl/speed.vlt), too much for the large configurations.
_CHECKED_PES = 16


def build_core(
    config: str, sim: str = "verilator", *, coverage: bool = False, waves: bool = False, record_profile: bool = False
) -> Build:
    """The core of a named configuration; on Verilator with the protocol rules bound to it.

    `sim` "gates" is Icarus with a netlist of cells as PE. With `record_profile` its runs are recorded for PROFILE.

    Raises:
        ValueError: unknown configuration or simulator.
        RuntimeError: a tool rejected the sources.
    """
    parameters = load_config(config).parameters()
    sources = sources_of(TOP, _HDL if sim == "verilator" else ())
    checks = parameters["NumPe"] <= _CHECKED_PES
    if sim == "gates":
        sources, parameters, sim = gate_level(TOP, sources, parameters, _PE), {}, "icarus"
    public = (*_PUBLIC, *(_STATES if checks else ()))
    return build(
        TOP,
        sources,
        parameters,
        sim,
        coverage=coverage,
        waves=waves,
        checks=checks,
        public=public,
        profile=None if checks or record_profile else PROFILE,
        record_profile=record_profile,
    )


def run_core(
    config: str,
    design: Build,
    test_module: str,
    testcase: str | Sequence[str] | None = None,
    *,
    env: Mapping[str, str] | None = None,
    results_dir: Path | None = None,
    rerun: str | None = None,
    limit_s: int = LIMIT_S,
) -> RunResult:
    """Run tests of a module on a build of `build_core`; arguments and errors are those of the runner's `run`."""
    env = {CONFIG_VARIABLE: config} | dict(env or {})
    return run(design, test_module, testcase, env=env, results_dir=results_dir, rerun=rerun, limit_s=limit_s)
