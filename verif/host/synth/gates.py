# SPDX-License-Identifier: Apache-2.0
"""A design for Icarus in which one module is the netlist of cells that synthesis makes of it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from filelock import FileLock

from verif.host.runner.verilog import generate_verilog
from verif.host.synth.flow import Flow
from verif.host.synth.hierarchy import elaborate
from verif.host.synth.library import DEFAULT_LIBERTY, Library
from verif.host.synth.netlist import Netlist
from verif.shared.paths import BUILD

_CELLS = DEFAULT_LIBERTY.with_suffix(".v")


def gate_level(top: str, sources: Sequence[Path], parameters: Mapping[str, int], module: str) -> list[Path]:
    """Verilog of `top`, with `module` and all below it as one netlist of the default library, as files for Icarus.

    Memory wrappers in it keep their behaviour.

    Raises:
        RuntimeError: a tool rejects the sources, `module` is not in `top` with just one set of parameters, or it has
            an array that is not in a memory wrapper.
        ValueError: the library is not installed.
    """
    found = [unit for unit in elaborate(top, sources, parameters).tree() if unit.module == module]
    if len(found) != 1:
        raise RuntimeError(f"{top} has {len(found)} variants of {module}, expected one")
    unit = found[0].flat()
    BUILD.mkdir(exist_ok=True)
    with FileLock(BUILD / "gates.lock"):
        library = Library(DEFAULT_LIBERTY)
        directory = Flow(library, sources=lambda _: list(sources)).map(unit)
        mapped = json.loads((directory / "mapped.json").read_text())
        if mapped["arrays"]:
            names = ", ".join(array["name"] for array in mapped["arrays"])
            raise RuntimeError(f"{module}: arrays without a wrapper: {names}")
        netlist, out = directory / "netlist.v", directory / f"{top}.v"
        Netlist(directory / "netlist.json", library, mapped["buffered"]).write_verilog(netlist, module)
        text = [netlist.read_text()]
        for memory in {memory.key: memory for memory in unit.memories.values()}.values():
            generate_verilog(memory.module, sources, memory.parameters, out)
            text.append(re.sub(rf"^module {memory.module}\b", rf"module \\{memory.key} ", out.read_text(), flags=re.M))
        if top != module:
            generate_verilog(top, sources, parameters, out)
            text.append(re.sub(rf"^module {module}\(.*?^endmodule", "", out.read_text(), flags=re.M | re.S))
        out.write_text("\n".join(text))
    return [out, _CELLS]
