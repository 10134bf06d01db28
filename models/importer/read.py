# SPDX-License-Identifier: Apache-2.0
"""Reads ONNX files. Whatever is wrong with one is a ValueError in one line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import defs, helper, inliner, numpy_helper

from models.importer import forms, operators
from models.importer.onnx_graph import Graph, Operation, leading_to
from models.importer.runtime import Array, Session

OPSETS = range(11, defs.onnx_opset_version() + 1)
_DOMAINS = ("", "ai.onnx", "com.microsoft")
_SHAPE_ONLY = ("Shape", "Size")
_RANDOM = ("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial")
_MOST = 2**31  # bytes of a message


def load(path: str | Path) -> onnx.ModelProto:
    """The model in a file, with its external data. Raises ValueError, which names the file or tensor."""
    path = Path(path)
    try:
        if path.stat().st_size == 0:
            raise ValueError(f"{path}: an empty file, expected an ONNX model")
        model = onnx.load_model_from_string(path.read_bytes())
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise ValueError(f"{path}: a directory, expected an ONNX model") from None
    except DecodeError:
        raise ValueError(f"{path}: no ONNX model, or one that is cut short") from None
    if not model.HasField("graph") or not model.graph.node:
        raise ValueError(f"{path}: a model without nodes, or a file that is no ONNX model")
    for tensor in _tensors(model.graph):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            _bring(tensor, path)
    return model


def _tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.TENSOR:
                yield attribute.t


def _bring(tensor: onnx.TensorProto, path: Path) -> None:
    """External data into the tensor."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    where = entries.get("location", "")
    file = (path.parent / where).resolve()
    if not where or not file.is_relative_to(path.parent.resolve()):
        raise ValueError(f"{path}: tensor {tensor.name}: external data in {where!r}, expected a file beside the model")
    try:
        data = file.read_bytes()
    except OSError as error:
        raise ValueError(f"{path}: tensor {tensor.name}: external data {where}: {error.strerror}") from None
    offset = int(entries.get("offset", 0))
    length = int(entries.get("length", len(data) - offset))
    if offset + length > len(data):
        raise ValueError(
            f"{path}: tensor {tensor.name}: external data {where} has {len(data)} bytes, "
            f"expected {length} from {offset} on"
        )
    tensor.raw_data = data[offset : offset + length]
    del tensor.external_data[:]
    tensor.data_location = onnx.TensorProto.DEFAULT


def _check(model: onnx.ModelProto) -> int:
    """The opset. Raises ValueError for what ONNX itself refuses."""
    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)
    if opset not in OPSETS:
        raise ValueError(f"opset: {opset}, supported are {OPSETS[0]} to {OPSETS[-1]}")
    if model.ByteSize() >= _MOST:
        raise ValueError(f"model: {model.ByteSize()} bytes, supported are less than {_MOST}")
    try:
        onnx.checker.check_model(model)
    except Exception as error:
        text = str(error).strip().split("\n")[0]
        raise ValueError(f"model: {text}") from None
    return opset


def _domains(model: onnx.ModelProto) -> None:
    """Raise ValueError for an operator of a domain that is not known."""
    for node in model.graph.node:
        if node.domain not in _DOMAINS:
            name = node.name or node.output[0]
            raise ValueError(f"{name}: operator {node.domain}.{node.op_type} is not supported")


def _batch(model: onnx.ModelProto) -> int | None:
    """The size of a batch, if an input that is read fixes it. All other sizes of these inputs are fixed."""
    if not model.graph.input:
        raise ValueError("model: no inputs, expected at least one")
    read_ = {name for node in model.graph.node for name in node.input}
    batches = {value.name: _batch_of(value) for value in model.graph.input if value.name in read_}
    sizes = {name: size for name, size in batches.items() if size is not None}
    if len(set(sizes.values())) > 1:
        text = ", ".join(f"{size} of {name}" for name, size in sizes.items())
        raise ValueError(f"model: batches of {text}, supported: one size for all inputs")
    return next(iter(sizes.values()), None)


def _batch_of(value: onnx.ValueInfoProto) -> int | None:
    """The size of an input's batch, if it is fixed."""
    if value.type.WhichOneof("value") != "tensor_type" or not value.type.tensor_type.HasField("shape"):
        raise ValueError(f"input {value.name}: no shape, expected a tensor (batch, C, H, W) or (batch, F)")
    dims = value.type.tensor_type.shape.dim
    text = "(" + ", ".join(dim.dim_param or str(dim.dim_value) for dim in dims) + ")"
    if len(dims) < 2:
        raise ValueError(f"input {value.name}: shape {text}, expected (batch, C, H, W) or (batch, F)")
    for axis, dim in enumerate(dims):
        if axis and not (dim.WhichOneof("value") == "dim_value" and dim.dim_value > 0):
            raise ValueError(f"input {value.name}: dimension {axis} of {text} is dynamic, only the batch may be")
    return dims[0].dim_value if dims[0].WhichOneof("value") == "dim_value" and dims[0].dim_value > 0 else None


