# SPDX-License-Identifier: Apache-2.0
"""Pytest as a subprocess, and what its TEST selects."""

from __future__ import annotations

import difflib
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import IO

from verif.host.runner.lock import held
from verif.host.runner.process import run_group
from verif.shared.paths import BUILD, ROOT

# What else in the environment changes which tests run, or how.
_FOREIGN = ("PYTEST_ADDOPTS", "PYTEST_PLUGINS", "PYTEST_DISABLE_PLUGIN_AUTOLOAD", "PYTHONSAFEPATH", "PYTHONPATH")


def selection(test: str) -> list[str]:
    """Pytest's arguments for ``test``: a path or node id that exists as it is, anything else as a keyword.

    Raises ValueError, with the nearest names, when there is no such file, or no test's name has the keyword's words.
    """
    path = test.partition("::")[0]
    if (ROOT / path).exists():
        return [test]
    names = _names()
    words = {word for word in re.findall(r"[\w/.]+", test) if word not in ("and", "or", "not")}
    if "::" in test or not all(any(word.lower() in name.lower() for name in names) for word in words):
        near = difflib.get_close_matches(test, names, n=4, cutoff=0.4)
        raise ValueError(f"TEST: {test!r} is no test, path or keyword; near: {', '.join(near) or 'nothing'}")
    # Files in an expression by their names: pytest knows no folders there.
    return ["-k", re.sub(r"[\w./]+/", "", test)]


def _names() -> list[str]:
    """Files and functions under tests/, as keywords see them."""
    found = []
    for file in sorted((ROOT / "tests").rglob("test_*.py")):
        found += [str(file.relative_to(ROOT)), *re.findall(r"^def (test_\w+)", file.read_text(), re.MULTILINE)]
    return found


def pytest_run(arguments: Sequence[str], env: Mapping[str, str], *, output: IO[str] | None = None) -> int:
    """Run pytest from the repository's root with ``env`` added to the environment; its exit code.

    ``output``: takes what it prints. Ends with its tests' processes when this process is interrupted.
    """
    kept = {name: value for name, value in os.environ.items() if name not in _FOREIGN}
    command = [sys.executable, "-m", "pytest", "-q", *arguments]
    if output is not None:
        return run_group(command, cwd=ROOT, env={**kept, **env}, output=output) or 0
    return subprocess.run(command, cwd=ROOT, env={**kept, **env}, check=False).returncode


def session(what: str) -> AbstractContextManager[None]:
    """Alone in this checkout with pytest: run directories are named after tests and would be emptied under another."""
    return held(BUILD / "session.lock", what)
