# SPDX-License-Identifier: Apache-2.0
"""What has to come, in order: a test passes when something was expected and all of it came, and nothing else."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any, ClassVar

from cocotb.triggers import Event


class Scoreboard:
    """Expected items, compared as they come; `block_test` ends with the verdict of every one that its test made.

    Where an item is a mapping, such as the fields of a struct, the expected one names those that count.
    """

    made: ClassVar[list[Scoreboard]] = []  # by the test that runs

    def __init__(self, name: str):
        """``name``: what the items are, for messages."""
        self.name = name
        self.came = 0
        self._due: deque[Any] = deque()
        self._progress = Event()
        Scoreboard.made.append(self)

    def expect(self, *items: Any) -> None:
        """These come next, after what is expected already."""
        self._due += items

    @property
    def due(self) -> int:
        """How many items are still to come."""
        return len(self._due)

    def take(self, item: Any) -> None:
        """An item came; raises AssertionError unless it is the next one expected."""
        assert self._due, f"{self.name} {self.came}: got {item}, expected nothing more"
        want = self._due.popleft()
        seen = {key: item[key] for key in want} if isinstance(want, Mapping) else item
        assert seen == want, f"{self.name} {self.came}: {_difference(seen, want)}"
        self.came += 1
        self._progress.set()

    async def complete(self) -> None:
        """Until all that is expected has come."""
        while self._due:
            self._progress.clear()
            await self._progress.wait()

    def check(self) -> None:
        """Raises AssertionError unless something was expected and all of it came."""
        assert not self._due, f"{self.name} {self.came}: never came, expected {self._due[0]}; {self.due} are missing"
        assert self.came, f"{self.name}: nothing was expected"


def _difference(seen: Any, want: Any) -> str:
    if not isinstance(want, Mapping):
        return f"got {seen}, expected {want}"
    wrong = [key for key in want if seen[key] != want[key]]
    return ", ".join(f"{key}: got {seen[key]}, expected {want[key]}" for key in wrong)
