# SPDX-License-Identifier: Apache-2.0
"""The integer network against ONNX Runtime's run of its QDQ form, which calculates in float."""

from dataclasses import replace

import numpy as np
import onnxruntime
import pytest

from models import densities, km, reference
from models.network import INPUT, Input, Network, Node, sparsest_mode
from models.qdq import node_qdq, qdq
from verif.shared.paths import ROOT

CHECKPOINTS = sorted((ROOT / "models" / "checkpoints").glob("*.npz"))

# Optimised, it calculates quantised convolutions in integers, and wrongly on CPUs without VNNI: pairs of products of
# uint8 and int8 saturate at 16 bits there.
OPTIONS = onnxruntime.SessionOptions()
OPTIONS.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
OPTIONS.intra_op_num_threads = 1


def convolution(rng, name, source, channels, outputs, kernel, gain, mode=(2, 4), step=1 / 32, groups=1, **options):
    """A convolution of random weights whose outputs fill about the range of 8 bits; output steps are 1/32."""
    k, m = mode
    channels //= groups
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
        groups=groups,
        weights=weights,
        weight_scale=weight_scale,
        bias=rng.integers(-2000, 2000, outputs).astype(np.int32),
        multiplier=np.rint(weight_scale * step * 32 * 2.0**36).astype(np.int32),
        shift=shift,
        **options,
    )


