# SPDX-License-Identifier: Apache-2.0
"""A build holds nothing of another one that the compiler's cache remembers."""

import shutil

from verif.host.block import build_block
from verif.host.runner import room


def test_compiler_cache_remembers_no_dropped_build(tmp_path, monkeypatch):
    # The same C++ in two directories, as of two commits that differ in what they make public. Large enough for
    # Verilator to precompile its headers.
    monkeypatch.setattr(room, "BUILDS", tmp_path / "sim")
    first = build_block("spcore_line_compressor", {"SpLanes": 8}, public=["spcore_line_compressor.first"])
    shutil.rmtree(first.path)
    second = build_block("spcore_line_compressor", {"SpLanes": 8}, public=["spcore_line_compressor.second"])
    assert second.path != first.path and second.facts.exists()
