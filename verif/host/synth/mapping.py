# SPDX-License-Identifier: Apache-2.0
"""A unit from SystemVerilog to cells of a library, through Yosys, its slang front end and ABC.

Runs as a program of its own (`python mapping.py JOB.json`), because Yosys keeps global state. Units below and memory
wrappers stay as boxes. The result is the netlist as Yosys' JSON, the same before ABC (generic.json: gates, and
flip-flops with their enables), and mapped.json: the arrays that are no wrappers, and whether ABC has put buffers in.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

# An array up to this many bits becomes flip-flops; a larger one outside a wrapper cannot be built.
MAX_ARRAY_BITS = 256

# As fast as ABC makes it, with some area given back; {slew} is in ps.
# No `dc2` before `dch`: it saves up to an eighth of the area, and turns fast adders and comparators into chains.
_ABC = ("strash", "ifraig", "scorr", "dch", "map -B 0.9", "topo", "buffer -p -S {slew}", "upsize", "dnsize")
# Large units forgo what takes minutes there, or fails; Netlist puts the buffers in.
_ABC_LARGE = ("strash", "ifraig", "balance", "map -B 0.9")
_LARGE_CELLS = 80_000


def run_mapping(job: dict, directory: Path) -> None:
    """Map what `job` describes (see `_main`) into `directory`.

    Raises:
        RuntimeError: Yosys rejects the unit; the message holds its log's last lines.
    """
    directory.mkdir(parents=True, exist_ok=True)
    spec = directory / "job.json"
    spec.write_text(json.dumps(job))
    done = subprocess.run(
        [sys.executable, __file__, str(spec)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    (directory / "yosys.log").write_text(done.stdout)
    if done.returncode:
        raise RuntimeError(f"Yosys failed on {job['top']} ({directory}/yosys.log):\n{done.stdout[-3000:]}")


def _name(identifier) -> str:
    return str(identifier).removeprefix("\\")


class _Mapper:
    def __init__(self, job: dict, directory: Path):
        from pyosys import libyosys as ys

        self.ys, self.job, self.directory = ys, job, directory
        self.design = ys.Design()

    def run(self, *commands: str) -> None:
        for command in commands:
            started = time.monotonic()
            self.ys.run_pass(command, self.design)
            print(f"[{time.monotonic() - started:.1f} s]", flush=True)

    def box(self, name: str, ports: dict[str, tuple[str, int]]) -> None:
        """Declare a box with ports name -> (direction, width)."""
        text = "".join(f"  {way} [{width - 1}:0] \\{port} ;\n" for port, (way, width) in ports.items())
        stub = self.directory / "stub.v"
        names = ", ".join(f"\\{port} " for port in ports)
        stub.write_text(f"(* blackbox *) module \\{name} ({names});\n{text}endmodule\n")
        self.run(f"read_verilog {stub}")

    def name_boxes(self) -> None:
        """Give every boxed instance a type of its own key, so that one type has one set of port widths."""
        ways = {
            _name(module.name): {
                _name(wire.name): "input" if wire.port_input else "output"
                for wire in module.wires_.values()
                if wire.port_input or wire.port_output
            }
            for module in self.design.modules_.values()
            if module.get_blackbox_attribute()
        }
        declared: dict[str, dict[str, tuple[str, int]]] = {}
        members = []
        for cell in self.design.top_module().cells_.values():
            module = _name(cell.type)
            if module not in ways:
                continue
            key = self.job["boxes"].get(_name(cell.name))
            if key is None:
                raise RuntimeError(f"{_name(cell.name)} of type {module} is no known instance")
            ports = declared.setdefault(key, {})
            for port, signal in cell.connections_.items():
                if signal.size():
                    ports[_name(port)] = (ways[module][_name(port)], signal.size())
            members.append((cell, key))
        for key, ports in declared.items():
            self.box(key, ports)
        for cell, key in members:
            for parameter in list(cell.parameters):
                cell.unsetParam(parameter)
            for port in list(cell.connections_):
                if not cell.getPort(port).size():
                    cell.unsetPort(port)
            cell.type = self.ys.IdString("\\" + key)

    def arrays(self) -> list[dict]:
        """Box the arrays that are too large for flip-flops, and describe them."""
        found, boxed = [], []
        for cell in self.design.top_module().cells_.values():
            if _name(cell.type) != "$mem_v2":
                continue
            value = {_name(k): v for k, v in cell.parameters.items()}
            words, width = value["SIZE"].as_int(), value["WIDTH"].as_int()
            if words * width <= MAX_ARRAY_BITS:
                continue
            array = {
                "name": _name(value["MEMID"].decode_string()),
                "words": words,
                "width": width,
                "reads": value["RD_PORTS"].as_int(),
                "writes": value["WR_PORTS"].as_int(),
            }
            if array["writes"] == 0:
                continue  # a table of constants is logic
            found.append(array)
            boxed.append((cell, f"array{len(found)}"))
        for cell, key in boxed:
            ports = {}
            for port in list(cell.connections_):
                size = cell.getPort(port).size()
                if _name(port) in ("RD_ADDR", "RD_DATA", "WR_ADDR", "WR_DATA", "WR_EN") and size:
                    ports[_name(port)] = ("output" if _name(port) == "RD_DATA" else "input", size)
                elif _name(port) == "WR_CLK":
                    bit = cell.getPort(port).extract(0, 1)
                    cell.unsetPort(port)
                    cell.setPort(self.ys.IdString("\\clk_i"), bit)
                    ports["clk_i"] = ("input", 1)
                else:
                    cell.unsetPort(port)
            self.box(key, ports)
            for parameter in list(cell.parameters):
                cell.unsetParam(parameter)
            cell.type = self.ys.IdString("\\" + key)
        return found

    def map(self) -> None:
        job = self.job
        overrides = " ".join(f"-G {name}={value}" for name, value in job["parameters"].items())
        boxed = " ".join(f"--blackboxed-module {module}" for module in job["boxed"])
        self.run(f"read_slang --ignore-assertions --top {job['top']} {overrides} {boxed} {' '.join(job['sources'])}")
        self.name_boxes()
        # Undefined values become don't-cares this late: before wreduce it made requantize_lanes 5 % larger.
        self.run(
            "proc", "flatten", "opt", "wreduce", "peepopt", "opt_clean", "alumacc", "opt -mux_undef", "memory_collect"
        )
        arrays = self.arrays()
        self.run("memory_map", "opt -undriven -fine", "techmap", "opt -fast", "opt_clean -purge")
        self.run(f"write_json {self.directory / 'generic.json'}")
        self.run(f"dfflibmap -liberty {job['liberty']}", "opt -fast")
        cells = sum(1 for _ in self.design.top_module().cells_)
        script = self.directory / "abc.script"
        large = cells >= _LARGE_CELLS
        script.write_text("\n".join(_ABC_LARGE if large else _ABC).format(slew=job["slew_ps"]) + "\n")
        constraints = self.directory / "abc.constr"
        constraints.write_text(f"set_driving_cell {job['driver']}\nset_load {job['load_ff']}\n")
        self.run(
            f"abc -liberty {job['liberty']} -constr {constraints} -script {script}",
            "setundef -zero",
            "opt_clean -purge",
            f"write_json {self.directory / 'netlist.json'}",
        )
        (self.directory / "mapped.json").write_text(json.dumps({"arrays": arrays, "buffered": not large}))


def _main(path: Path) -> None:
    """The job: top, parameters, sources, boxed modules, boxes (path to type), liberty, driver, load_ff, slew_ps."""
    _Mapper(json.loads(path.read_text()), path.parent).map()


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