def _densified(model: onnx.ModelProto) -> None:
    """Sparse initialisers as ordinary ones, and no initialiser listed as an input."""
    for sparse in model.graph.sparse_initializer:
        values, indices = numpy_helper.to_array(sparse.values), numpy_helper.to_array(sparse.indices)
        dense = np.zeros(tuple(sparse.dims), values.dtype)
        if indices.ndim == 1:
            dense.reshape(-1)[indices] = values
        else:
            dense[tuple(indices.T)] = values
        model.graph.initializer.append(numpy_helper.from_array(dense, sparse.values.name))
    del model.graph.sparse_initializer[:]
    constants = {tensor.name for tensor in model.graph.initializer}
    kept = [value for value in model.graph.input if value.name not in constants]
    del model.graph.input[:]
    model.graph.input.extend(kept)


def _named(model: onnx.ModelProto) -> None:
    """Every node has a name of its own."""
    taken: set[str] = set()
    for node in model.graph.node:
        name = node.name or next((output for output in node.output if output), node.op_type)
        while name in taken:
            name += "_"
        node.name = name
        taken.add(name)


def _finite(model: onnx.ModelProto) -> None:
    readers = {name: node for node in reversed(model.graph.node) for name in node.input}
    for tensor in _tensors(model.graph):
        try:
            value = numpy_helper.to_array(tensor)
        except Exception as error:
            raise ValueError(f"tensor {tensor.name}: {' '.join(str(error).split())[:200]}") from None
        if value.dtype.kind == "f" and not np.isfinite(value).all() and tensor.name in readers:
            node, at = readers[tensor.name], np.argwhere(~np.isfinite(value))[0].tolist()
            raise ValueError(
                f"{node.name}: {node.op_type}: {tensor.name} holds {value[tuple(at)]} at {at}, supported: finite values"
            )


def _attributes(node: onnx.NodeProto, opset: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if not node.domain or node.domain == "ai.onnx":
        schema = defs.get_schema(node.op_type, opset, "")
        for name, attribute in schema.attributes.items():
            if attribute.default_value.type:
                found[name] = helper.get_attribute_value(attribute.default_value)
    for attribute in node.attribute:
        found[attribute.name] = helper.get_attribute_value(attribute)
    return {name: value.decode() if isinstance(value, bytes) else value for name, value in found.items()}


def read(model: onnx.ModelProto) -> Graph:
    """The graph of a model, its quantised forms taken apart. Raises ValueError for what it cannot be read from."""
    _check(model)
    original, model = model, onnx.ModelProto()
    model.CopyFrom(original)
    if model.functions:
        model = inliner.inline_local_functions(model)
    _domains(model)
    _densified(model)
    _named(model)
    batch = _batch(model)
    _finite(model)
    opset = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    return _graph(original, model, batch, opset, forms.take_apart(model, opset))


def _zeros(value: onnx.ValueInfoProto, batch: int) -> Array:
    """A batch of an input, of one that nothing reads with any sizes."""
    if value.type.WhichOneof("value") != "tensor_type":
        raise ValueError(f"input {value.name}: no tensor, expected one")
    tensor = value.type.tensor_type
    shape = [dim.dim_value or (1 if axis else batch) for axis, dim in enumerate(tensor.shape.dim)]
    return np.zeros(shape, helper.tensor_dtype_to_np_dtype(tensor.elem_type))


def _graph(
    original: onnx.ModelProto,
    model: onnx.ModelProto,
    batch: int | None,
    opset: int,
    apart: forms.Apart | None,
) -> Graph:
    constants: dict[str, Array] = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    constant, kept, made = set(constants), [], []
    for node in model.graph.node:
        known = all(name in constant or not name for name in node.input) and node.op_type not in _RANDOM
        if known or node.op_type in _SHAPE_ONLY:
            constant.update(node.output)
            made += [name for name in node.output if name]
        else:
            kept.append(node)
    for node in kept:
        operators.known(node)
    zeros = {value.name: _zeros(value, batch or 1) for value in model.graph.input}
    wanted = made + [name for node in kept for name in node.output if name]
    missing = [output.name for output in model.graph.output if output.name not in wanted]
    if missing:
        raise ValueError(f"output {missing[0]}: no node makes it from an input")
    tensors = Session(model, wanted).run(zeros) | zeros
    constants |= {name: np.asarray(tensors[name]) for name in made}
    operations = tuple(
        Operation(node.name, node.op_type, tuple(node.input), tuple(node.output), _attributes(node, opset), node)
        for node in kept
    )
    every = constants | {name: np.asarray(tensor) for name, tensor in tensors.items()}
    outputs = tuple(output.name for output in model.graph.output)
    for name in outputs:
        if name in constants:
            raise ValueError(f"output {name}: a constant, expected what depends on an input")
    operations = leading_to(operations, outputs)
    read_ = {name for operation in operations for name in operation.inputs}
    return Graph(
        original,
        model,
        operations,
        constants,
        {name: tensor.shape for name, tensor in every.items()},
        {name: tensor.dtype for name, tensor in every.items()},
        tuple(name for name in zeros if name in read_),
        tuple(name for name in zeros if name not in read_),
        outputs,
        batch,
        opset,
        apart is None,
        frozenset() if apart is None else apart.values,
        {name: node for node in model.graph.node for name in node.output} | ({} if apart is None else apart.makers),
    )
