# SPDX-License-Identifier: Apache-2.0
"""The layers of a torch model as the core sees them, each with what is computed together with it."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import fx, nn


@dataclass
class Layer:
    """A layer of the graph with what is fused into it; ``output`` is the last fx node of that."""

    op: str
    node: fx.Node
    source: fx.Node
    module: nn.Module
    output: fx.Node
    relu: bool = False
    residual: fx.Node | None = None
    flat: bool = False  # reads a plane that was flattened


class Graph:
    """The layers of a model's fx graph; raises ValueError with a node's name for what the core's networks lack."""

    RELU = (nn.ReLU, torch.relu, nn.functional.relu, "relu")
    ADD = (operator.add, operator.iadd, torch.add, "add")
    FLATTEN = (nn.Flatten, torch.flatten, "flatten")
    NOTHING = (nn.Identity, nn.Dropout, nn.Dropout2d)
    KINDS = {
        nn.Conv2d: "conv",
        nn.Linear: "conv",
        nn.MaxPool2d: "max_pool",
        nn.AvgPool2d: "sum_pool",
        nn.AdaptiveAvgPool2d: "sum_pool",
    }

    def __init__(self, module: fx.GraphModule):
        self.modules = dict(module.named_modules())
        self.same: dict[fx.Node, fx.Node] = {}  # node whose tensor a node passes on
        self.layers: dict[fx.Node, Layer] = {}  # by output
        self.flat: set[fx.Node] = set()
        for node in module.graph.nodes:
            if node.op == "placeholder":
                self.input = node
            elif node.op != "output":
                self._visit(node)

    def _tensor(self, node: fx.Node) -> fx.Node:
        return self._tensor(self.same[node]) if node in self.same else node

    def _visit(self, node: fx.Node) -> None:
        module = self.modules.get(node.target) if node.op == "call_module" else None
        what = type(module) if module is not None else node.target
        if what in self.KINDS:
            source = self._tensor(node.args[0])
            self.layers[node] = Layer(self.KINDS[what], node, source, module, node, flat=node.args[0] in self.flat)
        elif what in self.RELU:
            self._relu(node, node.args[0])
        elif what in self.ADD:
            self._add(node)
        elif what in self.FLATTEN or what in self.NOTHING:
            self.same[node] = node.args[0]
            if what in self.FLATTEN or node.args[0] in self.flat:
                self.flat.add(node)
        else:
            name = what.__name__ if callable(what) else what
            raise ValueError(
                f"{node.name}: {name} is not supported; supported are convolution, batch normalisation behind one, "
                "ReLU, addition to a convolution's result, pooling, flatten and linear layers"
            )

    def _only(self, node: fx.Node) -> Layer | None:
        """The layer whose unclamped output ``node`` is, when nobody else reads it."""
        layer = self.layers.get(self._tensor(node))
        alone = layer is not None and layer.op == "conv" and not layer.relu and len(layer.output.users) == 1
        return layer if alone and len(node.users) == 1 else None

    def _move(self, layer: Layer, node: fx.Node) -> None:
        """Layer's output is ``node`` from now on."""
        del self.layers[layer.output]
        layer.output = node
        self.layers[node] = layer

    def _relu(self, node: fx.Node, operand: fx.Node) -> None:
        layer = self.layers.get(self._tensor(operand))
        if layer is not None and layer.relu:
            self.same[node] = operand
            return
        layer = self._only(operand)
        if layer is None:
            raise ValueError(
                f"{node.name}: ReLU of anything but a convolution's result that only it reads is not supported"
            )
        layer.relu = True
        self._move(layer, node)

    def _add(self, node: fx.Node) -> None:
        first, second = node.args[:2]
        for own, other in ((first, second), (second, first)):
            layer = self._only(own) if isinstance(own, fx.Node) else None
            # The residual must have been made before the convolution runs.
            if layer is not None and layer.residual is None and isinstance(other, fx.Node):
                layer.residual = self._tensor(other)
                self._move(layer, node)
                return
        raise ValueError(f"{node.name}: addition of two tensors of which neither is a convolution's that only it reads")

    @cached_property
    def order(self) -> list[Layer]:
        """The layers so that each follows what it reads, residuals included."""
        found: dict[fx.Node, Layer] = {}

        def place(node: fx.Node) -> None:
            if node is self.input or node in found:
                return
            layer = self.layers[node]
            for read in (layer.source, layer.residual):
                if read is not None:
                    place(read)
            found[node] = layer

        for node in list(self.layers):
            place(node)
        return list(found.values())
