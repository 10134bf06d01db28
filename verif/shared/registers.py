# SPDX-License-Identifier: Apache-2.0
"""Everything generated from the register description: RTL, register model, documentation."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

from filelock import FileLock

from verif.shared.paths import BUILD, ROOT, RTL

REGISTERS = RTL / "csr" / "sparsecore.rdl"
GENERATED_UNITS = ("sparsecore_regs_pkg", "sparsecore_regs")
OUT = BUILD / "generated"

_REGBLOCK = (
    "--cpuif",
    "axi4-lite-flat",
    "--default-reset",
    "arst_n",
    "--addr-width",
    "12",
    "--err-if-bad-addr",
    "--err-if-bad-rw",
    "--module-name",
    "sparsecore_regs",
    "--package-name",
    "sparsecore_regs_pkg",
)


def _peakrdl(exporter: str, out: Path, *options: str) -> None:
    command = [sys.executable, "-m", "peakrdl", exporter, str(REGISTERS), "-o", str(out), *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"peakrdl {exporter} failed on {REGISTERS.name}:\n{done.stdout}{done.stderr}")


def _up_to_date() -> Path:
    """Generate RTL and register model when the description changed; the directory they are in."""
    OUT.mkdir(parents=True, exist_ok=True)
    stamp = OUT / "registers.sha256"
    key = hashlib.sha256(REGISTERS.read_bytes() + Path(__file__).read_bytes()).hexdigest()
    with FileLock(OUT / ".lock"):
        if not stamp.exists() or stamp.read_text() != key:
            stamp.unlink(missing_ok=True)
            _peakrdl("regblock", OUT, *_REGBLOCK)
            model = OUT / "sparsecore_reg_model.py"
            _peakrdl("pyuvm", model)
            # The exporter writes a constant that pyuvm 5 does not have.
            model.write_text(model.read_text().replace("UVM_NO_ENDIAN", "UVM_LITTLE_ENDIAN"))
            stamp.write_text(key)
    return OUT


def generated_sources() -> list[Path]:
    """The register block's RTL: package `sparsecore_regs_pkg`, then module `sparsecore_regs`.

    Flat AXI4-Lite ports (`s_axil_*`), clock `clk`, asynchronous active-low reset `arst_n`.

    Raises:
        RuntimeError: PeakRDL rejects the description; the text is its message.
    """
    return [_up_to_date() / f"{unit}.sv" for unit in GENERATED_UNITS]


def register_model_dir() -> Path:
    """Directory to put on the Python path to import `sparsecore_reg_model`, the pyuvm register model."""
    return _up_to_date()


def write_documentation(html: Path, markdown: Path) -> None:
    """Write the register map as a directory of HTML and as one Markdown file."""
    _peakrdl("html", html)
    _peakrdl("markdown", markdown)
    markdown.write_text(markdown.read_text().replace(f"{ROOT}/", ""))
