# SPDX-License-Identifier: Apache-2.0
"""What switches in a part of a simulated design: how often, by pin, from the VCD file that the simulation leaves."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_WHOLE = 2**63


@dataclass(frozen=True)
class Pins:
    """The variables of a VCD file: the short code by which it names each, by path below the part's own scope."""

    scalars: dict[str, str]
    vectors: dict[str, str]


@dataclass(frozen=True)
class Switching:
    """Of a pin in a window: changes of its value, and the share of the time that it is 1."""

    changes: int
    duty: float


def read_pins(vcd: Path, scope: Sequence[str]) -> Pins:
    """The variables in and below a scope; names without the backslash of escaped identifiers, joined by `/`."""
    scalars: dict[str, str] = {}
    vectors: dict[str, str] = {}
    at: list[str] = []
    with open(vcd) as file:
        for line in file:
            words = line.split()
            if words[:1] == ["$scope"]:
                at.append(words[2].removeprefix("\\"))
            elif words[:1] == ["$upscope"]:
                at.pop()
            elif words[:1] == ["$var"] and at[: len(scope)] == list(scope):
                kept = scalars if words[2] == "1" else vectors
                kept["/".join([*at[len(scope) :], words[4].removeprefix("\\")])] = words[3]
            elif words[:1] == ["$enddefinitions"]:
                return Pins(scalars, vectors)
    raise ValueError(f"{vcd} has no $enddefinitions")


def _changes(vcd: Path) -> Iterator[tuple[int, str, str]]:
    """Time, code and new value of each change."""
    time = 0
    with open(vcd) as file:
        for line in file:
            if line.startswith("$enddefinitions"):
                break
        for line in file:
            first = line[0]
            if first == "#":
                time = int(line[1:])
            elif first == "b":
                value, code = line[1:].split()
                yield time, code, value
            elif first in "01xz":
                yield time, line[1:].rstrip(), first


def sampled(vcd: Path, clock: str, codes: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """At each rising edge of ``clock``: its time, and the values just before it."""
    values = dict.fromkeys(codes, "x")
    pending: list[tuple[str, str]] = []
    edge: int | None = None
    now = 0
    for time, code, value in _changes(vcd):
        if time != now:
            if edge is not None:
                yield edge, [values[code] for code in codes]
                edge = None
            values.update(pending)
            pending.clear()
            now = time
        if code == clock and value == "1":
            edge = time
        if code in values:
            pending.append((code, value))


def changes_of(vcd: Path, codes: Collection[str], start: int, end: int) -> Iterator[tuple[int, str]]:
    """Time and code of each change of some scalars from ``start`` to before ``end``."""
    for time, code, _ in _changes(vcd):
        if time >= end:
            break
        if time >= start and code in codes:
            yield time, code


def count(vcd: Path, codes: set[str], start: int = 0, end: int = _WHOLE) -> dict[str, Switching]:
    """What scalars did from ``start`` to before ``end``; an unknown value counts as 0."""
    changes = dict.fromkeys(codes, 0)
    high = dict.fromkeys(codes, 0)
    since: dict[str, int] = {}
    last = start
    for time, code, value in _changes(vcd):
        if time >= end:
            break
        last = time
        if code not in changes:
            continue
        if value == "1":
            if code not in since:
                since[code] = max(time, start)
                changes[code] += time >= start
        elif code in since:
            if time >= start:
                high[code] += time - since.pop(code)
                changes[code] += 1
            else:
                del since[code]
    end = min(end, last)
    for code, time in since.items():
        high[code] += end - time
    whole = max(1, end - start)
    return {code: Switching(number, high[code] / whole) for code, number in changes.items()}
