"""Pytest as a subprocess with the environment a command needs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence

from verif.runner.paths import ROOT


def selection(test: str) -> list[str]:
    """Pytest's arguments for `test`: a path or node id as it is, anything else as a keyword."""
    return [test] if "/" in test or "::" in test else ["-k", test]


def pytest_run(
    arguments: Sequence[str], env: Mapping[str, str], *, capture: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run pytest from the repository's root with `env` added to the environment."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *arguments],
        cwd=ROOT,
        env=os.environ | env,
        check=False,
        text=True,
        stdout=subprocess.PIPE if capture else None,
        stderr=subprocess.STDOUT if capture else None,
    )
