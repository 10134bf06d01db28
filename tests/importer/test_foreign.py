# SPDX-License-Identifier: Apache-2.0
"""Networks that this project's own exporter did not make: exported by PyTorch, quantised by ONNX Runtime."""

import numpy as np
import onnx
import pytest

from models.importer.passes import bring
from models.network import INPUT, Network
from models.qdq import qdq
from tests.importer.foreign import FOLDER, NAMES, images
from tests.importer.quantiser import quantise
from tests.models.test_network import check_nodes
from verif.shared.paths import ROOT

CALIBRATION, TESTED = 32, 200


def quantised(name, form, directory):
    """The file of a network in a quantised form: its path."""
    target = directory / f"{name}-{form}.onnx"
    quantise(FOLDER / f"{name}.onnx", target, form, [{"images": image[None]} for image in images(8, 2)[0]])
    return target


def check(path, calibration):
    """At most 1 % of the classes differ from ONNX Runtime's on the same file."""
    found = bring(path, calibration)
    inputs, labels = images(TESTED, 3)
    (given,), (wanted,) = (run(inputs).values() for run in (found.run, found.original))
    same = given.argmax(1) == wanted.argmax(1)
    assert same.mean() >= 0.99
    assert abs((given.argmax(1) == labels).mean() - (wanted.argmax(1) == labels).mean()) <= 0.01
    assert found.outputs["classes"] < 0.1
    return found


@pytest.mark.parametrize("name", NAMES)
def test_float(name):
    found = check(FOLDER / f"{name}.onnx", images(CALIBRATION, 2)[0])
    (given,) = found.network.inputs.values()
    assert given.scale == 1 / 255 and given.example.dtype == np.uint8


@pytest.mark.parametrize(
    "name,form",
    [
        *((name, "qdq") for name in NAMES),
        ("vgg", "qlinear"),
        ("resnet", "qlinear"),
        ("inception", "qdq-int8"),
        ("mobilenet", "qdq-int8"),
        ("mlp", "qlinear"),
        ("resnet", "dynamic"),
        ("mlp", "dynamic"),
    ],
)
def test_quantised(name, form, tmp_path):
    check(quantised(name, form, tmp_path), images(CALIBRATION, 2)[0])


@pytest.mark.parametrize("name", [name for name in NAMES if name != "mlp"])  # whose sums float32 does not hold
def test_each_node_against_onnxruntime(name):
    """On what the integer network gives it: accumulators equal, outputs at most a step apart."""
    found = bring(FOLDER / f"{name}.onnx", images(CALIBRATION, 2)[0])
    plain, residual = check_nodes(found.network, found.prepare(images(12, 3)[0]))
    assert plain < 1e-3 and residual < 5e-3


def test_scales_of_the_file_need_no_calibration(tmp_path):
    path = quantised("vgg", "qdq-int8", tmp_path)
    assert check(path, None).method is None
    with pytest.raises(ValueError, match=r"zero point \d+ of uint8: a quantised file that needs calibration inputs"):
        bring(quantised("vgg", "qdq", tmp_path), None)


@pytest.mark.parametrize("name", ["resnet18-2of4", "resnet18-dense"])
def test_a_network_written_as_qdq_comes_back(name):
    """The trained networks: the same integers."""
    network = Network.load(ROOT / "models" / "checkpoints" / f"{name}.npz")
    found = bring(qdq(network)).network
    example = network.inputs[INPUT].example
    inputs = {INPUT: np.stack([example, np.rot90(example, 1, (1, 2)), 255 - example])}
    tensors, wanted = found.run(inputs), network.run(inputs)
    for node, original in zip(found.nodes, network.nodes, strict=True):
        np.testing.assert_array_equal(tensors[node.name], wanted[original.name])
        assert (node.k, node.m) == (original.k, original.m)


def test_kinds_of_layers():
    """What each network is there for."""
    calibration = images(CALIBRATION, 2)[0]
    networks = {name: bring(FOLDER / f"{name}.onnx", calibration).network for name in NAMES}
    assert sum(node.op == "concat" for node in networks["squeezenet"].nodes) == 3
    assert sum(node.residual is not None for node in networks["resnet"].nodes) == 3
    assert sum(node.groups > 1 for node in networks["mobilenet"].nodes) == 3
    assert max(len(node.others) for node in networks["inception"].nodes) == 4
    assert [node.op for node in networks["mlp"].nodes] == ["conv"] * 3
    assert networks["vgg"].nodes[-2].kernel == (3, 3)
    # Nothing but these: pools, and no copies.
    assert all(node.op != "sum_pool" or node.kernel != (1, 1) for other in networks.values() for node in other.nodes)
    assert onnx.load(FOLDER / "inception.onnx").opset_import[0].version > 17
