# SPDX-License-Identifier: Apache-2.0
"""The passes together, on small models."""

import numpy as np
import pytest

from models.importer.passes import bring
from models.importer.runtime import Session
from tests.importer.graphs import floats, model, node


def small(**options):
    """A convolution, a pool and a linear layer."""
    return model(
        [
            node("Conv", "x w b", "c", pads=(1, 1, 1, 1)),
            node("Relu", "c", "r"),
            node("MaxPool", "r", "p", kernel_shape=(2, 2), strides=(2, 2)),
            node("Flatten", "p", "f"),
            node("Gemm", "f v", "g", transB=1),
            node("Softmax", "g", "y", axis=1),
        ],
        ("n", 3, 8, 8),
        **{"w": floats(8, 3, 3, 3), "b": floats(8), "v": floats(10, 128) / 8} | options,
    )


def test_a_small_network():
    images = floats(16, 3, 8, 8, seed=1)
    found = bring(small(), images)
    assert [(node.name, node.op) for node in found.network.nodes] == [
        ("conv", "conv"),
        ("maxpool", "max_pool"),
        ("gemm", "conv"),
    ]
    assert found.outputs["y"] < 0.05 and max(found.distances.values()) < 0.05
    assert found.host[-1] == "softmax: Softmax, behind the last layer"
    result = found.run(images)["y"]
    assert result.shape == (16, 10)
    np.testing.assert_allclose(result.sum(1), 1, rtol=1e-5)


def test_until_a_node():
    found = bring(small(), floats(4, 3, 8, 8, seed=1), until="maxpool")
    assert [node.name for node in found.network.nodes] == ["conv", "maxpool"] and list(found.outputs) == ["p"]
    assert found.run(floats(3, 3, 8, 8))["p"].shape == (3, 8, 4, 4)
    with pytest.raises(ValueError, match=r"^nothing: no such node, expected one of conv, relu, maxpool"):
        bring(small(), until="nothing")


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(
    "window",
    [
        {"kernel_shape": (3, 3), "pads": (1, 1, 1, 1)},
        {"kernel_shape": (3, 2), "pads": (2, 0, 1, 1), "strides": (2, 1)},
        {"kernel_shape": (11, 11), "pads": (5, 5, 5, 5)},
        {"kernel_shape": (3, 3), "strides": (2, 2), "ceil_mode": 1},
        {"kernel_shape": (8, 8), "pads": (2, 2, 2, 2), "strides": (4, 4)},
    ],
)
def test_an_average_pool_that_does_not_count_its_padding(window, signed):
    """Each value is the step nearest to the mean."""
    nodes = [node("Identity" if signed else "Relu", "x", "r"), node("AveragePool", "r", "y", **window)]
    images = floats(8, 3, 8, 8, seed=1)
    found = bring(model(nodes, ("n", 3, 8, 8)), images)
    network = found.network
    integers = network.run(found.prepare(images))
    source = integers[next(n for n in network.nodes if "/ones" in n.name).source]
    session = Session(model([node("AveragePool", "x", "y", **window)], ("n", 3, 8, 8)))
    scale = found.ranges[found.floats.steps[-1].reads[0]].scale
    wanted = session.run({"x": source.astype(np.float32) * np.float32(scale)})["y"] / network.nodes[-1].scale
    result = integers[network.outputs[0]]
    assert np.abs(result - np.clip(wanted, *((-128, 127) if signed else (0, 255)))).max() < 0.51
    assert len(np.unique(result)) > 30


def test_modes_and_pruning():
    images = floats(8, 3, 8, 8, seed=1)
    with pytest.raises(ValueError, match=r"^conv: weights: group 0 at .* 2/4 along dimension 0 allows 2 .*; PRUNE=1"):
        bring(small(), images, mode="2/4")
    found = bring(small(), images, mode="2/4,gemm=auto", prune=True)
    assert [(node.k, node.m) for node in found.network.nodes] == [(2, 4), (1, 1), (1, 1)]
    assert list(found.cuts) == ["conv"] and found.cuts["conv"].weights == 0.5
    assert 0.05 < found.cuts["conv"].magnitude < 0.4
    for text, problem in {"3/4": "k/m: 3/4", "x": "MODE: 'x'", "none=2/4": "MODE: none: no such convolution"}.items():
        with pytest.raises(ValueError, match=f"^{problem}"):
            bring(small(), images, mode=text)


def test_a_pass_that_drifts_names_itself_and_the_node(monkeypatch):
    from models.importer import fold

    monkeypatch.setattr(fold.operators, "pads", lambda use: ([0, 0, 1, 1], [0, 0, 0, 0]))
    padded = model(
        [
            node("Relu", "x", "r"),
            node("Pad", "r p", "q"),
            node("Conv", "q w", "y"),
        ],
        ("n", 3, 8, 8),
        w=floats(4, 3, 3, 3),
        p=np.array([0, 0, 0, 0, 0, 0, 1, 1]),
    )
    with pytest.raises(ValueError, match=r"^fold: conv: values differ by .* %"):
        bring(padded, floats(4, 3, 8, 8, seed=2))
