# SPDX-License-Identifier: Apache-2.0
"""How far a long simulation is reaches who waits for it: from the record to the line below the spinner."""

import io
import threading
from dataclasses import replace

import pytest
from rich.console import Console

from models.config import load_config
from tests.descriptor_cases import legal_layer
from verif.host import layers
from verif.host.cli import phase
from verif.shared.layer_files import COMPUTING, LOADING, Progress, beats


@pytest.fixture
def plans():
    _, plan = legal_layer(load_config("small"))
    return [plan, replace(plan, predicted=74_273)]


def test_beats(plans):
    d = plans[0].descriptor
    assert beats(plans[0]) == d.vectors + d.out_k + 9 * (d.in_entries + d.out_entries)


@pytest.mark.parametrize(
    "progress, line",
    [
        (
            Progress(1, COMPUTING, 12_288, 10_240.0),
            "layer 2 of 2, computing: 12,288 of about 74,273 cycles, 10,240 a second, 6 s left",
        ),
        (Progress(0, COMPUTING, 6_400, 80.0), "layer 1 of 2, computing: 6,400 cycles, 80 a second"),
        (Progress(1, LOADING, 0, 0.0), "layer 2 of 2, loading: 0 cycles"),
    ],
)
def test_words(progress, line, plans):
    assert layers.progress_line(progress, [plan.predicted for plan in plans]) == line


def test_record(tmp_path, plans, monkeypatch):
    """What is written is told, nothing of an earlier simulation, and nothing more in the end."""
    monkeypatch.setattr(layers, "POLL_S", 0.01)
    file, told, heard = tmp_path / "progress.json", [], threading.Event()

    def tell(line):
        told.append(line)
        heard.set()

    Progress(0, COMPUTING, 1, 1.0).write(file)
    with layers.followed(file, [plan.predicted for plan in plans], tell):
        assert not heard.wait(0.1)
        Progress(1, COMPUTING, 640, 10.0).write(file)
        assert heard.wait(10)
    assert set(told) == {"layer 2 of 2, computing: 640 of about 74,273 cycles, 10 a second, 123 min left"}
    assert [path.name for path in tmp_path.iterdir()] == ["progress.json"]


def test_on_a_terminal_the_line_changes():
    console = Console(file=io.StringIO(), force_terminal=True, width=80, highlight=False)
    with phase.phase(console, "simulating") as tell:
        tell("layer 1 of 2")
        tell("layer 2 of 2")
    text = console.file.getvalue()
    assert "simulating\n  layer 2 of 2" in text and text.splitlines()[-1].endswith("simulating: 0 s")


def test_elsewhere_lines_are_rare(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(phase.time, "monotonic", lambda: now[0])
    console = Console(file=io.StringIO())
    with phase.phase(console, "simulating") as tell:
        for _ in range(3 * phase.LINES_S - 1):
            now[0] += 1
            tell(f"at {now[0]:.0f} s")
    assert console.file.getvalue().splitlines() == [
        "simulating ...",
        f"  at {phase.LINES_S} s",
        f"  at {2 * phase.LINES_S} s",
        f"simulating: {3 * phase.LINES_S - 1} s",
    ]
