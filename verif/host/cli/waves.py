# SPDX-License-Identifier: Apache-2.0
"""`make waves`: run one test with wave dumps."""

from __future__ import annotations

import time

import typer
from rich.console import Console

from verif.host.cli.pytest_run import pytest_run, selection, session
from verif.host.runner.run import FULL, WAVES
from verif.shared.paths import BUILD, ROOT


def waves(test: str) -> None:
    """Run TEST, wave dumps on, and name the files; the exit code is the test's."""
    if not test:
        raise ValueError("TEST is empty: name the test to run, such as TEST=tests/blocks/test_fifo.py")
    started = time.time()
    with session("make waves"):
        code = pytest_run(selection(test), {WAVES: "1", FULL: "1"})
    dumps = [
        path
        for pattern in ("*.vcd", "*.fst")
        for path in (BUILD / "runs").rglob(pattern)
        if path.stat().st_mtime >= started
    ]
    for path in sorted(dumps):
        Console(highlight=False).print(f"{path.relative_to(ROOT)} ({path.stat().st_size / 1e6:.1f} MB)", soft_wrap=True)
    if not dumps:
        Console(highlight=False).print("no waves were written: the test runs no simulation")
    raise typer.Exit(code or not dumps)
