# SPDX-License-Identifier: Apache-2.0
"""Small ONNX models for the tests of the importer."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, shape_inference

OPSET = 17


def node(operator, inputs, output, **attributes):
    """A node named as its operator in small letters; inputs and outputs: names, separated by spaces."""
    return helper.make_node(operator, inputs.split(" "), output.split(" "), name=operator.lower(), **attributes)


def model(nodes, shape, outputs="y", opset=OPSET, kind=TensorProto.FLOAT, **constants):
    """Of an input x; the first dimension of its shape is the batch, a text where it is open."""
    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    given = helper.make_tensor_value_info("x", kind, shape)
    results = [onnx.ValueInfoProto(name=name) for name in outputs.split(" ")]
    graph = helper.make_graph(nodes, "graph", [given], results, tensors)
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    return shape_inference.infer_shapes(helper.make_model(graph, opset_imports=imports, ir_version=10))


def floats(*shape, seed=0):
    """Normally distributed, float32."""
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
