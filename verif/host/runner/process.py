# SPDX-License-Identifier: Apache-2.0
"""Programs that end with us: in a group of their own, killed whole on an interrupt, on SIGTERM, and out of time."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import IO, Any, NoReturn
from unittest import mock

# What a simulation and a compiler may see of the environment: variables of other tools (COCOTB_TEST_FILTER, WAVES, GUI,
# MAKEFLAGS, PYTHONSAFEPATH and so on) change silently what they do.
KEPT_VARIABLES = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "CC", "CXX")
KEPT_PREFIXES = ("CCACHE_",)
INTERRUPTED, TERMINATED = 128 + signal.SIGINT, 128 + signal.SIGTERM  # exit codes, as shells give them


@contextmanager
def listed_environment(extra: Mapping[str, str] | None = None) -> Iterator[None]:
    """Within, the process' environment is what is kept of it, and ``extra``."""
    kept = {
        name: value for name, value in os.environ.items() if name in KEPT_VARIABLES or name.startswith(KEPT_PREFIXES)
    }
    with mock.patch.dict(os.environ, kept | dict(extra or {}), clear=True):
        yield


def run_group(
    command: Sequence[str],
    *,
    cwd: str | os.PathLike[str],
    env: Mapping[str, str],
    output: IO[Any] | int | None,
    limit_s: float | None = None,
) -> int | None:
    """Run a command with its output and errors to ``output``; its exit code, None when ``limit_s`` stopped it.

    Nothing of it is left when this returns or raises, so that an interrupt leaves no orphan.
    """
    process = subprocess.Popen(
        command, cwd=cwd, env=dict(env), stdout=output, stderr=subprocess.STDOUT, start_new_session=True
    )
    try:
        return process.wait(limit_s)
    except subprocess.TimeoutExpired:
        return None
    finally:
        _kill_group(process.pid)
        process.wait()


def _kill_group(group: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def children(pid: int) -> list[int]:
    """The processes that ``pid`` has started and that still run."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        found += [int(child) for child in task.read_text().split()]
    return found


def end_on_sigterm(ending: BaseException, *, tell_children: bool = False) -> None:
    """SIGTERM raises ``ending`` in the main thread, so that what this process started ends too.

    ``tell_children``: they get the signal first.
    """

    def ended(_number: int, _frame: FrameType | None) -> NoReturn:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if tell_children:
            for child in children(os.getpid()):
                os.kill(child, signal.SIGTERM)
        raise ending

    signal.signal(signal.SIGTERM, ended)
