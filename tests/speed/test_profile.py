# SPDX-License-Identifier: Apache-2.0
"""A build records which of its C++ runs often, and another is compiled by that and does the same."""

import json

import pytest

from verif.host.core import PROFILE
from verif.host.runner import build, run, sources_of
from verif.host.runner.build import clang
from verif.host.speed.profile import merge_profiles
from verif.host.speed.replay import ports_of
from verif.shared.variables import PORTS

pytestmark = pytest.mark.skipif(not clang(), reason="profiles are clang's")

MODULE = "tests.speed.test_replay"  # what runs
SIZES = {"Width": 70, "Depth": 4}


def test_profile(tmp_path):
    profile = tmp_path / "fifo.profdata"
    sources = sources_of("spcore_fifo")
    recording = build("spcore_fifo", sources, SIZES, record_profile=True)
    run(recording, MODULE, env={PORTS: json.dumps(ports_of(recording))})
    merge_profiles(recording.recorded, profile)
    assert profile.stat().st_size

    by_profile = build("spcore_fifo", sources, SIZES, profile=profile)
    assert by_profile.path != recording.path
    assert "-fprofile-use=" in (by_profile.path / "build.log").read_text()
    run(by_profile, MODULE, env={PORTS: json.dumps(ports_of(by_profile))})


def test_nothing_recorded(tmp_path):
    with pytest.raises(RuntimeError, match="llvm-profdata failed"):
        merge_profiles(tmp_path, tmp_path / "none.profdata")


def test_the_profile_of_large_cores_is_there():
    assert PROFILE.stat().st_size
