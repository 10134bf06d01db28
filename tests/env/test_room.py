# SPDX-License-Identifier: Apache-2.0
"""build/ keeps what is used and drops what is not; `make clean` says what it frees."""

import os
import shutil
import subprocess
import sys
import time

import pytest

from verif.host.runner import room
from verif.host.runner.build import Build
from verif.host.runner.lock import exclusive, shared
from verif.shared.paths import ROOT

KB = 1000


@pytest.fixture
def builds(tmp_path):
    """Makes a fake build of so many kilobytes, last used so many days ago."""

    def make(name, days, kilobytes=10, locked=True):
        path = tmp_path / "sim" / name
        path.mkdir(parents=True)
        (path / "built.json").write_bytes(bytes(kilobytes * KB))
        used = room.lock_of(path) if locked else path
        used.touch()
        os.utime(used, 2 * (time.time() - days * room.DAY_S,))
        return path

    return make


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_least_recently_used_go_first(builds, tmp_path):
    for name, days in (("new", 0), ("a", 2), ("b", 3), ("c", 4), ("d", 5)):
        builds(name, days)
    room.drop_old(tmp_path / "sim", 35 * KB, room.drop_build)
    assert names(tmp_path / "sim") == ["a", "a.lock", "b", "b.lock", "new", "new.lock"]


def test_nothing_of_today_is_dropped(builds, tmp_path):
    for number in range(150):
        builds(f"b{number}", 0.5)
    builds("old", 2)
    room.drop_old(tmp_path / "sim", 35 * KB, room.drop_build)
    assert len(names(tmp_path / "sim")) == 300


def test_old_ones_are_dropped_though_there_is_room(builds, tmp_path):
    builds("old", room.KEPT_DAYS + 1)
    builds("older", room.KEPT_DAYS + 2, locked=False)  # as builds were before they had a lock each
    builds("used", room.KEPT_DAYS - 1)
    room.drop_old(tmp_path / "sim", 10**9, room.drop_build)
    assert names(tmp_path / "sim") == ["used", "used.lock"]


def test_run_directories(builds, tmp_path):
    for name, days in (("today", 0), ("a", 2), ("b", 3), ("old", room.KEPT_DAYS + 1)):
        builds(name, days, locked=False)
    room.drop_old(tmp_path / "sim", 15 * KB, room.drop_run)
    assert names(tmp_path / "sim") == ["today"]
    room.drop_old(tmp_path / "missing", 0, room.drop_run)


@pytest.mark.parametrize("hold", [shared, exclusive])
def test_a_build_in_use_stays(builds, tmp_path, hold):
    path = builds("used", room.KEPT_DAYS + 1)
    with hold(room.lock_of(path)):
        room.drop_old(tmp_path / "sim", 0, room.drop_build)
        assert (path / "built.json").exists()
    room.drop_old(tmp_path / "sim", 0, room.drop_build)
    assert names(tmp_path / "sim") == []


def test_use_is_noted(builds, tmp_path):
    path = builds("used", room.KEPT_DAYS + 1)
    with Build(path, "top", "verilator", False, False).in_use(), shared(room.lock_of(path)):  # by two at once
        pass
    room.drop_old(tmp_path / "sim", 0, room.drop_build)
    assert (path / "built.json").exists()


def test_a_lock_that_was_deleted_is_none(tmp_path):
    """Who waits for the lock of a build that is dropped meanwhile gets a lock that others see."""
    lock, got = tmp_path / "a.lock", tmp_path / "got"
    waiting = (
        "import time\nfrom pathlib import Path\nfrom verif.host.runner.lock import exclusive, shared\n"
        f"with shared(Path({str(lock)!r})):\n    Path({str(got)!r}).touch()\n    time.sleep(30)"
    )
    with exclusive(lock):
        other = subprocess.Popen([sys.executable, "-c", waiting], cwd=ROOT)
        time.sleep(0.5)
        lock.unlink()
    try:
        deadline = time.monotonic() + 20
        while not got.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        with exclusive(lock, wait=False) as held:
            assert got.exists() and not held
    finally:
        other.kill()
        other.wait()


def test_clean_says_what_it_frees(tmp_path):
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "clean", tmp_path / ".ci")
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name, megabytes in (("sim", 3), ("runs", 1)):
        (tmp_path / "build" / name).mkdir(parents=True)
        (tmp_path / "build" / name / "file").write_bytes(os.urandom(megabytes * 2**20))
    (tmp_path / ".venv").mkdir()
    env = {"PATH": "/usr/bin:/bin"}
    done = subprocess.run(["make", "clean"], cwd=tmp_path, env=env, capture_output=True, text=True, check=True)
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["1.0", "MB", "build/runs/"],
        ["3.0", "MB", "build/sim/"],
        ["4.0", "MB", "build,", "removed"],
    ]
    assert names(tmp_path) == [".ci", ".venv", "Makefile"]
    done = subprocess.run(["make", "clean"], cwd=tmp_path, env=env, capture_output=True, text=True, check=True)
    assert done.stdout == "nothing to remove: no build/\n"
