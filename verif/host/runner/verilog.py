# SPDX-License-Identifier: Apache-2.0
"""SystemVerilog to one Verilog-2005 file through Yosys and its slang front end.

The file keeps the hierarchy, with one module for each distinct parameterisation.
Runs as a program of its own (`python -m verif.host.runner.verilog`), because Yosys keeps global state.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pyslang import SVInt
from pyslang.driver import Driver

_MODULE = re.compile(r"^((?:attribute [^\n]*\n)*)module \\(\S+)\n(.*?^end\n)", re.MULTILINE | re.DOTALL)
_INSTANCE = re.compile(r"^(  cell \\)(\S+)", re.MULTILINE)

_NUMBER_BITS = 32  # of a parameter that is a readable number


def generate_verilog(top: str, sources: Sequence[Path], parameters: Mapping[str, int | str], out: Path) -> None:
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


def read_hierarchy(design, top: str, sources: Sequence[Path | str], parameters: Mapping[str, int]) -> None:
    """Read module `top` into a Yosys design, with one module for each distinct parameterisation below it.

    Where there are several of a module, their names tell the parameters that differ: `fifo_Width8_Depth4`. The modules
    hold processes still (pass `proc`).
    """
    from pyosys import libyosys as ys

    arguments = ["--top", top, *(f"-G{name}={value}" for name, value in parameters.items()), *map(str, sources)]
    elaborated = ys.Design()
    # Before `proc` equal modules have equal texts, as numbers in names start anew in each.
    ys.run_pass(f"read_slang --keep-hierarchy --no-proc --ignore-assertions {' '.join(arguments)}", elaborated)
    with TemporaryDirectory() as scratch:
        file = Path(scratch) / "design.il"
        ys.run_pass(f"write_rtlil {file}", elaborated)
        file.write_text(_merged(file.read_text(), top, arguments))
        ys.run_pass(f"read_rtlil {file}", design)


def _merged(rtlil: str, top: str, arguments: Sequence[str]) -> str:
    """RTLIL with a module `module$path.of.instance` for every instance -> with one for equal instances."""
    modules = {name: (attributes, body) for attributes, name, body in _MODULE.findall(rtlil)}
    kept: dict[tuple[str, str], str] = {}  # what a module consists of -> the first of its instances
    same: dict[str, str] = {}

    def visit(name: str) -> str:
        if name in modules and name not in same:
            attributes, body = modules[name]
            body = _INSTANCE.sub(lambda cell: cell[1] + visit(cell[2]), body)
            same[name] = kept.setdefault((attributes, body), name)
        return same.get(name, name)

    visit(top)
    names = _readable(list(kept.values()), arguments)
    return "".join(
        f"{attributes}module \\{names[name]}\n"
        + _INSTANCE.sub(lambda cell: cell[1] + names.get(cell[2], cell[2]), body)
        for (attributes, body), name in kept.items()
    )


def _readable(instances: Sequence[str], arguments: Sequence[str]) -> dict[str, str]:
    """A name for each of the modules `module$path.of.instance`, by the parameters of the instances."""
    driver = Driver()
    driver.addStandardArgs()
    driver.parseCommandLine(shlex.join(["slang", "-DSYNTHESIS", *arguments]))
    driver.processOptions()
    driver.parseAllSources()
    root: Any = driver.createCompilation().getRoot()  # the bindings' types end at symbols
    variants: dict[str, dict[str, dict[str, int]]] = defaultdict(dict)
    for instance in instances:
        module, _, path = instance.partition("$")
        parameters = root.lookupName(path or module).body.parameters
        values = {p.name: getattr(p, "value", None) for p in parameters if not p.isLocalParam}
        variants[module][instance] = {
            name: int(value.value)
            for name, value in values.items()
            if value and isinstance(value.value, SVInt) and value.value.bitWidth <= _NUMBER_BITS
        }

    names: dict[str, str] = {}
    for module, all_numbers in variants.items():
        uses: Counter[str] = Counter()
        for instance, numbers in all_numbers.items():
            differ = [k for k, number in numbers.items() if any(other[k] != number for other in all_numbers.values())]
            name = "_".join([module, *(f"{k}{numbers[k]}" for k in differ)])
            uses[name] += 1
            names[instance] = name if uses[name] == 1 else f"{name}_{uses[name]}"
    return names


def _main(job: str) -> None:
    from pyosys import libyosys as ys

    spec = json.loads(job)
    partial = Path(spec["out"]).with_suffix(".partial.v")
    design = ys.Design()
    read_hierarchy(design, spec["top"], spec["sources"], spec["parameters"])
    for command in (
        "hierarchy -check",
        "proc",
        "opt",  # half the lines, and Icarus runs 1.5 times as fast
        "bwmuxmap",  # Verilog-2005 has no form for $bwmux cells
        "splitnets -driver",  # a wide struct as one net costs Icarus an update of all of it for every field
        "opt_clean",
        f"write_verilog -noattr {partial}",
    ):
        ys.run_pass(command, design)
    partial.rename(spec["out"])


if __name__ == "__main__":
    _main(sys.argv[1])
