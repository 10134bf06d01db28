# SPDX-License-Identifier: Apache-2.0
"""Random layers of every mode and kind: any geometry, cut and number format, random stalls on every stream."""

import os

import numpy as np
import pytest
import pyuvm

from models import km
from models.stream import decode_output
from verif.shared.stimulus import RANDOM_KINDS, random_layer, random_stalls, strips
from verif.sim.env.scenario import CoreTest
from verif.sim.env.sequences import RunLayer


@pyuvm.test()
class RandomLayers(CoreTest):
    bound_us = 5000

    async def scenario(self):
        k, m = (int(n) for n in os.environ["MODE"].split("/"))
        for number in range(int(os.environ["LAYERS"])):
            # Every second dense layer is a baseline: zero activations are multiplied as well.
            skip = (k, m) != (1, 1) or number % 2 == 0
            kind = os.environ.get("KIND")
            layer, plan = random_layer(self.rng, self.config, (k, m), int(os.environ["WORK"]), skip, kind)
            self.logger.info("layer %d: %s", number, plan.descriptor)
            parts = strips(plan, int(self.rng.integers(2, 6))) if self.rng.random() < 0.3 else [plan.descriptor]
            stalls = random_stalls(self.rng), random_stalls(self.rng)
            run = RunLayer(layer, plan, *stalls, pes=self.config.NumPe, parts=parts)
            await run.start(self.sequencer)
            # Beside the scoreboard, which decodes what the core was given: what the stimulus meant.
            assert np.array_equal(decode_output(self.env.results.take(), plan), layer.expected)
        assert len(self.env.counters.cycles) == self.env.counters.checked_pes == int(os.environ["LAYERS"])


@pytest.mark.parametrize("mode", [f"{k}/{m}" for k, m in km.MODES])
def test_random_layers(simulate, mode):
    simulate("RandomLayers", MODE=mode, LAYERS=5, WORK=60_000)


@pytest.mark.parametrize("kind", RANDOM_KINDS)
def test_random_kinds(simulate, kind):
    simulate("RandomLayers", MODE="1/1", KIND=kind, LAYERS=6, WORK=60_000)


@pytest.mark.parametrize("kind", ["groups", "max_pool", "average_pool"])
def test_icarus_agrees_with_verilator_on_kinds(simulate, kind):
    run = {"MODE": "1/1", "KIND": kind, "LAYERS": 2, "WORK": 8_000}
    assert simulate("RandomLayers", sim="icarus", **run) == simulate("RandomLayers", **run)


@pytest.mark.parametrize("mode", ["2/4", "1/4"])
def test_medium_configuration(simulate, mode):
    simulate("RandomLayers", config="medium", MODE=mode, LAYERS=2, WORK=600_000)


@pytest.mark.parametrize("mode", ["1/1", "2/4", "4/16"])
def test_icarus_agrees_with_verilator(simulate, mode):
    run = {"MODE": mode, "LAYERS": 2, "WORK": 8_000}
    assert simulate("RandomLayers", sim="icarus", **run) == simulate("RandomLayers", **run)