@pytest.fixture
def network(rng):
    """A stem, a max pool, depthwise and grouped, a block with a signed shortcut, an average pool, a classifier."""
    plane = np.full(16, 0, np.int32), np.full(16, 37 * 2**21, np.int32), np.full(16, 30, np.int32)
    same = {"padding": (1, 1, 1, 1)}
    return Network(
        (
            convolution(rng, "stem", INPUT, 1, 8, 3, 1.0, (1, 1), **same),
            Node("pool", "max_pool", "stem", (2, 2), (2, 2), scale=1 / 32),
            convolution(rng, "depthwise", "pool", 8, 16, 3, 1.0, (1, 1), groups=8, **same),
            convolution(rng, "grouped", "depthwise", 16, 8, 3, 1.0, groups=2, **same),
            convolution(rng, "short", "grouped", 8, 16, 1, 0.7, stride=(2, 2), clamp=(-128, 127)),
            convolution(rng, "first", "grouped", 8, 16, 3, 0.7, (1, 4), stride=(2, 2), **same),
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
        {INPUT: Input(rng.integers(0, 256, (1, 16, 16), np.uint8), 1 / 32)},
    )


def run_onnx(model, **tensors):
    """All outputs by name."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), OPTIONS, ["CPUExecutionProvider"])
    return dict(zip((output.name for output in session.get_outputs()), session.run(None, tensors), strict=True))


def check_sums(network, node, tensors):
    """With steps of 1 the sums are integers that float32 holds: equal, none left out."""
    ones = {"scale": 1.0} | ({} if node.weight_scale is None else {"weight_scale": np.ones(len(node.kernels))})
    others = tuple(replace(other, scale=1.0) for other in network.nodes)
    read = {name: tensors[name] for name in (node.source, node.residual) if name is not None}
    found = run_onnx(
        node_qdq(
            Network(others, {name: replace(given, scale=1.0) for name, given in network.inputs.items()}),
            replace(node, **ones),
        ),
        **read,
    )
    x = tensors[node.source]
    if node.op == "sum_pool":
        sums = reference.sum_pool(x, node.kernel, node.stride, node.padding)
        np.testing.assert_array_equal(np.rint(found[f"{node.name}.pool"] * np.prod(node.kernel)), sums)
    else:
        bias, *_ = node.numbers
        sums = reference.convolve(x, node.kernels, node.stride, node.padding, node.groups) + bias[:, None, None]
        largest = np.abs(node.kernels.astype(int)).sum((1, 2, 3)) * 255 + np.abs(bias.astype(int))
        assert largest.max() < 2**24
        np.testing.assert_array_equal(found[f"{node.name}.conv"], sums)
    return sums


def distance(network, node, tensors, sums):
    """float64 (N, K, Ho, Wo): the exact result's distance from where rounding changes, over what a side may be off.

    ONNX Runtime: each factor, product, sum and quotient is off by 2^-24 of itself, as float32 is. The core: its
    multipliers are the nearest, and beside a residual each operand is off by 1/512 of a step. Over 1: both have to
    round to one integer.
    """
    scales = network.scales
    x, step = tensors[node.source], scales[node.source] / node.scale
    sizes = np.abs(x.astype(np.int16)).astype(np.uint8)
    bias, _, shift = (numbers.astype(float)[:, None, None] for numbers in node.numbers)
    if node.op == "sum_pool":
        terms = np.prod(node.kernel)
        ratio = step / terms
        sizes = reference.sum_pool(sizes, node.kernel, node.stride, node.padding)
    else:
        terms, ratio = node.kernels[0].size, step * node.weight_scale[:, None, None]
        sizes = reference.convolve(sizes, np.abs(node.kernels), node.stride, node.padding, node.groups) + np.abs(bias)
    exact, sizes, core = sums * ratio, sizes * ratio, np.abs(sums) * 0.5 / 2.0**shift
    if node.residual is not None:
        other, ratio = tensors[node.residual].astype(float), scales[node.residual] / node.scale
        exact, sizes = exact + other * ratio, sizes + np.abs(other) * ratio
        core += np.abs(other) * 0.5 / 2.0**node.residual_shift + 2 / 512
    onnx = (terms + 8) * 2.0**-24 * sizes
    return np.abs(exact - np.floor(exact) - 0.5) / (np.maximum(core, onnx) + 1e-12)


def check_nodes(network, images):
    """Every node on its own, on what the integer network gives it.

    Returns the shares of values that differ, then by one step: of nodes without a residual and of those with one.
    """
    tensors, apart_of = network.run(images), {False: [], True: []}
    for node in network.nodes:
        read = {name: tensors[name] for name in node.reads}
        found, wanted = run_onnx(node_qdq(network, node), **read)[node.name], tensors[node.name]
        assert found.dtype == wanted.dtype and len(np.unique(wanted)) > 10, node.name
        apart = np.abs(found.astype(int) - wanted)
        if node.op in ("max_pool", "concat"):
            assert apart.max() == 0, node.name
            continue
        clear = distance(network, node, tensors, check_sums(network, node, tensors)) > 1
        assert apart[clear].max() == 0 and apart.max() <= 1, node.name
        assert clear.mean() > 0.95, node.name  # held to equality
        apart_of[node.residual is not None].append(apart.ravel())
    return [np.concatenate([np.zeros(0), *parts]).sum() / max(1, sum(map(len, parts))) for parts in apart_of.values()]


def test_each_node_against_onnxruntime(network, rng):
    plain, residual = check_nodes(network, {INPUT: rng.integers(0, 256, (20, 1, 16, 16), np.uint8)})
    assert plain < 1e-4 and residual < 5e-3


@pytest.mark.parametrize("name", [file.stem for file in CHECKPOINTS])
def test_each_node_of_a_trained_network(name, rng):
    """On the network's example in four orientations, and on noise."""
    network = Network.load(ROOT / "models" / "checkpoints" / f"{name}.npz")
    example = network.inputs[INPUT].example
    turned = [np.rot90(example, turns, (1, 2)) for turns in range(4)]
    plain, residual = check_nodes(network, {INPUT: np.stack([*turned, rng.integers(0, 256, example.shape, np.uint8)])})
    assert plain < 1e-4 and residual < 5e-3


@pytest.mark.parametrize("number", ["multiplier", "residual_multiplier"])
def test_a_wrong_number_is_seen(number):
    """A multiplier that is off by a thousandth."""
    network = Network.load(CHECKPOINTS[0])
    at = next(i for i, node in enumerate(network.nodes) if node.residual is not None)
    node = network.nodes[at]
    value = getattr(node, number)
    wrong = replace(node, **{number: value + value // 1000})
    nodes = (*network.nodes[:at], wrong, *network.nodes[at + 1 :])
    with pytest.raises(AssertionError, match=wrong.name):
        check_nodes(replace(network, nodes=nodes), network.example)


def test_network_against_onnxruntime(network, rng):
    """The whole model: what its nodes differ by may add up."""
    images = {INPUT: rng.integers(0, 256, (20, 1, 16, 16), np.uint8)}
    last = network.nodes[-1].name
    apart = np.abs(run_onnx(qdq(network), **images)[last].astype(int) - network.run(images)[last])
    assert apart.max() <= 2 and (apart > 0).mean() < 0.05


def test_save_and_load(network, rng, tmp_path):
    network.save(tmp_path / "network.npz")
    again = Network.load(tmp_path / "network.npz")
    images = {INPUT: rng.integers(0, 256, (3, 1, 16, 16), np.uint8)}
    for name, tensor in network.run(images).items():
        np.testing.assert_array_equal(again.run(images)[name], tensor)
    np.testing.assert_array_equal(again.example[INPUT], network.example[INPUT])
    assert [node.clamp for node in again.nodes] == [node.clamp for node in network.nodes]


def test_no_network(tmp_path):
    with pytest.raises(ValueError, match="no such file"):
        Network.load(tmp_path / "missing.npz")
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    with pytest.raises(ValueError, match=r"other\.npz: no network of this project"):
        Network.load(tmp_path / "other.npz")


@pytest.fixture
def branches(rng):
    """An int8 input, branches with and without sign that are concatenated, and two outputs."""
    same = {"padding": (1, 1, 1, 1), "stride": (2, 2)}
    return Network(
        (
            convolution(rng, "positive", INPUT, 4, 8, 3, 1.0, clamp=(0, 127), **same),
            convolution(rng, "signed", INPUT, 4, 8, 3, 1.0, clamp=(-128, 127), **same),
            Node("both", "concat", "positive", (1, 1), others=("signed", "positive"), scale=1 / 32, clamp=(-128, 127)),
            Node("pool", "max_pool", "both", (2, 2), (2, 2), scale=1 / 32, clamp=(-128, 127)),
            convolution(rng, "classes", "pool", 24, 10, 1, 1.0, clamp=(-100, 90)),
        ),
        {INPUT: Input(rng.integers(-128, 128, (4, 16, 16), np.int8), 1 / 32)},
        ("classes", "both"),
    )


def test_concatenation(branches, rng, tmp_path):
    images = {INPUT: rng.integers(-128, 128, (5, 4, 16, 16), np.int8)}
    plain, _ = check_nodes(branches, images)
    assert plain < 1e-4
    branches.save(tmp_path / "network.npz")
    again = Network.load(tmp_path / "network.npz")
    tensors, found = again.run(images), run_onnx(qdq(branches), **images)
    parts = [tensors[name].astype(np.int8) for name in ("positive", "signed", "positive")]
    np.testing.assert_array_equal(tensors["both"], np.concatenate(parts, 1))
    assert again.outputs == ("classes", "both") and set(found) == {"classes", "both"}
    assert np.abs(found["classes"].astype(int) - tensors["classes"]).max() <= 1
    assert set(again.layers()) == {"positive", "signed", "pool", "classes"}


def test_layers_of_the_core(network):
    tensors, layers = network.run(network.example), network.layers()
    assert list(layers) == [node.name for node in network.nodes]
    for name, layer in layers.items():
        np.testing.assert_array_equal(layer.expected, tensors[name][0])
    assert {layer.kind for layer in layers.values()} == {"conv", "max_pool", "average_pool"}
    assert layers["first"].m == 4 and layers["depthwise"].groups == 8 and layers["second"].residual is not None


def test_a_node_that_is_no_layer(network):
    node = replace(network.nodes[0], padding=(9, 9, 9, 9))
    with pytest.raises(ValueError, match=r"^stem: padding: \(9, 9, 9, 9\), expected"):
        node.layer(network.example)


def test_densities_of_all_that_is_read(network, rng):
    images = {INPUT: rng.integers(0, 2, (3, 1, 16, 16), np.uint8)}
    rows = [line.split(" | ") for line in densities.table(network, images).splitlines()[2::2]]
    names = [node.name for node in network.nodes]
    assert [row[0].removeprefix("| ") for row in rows] == [*names, "second, residual"]
    assert rows[0][1:3] == ["1x16x16", f"{images[INPUT].mean():.2f}"]
    short = network.run(images)["short"]
    assert rows[-1][1:3] == ["16x4x4", f"{np.count_nonzero(short) / short.size:.2f}"]


def test_accuracy_counts_right_answers(network, rng):
    images = {INPUT: rng.integers(0, 256, (260, 1, 16, 16), np.uint8)}  # more than a batch
    classes = network.classify(images)
    assert network.accuracy(images, classes) == 1
    assert network.accuracy(images, np.where(np.arange(260) < 65, classes, -1)) == 0.25


@pytest.mark.parametrize("k,m", km.MODES)
def test_sparsest_mode(k, m, rng):
    weights = km.project(rng.integers(1, 128, (33, 5, 3, 3)).astype(np.int8), k, m, 0)
    assert sparsest_mode(weights) == (k, m)


def test_sparsest_mode_of_groups(rng):
    weights = rng.integers(1, 128, (32, 1, 3, 3)).astype(np.int8)
    assert sparsest_mode(weights) == (1, 1)
    assert sparsest_mode(weights, 16) == (2, 8)  # each input channel has two outputs
    assert sparsest_mode(weights, 32) == (1, 4)
