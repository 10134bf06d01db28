# SPDX-License-Identifier: Apache-2.0
"""Stimulus: what is generated is legal, the same for the same seed, and placed apart."""

from dataclasses import replace

import numpy as np
import pytest

from models import km
from models.lines import LineShape
from models.tiling import Cut, make_plan
from tests.env.feeding import CONFIG
from verif.shared.stalls import Stalls
from verif.shared.stimulus import (
    Memories,
    make_layer,
    make_pool,
    random_cut,
    random_layer,
    random_stalls,
    with_residual,
)
from verif.sim.env.descriptor_checks import first_violation


@pytest.mark.parametrize("mode", km.MODES)
def test_random_layers_are_legal_and_reproducible(mode):
    first, second = (np.random.default_rng(3) for _ in range(2))
    for _ in range(10):
        layer, plan = random_layer(first, CONFIG, mode, work=20_000)
        again, plan_again = random_layer(second, CONFIG, mode, work=20_000)
        assert plan == plan_again and np.array_equal(layer.expected, again.expected)
        assert first_violation(CONFIG, plan.descriptor) == 0
        assert (layer.k, layer.m) == mode


def test_outputs_spread_over_the_clamp_range():
    rng = np.random.default_rng(4)
    for clamp in ((0, 255), (-128, 127), (3, 9)):
        layer = make_layer(rng, (16, 12, 12), 16, (3, 3), clamp=clamp)
        inside = (layer.expected > clamp[0]) & (layer.expected < clamp[1])
        assert (0.2 if clamp[1] > 99 else 0.02) < inside.mean() < 0.95
        assert (layer.expected == clamp[0]).any() and (layer.expected == clamp[1]).any()


@pytest.mark.parametrize("kind", ["average_pool", "conv"])
@pytest.mark.parametrize("signed", [False, True])
def test_residuals_and_pools_spread_too(kind, signed):
    rng = np.random.default_rng(4)
    if kind == "conv":
        layer = make_layer(rng, (12, 12, 12), 24, (3, 3), groups=6, signed=signed)
    else:
        layer = make_pool(rng, kind, (16, 12, 12), (3, 3), signed=signed)
    for found in (layer, with_residual(rng, layer, signed=signed)):
        assert 0.2 < ((found.expected > 0) & (found.expected < 255)).mean() < 0.95
    assert (found.expected != layer.expected).mean() > 0.2


def test_weights_in_groups_use_the_mode():
    layer = make_layer(np.random.default_rng(4), (12, 6, 6), 30, (3, 3), groups=6)  # 5 outputs a group
    with pytest.raises(ValueError, match="1/4 along"):
        replace(layer, k=1)


def test_memories_keep_layers_apart():
    rng, memories, taken = np.random.default_rng(5), Memories(CONFIG), []
    for mode in km.MODES:
        layer, plan = random_layer(rng, CONFIG, mode, work=8_000)
        plan = memories.place(layer, plan)
        d = plan.descriptor
        assert first_violation(CONFIG, d) == 0
        taken.append(
            {
                "vectors": (d.wgt_base, d.wgt_base + d.vectors),
                "parameters": (d.par_base, d.par_base + d.out_k),
                "input entries": (d.in_idx_base, d.in_idx_base + d.in_entries),
                "words": (plan.in_act_base, d.out_act_limit),
            }
        )
        assert plan.in_act_limit <= plan.res_act_limit == d.out_act_base
        assert d.in_idx_base + d.in_entries + d.res_entries == d.out_idx_base
        assert not d.residual or d.in_idx_base + d.in_entries == d.res_idx_base
    for memory in taken[0]:
        ends = [place[memory] for place in taken]
        assert all(b[0] >= a[1] for a, b in zip(ends, ends[1:], strict=False)), memory


def test_a_chained_plan_reads_the_output():
    rng, memories = np.random.default_rng(6), Memories(CONFIG)
    first = make_layer(rng, (4, 6, 6), 8, (3, 3))
    plan = memories.place(first, make_plan(CONFIG, first, Cut(LineShape(6, 6), LineShape(2, 4))))
    second = replace(make_layer(rng, first.out_shape, 5, (1, 1)), activations=first.expected)
    chained = make_plan(CONFIG, second, Cut(plan.cut.tile, LineShape(4, 4)))
    chained = memories.place(second, chained, input_from=plan)
    assert chained.descriptor.in_idx_base == plan.descriptor.out_idx_base
    assert chained.descriptor.out_act_base == plan.descriptor.out_act_limit
    assert first_violation(CONFIG, chained.descriptor) == 0


def test_stalls():
    with pytest.raises(ValueError, match="go 0.5"):
        Stalls(0.5, 1)
    rng = np.random.default_rng(7)
    assert Stalls().pauses(rng) is None
    pauses = Stalls(3, 6).pauses(rng)
    waiting = np.mean([next(pauses) for _ in range(30_000)])
    assert 0.6 < waiting < 0.73
    assert any(random_stalls(rng).wait == 0 for _ in range(50))


def test_memories_say_when_they_are_full():
    rng, memories = np.random.default_rng(8), Memories(CONFIG)
    with pytest.raises(ValueError, match="the layers together need"):
        for _ in range(100):
            layer = make_layer(rng, (20, 2, 2), 8, (2, 2))
            memories.place(layer, make_plan(CONFIG, layer, Cut(LineShape(2, 2), LineShape(1, 1))))


def test_a_kernel_beyond_a_region_has_no_cut():
    rng, config = np.random.default_rng(9), replace(CONFIG, RegionPos=64)
    layer = make_layer(rng, (1, 12, 12), 4, (11, 11))
    with pytest.raises(ValueError, match=r"kernel \(11, 11\) has more positions than a region, 64"):
        random_cut(rng, config, layer)
