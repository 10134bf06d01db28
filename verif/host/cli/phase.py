# SPDX-License-Identifier: Apache-2.0
"""What a command is busy with, how far it is, and how long that took."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console

LINES_S = 30  # seconds between two lines where there is no terminal


@contextmanager
def phase(console: Console, what: str) -> Iterator[Callable[[str], None]]:
    """Show what is being done, on a terminal as a spinner, and in the end print how many seconds it took.

    Yields what takes a line on how far it is: on a terminal it stands below the spinner, elsewhere it is printed, but
    no oftener than every LINES_S seconds.
    """
    started = printed = time.monotonic()
    if not console.is_terminal:
        console.print(f"{what} ...", soft_wrap=True)

    def tell(how_far: str) -> None:
        nonlocal printed
        if console.is_terminal:
            status.update(f"{what}\n  {how_far}")
        elif time.monotonic() - printed >= LINES_S:
            printed = time.monotonic()
            console.print(f"  {how_far}", soft_wrap=True)

    with console.status(what) as status:
        yield tell
    console.print(f"{what}: {time.monotonic() - started:.0f} s", soft_wrap=True)
