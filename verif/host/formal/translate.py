# SPDX-License-Identifier: Apache-2.0
"""SystemVerilog to what solvers read: a program of its own, as Yosys keeps global state."""

from __future__ import annotations

import json
import sys

from pyosys import libyosys as ys

_PREPARE = ("hierarchy -check", "prep -flatten -nordff", "async2sync", "chformal -lower", "opt_clean")
_TO_SMT2 = ("dffunmap",)
# Bits for ABC: assertions and assumptions alone, registers without an initial value start at any.
_TO_AIGER = (
    "chformal -cover -remove",
    "memory_map -formal",
    "formalff -clk2ff -ff2anyinit",
    "setundef -undriven -anyseq",
    "delete -output",
    "opt -full",
    "techmap",
    "opt -fast",
    "dffunmap",
    "aigmap",
    "opt_clean",
)


def write_netlists(top: str, sources: list[str], parameters: dict[str, int], out: str) -> None:
    """Write module ``top`` flat to OUT.smt2 and OUT.aig."""
    design = ys.Design()
    values = " ".join(f"-G {name}={value}" for name, value in parameters.items())
    commands = (
        f"read_slang --top {top} {values} {' '.join(sources)}",
        *_PREPARE,
        "design -save prepared",
        *_TO_SMT2,
        f"write_smt2 -wires {out}.smt2",
        "design -load prepared",
        *_TO_AIGER,
        f"write_aiger -zinit {out}.aig",
    )
    for command in commands:
        ys.run_pass(command, design)


if __name__ == "__main__":
    write_netlists(**json.loads(sys.argv[1]))
