# SPDX-License-Identifier: Apache-2.0
"""Bounds in simulated time: a test that stands still fails soon, and says what it waits for and in which state."""

from __future__ import annotations

import functools
import linecache
import re
from collections.abc import Awaitable, Callable, Iterator
from types import FrameType
from typing import Any, TypeVar

import cocotb
from cocotb.handle import HierarchyArrayObject, HierarchyObject, LogicObject, PackedObject
from cocotb.task import Task
from cocotb.triggers import Timer

from verif.shared.paths import ROOT
from verif.sim.kit.expected import Scoreboard

_T = TypeVar("_T")
_SHOWN = r"state_q|\w*(valid|ready|req|gnt|busy|full)\w*"
_ENUM = re.compile(r"typedef\s+enum\s+logic\s*\[[^\]]*\]\s*\{([^}]*)\}\s*state_e\s*;", re.DOTALL)


def block_test(us: float, *, skip: bool = False) -> Callable[[Callable[..., Awaitable[None]]], Any]:
    """Decorator of a cocotb test, in place of `cocotb.test()`: it has ``us`` microseconds of simulated time.

    Choose about four times what the test takes. A test that needs longer fails with what `bounded` says. One that ends
    fails unless each `Scoreboard` that it made is complete. ``skip``: not on this simulator.
    """

    def decorate(test: Callable[..., Awaitable[None]]) -> Any:
        @functools.wraps(test)
        async def with_bound(dut: HierarchyObject) -> None:
            Scoreboard.made.clear()
            await bounded(test(dut), us, dut)
            for scoreboard in Scoreboard.made:
                scoreboard.check()

        return cocotb.test(skip=skip)(with_bound)

    return decorate


async def bounded(work: Awaitable[_T], us: float, dut: HierarchyObject, what: str = "") -> _T:
    """Await the coroutine ``work``, at most for ``us`` microseconds of simulated time.

    Raises AssertionError, from a task of its own so that nobody can catch it, with the lines that ``work`` waits in and
    the states and handshakes of ``dut``; ``what`` begins the message.
    """

    async def watch() -> None:
        await Timer(us, "us", round_mode="round")
        waits = "\n".join(_waits(work)) or "  nothing: it computes"
        states = "\n".join(_states(dut))
        raise AssertionError(f"{what}not done after {us:g} us. It waits in\n{waits}\nStates:\n{states}")

    guard = cocotb.start_soon(watch())
    result = await work
    guard.cancel()
    return result


def _frames(work: Any) -> Iterator[FrameType]:
    """The frames of a suspended coroutine, outermost first, and of the task that it waits for."""
    while work is not None:
        frame = getattr(work, "cr_frame", None) or getattr(work, "gi_frame", None)
        if frame is None:
            return
        yield frame
        task = frame.f_locals.get("self")
        awaits_task = isinstance(task, Task) and frame.f_code.co_name == "__await__"
        work = task._coro if awaits_task else getattr(work, "cr_await", None) or getattr(work, "gi_yieldfrom", None)


def _waits(work: Any) -> Iterator[str]:
    """The project's own lines among the frames."""
    for frame in _frames(work):
        file, line = frame.f_code.co_filename, frame.f_lineno
        if file.startswith(f"{ROOT}/") and "site-packages" not in file:
            place = f"{file.removeprefix(f'{ROOT}/')}:{line}"
            yield f"  {place} {frame.f_code.co_name}: {linecache.getline(file, line).strip()}"


def _states(handle: HierarchyObject | HierarchyArrayObject, shown: str = _SHOWN) -> Iterator[str]:
    """`name = value` of the handshakes of a design and the states in it, as far as the simulator shows them."""
    names = _state_names(handle._def_name)
    for child in handle:
        if isinstance(child, (HierarchyObject, HierarchyArrayObject)):
            yield from _states(child, "state_q")
        elif isinstance(child, (LogicObject, PackedObject)) and re.fullmatch(shown, child._name):
            value = str(child.value)
            if child._name == "state_q" and child.value.is_resolvable and int(value, 2) < len(names):
                value = names[int(value, 2)]
            yield f"  {child._path} = {value}"


@functools.cache
def _state_names(module: str) -> list[str]:
    """The names of a module's states in the order of their values; none where it has no `state_e`."""
    for file in (ROOT / "rtl").rglob(f"{module}.sv"):
        if found := _ENUM.search(re.sub(r"//[^\n]*", "", file.read_text())):
            return [name.split("=")[0].strip() for name in found[1].split(",") if name.strip()]
    return []
