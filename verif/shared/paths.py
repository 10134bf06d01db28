# SPDX-License-Identifier: Apache-2.0
"""Where things are."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RTL = ROOT / "rtl"
BUILD = ROOT / "build"
