# SPDX-License-Identifier: Apache-2.0
"""Runs the pyuvm tests of the calling module on the core."""

import inspect
import json
import os
from pathlib import Path

from verif.host.core import build_core, run_core
from verif.host.runner.run import COVERAGE, WAVES, skip_without
from verif.shared.paths import ROOT


def simulate(testcase: str, config: str = "small", sim: str = "verilator", **variables: object) -> dict:
    """Run one test class; `variables` reach it as environment variables. Returns the summary that it leaves.

    The summary has the digest of all result packets, their number and the cycles of each layer.
    """
    skip_without(sim)
    caller = Path(inspect.stack()[1].filename).resolve()
    module = ".".join(caller.relative_to(ROOT).with_suffix("").parts)
    design = build_core(
        config,
        sim,
        coverage=bool(os.environ.get(COVERAGE)) and sim == "verilator",
        waves=bool(os.environ.get(WAVES)),
    )
    env = {name: str(value) for name, value in variables.items()}
    result = run_core(config, design, module, testcase, env=env)
    return json.loads((result.path / f"{testcase}.json").read_text())
