# SPDX-License-Identifier: Apache-2.0
import dataclasses

import numpy as np
import pytest

from models import cycle_model, energy, km, masks, planner, work
from models.config import load_config
from models.layer import Layer


@pytest.mark.parametrize("capacity,picojoule", [(8 << 10, 10), (32 << 10, 20), (1 << 20, 100)])
def test_law_meets_the_published_points(capacity, picojoule):
    assert energy.N45.access(64, capacity) == pytest.approx(picojoule, rel=0.15)


def make(rng, k, m, skip):
    weights = rng.integers(1, 99, (64, 32, 3, 3)).astype(np.int8)
    return Layer(
        activations=masks.activations(masks.bernoulli((32, 28, 28), 0.5, rng), rng, False),
        weights=km.project(weights, k, m, 0),
        bias=np.zeros(64, np.int32),
        multiplier=np.ones(64, np.int32),
        shift=np.ones(64, np.int32),
        padding=(1, 1, 1, 1),
        k=k,
        m=m,
        skip=skip,
    )


def run(layer):
    plan = planner.choose_plan(load_config("medium"), layer)
    measured = work.measure(plan.descriptor, layer)
    counts = dataclasses.asdict(cycle_model.predict(plan, measured))
    return plan, measured, counts, energy.actions(plan, measured, counts).energy()


def test_sparsity_saves_energy(rng):
    found = {}
    for k, m, skip in ((1, 1, False), (2, 4, True), (1, 4, True)):
        plan, measured, counts, found[k, m] = run(make(rng, k, m, skip))
        assert all(value > 0 for value in found[k, m].values())
    total = {mode: sum(places.values()) for mode, places in found.items()}
    # Multiplications fall by 4 and 8; what is written out does not.
    assert found[1, 1]["arithmetic"] / found[2, 4]["arithmetic"] == pytest.approx(4, rel=0.05)
    assert found[1, 1]["arithmetic"] / found[1, 4]["arithmetic"] == pytest.approx(8, rel=0.05)
    assert 1.5 < total[1, 1] / total[2, 4] < 4
    assert total[2, 4] > total[1, 4]
    # Twice the reads of a memory, twice its energy, and nothing else.
    more = energy.actions(plan, measured, counts | {"act_reads": 2 * counts["act_reads"]}).energy()
    assert more["activations"] == 2 * found[1, 4]["activations"]
    assert sum(more.values()) - total[1, 4] == pytest.approx(found[1, 4]["activations"])


def test_a_smaller_technology_takes_less_for_everything(rng):
    plan, measured, counts, spent = run(make(rng, 2, 4, True))
    smaller = energy.actions(plan, measured, counts).energy(energy.N14)
    assert smaller.keys() == spent.keys()
    assert all(smaller[place] < spent[place] for place in spent)
