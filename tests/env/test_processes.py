# SPDX-License-Identifier: Apache-2.0
"""Which process a module runs in shows in its folder: host and simulator keep out of each other."""

import ast

import pytest

from verif.shared.paths import ROOT

FORBIDDEN = {
    "host": {"cocotb", "pyuvm", "cocotbext", "cocotb_coverage", "verif.sim"},
    "sim": {"pytest", "typer", "rich", "cocotb_tools", "verif.host"},
    "shared": {"cocotb", "pyuvm", "cocotbext", "cocotb_coverage", "pytest", "typer", "rich", "verif.host", "verif.sim"},
}


def imported(text):
    """Full names of the modules that a source imports anywhere."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def crossing(text, forbidden):
    return sorted({name for name in imported(text) for other in forbidden if f"{name}.".startswith(f"{other}.")})


@pytest.mark.parametrize("side", FORBIDDEN)
def test_imports_stay_on_their_side(side):
    files = sorted((ROOT / "verif" / side).rglob("*.py"))
    assert len(files) > 3
    found = {str(f.relative_to(ROOT)): crossing(f.read_text(), FORBIDDEN[side]) for f in files}
    assert {name: names for name, names in found.items() if names} == {}


def test_every_module_is_on_a_side():
    files = [f.relative_to(ROOT) for f in (ROOT / "verif").rglob("*.py")]
    loose = [str(file) for file in files if file.parts[1] not in FORBIDDEN]
    assert loose in ([], ["verif/__init__.py"])


def test_crossing_is_seen():
    text = "from verif import host\n\ndef f():\n    import cocotb.triggers\n    from cocotb_tools import runner\n"
    assert crossing(text, {"cocotb", "verif.host"}) == ["cocotb.triggers", "verif.host"]
