# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime as the judge: runs of a model, and how far two runs are apart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import numpy_helper

Array = npt.NDArray[Any]
Tensors = dict[str, Array]


def _options() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    # Optimised, it calculates quantised convolutions in integers, and wrongly on CPUs without VNNI.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 2
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4
    return options


@contextmanager
def _one_line() -> Iterator[None]:
    try:
        yield
    except Exception as error:  # ONNX Runtime has a dozen classes without a common one
        text = " ".join(str(error).split())
        raise ValueError(f"ONNX Runtime: {text[:300]}") from None


class Session:
    """A model that ONNX Runtime has loaded, and the tensors that it gives. Raises ValueError, in one line."""

    def __init__(self, model: onnx.ModelProto, wanted: Iterable[str] | None = None):
        if wanted is not None:
            model = asking_for(model, wanted)
        with _one_line():
            self._session = onnxruntime.InferenceSession(
                model.SerializeToString(), _options(), ["CPUExecutionProvider"]
            )
        self.names = [output.name for output in self._session.get_outputs()]
        self._inputs = {given.name for given in self._session.get_inputs()}

    def run(self, feeds: Mapping[str, Array]) -> Tensors:
        """All tensors by name. Feeds that the model does not have are left out."""
        if not self.names:
            return {}
        feeds = {name: array for name, array in feeds.items() if name in self._inputs}
        with _one_line():
            return dict(zip(self.names, self._session.run(None, feeds), strict=True))


def asking_for(model: onnx.ModelProto, wanted: Iterable[str]) -> onnx.ModelProto:
    """The model with the tensors that are wanted as its outputs."""
    asked = onnx.ModelProto()
    asked.CopyFrom(model)
    del asked.graph.output[:]
    asked.graph.output.extend(onnx.ValueInfoProto(name=name) for name in wanted)
    return asked


def distance(found: Array, wanted: Array) -> float:
    """Root of the mean squared difference over that of what is wanted (over 1e-6 where that is smaller)."""
    wanted = wanted.astype(np.float64)
    apart = found.astype(np.float64).reshape(wanted.shape) - wanted
    return float(np.sqrt(np.square(apart).mean()) / max(np.sqrt(np.square(wanted).mean()), 1e-6))


# Of integer operators, which inputs are the weights, and the zero points of activations and weights.
_PRODUCTS = {
    "MatMulInteger": (1, 2, 3),
    "ConvInteger": (1, 2, 3),
    "QLinearMatMul": (3, 2, 5),
    "QLinearConv": (3, 2, 5),
    "QGemm": (3, 2, 5),
}


def unsaturated(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with int8 weights beside uint8 tensors as uint8: on CPUs without VNNI, ONNX Runtime's products of the
    two types saturate at 16 bits in pairs, whatever its options."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    dynamic = {name for node in model.graph.node if node.op_type == "DynamicQuantizeLinear" for name in node.output}
    moved: dict[str, str] = {}
    found = onnx.ModelProto()
    found.CopyFrom(model)
    for node in found.graph.node:
        if node.op_type not in _PRODUCTS or max(_PRODUCTS[node.op_type]) >= len(node.input):
            continue
        matrix, zero_a, zero = (node.input[at] for at in _PRODUCTS[node.op_type])
        unsigned = zero_a in dynamic or (zero_a in constants and constants[zero_a].data_type == onnx.TensorProto.UINT8)
        if not unsigned or any(
            name not in constants or constants[name].data_type != onnx.TensorProto.INT8 for name in (matrix, zero)
        ):
            continue
        for at, name in zip(_PRODUCTS[node.op_type][::2], (matrix, zero), strict=True):
            if name not in moved:
                moved[name] = f"{name}/uint8"
                value = (numpy_helper.to_array(constants[name]).astype(np.int16) + 128).astype(np.uint8)
                found.graph.initializer.append(numpy_helper.from_array(value, moved[name]))
            node.input[at] = moved[name]
    return found
