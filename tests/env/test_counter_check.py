# SPDX-License-Identifier: Apache-2.0
"""The check of counters, fed by hand: layers that were alone and layers that overlapped."""

from types import SimpleNamespace

import pytest

from models.lines import LineShape
from models.tiling import Cut, make_plan
from tests.env.feeding import CONFIG, Feeder
from verif.shared.stimulus import make_layer
from verif.sim.env.conclusions import Reset, RunFailed, RunOver
from verif.sim.env.counters import CounterMonitor
from verif.sim.env.layer_reference import memory_accesses
from verif.sim.env.program_words import Engine


class Watched:
    """A monitor outside any environment; `faults` is what it fails."""

    def __init__(self):
        self.faults = []
        self.monitor = CounterMonitor.__new__(CounterMonitor)
        self.monitor.reset_records()
        self.monitor.config = CONFIG
        self.monitor.checker = SimpleNamespace(fail=lambda kind, text: self.faults.append(text))


@pytest.fixture
def done(rng):
    layer = make_layer(rng, (4, 6, 7), 9, (3, 2), padding=(1, 0, 2, 1))
    feeder = Feeder()
    feeder.run(layer, make_plan(CONFIG, layer, Cut(LineShape(2, 7), LineShape(3, 3))))
    return feeder.layers[-1]


def counted(done, cycles=1000, more=0, **changes):
    """Counters of a layer; more: PE-cycles beyond those of its cycles."""
    found = {
        "CYCLES": cycles,
        "MACS": done.macs,
        "BUSY": done.macs,
        "NO_WEIGHT": 5,
        "NO_ACTIVATION": 6,
        "DRAIN": 7,
        "NO_UNIT": CONFIG.NumPe * cycles - done.macs - 18 + more,
        "LINES_WRITTEN": done.descriptor.out_entries,
        "BYTES_WRITTEN": done.bytes_written,
    }
    for memory, count in memory_accesses(done).items():
        found |= {f"{memory}_READS": count - 7, f"{memory}_HITS": 7}
    return found | changes


def test_a_layer_that_is_alone(done):
    watched = Watched()
    for _ in range(2):
        watched.monitor.write(done)
        watched.monitor.begins_alone()
        watched.monitor.ended(counted(done))
    watched.monitor.check_phase()
    assert not watched.faults and watched.monitor.checked == 2
    watched.monitor.write(done)
    watched.monitor.begins_alone()
    watched.monitor.ended(counted(done, more=1, MACS=done.macs + 1))
    assert watched.faults == [f"when it ended: MACS is {done.macs + 1}, expected {done.macs}"]
    watched.monitor.check_phase()
    assert "of 1 layers: the states' sum is" in watched.faults[1] and len(watched.faults) == 2


@pytest.mark.parametrize("wrong", [0, 1])
def test_layers_that_overlap(done, wrong):
    """What counts for either may be with the other, as long as all is counted once."""
    watched = Watched()
    for _ in range(2):
        watched.monitor.write(done)
    watched.monitor.begins_alone()
    reads = counted(done)["ACT_READS"]
    watched.monitor.ended(counted(done, more=-30, ACT_READS=reads + 4))
    watched.monitor.ended(counted(done, more=30, ACT_READS=reads - 4 + wrong))
    watched.monitor.begins_alone()
    assert len(watched.faults) == wrong and all("of 2 layers: ACT_READS" in text for text in watched.faults)


def test_layers_that_were_not_due(done):
    watched = Watched()
    watched.monitor.ended(counted(done))
    assert watched.faults == ["a layer has ended that was not due"]
    for conclusion in (Reset("soft_reset"), RunFailed(Engine.WEIGHTS, 0, 0, "par_range")):
        watched.monitor.write(done)
        watched.monitor.write(conclusion)
        watched.monitor.ended(counted(done))
        watched.monitor.ended(counted(done))
    watched.monitor.write(RunOver())
    assert len(watched.faults) == 1
