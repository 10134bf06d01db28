# SPDX-License-Identifier: Apache-2.0
"""What runs ends with its command, alone in its directory, and sees nothing of the environment that is not listed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from verif.host.cli.pytest_run import selection
from verif.host.runner.lock import held
from verif.host.runner.process import listed_environment, run_group
from verif.shared.paths import ROOT

# Starts a program that starts another, as make does, and says when both run.
STARTER = """
import sys
from pathlib import Path
from verif.host.runner.process import end_on_sigterm, run_group
end_on_sigterm(SystemExit(143))
run_group(["sh", "-c", "sleep 60 & echo $! >{0}; wait"], cwd=".", env={{"PATH": "/usr/bin:/bin"}}, output=None)
"""


def running(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def appeared(file: Path) -> str:
    for _ in range(300):
        if file.exists() and file.read_text().strip():
            return file.read_text().strip()
        time.sleep(0.05)
    raise AssertionError(f"{file} was not written")


@pytest.mark.parametrize("number, code", [(signal.SIGTERM, 143), (signal.SIGINT, -signal.SIGINT)])
def test_nothing_is_left_of_an_interrupted_command(tmp_path, number, code):
    marker = tmp_path / "pid"
    command = subprocess.Popen(
        [sys.executable, "-c", STARTER.format(marker)],
        cwd=ROOT,
        start_new_session=True,
        stderr=subprocess.DEVNULL,
        # What runs in the background ignores interrupts, and hands that on.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    grandchild = int(appeared(marker))
    command.send_signal(number)
    assert command.wait(10) == code
    deadline = time.monotonic() + 3
    while running(grandchild) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not running(grandchild)


def test_time_limit(tmp_path):
    started = time.monotonic()
    assert run_group(["sleep", "30"], cwd=tmp_path, env=os.environ, output=None, limit_s=0.2) is None
    assert time.monotonic() - started < 10


def test_environment(monkeypatch):
    for name in ("COCOTB_TEST_FILTER", "WAVES", "GUI", "MAKEFLAGS", "PYTHONSAFEPATH"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("CCACHE_DIR", "/somewhere")
    with listed_environment({"EXTRA": "2"}):
        seen = dict(os.environ)
    assert seen["EXTRA"] == "2" and seen["CCACHE_DIR"] == "/somewhere" and seen["PATH"] == os.environ["PATH"]
    assert not {"COCOTB_TEST_FILTER", "WAVES", "GUI", "MAKEFLAGS", "PYTHONSAFEPATH"} & seen.keys()
    assert os.environ["WAVES"] == "1"


def test_a_second_command_says_whom_it_waits_for(tmp_path):
    lock = tmp_path / "a.lock"
    waiting = (
        "from pathlib import Path\nfrom verif.host.runner.lock import held\n"
        f"with held(Path({str(lock)!r}), 'make b'): pass"
    )
    with held(lock, "make a"):
        second = subprocess.Popen([sys.executable, "-c", waiting], cwd=ROOT, stderr=subprocess.PIPE, text=True)
        line = second.stderr.readline()
        assert second.poll() is None
    assert line.startswith(f"make b: waiting for make a (process {os.getpid()}, since ")
    assert second.wait(10) == 0


def test_selection():
    assert selection("tests/models/test_km.py") == ["tests/models/test_km.py"]
    assert selection("tests/models/test_km.py::test_x[1/2]") == ["tests/models/test_km.py::test_x[1/2]"]
    assert selection("fifo or tile_mask") == ["-k", "fifo or tile_mask"]
    assert selection("tests/core/test_residual.py or fifo") == ["-k", "test_residual.py or fifo"]
    for wrong, near in (("tests/models/test_kn.py", "tests/models/test_km.py"), ("test_fifp", "test_fifo")):
        with pytest.raises(ValueError, match=f"TEST: '{wrong}' is no test, path or keyword; near: .*{near}"):
            selection(wrong)
