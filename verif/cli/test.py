"""`make test`: the tests, or some of them."""

from __future__ import annotations

import typer

from verif.cli.pytest_run import pytest_run, selection, session
from verif.runner.run import FULL


def test(test: str = "", full: bool = False) -> None:
    """Run TEST (default: all), two at a time; of the slow ones a sample by the seed, with ``full`` all of them."""
    chosen = selection(test) if test else []
    with session("make test"):
        raise typer.Exit(pytest_run(["-n", "2", *chosen], {FULL: "1"} if full or test else {}))
