"""Which source files a module needs, in the order compilers want them."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from pathlib import Path

from filelock import FileLock

from verif.runner.paths import BUILD, RTL

_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_UNIT = re.compile(r"^\s*(?:module|package|interface)\s+(?:automatic\s+|static\s+)?(\w+)", re.MULTILINE)
_WORD = re.compile(r"\b[A-Za-z_]\w*\b")

REGISTERS = RTL / "csr" / "sparsecore.rdl"


def generated_sources() -> list[Path]:
    """RTL generated from the register description, up to date with it; empty before it exists.

    PeakRDL writes a package and a module with flat AXI4-Lite ports and asynchronous
    active-low reset. Raises RuntimeError with PeakRDL's message when it fails.
    """
    if not REGISTERS.exists():
        return []
    out = BUILD / "rtl_gen"
    out.mkdir(parents=True, exist_ok=True)
    stamp = out / "registers.sha256"
    digest = hashlib.sha256(REGISTERS.read_bytes()).hexdigest()
    with FileLock(out / ".lock"):
        if not stamp.exists() or stamp.read_text() != digest:
            command = [
                sys.executable, "-m", "peakrdl", "regblock", str(REGISTERS), "-o", str(out),
                "--cpuif", "axi4-lite-flat", "--default-reset", "arst_n",
            ]  # fmt: skip
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise RuntimeError(f"peakrdl failed on {REGISTERS.name}:\n{done.stdout}{done.stderr}")
            stamp.write_text(digest)
    return sorted(out.glob("*.sv"))


def sources_of(top: str, extra: tuple[Path, ...] = ()) -> list[Path]:
    """The files that module `top` needs, dependencies first.

    Looks in rtl/, the generated RTL and `extra` (files outside rtl/, such as assertion
    modules; they are always included). A file depends on another when it names one of its
    modules, packages or interfaces.

    Raises:
        ValueError: no file defines `top`, or files depend on each other in a circle.
    """
    files = [*sorted(RTL.rglob("*.sv")), *generated_sources(), *extra]
    text = {file: _COMMENT.sub(" ", file.read_text()) for file in files}
    owner = {unit: file for file in files for unit in _UNIT.findall(text[file])}
    if top not in owner:
        raise ValueError(f"no source file defines module {top!r}")

    ordered: list[Path] = []
    open_files: list[Path] = []

    def visit(file: Path) -> None:
        if file in ordered:
            return
        if file in open_files:
            circle = " -> ".join(f.name for f in [*open_files[open_files.index(file) :], file])
            raise ValueError(f"circular dependency between source files: {circle}")
        open_files.append(file)
        for word in sorted(set(_WORD.findall(text[file])) & owner.keys()):
            if owner[word] != file:
                visit(owner[word])
        open_files.pop()
        ordered.append(file)

    visit(owner[top])
    for file in extra:
        visit(file)
    return ordered
