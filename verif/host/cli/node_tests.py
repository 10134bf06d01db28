# SPDX-License-Identifier: Apache-2.0
"""`make nodetests`: the node tests of the package onnx, through the importer and the core, as a table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import typer
from rich.console import Console

from models.compiler import Compiler
from models.config import Config, load_config
from models.importer import node_cases
from models.importer.node_cases import FAILED, OUT, PASSED, Outcome
from models.program import Program
from verif.host.cli.phase import phase
from verif.host.core import build_core
from verif.host.programs import run_programs
from verif.shared.paths import BUILD, ROOT


def _compiled(outcome: Outcome, config: Config) -> Program | None:
    """The program of a case, None where it does not fit."""
    assert outcome.trial is not None
    imported = outcome.trial.imported
    images = imported.prepare(outcome.trial.inputs)
    try:
        return Compiler(imported.network, config, 1, images).compile().with_images(images)
    except ValueError:
        return None


def on_core(
    outcomes: list[Outcome], config: str, sim: str = "verilator", tell: Callable[[str], None] = lambda text: None
) -> list[Outcome]:
    """The cases that have passed as they are on the core, in one simulation; the others as they were.

    Raises SimulationFailure where a line or a result is not the integer network's.
    """
    configuration = load_config(config)
    programs = {n: _compiled(o, configuration) for n, o in enumerate(outcomes) if o.result == PASSED}
    fitting = {number: program for number, program in programs.items() if program}
    directory = BUILD / "program" / f"nodes-{config}-{sim}"
    design, whole = build_core(config, sim), list(fitting.values())
    runs = run_programs(design, config, whole, directory, "make nodetests", configuration.NumPe, tell)
    found = list(outcomes)
    for number in set(programs) - set(fitting):
        found[number] = replace(outcomes[number], result=OUT, why=f"does not fit {config}; its integers are right")
    for number, (report, sent) in zip(fitting, runs, strict=True):
        trial = outcomes[number].trial
        assert trial is not None
        wrong = trial.wrong(trial.imported.finish(sent | trial.imported.prepare(trial.inputs)))
        why = wrong or f"{report.cycles:,} cycles on {config}"
        found[number] = replace(outcomes[number], result=FAILED if wrong else PASSED, why=why)
    return found


def nodetests(config: str = "small", sim: str = "verilator") -> None:
    """Run every node test on CONFIG, write the table; fails if a case of a supported operator does."""
    console = Console(highlight=False)
    with phase(console, "collecting the node tests of onnx"):
        cases = node_cases.cases()
    with phase(console, f"reading {len(cases)} cases"):
        outcomes = [node_cases.run(case) for case in cases]
    passed = sum(outcome.result == PASSED for outcome in outcomes)
    with phase(console, f"running {passed} cases on {config} with {sim}") as tell:
        outcomes = on_core(outcomes, config, sim, tell)
    path = BUILD / "onnx_node_tests.md"
    path.write_text(node_cases.table(outcomes))
    for outcome in outcomes:
        if outcome.result == FAILED:
            console.print(f"failed: {outcome.case}: {outcome.why}", markup=False, soft_wrap=True)
    for line in node_cases.summary(outcomes):
        console.print(line, markup=False, soft_wrap=True)
    console.print(f"each with its reason: {path.relative_to(ROOT)}", markup=False, soft_wrap=True)
    if any(outcome.result == FAILED for outcome in outcomes):
        raise typer.Exit(1)
