"""What every test session says about itself."""

import shutil

from verif.runner.run import default_seed


def pytest_report_header() -> str:
    return f"seed {default_seed()}"


def pytest_terminal_summary(terminalreporter) -> None:
    if shutil.which("iverilog") is None:
        terminalreporter.write_line("NOT RUN: all tests on Icarus (iverilog is not installed)", yellow=True)
