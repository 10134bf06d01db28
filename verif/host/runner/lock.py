# SPDX-License-Identifier: Apache-2.0
"""Locks between commands in one checkout, with a line that says who is waited for."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
