# SPDX-License-Identifier: Apache-2.0
"""What every test session says about itself and about its failures, and how its tests simulate."""

import json
import os
import random
import shutil
from collections.abc import Callable, Mapping, Sequence

import pytest

from verif.host.block import build_block
from verif.host.core import build_core, run_core
from verif.host.runner import RunResult, run
from verif.host.runner.process import TERMINATED, end_on_sigterm
from verif.host.runner.run import COVERAGE, FULL, GATES, WAVES, default_seed, rerun_test
from verif.host.synth.library import DEFAULT_LIBERTY

SLOW = ("tests/blocks/", "tests/core/")  # they compile a design each
SLOW_SHARE = 6  # one slow test in so many runs without FULL=1


def pytest_configure(config) -> None:
    if hasattr(config, "workerinput"):
        end_on_sigterm(KeyboardInterrupt())
    else:
        end_on_sigterm(pytest.exit.Exception("terminated", TERMINATED), tell_children=True)
    try:
        default_seed()
    except ValueError as error:
        raise pytest.UsageError(str(error)) from None


def pytest_collection_modifyitems(config, items) -> None:
    """The tests on netlists, or all others; of those that are slow a sample by the seed, unless all are asked for."""
    gates = bool(os.environ.get(GATES))
    left_out = [item for item in items if _on_gates(item) != gates]
    if not gates and not os.environ.get(FULL):
        slow = [item for item in items if item.nodeid.startswith(SLOW) and not _on_gates(item)]
        kept = set(random.Random(default_seed()).sample(slow, -(-len(slow) // SLOW_SHARE)))
        left_out += [item for item in slow if item not in kept]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in set(left_out)]


def _on_gates(item) -> bool:
    return hasattr(item, "callspec") and item.callspec.params.get("sim") == "gates"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    report = yield
    if report.failed and hasattr(report.longrepr, "addsection"):
        report.longrepr.addsection("rerun", f"rerun with: {rerun_test(item.nodeid, default_seed())}")
    return report


def pytest_terminal_summary(terminalreporter) -> None:
    terminalreporter.write_line(f"seed {default_seed()}")
    if shutil.which("iverilog") is None:
        terminalreporter.write_line("NOT RUN: all tests on Icarus (iverilog is not installed)", yellow=True)


@pytest.fixture(scope="session")
def skip_without() -> Callable[[str], None]:
    """Skips the test where what a simulator needs is not installed, or where it is of no use."""

    def skip_without(sim: str) -> None:
        tools = {"verilator": (), "icarus": ("iverilog",), "gates": ("iverilog", "sta")}[sim]
        missing = [tool for tool in tools if shutil.which(tool) is None]
        if sim == "gates" and not DEFAULT_LIBERTY.exists():
            missing.append("qflow-tech-osu018")
        if missing:
            pytest.skip(f"not installed: {', '.join(missing)}")
        if sim != "verilator" and os.environ.get(COVERAGE):
            pytest.skip("coverage is collected on Verilator")

    return skip_without


def _asked_for() -> dict[str, bool]:
    """What `make coverage` and `make waves` want of a build."""
    return {"coverage": bool(os.environ.get(COVERAGE)), "waves": bool(os.environ.get(WAVES))}


@pytest.fixture(scope="module")
def run_block(request, skip_without) -> Callable[..., RunResult]:
    """Builds a module and runs the cocotb tests of the test's own file on it."""

    def run_block(
        top: str,
        parameters: Mapping[str, int] | None = None,
        *,
        sim: str = "verilator",
        testcase: str | Sequence[str] | None = None,
        env: Mapping[str, str] | None = None,
        **options: Sequence,
    ) -> RunResult:
        """Run all cocotb tests, or ``testcase``; ``options`` are those of `build_block`.

        The parameters reach the cocotb side as environment variables of the same names, as does ``env``.
        """
        __tracebackhide__ = True
        skip_without(sim)
        parameters = parameters or {}
        design = build_block(top, parameters, sim, **_asked_for(), **options)
        values = {name: str(value) for name, value in parameters.items()}
        return run(design, request.module.__name__, testcase, env=values | dict(env or {}))

    return run_block


@pytest.fixture(scope="module")
def simulate(request, skip_without) -> Callable[..., dict]:
    """Runs the pyuvm tests of the test's own file on the core."""

    def simulate(testcase: str, config: str = "small", sim: str = "verilator", **variables: object) -> dict:
        """Run one test class; ``variables`` reach it as environment variables. Returns the summary that it leaves.

        The summary has the digest of all result packets, their number and the cycles of each layer.
        """
        __tracebackhide__ = True
        skip_without(sim)
        env = {name: str(value) for name, value in variables.items()}
        design = build_core(config, sim, **_asked_for())
        result = run_core(config, design, request.module.__name__, testcase, env=env)
        return json.loads((result.path / f"{testcase}.json").read_text())

    return simulate
