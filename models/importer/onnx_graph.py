# SPDX-License-Identifier: Apache-2.0
"""An ONNX graph as the front end sees it: operations, constants, and the shape and type of every tensor."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import onnx
from onnx import helper

from models.importer.runtime import Array


@dataclass(frozen=True)
class Operation:
    """A node: attributes hold the operator's defaults too, "" stands for an input that is left out."""

    name: str
    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]
    proto: onnx.NodeProto

    @property
    def output(self) -> str:
        """The first output."""
        return self.outputs[0]


@dataclass(frozen=True)
class Graph:
    """What `read` makes of a file.

    original: the file with all data in it; model: the same, quantised forms taken apart; operations: those that depend
    on inputs and on which outputs depend, in an order in which they can run; constants: values of tensors that depend
    on no input; shapes: with the size of a batch (1 where the file leaves it open) first; inputs: on which outputs
    depend; unused: the file's other inputs; batch: the size of a batch that the file asks for, if it does;
    exact: False where quantised forms were taken apart, so that rounding can differ; values: tensors
    that are integers in the original and values here; makers: the node of each tensor.
    """

    original: onnx.ModelProto
    model: onnx.ModelProto
    operations: tuple[Operation, ...]
    constants: dict[str, Array]
    shapes: dict[str, tuple[int, ...]]
    dtypes: dict[str, np.dtype[Any]]
    inputs: tuple[str, ...]
    unused: tuple[str, ...]
    outputs: tuple[str, ...]
    batch: int | None
    opset: int
    exact: bool
    values: frozenset[str]
    makers: dict[str, onnx.NodeProto]

    @cached_property
    def readers(self) -> dict[str, list[Operation]]:
        """The operations that read each tensor."""
        found: dict[str, list[Operation]] = {}
        for operation in self.operations:
            for name in dict.fromkeys(operation.inputs):
                found.setdefault(name, []).append(operation)
        return found

    def alone(self, tensor: str) -> bool:
        """Whether one operation, once, is all that reads a tensor."""
        readers = self.readers.get(tensor, [])
        return len(readers) == 1 and readers[0].inputs.count(tensor) == 1 and tensor not in self.outputs

    def part(self, operations: tuple[Operation, ...], outputs: tuple[str, ...]) -> onnx.ModelProto:
        """Some of the operations as a model of their own, whose inputs are what they read of the others."""
        made = {name for operation in operations for name in operation.outputs}
        read = dict.fromkeys(name for operation in operations for name in operation.inputs if name)
        constants = [
            onnx.numpy_helper.from_array(self.constants[name], name) for name in read if name in self.constants
        ]
        inputs = [
            helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(self.dtypes[name]), ["batch", *self.shapes[name][1:]]
            )
            for name in read
            if name not in self.constants and name not in made
        ]
        infos = [onnx.ValueInfoProto(name=name) for name in outputs]
        graph = helper.make_graph([operation.proto for operation in operations], "part", inputs, infos, constants)
        model = helper.make_model(graph, opset_imports=self.model.opset_import, ir_version=self.model.ir_version)
        return model


def leading_to(operations: Sequence[Operation], outputs: Iterable[str]) -> tuple[Operation, ...]:
    """The operations on which tensors depend, in their order."""
    wanted, kept = set(outputs), []
    for operation in reversed(operations):
        if wanted & set(operation.outputs):
            wanted |= set(operation.inputs)
            kept.append(operation)
    return tuple(reversed(kept))
