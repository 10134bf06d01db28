# SPDX-License-Identifier: Apache-2.0
"""Random networks, compiled for ample and for little memory: checked, and run in orders that their waits allow."""

from dataclasses import replace

import numpy as np
import pytest

from models.compiler import compile_network
from models.config import load_config
from models.networks.builder import images_of
from models.networks.random import random_network
from models.program_check import check
from tests import program_interpreter

SMALL = load_config("small")
LITTLE = replace(SMALL, WgtDepth=64, ParDepth=32, ActDepth=256, IdxDepth=256)


@pytest.mark.parametrize("config", [SMALL, LITTLE], ids=["ample", "little"])
@pytest.mark.parametrize("seed", range(6))
def test_random_networks(seed, config):
    rng = np.random.default_rng(seed)
    network, batch = random_network(rng, int(rng.integers(2, 9))), 1 + seed % 3
    given = images_of(network, 2 * batch, rng)
    # Calibrated on what runs: no section overflows.
    program = compile_network(network, config, batch, given).with_images(given)
    check(program, config)
    program_interpreter.run(program, config, rng)


def test_variety():
    """All kinds of nodes, residuals, groups, several inputs and outputs occur, and inputs wherever a tensor can be."""
    found = [random_network(np.random.default_rng(seed), 6) for seed in range(40)]
    nodes = [node for network in found for node in network.nodes]
    assert {node.op for node in nodes} == {"conv", "max_pool", "sum_pool", "concat"}
    assert any(node.residual and node.op == "conv" for node in nodes)
    assert any(node.groups > 1 for node in nodes) and {node.m // node.k for node in nodes} == {1, 2, 4}
    assert any(len(network.outputs) > 1 and len(network.inputs) > 1 for network in found)
    several = [network for network in found if len(network.inputs) > 1]
    reads = [
        (node, name) for network in several for node in network.nodes for name in node.reads if name in network.inputs
    ]
    assert any(node.op == "concat" for node, _ in reads) and any(node.residual == name for node, name in reads)
    assert any(network.nodes[-1].reads[-1] in network.inputs for network in several)  # read late
    assert any(set(network.inputs) - {name for node in network.nodes for name in node.reads} for network in several)
