# SPDX-License-Identifier: Apache-2.0
"""Networks of random weights: what they are made of, densities as asked, and equal ones from equal seeds."""

import numpy as np
import pytest

from models import networks
from models.network import INPUT, Network
from models.networks.builder import Builder


@pytest.mark.parametrize("name", ["tiny", "tiny_branches", "mobilenet"])
def test_equal_seeds_give_equal_networks(name):
    one, same, other = networks.build(name, 3), networks.build(name, 3), networks.build(name, 4)
    examples = [network.example[INPUT] for network in (one, same, other)]
    assert np.array_equal(*examples[:2]) and not np.array_equal(*examples[1:])
    assert [node.name for node in one.nodes] == [node.name for node in other.nodes]
    tensors, again = (network.run(network.example) for network in (one, same))
    assert all(np.array_equal(tensors[name], again[name]) for name in tensors)
    assert set(one.layers()) == {node.name for node in one.nodes if node.op != "concat"}


def test_unknown_network():
    with pytest.raises(ValueError, match="expected one of resnet18"):
        networks.build("alexnet")


@pytest.mark.parametrize("density", [0.2, 0.5, 0.8])
def test_density_of_a_layer(rng, density):
    """On the images that the offset was chosen on the density is as asked, and no value is cut off at 255."""
    build = Builder((4, 20, 20), rng)
    first = build.conv("first", INPUT, 16, 3, density=density)
    second = build.conv("second", first, 16, 3, density=density, residual=first)
    for name in (first, second):
        tensor = build.tensors[name]
        assert abs((tensor != 0).mean() - density) < 0.02
        assert (tensor == 255).mean() < 0.01
    assert np.array_equal(build.network().run(build.tensors)[second], build.tensors[second])


def test_concatenation_and_results(tmp_path, rng):
    build = Builder((2, 8, 8), rng)
    left, right = (build.conv(name, INPUT, 4, 1, density=0.5) for name in ("left", "right"))
    both = build.concat("both", left, right, left)
    build.conv("last", both, 4, 1, density=0.5)
    network = build.network("both")
    assert network.outputs == ("both", "last") and build.network().outputs == ("last",)
    network.save(tmp_path / "n.npz")
    tensors = Network.load(tmp_path / "n.npz").run(network.example)
    assert np.array_equal(tensors["both"], np.concatenate([tensors["left"], tensors["right"], tensors["left"]], 1))
