# SPDX-License-Identifier: Apache-2.0
"""`make verilog`: the core of one configuration as a single Verilog-2005 file that keeps the hierarchy."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from models.config import load_config
from verif.host.cli.phase import phase
from verif.host.core import TOP
from verif.host.runner.sources import sources_of
from verif.host.runner.verilog import generate_verilog
from verif.shared.paths import BUILD, ROOT


def verilog(config: str = "paper") -> None:
    """Write build/verilog/sparsecore_CONFIG.v."""
    parameters = load_config(config).parameters()
    out: Path = BUILD / "verilog" / f"{TOP}_{config}.v"
    out.parent.mkdir(parents=True, exist_ok=True)
    console = Console(highlight=False)
    with phase(console, f"generating Verilog of {TOP}, configuration {config}"):
        generate_verilog(TOP, sources_of(TOP), parameters, out)
    lines = sum(1 for _ in out.open())
    console.print(f"{out.relative_to(ROOT)}: {lines} lines, {out.stat().st_size / 1e6:.1f} MB")
