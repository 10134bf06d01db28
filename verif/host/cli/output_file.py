# SPDX-License-Identifier: Apache-2.0
"""The file OUT that a command's results go to: looked at before anything is simulated, and never lost afterwards."""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from verif.shared.paths import ROOT


def check_target(out: str, name: str, source: str) -> None:
    """Raise ValueError when OUT cannot be written, or is the file ``source`` of the variable ``name``."""
    target = Path(out)
    if target.is_dir():
        raise ValueError(f"{out}: a directory, expected a file")
    if not target.parent.is_dir():
        raise ValueError(f"{out}: directory {target.parent} does not exist")
    if target.exists() and Path(source).exists() and target.samefile(source):
        raise ValueError(f"{out}: OUT is {name} itself, expected another file")
    if not os.access(target if target.exists() else target.parent, os.W_OK):
        raise ValueError(f"{out}: not writable")


def save_arrays(arrays: Mapping[str, Any], out: str, spare: Path) -> None:
    """Write arrays as NPZ to ``spare``, then ``out``; raises ValueError that names ``spare`` where ``out`` fails."""
    spare.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(spare, "w") as archive:  # numpy.savez cannot take every name
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asarray(array))
    try:
        shutil.copyfile(spare, out)
    except OSError as error:
        raise ValueError(f"{out}: {error.strerror}; the result is in {spare.relative_to(ROOT)}") from None
    spare.unlink()
