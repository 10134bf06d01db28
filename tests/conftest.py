# SPDX-License-Identifier: Apache-2.0
"""What every test session says about itself and about its failures."""

import os
import random
import shutil

import pytest

from verif.host.runner.process import TERMINATED, end_on_sigterm
from verif.host.runner.run import FULL, GATES, default_seed, rerun_test

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
