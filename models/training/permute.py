# SPDX-License-Identifier: Apache-2.0
"""Channel permutation along the output depth: which channels share a group of m is chosen, not given.

The output channels of a layer may be reordered if those who read them reorder their inputs: the network computes the
same. Layers whose results are added share one order. Greedy swaps of channels between groups, as in Pool and Yu,
Channel Permutations for N:M Sparsity (NeurIPS 2021), there along the input depth.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import combinations

import torch
from torch import Tensor, fx, nn
from torch.fx.experimental.optimization import fuse
from torch.nn.utils import parametrize

from models.training.graph import Graph, Layer
from models.training.pruning import finalised, prunable

_PASSES = 10  # over all pairs of groups, while one of them gains
_LEAST = 1e-6  # gain of a swap, of the whole: less is rounding


@dataclass
class _Channels:
    """Layers that write channels in one order, and those that read them."""

    writers: list[Layer] = field(default_factory=list)
    readers: list[Layer] = field(default_factory=list)
    fixed: bool = False  # the order is the model's own: its input, its result, or groups


def _orders(graph: Graph) -> list[_Channels]:
    """The tensors of a graph, those together that have to keep one order."""
    together: dict[fx.Node, fx.Node] = {}

    def root(node: fx.Node) -> fx.Node:
        return root(together[node]) if node in together else node

    for layer in graph.order:
        # Pools keep the channels they read.
        for other in (layer.residual, None if layer.op == "conv" else layer.source):
            if other is not None and root(other) is not root(layer.output):
                together[root(other)] = root(layer.output)
    found: dict[fx.Node, _Channels] = {}
    for layer in graph.order:
        written, read = (found.setdefault(root(node), _Channels()) for node in (layer.output, layer.source))
        if layer.op != "conv":
            continue
        written.writers.append(layer)
        read.readers.append(layer)
        if getattr(layer.module, "groups", 1) != 1:
            written.fixed = read.fixed = True
    for node in (graph.input, graph.order[-1].output):
        found.setdefault(root(node), _Channels()).fixed = True
    return list(found.values())


def kept(magnitude: Tensor, k: int, m: int) -> float:
    """Sum of the k largest of each group of m rows, column by column; magnitude: (K, columns), not negative."""
    groups = nn.functional.pad(magnitude, (0, 0, 0, -len(magnitude) % m)).unflatten(0, (-1, m))
    return _largest(groups, k).sum().item()


def _largest(rows: Tensor, k: int) -> Tensor:
    """(N,): sum of the k largest of each column of (N, rows, columns)."""
    return rows.topk(min(k, rows.shape[1]), dim=1).values.sum((1, 2))


def _gains(first: Tensor, second: Tensor, k: int) -> Tensor:
    """What two groups of rows keep more when row i of the first and row j of the second change places: [i, j]."""
    now = _largest(first[None], k) + _largest(second[None], k)
    each = torch.arange(len(second))
    gains = []
    for i, row in enumerate(first):
        one, other = first.repeat(len(second), 1, 1), second.repeat(len(second), 1, 1)
        one[:, i] = second
        other[each, each] = row
        gains.append(_largest(one, k) + _largest(other, k) - now)
    return torch.stack(gains)


def best_order(magnitude: Tensor, k: int, m: int) -> Tensor:
    """Order of the K rows, int64 (K,), in which k of m keep more of the magnitude (K, columns); never less."""
    groups = list(torch.arange(len(magnitude)).split(m))
    least = _LEAST * magnitude.sum()
    for _ in range(_PASSES):
        swapped = False
        for first, second in combinations(groups, 2):
            gains = _gains(magnitude[first], magnitude[second], k)
            if gains.max() > least:
                i, j = divmod(int(gains.argmax()), len(second))
                first[i], second[j] = second[j].clone(), first[i].clone()
                swapped = True
        if not swapped:
            break
    return torch.cat(groups)


def _norms(model: nn.Module) -> dict[str, nn.BatchNorm2d]:
    """The batch normalisation behind each layer that has one, by the layer's name."""
    traced, modules = fx.symbolic_trace(model), dict(model.named_modules())
    return {
        node.args[0].target: modules[node.target]
        for node in traced.graph.nodes
        if node.op == "call_module"
        and isinstance(modules[node.target], nn.BatchNorm2d)
        and node.args[0].op == "call_module"
    }


def _reorder(channels: _Channels, order: Tensor, modules: dict[str, nn.Module], norms: dict[str, nn.Module]) -> None:
    for layer in channels.writers:
        name = layer.node.target
        norm = norms.get(name)
        written = [modules[name].weight, modules[name].bias]
        written += [norm.weight, norm.bias, norm.running_mean, norm.running_var] if norm else []
        for tensor in written:
            if tensor is not None:
                tensor.data = tensor.data[order].clone(memory_format=torch.preserve_format)
    for layer in channels.readers:
        weight = modules[layer.node.target].weight
        planes = weight.data.unflatten(1, (len(order), -1))  # a linear layer may read a flattened plane
        weight.data = planes[:, order].reshape(weight.shape).to(memory_format=_format(weight))


def _format(weight: Tensor) -> torch.memory_format:
    last = weight.dim() == 4 and weight.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if last else torch.contiguous_format


@torch.no_grad()
def permute(model: nn.Module, k: int, m: int, layers: Iterable[str] | None = None) -> tuple[float, float]:
    """Reorder channels in place so that masks of k/m keep more magnitude; the model computes the same as before.

    layers: those that will be pruned (`prunable` ones when left out). Returns the share of their magnitude that k/m
    keeps, before and after. Call it before `attach`.
    Raises ValueError for a model that has masks, and with a node's name for one that is not understood.
    """
    if any(parametrize.is_parametrized(module) for module in model.modules()):
        raise ValueError("the model has masks: permute its channels before attach")
    modules, norms = dict(model.named_modules()), _norms(model)
    pruned = set(prunable(model) if layers is None else layers)

    def rows(name: str) -> Tensor:
        return modules[name].weight.flatten(1).abs()

    def share() -> float:
        return sum(kept(rows(name), k, m) for name in pruned) / sum(rows(name).sum().item() for name in pruned)

    before = share()
    for channels in _orders(Graph(fuse(finalised(model).eval()))):
        names = [layer.node.target for layer in channels.writers if layer.node.target in pruned]
        if names and not channels.fixed:
            order = best_order(torch.cat([rows(name) for name in names], 1), k, m)
            _reorder(channels, order, modules, norms)
    return before, share()
