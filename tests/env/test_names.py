# SPDX-License-Identifier: Apache-2.0
"""Names that tell modules apart: each once, and test modules that are tests."""

import re
from collections import defaultdict

from verif.host.cli.coverage import SIMULATING
from verif.shared.paths import ROOT

MODULES = [path for top in ("models", "verif", "tests") for path in sorted((ROOT / top).rglob("*.py"))]
EVERYWHERE = ("__init__", "__main__", "conftest")


def test_no_two_modules_have_one_name():
    found = defaultdict(list)
    for path in MODULES:
        if path.stem not in EVERYWHERE:
            found[path.stem].append(str(path.relative_to(ROOT)))
    assert not {name: paths for name, paths in found.items() if len(paths) > 1}


def test_what_looks_like_a_test_is_one():
    for path in MODULES:
        if re.fullmatch(r"tests?|test_.*|.*_test", path.stem):
            assert path.is_relative_to(ROOT / "tests") and re.search(r"^def test_", path.read_text(), re.MULTILINE), (
                path
            )


def test_coverage_runs_whatever_simulates():
    """By the fixtures of tests/conftest.py: `simulate` runs the core, `run_block` a block."""
    runs = re.compile(r"^def test_\w+\(.*\b(simulate|run_block)\b", re.MULTILINE)
    for path in MODULES:
        if path.is_relative_to(ROOT / "tests") and runs.search(path.read_text()):
            assert any(path.is_relative_to(ROOT / folder) for folder in SIMULATING), path
