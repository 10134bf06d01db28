"""Build and run simulations: one way for tests, the command line and benchmarks."""

from verif.runner.build import Build, build
from verif.runner.registers import generated_sources, register_model_dir
from verif.runner.run import RunResult, SimulationFailure, run, run_block
from verif.runner.sources import sources_of

__all__ = [
    "Build",
    "RunResult",
    "SimulationFailure",
    "build",
    "generated_sources",
    "register_model_dir",
    "run",
    "run_block",
    "sources_of",
]
