# SPDX-License-Identifier: Apache-2.0
"""`make docs`: the register map from its description."""

from __future__ import annotations

from rich.console import Console

from verif.shared.paths import BUILD, ROOT
from verif.shared.registers import write_documentation


def docs() -> None:
    """Write docs/registers.md and the HTML under build/docs/registers."""
    html, markdown = BUILD / "docs" / "registers", ROOT / "docs" / "registers.md"
    html.parent.mkdir(parents=True, exist_ok=True)
    write_documentation(html, markdown)
    Console(highlight=False).print(f"{markdown.relative_to(ROOT)}, {html.relative_to(ROOT)}/index.html")
