# SPDX-License-Identifier: Apache-2.0
"""`make nodetests`: the node tests of the package onnx, through the importer and the integer model, as a table."""

from __future__ import annotations

import typer
from rich.console import Console

from models.importer import node_cases
from verif.host.cli.phase import phase
from verif.shared.paths import BUILD, ROOT


def nodetests() -> None:
    """Run every node test, write the table; fails if a case of a supported operator does."""
    console = Console(highlight=False)
    with phase(console, "collecting the node tests of onnx"):
        cases = node_cases.cases()
    with phase(console, f"running {len(cases)} cases"):
        outcomes = [node_cases.run(case) for case in cases]
    path = BUILD / "onnx_node_tests.md"
    path.parent.mkdir(exist_ok=True)
    path.write_text(node_cases.table(outcomes))
    for outcome in outcomes:
        if outcome.result == node_cases.FAILED:
            console.print(f"failed: {outcome.case}: {outcome.why}", markup=False, soft_wrap=True)
    for line in node_cases.summary(outcomes):
        console.print(line, markup=False, soft_wrap=True)
    console.print(f"each with its reason: {path.relative_to(ROOT)}", markup=False, soft_wrap=True)
    if any(outcome.result == node_cases.FAILED for outcome in outcomes):
        raise typer.Exit(1)
