# SPDX-License-Identifier: Apache-2.0
"""Networks with several inputs, and several outputs besides: what the passes make of them, and what is refused."""

import numpy as np
import onnx
import pytest
from onnx import helper

from models.importer.passes import bring
from models.qdq import qdq
from tests.importer.graphs import floats, model, node, scene, scenes
from tests.importer.quantiser import quantise

CALIBRATION = scenes(24)


def agrees(found, inputs, limit=0.05):
    """Every output is near ONNX Runtime's."""
    given, wanted = found.run(inputs), found.original(inputs)
    assert list(given) == list(wanted)
    for name, value in wanted.items():
        assert given[name].shape == value.shape and given[name].dtype == value.dtype
        assert np.sqrt(np.square(given[name] - value).mean()) <= limit * np.sqrt(np.square(value).mean()), name


def test_several_inputs_and_outputs():
    found = bring(scene(), CALIBRATION)
    agrees(found, scenes(9, seed=3))
    network = found.network
    assert list(network.inputs) == ["picture", "depth", "map"] and network.outputs == ("features", "scores")
    assert network.shapes["picture"] == (3, 8, 8)  # as the host turns it
    assert [str(given.example.dtype) for given in network.inputs.values()] == ["uint8", "int8", "uint8"]
    assert network.inputs["picture"].scale == 1 / 255
    assert found.host[:4] == [
        "cast: Cast, before the first layer",
        "turned: Transpose, before the first layer",
        "pixels: Div, before the first layer",
        "input picture in steps of 0.00392157 as uint8",
    ]
    assert found.graph.unused == ("mask",)
    # The sum is a convolution's residual, the concatenation holds an input.
    assert [node.residual is not None for node in network.nodes].count(True) == 1
    assert next(node for node in network.nodes if node.op == "concat").reads == ("pooled", "map")


def test_noise_where_nothing_is_given():
    assert bring(scene()).outputs["features"] < 0.05


def test_an_array_for_an_input_that_nothing_reads_changes_nothing():
    inputs = scenes(3, seed=3)
    found = bring(scene(), CALIBRATION | {"mask": floats(24, 5)})
    one, other = found.run(inputs), found.run(inputs | {"mask": floats(3, 5)})
    np.testing.assert_array_equal(one["classes"], other["classes"])


@pytest.mark.parametrize("form", ["qdq", "qdq-int8", "qlinear", "dynamic"])
def test_quantised(form, tmp_path):
    """Scales of the file for each input."""
    nodes = [
        node("Conv", "x w", "a", pads=(1, 1, 1, 1)),
        node("Relu", "a", "b"),
        helper.make_node("Conv", ["z", "v"], ["c"], name="other"),
        node("Add", "b c", "s"),
        node("Concat", "s z", "y", axis=1),
    ]
    shapes = {"x": ("n", 3, 6, 6), "z": ("n", 4, 6, 6)}
    constants = {"w": floats(5, 3, 3, 3) / 5, "v": floats(5, 4, 1, 1, seed=1) / 2}
    onnx.save(model(nodes, shapes, "y b", **constants), tmp_path / "float.onnx")
    images = {"x": floats(16, 3, 6, 6, seed=2), "z": 3 * floats(16, 4, 6, 6, seed=3)}
    feeds = [{name: array[n : n + 1] for name, array in images.items()} for n in range(16)]
    quantise(tmp_path / "float.onnx", tmp_path / "quantised.onnx", form, feeds)
    found = bring(tmp_path / "quantised.onnx", images)
    agrees(found, images)
    if form == "qdq-int8":
        assert found.method is None and len({given.quant for given in found.floats.inputs}) == 2


def test_the_integers_as_qdq_come_back():
    network = bring(scene(), CALIBRATION).network
    again = bring(qdq(network)).network
    images = {name: given.example[None] for name, given in network.inputs.items()}
    one, other = network.run(images), again.run(images)
    for name, output in zip(network.outputs, again.outputs, strict=True):
        np.testing.assert_array_equal(one[name], other[output])


@pytest.mark.parametrize(
    "nodes,outputs",
    [
        ([node("Add", "x z", "y")], "y"),
        ([node("Concat", "x z", "y", axis=1)], "y"),
        ([node("Concat", "x z", "c", axis=1), node("Relu", "c", "y")], "y c"),
        ([node("Relu", "x", "y"), node("Clip", "z", "v")], "v y"),
        ([node("Relu", "x", "r"), node("Add", "r z", "y"), node("MaxPool", "z", "v", kernel_shape=(2, 2))], "y v"),
        ([node("Mul", "x k", "y"), node("Add", "z k", "v")], "y v"),
    ],
    ids=["sum", "concatenation", "and-read", "apart", "residual", "factors"],
)
def test_inputs_meet(nodes, outputs):
    """Two inputs that nothing has read before."""
    shapes, images = (
        {"x": ("n", 3, 6, 6), "z": ("n", 3, 6, 6)},
        {"x": floats(8, 3, 6, 6), "z": floats(8, 3, 6, 6, seed=1)},
    )
    agrees(bring(model(nodes, shapes, outputs, k=np.float32(2)), images), images)


