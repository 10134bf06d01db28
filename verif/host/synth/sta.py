# SPDX-License-Identifier: Apache-2.0
"""OpenSTA as a program: runs a Tcl script, returns what it prints."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path


def run_sta(script: str, path: Path) -> str:
    """Write `script` to `path`, run it and return its output.

    Raises:
        RuntimeError: OpenSTA is not installed, or reports an error.
    """
    sta = shutil.which("sta")
    if sta is None:
        raise RuntimeError("OpenSTA is not installed: install Debian's opensta")
    path.write_text(script)
    done = subprocess.run(
        [sta, "-no_splash", "-exit", str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    errors = [line for line in done.stdout.splitlines() if line.startswith("Error")]
    if done.returncode or errors:
        raise RuntimeError(f"OpenSTA failed on {path}:\n" + ("\n".join(errors[:20]) or done.stdout[-4000:]))
    return done.stdout
