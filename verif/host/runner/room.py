# SPDX-License-Identifier: Apache-2.0
"""Room in build/: what nobody used for long is dropped, the least recently used first."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from verif.host.runner.lock import exclusive
from verif.shared.paths import BUILD

BUILDS, RUNS = BUILD / "sim", BUILD / "runs"

DAY_S = 24 * 3600
KEPT_DAYS = 14
# All builds of `make test FULL=1` take some 500 MB, its runs 20 MB without waves.
BUILDS_LIMIT, RUNS_LIMIT = 3 * 2**30, 2**30


def lock_of(build: Path) -> Path:
    """The lock of a build: shared by who uses it, exclusive for who makes or drops it; its time is the last use."""
    return build.with_name(f"{build.name}.lock")


def last_use(directory: Path) -> float:
    """When a build or a run directory was last used, in seconds since the epoch."""
    lock = lock_of(directory)
    return (lock if lock.exists() else directory).stat().st_mtime


def size(directory: Path) -> int:
    """Bytes of the files below."""
    total = 0
    for folder, _, files in os.walk(directory):
        for file in files:
            with suppress(FileNotFoundError):
                total += os.lstat(os.path.join(folder, file)).st_size
    return total


def drop_old(folder: Path, limit: int, drop: Callable[[Path], None]) -> None:
    """Drop directories of ``folder`` not used for KEPT_DAYS, and the oldest of those that take more than ``limit``.

    None that was used within a day: a command does not lose what it made itself. ``limit``: bytes.
    """
    used = {}
    for directory in folder.iterdir() if folder.exists() else ():
        with suppress(FileNotFoundError):
            if directory.is_dir():
                used[directory] = last_use(directory)
    now, together = time.time(), 0
    for directory in sorted(used, key=used.__getitem__, reverse=True):
        age = now - used[directory]
        together += size(directory)
        if age > DAY_S and (age > KEPT_DAYS * DAY_S or together > limit):
            drop(directory)


def drop_build(build: Path) -> None:
    """Drop a build with its lock, unless somebody makes or uses it."""
    lock = lock_of(build)
    with exclusive(lock, wait=False) as got:
        if got:
            shutil.rmtree(build, ignore_errors=True)
            lock.unlink()


def drop_run(directory: Path) -> None:
    """Drop a run directory."""
    shutil.rmtree(directory, ignore_errors=True)


def tidy() -> None:
    """Drop old builds and run directories."""
    drop_old(BUILDS, BUILDS_LIMIT, drop_build)
    drop_old(RUNS, RUNS_LIMIT, drop_run)
