# SPDX-License-Identifier: Apache-2.0
"""Layers that share the cycle model's core, and programs played on it."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from models import km, masks, networks, tiling, work
from models.compiler import compile_network
from models.compiler.play import play
from models.config import load_config
from models.cycle_model import predict
from models.cycles.model_core import Core
from models.layer import Layer
from models.lines import LineShape, default_shape
from models.network import taken
from models.networks.builder import images_of
from models.program import LAYERS, Wait
from models.tiling import Cut
from tests.models.test_compiler import keeps_to_its_waits

SMALL = load_config("small")
SLOTS = SMALL.NumSp * SMALL.NumStage


def planned(rng, chw=(16, 14, 14), k=32, tile=(2, 7), padding=1, config=SMALL, **fields):
    """A layer's plan, with other fields in its descriptor, and work."""
    layer = Layer(
        activations=masks.activations(masks.clustered(chw, 0.4, rng), rng, False),
        weights=km.project(rng.integers(1, 9, (k, chw[0], 3, 3)).astype(np.int8), 2, 4, 0),
        bias=np.zeros(k, np.int32),
        multiplier=np.ones(k, np.int32),
        shift=np.ones(k, np.int32),
        padding=(padding,) * 4,
        k=2,
        m=4,
    )
    plan = tiling.make_plan(config, layer, Cut(default_shape(*chw[1:]), LineShape(*tile)))
    plan = replace(plan, descriptor=replace(plan.descriptor, **fields))
    return plan, work.measure(plan.descriptor, layer)


def free_slots(core):
    return core.state["ports"]["slots"][: SMALL.NumSp].sum()


def test_layers_one_after_the_other(rng):
    """What a layer takes does not depend on when it begins, and hardly on what was there before."""
    core, layers = Core(SMALL), [planned(rng), planned(rng, k=64), planned(rng, (32, 7, 7), tile=(7, 7))]
    end = 0
    for plan, measured in layers:
        core.open(plan, measured, end + 1000)
        begin, end = end + 1000, core.retire()
        assert end - begin == pytest.approx(predict(plan, measured).cycles, rel=0.01)
        assert free_slots(core) == SLOTS


def test_two_layers_at_a_time(rng):
    """The younger one fills the older one's tail: that ends hardly later, both of them earlier than one by one."""
    config = replace(SMALL, NumPe=8)
    core, (first, second, third) = Core(config), [planned(rng, tile=(5, 5), config=config) for _ in range(3)]
    core.open(*first, 0)
    core.open(*second, 0)
    ends = [core.retire()]
    core.open(*third, ends[0])
    ends += [core.retire(), core.retire()]
    alone = [predict(*layer) for layer in (first, second, third)]
    assert alone[0].cycles <= ends[0] <= 1.05 * alone[0].cycles
    assert ends[-1] < 0.96 * sum(found.cycles for found in alone)
    assert ends[-1] * config.NumPe > sum(found.busy for found in alone)
    assert all(a < b for a, b in pairwise(ends))


def test_units_without_lines_between_two_layers(rng):
    """Ends of units take no room in the queues, which grow where two layers have many."""
    border, inner = planned(rng, (2, 3, 3), k=16, tile=(1, 1), padding=7), planned(rng)
    core = Core(SMALL)
    core.open(*inner, 0)
    core.open(*border, 0)
    end = core.retire()
    core.open(*inner, end)
    assert end < core.retire() < core.retire()
    assert free_slots(core) == SLOTS


def test_kept_slots_go_to_the_next_layer(rng):
    """A layer that keeps its slots writes nothing; the next one goes on with them, then they are free."""
    core, sizes = Core(SMALL), {"chw": (16, 4, 4), "k": 16, "tile": (4, 4)}
    first, second = planned(rng, **sizes, keep_slot=1), planned(rng, **sizes, continue_slot=1)
    core.open(*first, 0)
    end = core.retire()
    assert free_slots(core) == SLOTS - first[0].descriptor.jobs
    assert end < predict(*planned(rng, **sizes)).cycles
    core.open(*second, end)
    assert core.retire() > end and free_slots(core) == SLOTS


@pytest.mark.parametrize("name,batch", [("tiny", 3), ("tiny_branches", 1)])
def test_a_program_is_played(name, batch, rng):
    """Its engines keep to the waits, and two iterations on the same images take less than twice one."""
    network = networks.build(name)
    images = taken(images_of(network, batch, rng), [*range(batch)] * 2)
    program = compile_network(network, SMALL, batch, network.example).with_images(images)
    found = play(program, SMALL)
    assert found.iterations == 2
    keeps_to_its_waits(program, found)
    once = play(program.with_images(taken(images, slice(batch))), SMALL)
    assert once.cycles < found.cycles < 2 * once.cycles


def test_a_program_that_stands_still(rng):
    network = networks.build("tiny")
    program = compile_network(network, SMALL, 1, network.example).with_images(images_of(network, 1, rng))
    last, layers = len(program.layers), list(program.layers)
    waits = list(layers[-1].waits)
    waits[LAYERS] = Wait(last)  # for itself
    layers[-1] = replace(layers[-1], waits=tuple(waits))
    with pytest.raises(ValueError, match="program: stands still, which check\\(\\) explains"):
        play(replace(program, layers=tuple(layers)), SMALL)


def test_a_core_that_the_model_has_no_places_for():
    for name, value in {"NumPe": 2048, "NumRegions": 33, "ActBanks": 64, "NumSp": 64, "NumStage": 65}.items():
        with pytest.raises(ValueError, match=f"{name} = {value}: the cycle model has places for"):
            Core(replace(SMALL, **{name: value}))
