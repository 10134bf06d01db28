# SPDX-License-Identifier: Apache-2.0
"""What a command is busy with, and how long that took."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console


@contextmanager
def phase(console: Console, what: str) -> Iterator[None]:
    """Show what is being done, on a terminal as a spinner, and in the end print how many seconds it took."""
    started = time.monotonic()
    if not console.is_terminal:
        console.print(f"{what} ...", soft_wrap=True)
    with console.status(what):
        yield
    console.print(f"{what}: {time.monotonic() - started:.0f} s", soft_wrap=True)
