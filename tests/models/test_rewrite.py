# SPDX-License-Identifier: Apache-2.0
"""What the compiler makes of a network before it cuts it: other nodes, the same results."""

from dataclasses import replace

import numpy as np
import pytest

from models.compiler.rewrite import rewritten
from models.config import load_config
from models.network import INPUT
from models.networks.builder import Builder
from tests.models.test_compiler import run

SMALL = load_config("small")
CHUNK = 8  # channels at 2/4


def stepping(rng, outputs, kernel=1, padding=(0, 0, 0, 0)):
    """A layer that steps over positions, behind one that makes int8."""
    build = Builder((4, 9, 8), rng)
    x = build.conv("first", INPUT, 16, 3)
    build.conv("stepping", x, outputs, kernel, stride=(2, 3), padding=padding)
    return build.network()


def test_layers_that_step_over_positions_read_a_copy(rng):
    network = stepping(rng, 8 * CHUNK)
    program = run(network, SMALL, 2, rng)
    names = [step.node for step in program.layers[::2]]
    assert names == ["first", "first for stepping", "stepping"]
    assert program.network.shapes["first for stepping"] == (16, 5, 3)
    outputs = {name: given.run(network.example)["stepping"] for name, given in (("a", network), ("b", program.network))}
    assert np.array_equal(outputs["a"], outputs["b"])


@pytest.mark.parametrize(
    "changes", [{"outputs": 7 * CHUNK}, {"outputs": 64, "kernel": 2}, {"outputs": 64, "padding": (0, 0, 2, 0)}]
)
def test_layers_that_keep_their_input(changes, rng):
    network = stepping(rng, **changes)
    assert [node.name for node in rewritten(network, SMALL, 1).nodes] == ["first", "stepping"]


def blocks(rng, width=32, read_twice=False):
    """Two blocks that add, the first with a layer beside it."""
    build = Builder((4, 8, 8), rng)
    short = build.conv("short", INPUT, width, 1)
    one = build.conv("one", INPUT, width, 3, density=0.5)
    x = build.conv("sum1", one, width, 1, density=0.5, residual=short)
    two = build.conv("two", short if read_twice else x, 16, 3, density=0.5)
    build.conv("sum2", two, width, 1, density=0.5, residual=x)
    return build.network()


def names(network, depth, batch):
    """Nodes as they are compiled, with so many words in each of 8 banks of the Activation Memory."""
    return [node.name for node in rewritten(network, replace(SMALL, ActBanks=8, ActDepth=depth), batch).nodes]


def test_sums_in_ranges_of_channels(rng):
    """Each range is made when its residual's is there; the second block's residual has the same ranges."""
    network = blocks(rng)
    first = ["short 1/2", "one", "sum1 1/2", "short 2/2", "sum1 2/2", "sum1", "two"]
    assert names(network, 79, 2) == [*first, "sum2 1/2", "sum2 2/2", "sum2"]  # 6 and 5 KB without zeros
    assert names(network, 80, 2) == [*first, "sum2"]
    program = run(network, replace(SMALL, ActBanks=8, ActDepth=80), 2, rng)
    made = dict.fromkeys(step.node for step in program.layers)
    assert list(made) == [node for node in names(network, 80, 2) if node != "sum1"]


@pytest.mark.parametrize("changes", [{"width": 24}, {"read_twice": True}])
def test_sums_that_stay_whole(changes, rng):
    """Ranges would not be of whole chunks, or a residual has other readers."""
    network = blocks(rng, **changes)
    assert names(network, 56, 2) == [node.name for node in network.nodes]


def test_a_single_image_needs_no_ranges(rng):
    network = blocks(rng)
    assert names(network, 79, 1) == names(network, 96, 2) == [node.name for node in network.nodes]
