# SPDX-License-Identifier: Apache-2.0
"""Record which C++ of the large cores runs often, for its compiler (`PROFILE` of verif.host.core)."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

from models.config import load_config
from verif.host.benchmarks import BENCHMARKS, CALIBRATION, FIGURE_3, planned
from verif.host.core import PROFILE, build_core
from verif.host.layers import run_layers
from verif.host.runner.build import clang
from verif.shared.paths import BUILD

CONFIG = "paper"
# Layers of the kinds that networks have, on other data than speed is measured with.
TRAINING = (
    FIGURE_3,
    *(replace(b, residual=True) for b in BENCHMARKS if (b.shape, b.out_channels) == ((64, 56, 56), 256)),
    *(b for b in BENCHMARKS if b.kind == "max_pool"),
)


def record_profile(seed: int, rerun: str) -> None:
    """Run TRAINING on a build that counts, and write PROFILE.

    Raises:
        RuntimeError: there is no clang, or it rejects what was recorded.
    """
    if not clang():
        raise RuntimeError("clang++ is not installed, expected it to record a profile")
    design = build_core(CONFIG, record_profile=True)
    shutil.rmtree(design.recorded, ignore_errors=True)
    layers = [pair for benchmark in TRAINING for pair in planned(load_config(CONFIG), benchmark, seed + CALIBRATION)]
    run_layers(design, CONFIG, layers, BUILD / "bench" / "profile", rerun)
    merge_profiles(design.recorded, PROFILE)


def merge_profiles(recorded: Path, profile: Path) -> None:
    """Make one file of what simulations recorded.

    Raises:
        RuntimeError: there is nothing, or it is not of this clang.
    """
    tool = subprocess.run(["clang++", "-print-prog-name=llvm-profdata"], capture_output=True, text=True, check=True)
    command = [tool.stdout.strip(), "merge", "--sparse", "-o", str(profile), *map(str, recorded.glob("*.profraw"))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"llvm-profdata failed:\n{done.stderr}")
