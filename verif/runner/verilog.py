"""SystemVerilog to one Verilog-2005 file through Yosys and its slang front end.

Runs as a program of its own (`python -m verif.runner.verilog`), because Yosys keeps global state.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path


def generate_verilog(top: str, sources: Sequence[Path], parameters: Mapping[str, int], out: Path) -> None:
    """Write module `top` with everything below it to `out`.

    Raises:
        RuntimeError: Yosys rejects the sources; the message holds its log's last lines.
    """
    job = json.dumps(
        {"top": top, "sources": [str(s) for s in sources], "parameters": dict(parameters), "out": str(out)}
    )
    done = subprocess.run(
        [sys.executable, __file__, job], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"Verilog generation of {top} failed:\n{done.stdout[-4000:]}")


def _main(job: str) -> None:
    from pyosys import libyosys as ys

    spec = json.loads(job)
    overrides = " ".join(f"-G {name}={value}" for name, value in spec["parameters"].items())
    partial = Path(spec["out"]).with_suffix(".partial.v")
    design = ys.Design()
    for command in (
        f"read_slang --ignore-assertions --top {spec['top']} {overrides} {' '.join(spec['sources'])}",
        "hierarchy -check",
        "proc",
        "bwmuxmap",  # Verilog-2005 has no form for $bwmux cells
        "splitnets -driver",  # a wide struct as one net costs Icarus an update of all of it for every field
        "opt_clean",
        f"write_verilog -noattr {partial}",
    ):
        ys.run_pass(command, design)
    partial.rename(spec["out"])


if __name__ == "__main__":
    _main(sys.argv[1])
