# SPDX-License-Identifier: Apache-2.0
"""Files in every form that ONNX has, and what is wrong with one in one line."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from models.importer.passes import bring
from models.importer.read import OPSETS, load, read
from tests.importer.graphs import floats, model, node

W, B = floats(4, 3, 3, 3) / 4, floats(4)
NODES = [node("Conv", "x w b", "c", pads=(1, 1, 1, 1)), node("Relu", "c", "y")]
IMAGES = floats(4, 3, 6, 6, seed=1)


def plain(shape=("n", 3, 6, 6), **options):
    return model(NODES, shape, **{"w": W, "b": B} | options)


def without(made, *names):
    """The model without some initialisers."""
    kept = [tensor for tensor in made.graph.initializer if tensor.name not in names]
    del made.graph.initializer[:]
    made.graph.initializer.extend(kept)
    return made


def typed_fields():
    made = without(plain(), "w")
    made.graph.initializer.append(helper.make_tensor("w", TensorProto.FLOAT, W.shape, W.reshape(-1).tolist()))
    return made


def constant_node():
    made = without(plain(), "w", "b")
    nodes = [
        helper.make_node("Constant", [], ["w"], value=numpy_helper.from_array(W)),
        helper.make_node("Constant", [], ["b"], value_floats=B.tolist()),
        *made.graph.node,
    ]
    del made.graph.node[:]
    made.graph.node.extend(nodes)
    return made


def sparse():
    made = without(plain(), "w")
    values = numpy_helper.from_array(W.reshape(-1)[1:], "w")
    indices = numpy_helper.from_array(np.arange(1, W.size), "i")
    made.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, W.shape))
    return made


def listed_as_inputs():
    made = plain()
    for tensor in made.graph.initializer:
        made.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    return made


def calculated():
    """Weights that nodes make of constants."""
    made = plain(w=W.transpose(1, 0, 2, 3).copy())
    nodes = [helper.make_node("Transpose", ["w"], ["v"], name="turn", perm=(1, 0, 2, 3)), *made.graph.node]
    del made.graph.node[:]
    made.graph.node.extend(nodes)
    made.graph.node[1].input[1] = "v"
    return made


def in_a_function():
    made = plain()
    body = [helper.make_node("Relu", ["a"], ["b"])]
    function = helper.make_function("own", "Positive", ["a"], ["b"], body, [helper.make_opsetid("", 17)])
    made.functions.append(function)
    made.opset_import.append(helper.make_opsetid("own", 1))
    made.graph.node[1].op_type, made.graph.node[1].domain = "Positive", "own"
    return made


def shape_by_nodes():
    """A flattening that asks for the batch, as exporters write it."""
    nodes = [
        node("Relu", "x", "r"),
        node("Shape", "r", "s"),
        node("Gather", "s zero", "n"),
        node("Concat", "n rest", "t", axis=0),
        node("Reshape", "r t", "f"),
        node("Gemm", "f v", "y", transB=1),
    ]
    nodes[3].name = "join"
    return model(nodes, ("n", 3, 6, 6), zero=np.array([0]), rest=np.array([-1]), v=floats(5, 108) / 10)


@pytest.mark.parametrize(
    "form", [typed_fields, constant_node, sparse, listed_as_inputs, calculated, in_a_function, shape_by_nodes]
)
def test_forms(form):
    found = bring(form(), IMAGES)
    assert found.outputs["y"] < 0.05


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_other_floating_types(dtype):
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    nodes = [node("MatMul", "x w", "c"), node("Clip", "c b", "y")]
    made = model(nodes, ("n", 6), kind=kind, w=floats(6, 5).astype(dtype), b=dtype(0))
    found = bring(made, floats(8, 6, seed=2))
    assert found.outputs["y"] < 0.05 and found.run(floats(2, 6))["y"].shape == (2, 5)


@pytest.mark.parametrize("opset", OPSETS)
def test_opsets(opset):
    assert bring(plain(opset=opset), IMAGES).outputs["y"] < 0.05


def test_batch_of_a_fixed_size():
    found = bring(plain((3, 3, 6, 6)), IMAGES)
    assert found.run(IMAGES)["y"].shape == (4, 4, 6, 6)


def test_bytes_in_another_order():
    """Images (N, H, W, C) as bytes, brought into order and over 255 by the host."""
    nodes = [
        node("Cast", "x", "f", to=TensorProto.FLOAT),
        node("Transpose", "f", "t", perm=(0, 3, 1, 2)),
        node("Div", "t k", "d"),
        node("Conv", "d w b", "y"),
    ]
    made = model(nodes, ("n", 6, 6, 3), kind=TensorProto.UINT8, w=W, b=B, k=np.float32(255))
    images = np.random.default_rng(1).integers(0, 256, (4, 6, 6, 3), np.uint8)
    found = bring(made, images)
    assert found.host[:3] == [
        "cast: Cast, before the first layer",
        "transpose: Transpose, before the first layer",
        "div: Div, before the first layer",
    ]
    np.testing.assert_array_equal(found.prepare(images)["x"], images.transpose(0, 3, 1, 2))
    assert found.outputs["y"] < 0.02


def test_external_data(tmp_path):
    path = tmp_path / "model.onnx"
    onnx.save(plain(), path, save_as_external_data=True, location="model.data", size_threshold=0)
    assert bring(path, IMAGES).outputs["y"] < 0.05
    data = (tmp_path / "model.data").read_bytes()
    (tmp_path / "model.data").write_bytes(data[:-20])
    with pytest.raises(ValueError, match=r"tensor .: external data model\.data has \d+ bytes, expected \d+ from"):
        load(path)
    (tmp_path / "model.data").unlink()
    with pytest.raises(ValueError, match=r"tensor .: external data model\.data: No such file or directory$"):
        load(path)
    made = onnx.load_model_from_string(path.read_bytes())
    made.graph.initializer[0].external_data[0].value = "../elsewhere"
    path.write_bytes(made.SerializeToString())
    with pytest.raises(ValueError, match=r"external data in '\.\./elsewhere', expected a file beside the model$"):
        load(path)


def test_files_that_are_no_models(tmp_path):
    path = tmp_path / "model.onnx"
    whole = plain().SerializeToString()
    for content, problem in (
        (b"", "an empty file"),
        (whole[: len(whole) // 2], "cut short"),
        (b"no model at all", "no ONNX model"),
    ):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=f"^{path}: .*{problem}"):
            load(path)
    with pytest.raises(ValueError, match=r"none\.onnx: no such file$"):
        load(tmp_path / "none.onnx")
    with pytest.raises(ValueError, match="a directory"):
        load(tmp_path)


def changed(change):
    made = plain()
    change(made)
    return made


def _nan(made):
    value = W.copy()
    value[1, 2, 0, 1] = np.nan
    made.graph.initializer[0].CopyFrom(numpy_helper.from_array(value, "w"))


BAD = {
    r"^conv: Conv: w holds nan at \[1, 2, 0, 1\], supported: finite values$": _nan,
    r"^opset: 10, supported are 11 to \d+$": lambda made: setattr(made.opset_import[0], "version", 10),
    rf"^opset: {OPSETS[-1] + 1}, supported": lambda made: setattr(made.opset_import[0], "version", OPSETS[-1] + 1),
    r"^input x: dimension 3 of \(n, 3, 6, w\) is dynamic, only the batch may be$": lambda made: setattr(
        made.graph.input[0].type.tensor_type.shape.dim[3], "dim_param", "w"
    ),
    r"^input z: no tensor, expected one$": lambda made: made.graph.input.append(
        helper.make_tensor_sequence_value_info("z", TensorProto.FLOAT, [1])
    ),
    r"^model: no inputs, expected at least one$": lambda made: made.graph.initializer.append(
        numpy_helper.from_array(IMAGES, "x")
    ),
    r"^relu: operator own\.Relu is not supported": lambda made: (
        made.opset_import.append(helper.make_opsetid("own", 1)),
        setattr(made.graph.node[1], "domain", "own"),
    ),
    r"^model: .*": lambda made: made.graph.node[1].input.__setitem__(0, "nowhere"),
    r"^ONNX Runtime: .*": lambda made: made.graph.initializer[0].CopyFrom(numpy_helper.from_array(W[:, :2], "w")),
}


@pytest.mark.parametrize("problem", BAD)
def test_bad_models(problem):
    with pytest.raises(ValueError, match=problem) as error:
        read(changed(BAD[problem]))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "inputs,problem",
    [
        (floats(4, 3, 6, 5), r"calibration: input x: shape \(4, 3, 6, 5\), expected \(N, 3, 6, 6\)"),
        (floats(3, 6, 6), r"calibration: input x: shape \(3, 6, 6\), expected"),
        (floats(0, 3, 6, 6), r"calibration: input x: shape \(0, 3, 6, 6\), expected"),
        (
            np.full((1, 3, 6, 6), np.inf, np.float32),
            r"calibration: input x: inf at \[0, 0, 0, 0\], expected finite values",
        ),
        (np.full((1, 3, 6, 6), "a"), r"calibration: input x: dtype <U1, expected float32"),
    ],
)
def test_bad_inputs(inputs, problem):
    with pytest.raises(ValueError, match=f"^{problem}"):
        bring(plain(), inputs)
