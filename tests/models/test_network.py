# SPDX-License-Identifier: Apache-2.0
"""The integer network against ONNX Runtime's run of its QDQ form, which calculates in float."""

import numpy as np
import onnxruntime
import pytest

from models import km
from models.network import INPUT, Network, Node, sparsest_mode
from models.qdq import qdq

# Optimised, it calculates quantised convolutions in integers, and wrongly on CPUs without VNNI: pairs of products of
# uint8 and int8 saturate at 16 bits there.
OPTIONS = onnxruntime.SessionOptions()
OPTIONS.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
OPTIONS.intra_op_num_threads = 1


def convolution(rng, name, source, channels, outputs, kernel, gain, mode=(2, 4), step=1 / 32, **options):
    """A convolution of random weights whose outputs fill about the range of 8 bits; output steps are 1/32."""
    k, m = mode
    weights = km.project(rng.integers(-127, 128, (outputs, channels, kernel, kernel)).astype(np.int8), k, m, 0)
    weight_scale = rng.uniform(0.5, 2, outputs) * gain / np.sqrt(channels * kernel * kernel) / 64
    shift = np.full(outputs, 36, np.int32)
    return Node(
        name,
        "conv",
        source,
        (kernel, kernel),
        scale=1 / 32,
        k=k,
        m=m,
        weights=weights,
        weight_scale=weight_scale,
        bias=rng.integers(-2000, 2000, outputs).astype(np.int32),
        multiplier=np.rint(weight_scale * step * 32 * 2.0**36).astype(np.int32),
        shift=shift,
        **options,
    )


@pytest.fixture
def network(rng):
    """A stem, a max pool, a block with a signed shortcut, an average pool, a classifier."""
    plane = np.full(16, 0, np.int32), np.full(16, 37 * 2**21, np.int32), np.full(16, 30, np.int32)
    same = {"padding": (1, 1, 1, 1)}
    return Network(
        (
            convolution(rng, "stem", INPUT, 1, 8, 3, 1.0, (1, 1), **same),
            Node("pool", "max_pool", "stem", (2, 2), (2, 2), scale=1 / 32),
            convolution(rng, "short", "pool", 8, 16, 1, 0.7, stride=(2, 2), clamp=(-128, 127)),
            convolution(rng, "first", "pool", 8, 16, 3, 0.7, (1, 4), stride=(2, 2), **same),
            convolution(
                rng,
                "second",
                "first",
                16,
                16,
                3,
                0.7,
                residual="short",
                residual_multiplier=2**30,
                residual_shift=30,
                **same,
            ),
            Node(
                "mean",
                "sum_pool",
                "second",
                (4, 4),
                scale=1 / 37,
                bias=plane[0],
                multiplier=plane[1],
                shift=plane[2],
            ),
            convolution(rng, "classes", "mean", 16, 10, 1, 1.0, (1, 1), 1 / 37, clamp=(-128, 127)),
        ),
        rng.integers(0, 256, (1, 16, 16), np.uint8),
        1 / 32,
    )


def test_against_onnxruntime(network, rng):
    """Every tensor, apart by the rounding alone."""
    images = rng.integers(0, 256, (20, 1, 16, 16), np.uint8)
    tensors = network.run(images)
    for node in network.nodes:
        before = [other for other in network.nodes if other.name in (node.source, node.residual)]
        alone = Network((*network.nodes[: network.nodes.index(node)], node), network.example, network.scale)
        session = onnxruntime.InferenceSession(qdq(alone).SerializeToString(), OPTIONS, ["CPUExecutionProvider"])
        found = session.run(None, {INPUT: images})[0]
        wanted = tensors[node.name]
        assert found.dtype == wanted.dtype and len(np.unique(wanted)) > 20
        apart = np.abs(found.astype(int) - wanted)
        # Differences upstream may add up, and exact halves round to even in ONNX.
        assert apart.max() <= 1 + len(before) and (apart > 0).mean() < 0.05, node.name


def test_save_and_load(network, rng, tmp_path):
    network.save(tmp_path / "network.npz")
    again = Network.load(tmp_path / "network.npz")
    images = rng.integers(0, 256, (3, 1, 16, 16), np.uint8)
    for name, tensor in network.run(images).items():
        np.testing.assert_array_equal(again.run(images)[name], tensor)
    np.testing.assert_array_equal(again.example, network.example)
    assert [node.clamp for node in again.nodes] == [node.clamp for node in network.nodes]


def test_no_network(tmp_path):
    with pytest.raises(ValueError, match="no such file"):
        Network.load(tmp_path / "missing.npz")
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    with pytest.raises(ValueError, match=r"other\.npz: no network of this project"):
        Network.load(tmp_path / "other.npz")


def test_layers_of_the_core(network):
    tensors, layers = network.run(network.example[None]), network.layers()
    assert list(layers) == ["stem", "short", "first", "second", "classes"]
    for name in ("stem", "short", "first", "classes"):
        np.testing.assert_array_equal(layers[name].expected, tensors[name][0])
    assert layers["first"].m == 4 and layers["first"].k == 1
    assert layers["second"].clamp == (-128, 127)  # without its residual


def test_accuracy_counts_right_answers(network, rng):
    images = rng.integers(0, 256, (260, 1, 16, 16), np.uint8)  # more than a batch
    classes = network.classify(images)
    assert network.accuracy(images, classes) == 1
    assert network.accuracy(images, np.where(np.arange(260) < 65, classes, -1)) == 0.25


@pytest.mark.parametrize("k,m", km.MODES)
def test_sparsest_mode(k, m, rng):
    weights = km.project(rng.integers(1, 128, (33, 5, 3, 3)).astype(np.int8), k, m, 0)
    assert sparsest_mode(weights) == (k, m)
