# SPDX-License-Identifier: Apache-2.0
"""Which source files a module needs, in the order compilers want them."""

from __future__ import annotations

import re
from pathlib import Path

from verif.shared.paths import RTL
from verif.shared.registers import GENERATED_UNITS, generated_sources

_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_UNIT = re.compile(r"^\s*(?:module|package|interface)\s+(?:automatic\s+|static\s+)?(\w+)", re.MULTILINE)
_MODULE = re.compile(r"^\s*module\s+(?:automatic\s+|static\s+)?(\w+)", re.MULTILINE)
_WORD = re.compile(r"\b[A-Za-z_]\w*\b")


def written_sources() -> list[Path]:
    """The files under rtl/ but the generated ones, which lie there for other projects."""
    return sorted(file for file in RTL.rglob("*.sv") if file.parent.name != "generated")


def root_modules() -> list[str]:
    """Modules under rtl/ that no other file there uses."""
    text = {file: _COMMENT.sub(" ", file.read_text()) for file in written_sources()}
    words = {file: set(_WORD.findall(body)) for file, body in text.items()}
    return [
        name
        for file, body in text.items()
        for name in _MODULE.findall(body)
        if not any(name in words[other] for other in text if other != file)
    ]


def sources_of(top: str, extra: tuple[Path, ...] = ()) -> list[Path]:
    """The files that module `top` needs, dependencies first.

    Looks in rtl/, the generated RTL and `extra` (files outside rtl/, such as assertion
    modules; they are always included). A file depends on another when it names one of its
    modules, packages or interfaces.

    Raises:
        ValueError: no file defines `top`, or files depend on each other in a circle.
    """
    text: dict[Path, str] = {}
    owner: dict[str, Path] = {}

    def read(file: Path) -> None:
        text[file] = _COMMENT.sub(" ", file.read_text())
        owner.update(dict.fromkeys(_UNIT.findall(text[file]), file))

    for file in (*written_sources(), *extra):
        read(file)
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
        words = set(_WORD.findall(text[file]))
        # Generated only for designs that use it.
        if words & set(GENERATED_UNITS) and GENERATED_UNITS[0] not in owner:
            for generated in generated_sources():
                read(generated)
        for needed in sorted({owner[word] for word in words & owner.keys()} - {file}):
            visit(needed)
        open_files.pop()
        ordered.append(file)

    for file in (owner[top], *extra):
        visit(file)
    return ordered
