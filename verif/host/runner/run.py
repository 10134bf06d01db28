# SPDX-License-Identifier: Apache-2.0
"""Run a cocotb test module on a build, in a directory of its own, from one seed."""

from __future__ import annotations

import ast
import os
import re
import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

from verif.host.runner.build import TIMESCALE, Build, simulator_runner
from verif.host.runner.process import listed_environment
from verif.host.runner.room import RUNS
from verif.shared.paths import BUILD, ROOT

MAX_SEED = 2**31 - 1
LIMIT_S = 600  # enough for every test

# What commands tell the tests that they start, in the environment.
COVERAGE = "SPARSECORE_COVERAGE"  # builds with code coverage
WAVES = "SPARSECORE_WAVES"  # builds with wave dumps
FULL = "SPARSECORE_FULL"  # all slow tests, not a sample
GATES = "SPARSECORE_GATES"  # the tests on gate level, instead of all others

_TEST_DECORATOR = re.compile(r"(cocotb\.test|pyuvm\.test|block_test)\(")
# numpy alone in one thread: simulations run side by side, and BLAS threads wait by spinning.
_ENV = {"COCOTB_ANSI_OUTPUT": "0", "OPENBLAS_NUM_THREADS": "1"}


@dataclass
class TestOutcome:
    """One cocotb test of a run; `message` is empty unless it failed."""

    name: str
    status: str  # "passed", "failed" or "skipped"
    message: str


@dataclass
class RunResult:
    """A finished run: its directory (results.xml, sim.log, coverage.dat) and its tests."""

    path: Path
    tests: list[TestOutcome] = field(default_factory=list)

    @property
    def failed(self) -> list[TestOutcome]:
        return [test for test in self.tests if test.status == "failed"]


class SimulationFailure(AssertionError):
    """A run whose tests failed, crashed or never ran; outside pytest the text ends with the rerun command."""


def default_seed() -> int:
    """The seed of everything that this process runs: $SEED, else 1. Raises ValueError outside 1 to 2**31 - 1."""
    text = os.environ.get("SEED") or "1"
    if not re.fullmatch("[0-9]{1,10}", text) or not 1 <= int(text) <= MAX_SEED:
        raise ValueError(f"SEED: {text!r}, expected a whole number from 1 to {MAX_SEED}")
    return int(text)


def rerun_test(test: str, seed: int) -> str:
    """The shell command that runs a test again; ``test``: path, node id or keyword."""
    gates = " GATES=1" if os.environ.get(GATES) else ""
    return f"make test TEST={shlex.quote(test)} SEED={seed}{gates}"


def run(
    design: Build,
    test_module: str,
    testcase: str | Sequence[str] | None = None,
    *,
    env: Mapping[str, str] | None = None,
    results_dir: Path | None = None,
    rerun: str | None = None,
    limit_s: int = LIMIT_S,
) -> RunResult:
    """Run `test_module` (dotted name) and return its results.

    The session's seed reaches `random`, `verif.sim.seed.rng()` and the simulator's unknown values. The run
    happens in `results_dir`, which is emptied first; by default it is named after the test
    and the seed. A test bench may leave files there, such as `functional.yml`, the functional
    coverage that `make coverage` merges. `rerun` is the command shown on
    failure; under pytest tests/conftest.py shows it.
    A simulation that takes longer than `limit_s` seconds is stopped and counts as failed.

    Raises:
        ValueError: $SEED is no seed.
        SimulationFailure: any test failed, or the simulation ended without results.
    """
    __tracebackhide__ = True
    seed = default_seed()
    if results_dir is None:
        pytest_id = os.environ.get("PYTEST_CURRENT_TEST", "").rsplit(" ", 1)[0]
        label = re.sub(r"[^\w.=-]+", "_", pytest_id.removeprefix("tests/") or f"{test_module}.{testcase or 'all'}")
        root = BUILD / "coverage" / "runs" if design.coverage else RUNS
        results_dir = root / f"{label}-{design.path.name[-6:]}-{seed}"
    shutil.rmtree(results_dir, ignore_errors=True)
    results_dir.mkdir(parents=True)

    plusargs: list[str] = []
    if design.sim == "verilator":
        plusargs += [f"+verilator+seed+{seed}", "+verilator+rand+reset+2"]
        if design.coverage:
            plusargs.append(f"+verilator+coverage+file+{results_dir / 'coverage.dat'}")
    elif design.waves:
        plusargs.append(f"+dumpfile_path={results_dir / 'dump.fst'}")

    results_xml = results_dir / "results.xml"
    log = results_dir / "sim.log"
    ended = ""
    try:
        simulator = simulator_runner(design.sim)
        simulator.limit_s = limit_s
        with listed_environment(), design.in_use():
            simulator.test(
                test_module=test_module,
                hdl_toplevel=design.top,
                hdl_toplevel_lang="verilog",
                testcase=testcase,
                seed=seed,
                plusargs=plusargs,
                extra_env=_ENV | dict(env or {}),
                waves=design.waves,
                build_dir=design.path,
                test_dir=results_dir,
                results_xml=str(results_xml),
                timescale=TIMESCALE if design.sim == "verilator" else None,
                log_file=log,
            )
    except RuntimeError as error:
        ended = str(error)

    result = RunResult(results_dir, _parse(results_xml) if results_xml.exists() else [])
    if not ended and len(result.tests) < _defined_tests(test_module, testcase):
        ended = f"{len(result.tests)} tests ran, {test_module} defines {_defined_tests(test_module, testcase)}"
    if ended or result.failed or not result.tests:
        raise SimulationFailure(_report(result, ended, log, rerun))
    return result


def _parse(results_xml: Path) -> list[TestOutcome]:
    outcomes = []
    for case in ElementTree.parse(results_xml).getroot().iter("testcase"):
        bad = [*case.findall("failure"), *case.findall("error")]
        status = "failed" if bad else "skipped" if case.find("skipped") is not None else "passed"
        message = "\n".join(f"{item.get('type', 'error')}: {item.get('message') or item.text}" for item in bad)
        outcomes.append(TestOutcome(case.get("name", "?"), status, message))
    return outcomes


def _defined_tests(test_module: str, testcase: str | Sequence[str] | None) -> int:
    """How many tests a run has at least: those that are asked for, else the decorated ones of the module."""
    if testcase is not None:
        return 1 if isinstance(testcase, str) else len(testcase)
    text = (ROOT / Path(*test_module.split("."))).with_suffix(".py").read_text()
    definitions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return sum(
        any(_TEST_DECORATOR.match(ast.unparse(decorator)) for decorator in node.decorator_list)
        for node in ast.parse(text).body
        if isinstance(node, definitions)
    )


def _report(result: RunResult, ended: str, log: Path, rerun: str | None) -> str:
    tail = log.read_text(errors="replace").splitlines()[-40:] if log.exists() else []
    lines = [f"{test.name} failed: {test.message}" for test in result.failed]
    if not result.tests:
        lines.append(f"the simulation ended without results: {ended or 'no test matched'}")
    elif ended:
        lines.append(f"the simulator reported an error: {ended}")
    again = [f"rerun with: {rerun}"] if rerun and "PYTEST_CURRENT_TEST" not in os.environ else []
    return "\n".join([*lines, "--- end of the log", *tail, f"--- log: {log}", *again])