def test_a_vector_beside_features():
    """What is known of an image besides, in front of the classifier."""
    nodes = [
        node("Conv", "x w", "c"),
        node("Relu", "c", "r"),
        node("GlobalAveragePool", "r", "p"),
        node("Flatten", "p", "f"),
        node("Concat", "f z", "b", axis=1),
        node("Gemm", "b v", "y", transB=1),
    ]
    constants = {"w": floats(8, 3, 3, 3) / 5, "v": floats(4, 13, seed=1)}
    images = {"x": floats(16, 3, 6, 6, seed=2), "z": floats(16, 5, seed=3)}
    found = bring(model(nodes, {"x": ("n", 3, 6, 6), "z": ("n", 5)}, **constants), images)
    agrees(found, images)
    assert found.network.shapes["z"] == (5, 1, 1)


def test_an_input_with_the_name_of_a_node():
    made = model([node("Add", "add z", "y")], {"add": ("n", 3, 6, 6), "z": ("n", 3, 6, 6)})
    images = {"add": floats(8, 3, 6, 6), "z": floats(8, 3, 6, 6, seed=1)}
    found = bring(made, images)
    agrees(found, images)
    assert list(found.network.inputs) == ["add_", "z"]


def test_inputs_of_dead_nodes_and_behind_the_last_node():
    """Neither is an input of what is left."""
    nodes = [node("Relu", "x", "y"), node("Clip", "z", "v"), node("Add", "y w", "u")]
    made = model(nodes, dict.fromkeys("xzw", ("n", 2, 4, 4)), "u")
    whole = bring(made, {"x": floats(4, 2, 4, 4), "w": floats(4, 2, 4, 4)})
    assert whole.graph.inputs == ("x", "w") and whole.graph.unused == ("z",)
    part = bring(made, floats(4, 2, 4, 4), until="relu")
    assert part.graph.inputs == ("x",) and set(part.graph.unused) == {"z", "w"}
    assert part.run(floats(4, 2, 4, 4))["y"].shape == (4, 2, 4, 4)


@pytest.mark.parametrize("sizes", [(3, 3), ("n", 3), (3, "m")])
def test_batch_of_a_fixed_size(sizes):
    shapes = {name: (size, 2, 4, 4) for name, size in zip("xz", sizes, strict=True)}
    found = bring(model([node("Add", "x z", "y")], shapes), dict.fromkeys("xz", floats(7, 2, 4, 4)))
    assert found.graph.batch == 3
    agrees(found, dict.fromkeys("xz", floats(4, 2, 4, 4)))


def test_batches_of_different_sizes():
    made = model([node("Relu", "x", "y"), node("Clip", "z", "v")], {"x": (3, 2, 4, 4), "z": (2, 2, 4, 4)}, "y v")
    with pytest.raises(ValueError, match="^model: batches of 3 of x, 2 of z, supported: one size for all inputs$"):
        bring(made)


GOOD = scenes(4)
EXPECTED = r"picture uint8 \(N, 8, 8, 3\), depth float32 \(N, 2, 8, 8\), map float32 \(N, 3, 4, 4\)$"


@pytest.mark.parametrize(
    "inputs,problem",
    [
        (GOOD["depth"], rf"one array for 3 inputs, expected an NPZ file of {EXPECTED}"),
        ({"picture": GOOD["picture"]}, r"input depth: no array among picture, expected float32 \(N, 2, 8, 8\)$"),
        ({}, r"input picture: no array among none, expected uint8 \(N, 8, 8, 3\)$"),
        (GOOD | {"dept": GOOD["depth"]}, rf"dept: no input of the network has that name, expected {EXPECTED}"),
        (GOOD | {"map": GOOD["depth"]}, r"input map: shape \(4, 2, 8, 8\), expected \(N, 3, 4, 4\)$"),
        (GOOD | {"picture": GOOD["picture"] / 1.0}, r"input picture: dtype float64, expected uint8$"),
        (GOOD | {"map": GOOD["map"][:3]}, r"input map: 3 of them, expected as many as of picture, 4$"),
        (GOOD | {"map": GOOD["map"] * np.nan}, r"input map: nan at \[0, 0, 0, 0\], expected finite values$"),
    ],
)
def test_what_is_given_is_refused_by_name(inputs, problem):
    with pytest.raises(ValueError, match=f"^INPUT: {problem}"):
        bring(scene(), inputs, what="INPUT")


@pytest.mark.parametrize(
    "operator,problem",
    [
        ("Mul", r"mul: Mul: channels = two tensors, supported: a constant with one value"),
        ("MatMul", r"matmul: MatMul: B = z \(no constant\), supported: constant \(F, K\)$"),
    ],
)
def test_an_input_where_a_constant_is_expected(operator, problem):
    with pytest.raises(ValueError, match=f"^{problem}"):
        bring(model([node(operator, "x z", "y")], {"x": ("n", 6), "z": (6, 6) if operator == "MatMul" else ("n", 6)}))
