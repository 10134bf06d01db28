# SPDX-License-Identifier: Apache-2.0
"""Compile the C++ replay program against a build, and run it."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from verif.host.runner.build import Build
from verif.host.runner.tools import tool_env

_SOURCE = Path(__file__).with_name("replay.cpp")
_PORT = re.compile(r"VL_(IN|OUT)(?:8|16|64|W)?\(&(\w+),(\d+),(\d+)")
CLOCK = "clk_i"


@dataclass(frozen=True)
class Replay:
    """What a replay measured; `marks` maps a name to (cycle, processor seconds since the start)."""

    cycles: int
    matched: int
    mismatched: int
    marks: dict[str, tuple[int, float]]


def ports_of(design: Build) -> list[tuple[str, int, int]]:
    """The ports of a Verilator build but for the clock: (name, 0 input or 1 output, bytes)."""
    header = (design.path / "Vtop.h").read_text()
    return [
        (name, int(direction == "OUT"), (int(high) - int(low)) // 8 + 1)
        for direction, name, high, low in _PORT.findall(header)
        if name != CLOCK
    ]


def build_replay(design: Build) -> Path:
    """Link the replay program with the very objects that the cocotb simulation uses.

    Raises:
        RuntimeError: the C++ compiler failed; the text is its message.
    """
    out = design.path / "replay"
    if out.exists() and out.stat().st_mtime > _SOURCE.stat().st_mtime:
        return out
    (design.path / "ports.inc").write_text("".join(f"PORT({name})\n" for name, _, _ in ports_of(design)))
    env = tool_env()
    include = Path(env["VERILATOR_ROOT"]) / "include"
    objects = [
        str(path)
        for name in (
            "Vtop__ALL.a",
            "verilated.o",
            "verilated_vpi.o",
            "verilated_dpi.o",
            "verilated_threads.o",
            "verilated_timing.o",
            "verilated_random.o",
        )
        if (path := design.path / name).exists()
    ]
    command = [
        "g++",
        "-std=c++20",
        "-O3",
        "-DVL_TIME_CONTEXT",
        "-faligned-new",
        f"-I{design.path}",
        f"-I{include}",
        f"-I{include / 'vltstd'}",
        str(_SOURCE),
        *objects,
        "-pthread",
        "-latomic",
        "-o",
        str(out),
    ]
    with FileLock(design.path / "replay.lock"):
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"compiling {_SOURCE.name} failed:\n{done.stderr}")
    return out


def replay(design: Build, trace: Path) -> Replay:
    """Replay `trace` on the model of `design`.

    Raises:
        RuntimeError: the trace does not fit the model.
    """
    with design.in_use():
        done = subprocess.run([str(build_replay(design)), str(trace)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.strip() or f"replay ended with code {done.returncode}")
    result = json.loads(done.stdout.splitlines()[-1])
    marks = {mark["name"]: (mark["cycle"], mark["seconds"]) for mark in result["marks"]}
    return Replay(result["cycles"], result["matched"], result["mismatched"], marks)
