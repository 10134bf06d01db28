# SPDX-License-Identifier: Apache-2.0
"""`make test`: the tests, or some of them."""

from __future__ import annotations

import typer

from verif.host.cli.pytest_run import pytest_run, selection, session
from verif.host.runner.run import FULL, GATES


def test(test: str = "", full: bool = False, gates: bool = False) -> None:
    """Run TEST (default: all), two at a time; of the slow ones a sample by the seed, with ``full`` all of them.

    ``gates``: the tests on netlists of cells, which do not run otherwise.
    """
    chosen = selection(test) if test else []
    variables = dict.fromkeys([*([FULL] if full or test else []), *([GATES] if gates else [])], "1")
    with session("make test"):
        raise typer.Exit(pytest_run(["-n", "2", *chosen], variables))
