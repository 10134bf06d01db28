# SPDX-License-Identifier: Apache-2.0
"""`make docs`: what stands in the tree although it follows from other files of it."""

from __future__ import annotations

from rich.console import Console

from verif.host.manifests import publish
from verif.shared.paths import BUILD, ROOT
from verif.shared.registers import write_documentation


def docs() -> None:
    """Write docs/registers.md and its HTML, the register block for other projects, and their lists of RTL files."""
    html, markdown = BUILD / "docs" / "registers", ROOT / "docs" / "registers.md"
    html.parent.mkdir(parents=True, exist_ok=True)
    write_documentation(html, markdown)
    for file in (markdown, html / "index.html", *publish()):
        Console(highlight=False).print(str(file.relative_to(ROOT)))
