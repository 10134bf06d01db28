# SPDX-License-Identifier: Apache-2.0
"""Build and run simulations: one way for tests, the command line and benchmarks."""

from verif.host.runner.build import Build, build
from verif.host.runner.run import RunResult, SimulationFailure, run
from verif.host.runner.sources import sources_of

__all__ = ["Build", "RunResult", "SimulationFailure", "build", "run", "sources_of"]
