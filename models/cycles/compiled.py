# SPDX-License-Identifier: Apache-2.0
"""How numba compiles this package: once for all processes, as long as its sources stay as they are.

The machine code is kept in build/numba, or in the user's cache where build/ cannot be written.
"""

import hashlib
import os
import tempfile
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import numba
from filelock import FileLock

from models import work

_FOLDERS = (
    Path(__file__).resolve().parents[2] / "build" / "numba",
    Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "sparsecore",
)

# Nothing is allocated, and the arrays' owner waits: to count references would take a third of the time.
_OPTIONS: dict[str, Any] = {"error_model": "numpy", "_nrt": False}

_F = TypeVar("_F", bound=Callable[..., object])


def part(function: _F) -> _F:
    """A function that compiled ones call."""
    compiled: _F = numba.njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, **_OPTIONS)(function)
    return compiled


def _folder() -> Path:
    """Where the machine code is, for these sources: numba looks at the file of the outermost function alone."""
    sources = [*sorted(Path(__file__).parent.glob("*.py")), Path(work.__file__)]
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:16]
    for folder in _FOLDERS:
        try:
            (folder / digest).mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(folder / digest, os.W_OK):
            return folder / digest
    return Path(tempfile.mkdtemp(prefix="sparsecore-"))


def whole(function: Callable[..., None]) -> Callable[..., None]:
    """A compiled function that Python calls. The first call compiles it or reads what another process compiled, and
    others that begin meanwhile wait."""
    folder, before = _folder(), numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(folder)  # numba reads it where it makes the function
    compiled = numba.njit(cache=True, **_OPTIONS)(function)
    numba.config.CACHE_DIR = before

    @wraps(function)
    def call(*arguments: Any) -> None:
        if compiled.signatures:
            compiled(*arguments)
        else:
            with FileLock(folder / ".lock"):
                compiled(*arguments)

    return call
