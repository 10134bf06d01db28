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
    """Of an input x, or of several: shapes by name; kind: of all. The first dimension is the batch, a text where it is
    open."""
    shapes = shape if isinstance(shape, dict) else {"x": shape}
    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    given = [helper.make_tensor_value_info(name, kind, shape) for name, shape in shapes.items()]
    results = [onnx.ValueInfoProto(name=name) for name in outputs.split(" ")]
    graph = helper.make_graph(nodes, "graph", given, results, tensors)
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    return shape_inference.infer_shapes(helper.make_model(graph, opset_imports=imports, ir_version=10))


def scene():
    """A picture in bytes and a depth that meet, a map that is read late and a mask that nobody reads; classes, and what
    they are made from."""

    def named(operator, inputs, output, **attributes):
        return helper.make_node(operator, inputs.split(" "), [output], name=output, **attributes)

    nodes = [
        named("Cast", "picture", "cast", to=TensorProto.FLOAT),
        named("Transpose", "cast", "turned", perm=(0, 3, 1, 2)),
        named("Div", "turned whole", "pixels"),
        named("Conv", "pixels left", "seen", pads=(1, 1, 1, 1)),
        named("Conv", "depth right", "measured", pads=(1, 1, 1, 1)),
        named("Add", "seen measured", "met"),
        named("Relu", "met", "both"),
        named("MaxPool", "both", "pooled", kernel_shape=(2, 2), strides=(2, 2)),
        named("Concat", "pooled map", "features", axis=1),
        named("GlobalAveragePool", "features", "means"),
        named("Flatten", "means", "flat"),
        named("Gemm", "flat last", "scores", transB=1),
        named("Softmax", "scores", "classes", axis=1),
    ]
    shapes = {"picture": ("n", 8, 8, 3), "depth": ("n", 2, 8, 8), "map": ("n", 3, 4, 4), "mask": ("n", 5)}
    constants = {"left": floats(8, 3, 3, 3) / 2, "right": floats(8, 2, 3, 3, seed=1) / 4, "last": floats(6, 11, seed=2)}
    made = model(nodes, shapes, "classes features", whole=np.float32(255), **constants)
    made.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8
    return made


def scenes(count, seed=0):
    """Inputs for `scene`."""
    rng = np.random.default_rng(seed)
    return {
        "picture": rng.integers(0, 256, (count, 8, 8, 3), np.uint8),
        "depth": floats(count, 2, 8, 8, seed=seed),
        "map": np.abs(floats(count, 3, 4, 4, seed=seed + 1)),
    }


def floats(*shape, seed=0):
    """Normally distributed, float32."""
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
