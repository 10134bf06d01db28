# SPDX-License-Identifier: Apache-2.0
"""Locks between processes in one checkout."""

from __future__ import annotations

import fcntl
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from filelock import FileLock, Timeout


@contextmanager
def held(file: Path, what: str) -> Iterator[None]:
    """Hold the lock ``file`` for ``what``; while another process holds it, say so once on stderr and wait."""
    file.parent.mkdir(parents=True, exist_ok=True)
    holder = file.with_suffix(".holder")
    lock = FileLock(file)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        who = holder.read_text().strip() if holder.exists() else "another process"
        print(f"{what}: waiting for {who}", file=sys.stderr, flush=True)
        lock.acquire()
    try:
        holder.write_text(f"{what} (process {os.getpid()}, since {time.strftime('%H:%M:%S')})\n")
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


@contextmanager
def exclusive(file: Path, *, wait: bool = True) -> Iterator[bool]:
    """Hold the lock ``file`` alone; yields whether it is held, which may be False only for ``wait`` False."""
    opened = _locked(file, fcntl.LOCK_EX, wait)
    if opened is None:
        yield False
        return
    with opened:
        yield True


@contextmanager
def shared(file: Path) -> Iterator[None]:
    """Hold the lock ``file`` together with others that share it, while nobody holds it alone."""
    opened = _locked(file, fcntl.LOCK_SH, True)
    assert opened is not None
    with opened:
        yield


def _locked(file: Path, kind: int, wait: bool) -> IO[str] | None:
    """The lock's file, open and locked until it is closed; None when others hold it and ``wait`` is False."""
    while True:
        opened = file.open("a")
        try:
            fcntl.flock(opened, kind if wait else kind | fcntl.LOCK_NB)
            if file.exists() and os.path.samestat(os.fstat(opened.fileno()), file.stat()):
                return opened
            opened.close()  # its last holder has deleted it
        except BlockingIOError:
            opened.close()
            return None
