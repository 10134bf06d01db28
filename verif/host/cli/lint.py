# SPDX-License-Identifier: Apache-2.0
"""`make lint`: Verilator -Wall, slang and Verible over the RTL of every configuration; ruff and mypy over Python."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import typer
from rich.console import Console

from models.config import config_names, load_config
from verif.host.core import TOP
from verif.host.runner.sources import root_modules, sources_of, written_sources
from verif.host.runner.tools import tool_env, verilator_home
from verif.shared.paths import BUILD, ROOT, RTL

_SLANG_WARNINGS = (
    "-Wextra",
    "-Wno-case-redundant-default",  # a default label on every case is the house style
    "-Wno-useless-cast",  # a cast that one configuration needs is useless in another
)


def _targets() -> Iterator[tuple[str, str, Mapping[str, int]]]:
    """(label, top module, parameters): the core in every configuration, then modules outside it."""
    roots = root_modules()
    if TOP in roots:
        for name in config_names():
            yield f"{TOP} ({name})", TOP, load_config(name).parameters()
    for root in roots:
        if root != TOP:
            yield root, root, {}
    # The core is checked with the forms that simulate faster.
    yield "spcore_mac_array (digits)", "spcore_mac_array", {"Wordwise": 0}
    yield "spcore_accumulators (banks)", "spcore_accumulators", {"Lanewise": 0}
    yield "spcore_pe_sums (tree)", "spcore_pe_sums", {"Rolled": 0}
    yield "spcore_requantize_lanes (digits)", "spcore_requantize_lanes", {"Digits": 1}
    for module in ("spcore_mem_1r1w", "spcore_mem_1rw"):
        yield f"{module} (at the end)", module, {"AtOnce": 0}


def _messages(command: Sequence[str]) -> str:
    """What `command` prints; the quiet tools behind this print nothing when clean."""
    done = subprocess.run(command, cwd=ROOT, env=tool_env(), capture_output=True, text=True, check=False)
    text = (done.stdout + done.stderr).strip()
    return text or (f"exit code {done.returncode}" if done.returncode else "")


def _verilator(top: str, sources: Sequence[Path], parameters: Mapping[str, int]) -> str:
    command = [
        str(verilator_home() / "bin" / "verilator"),
        "--lint-only",
        "-Wall",
        "--quiet",
        "--timing",
        "--relative-includes",
        "-DSPCORE_FAST_SIM",
        "--top-module",
        top,
        *(f"-G{name}={value}" for name, value in parameters.items()),
        str(RTL / "lint.vlt"),
        *map(str, sources),
    ]
    return _messages(command)


def _slang(top: str, sources: Sequence[Path], parameters: Mapping[str, int]) -> str:
    command = [
        sys.executable,
        "-m",
        "verif.host.cli.slang",
        "--top",
        top,
        "--timescale",
        "1ns/1ps",
        *_SLANG_WARNINGS,
        "--suppress-warnings",
        str(BUILD / "generated"),
        *(f"-G{name}={value}" for name, value in parameters.items()),
        *map(str, sources),
    ]
    return _messages(command)


def _verible(sources: Sequence[Path]) -> str:
    """Style rules of .rules.verible_lint over the hand-written files of `sources`."""
    rules = f"--rules_config={ROOT / '.rules.verible_lint'}"
    return _messages(["verible-verilog-lint", rules, *(str(s) for s in sources if RTL in s.parents)])


def _ruff(*what: str) -> str:
    return _messages([sys.executable, "-m", "ruff", *what, "--quiet", "."])


def _mypy() -> str:
    return _messages([sys.executable, "-m", "mypy", "--no-error-summary"])


def lint(top: str = "") -> None:
    """Lint everything, or only module TOP with its default parameters; exit 1 on any message."""
    console = Console(highlight=False)
    targets = [(top, top, {})] if top else list(_targets())
    files = sources_of(top) if top else written_sources()
    checks: list[tuple[str, str, Callable[[], str]]] = [("verible", f"{len(files)} files", partial(_verible, files))]
    if not top:
        checks.append(("ruff", "lint", partial(_ruff, "check")))
        checks.append(("ruff", "format", partial(_ruff, "format", "--check")))
        checks.append(("mypy", "models, verif", _mypy))
    for label, module, parameters in targets:
        sources = sources_of(module)
        checks.append(("verilator", label, partial(_verilator, module, sources, parameters)))
        checks.append(("slang", label, partial(_slang, module, sources, parameters)))
    dirty = 0
    for tool, label, check in checks:
        with console.status(f"{tool}: {label}"):
            text = check()
        console.print(f"{'FAIL' if text else 'ok  '} {tool:9} {label}")
        if text:
            dirty += 1
            console.print(text, markup=False, soft_wrap=True)
    console.print(f"{len(checks)} lint runs, {dirty} with messages")
    if dirty:
        raise typer.Exit(1)
