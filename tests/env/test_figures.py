# SPDX-License-Identifier: Apache-2.0
"""Whether a measured layer is what is asked of it, and what the table of figures says then."""

from dataclasses import replace

import numpy as np
import pytest

from models.config import load_config
from verif.host.benchmarks import Benchmark, planned
from verif.host.cli.figures import Figure, meets, row
from verif.host.layers import LayerResult

PES, LANES = 8, 4
LAYER = Benchmark("8x8x8, 3x3x16", (8, 8, 8), 16, utilization=0.5)


def figure(benchmark, macs=64_000, no_unit=1_000, cycles=4_000, error=0.0):
    """Of a layer that took ``cycles`` of 8 PEs with 4 lanes."""
    states = dict.fromkeys(("NO_WEIGHT", "NO_ACTIVATION", "DRAIN"), 0) | {"NO_UNIT": no_unit}
    counters = {"CYCLES": cycles, "MACS": macs, "BUSY": PES * cycles - no_unit, **states}
    result = LayerResult(np.zeros(1), counters, 1.0, np.zeros((1, PES), np.uint8), LANES)
    ((_, plan),) = planned(load_config("small"), benchmark, 1, 1)
    return Figure(benchmark, plan, [result], error)


@pytest.mark.parametrize(
    "changes, measured, met",
    [
        ({}, {}, True),  # 64,000 of 128,000 lane-cycles
        ({}, {"macs": 63_000}, False),
        ({"tail_apart": True}, {"macs": 48_000, "no_unit": 8_000}, True),  # of 96,000 that had a unit
        ({"tail_apart": True}, {"macs": 47_000, "no_unit": 8_000}, False),
        ({}, {"macs": 48_000, "no_unit": 8_000}, False),
        ({"cycles": 4_000}, {}, True),
        ({"cycles": 3_999}, {}, False),
    ],
)
def test_verdict(changes, measured, met):
    found = figure(replace(LAYER, **changes), **measured)
    assert meets(found, None) == met
    assert ("(missed)" in row(found, None)) != met


@pytest.mark.parametrize("error, met", [(0.029, True), (-0.051, False)])
def test_verdict_on_the_cycle_model(error, met):
    found = figure(LAYER, cycles=20_000, macs=320_000, error=error)
    assert meets(found, None) == met
    assert ("(cycle model missed)" in row(found, None)) != met
    assert "(missed)" not in row(found, None)


def test_speed_up():
    found = figure(replace(LAYER, speedup=2.0))
    assert meets(found, 8_000) and not meets(found, 7_999)


def test_row_without_the_tail():
    line = row(figure(replace(LAYER, tail_apart=True), macs=48_000, no_unit=8_000), None)
    assert "| 37.5 % |" in line and line.endswith("utilisation without the tail >= 50 %: 50.0 % |")
