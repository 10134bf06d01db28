"""What every test session says about itself and about its failures."""

import shutil

import pytest

from verif.runner.run import default_seed, rerun_test


def pytest_configure() -> None:
    try:
        default_seed()
    except ValueError as error:
        raise pytest.UsageError(str(error)) from None


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
