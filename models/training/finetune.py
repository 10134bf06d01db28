# SPDX-License-Identifier: Apache-2.0
"""Quantisation-aware fine-tuning: a network is trained on with its weights and activations rounded as in integers."""

from __future__ import annotations

import torch
from torch import Tensor, fx, nn
from torch.fx.experimental.optimization import fuse
from torch.nn.utils import parametrize

from models.training import fit
from models.training.graph import Graph
from models.training.pruning import finalised
from models.training.quantise import CALIBRATION, WEIGHT_MAX, quantise

LOST = 0.005  # of accuracy by quantisation after training: more is worth a fine-tuning
RATE = 0.002
ROUND = torch.fake_quantize_per_tensor_affine


class _Rounded(nn.Module):
    """Weights as `quantise` will round them, one scale an output channel; what is 0 stays 0."""

    def __init__(self, weight: Tensor):
        super().__init__()
        self.register_buffer("mask", weight != 0)

    def forward(self, weight: Tensor) -> Tensor:
        masked = torch.where(self.mask, weight, 0)
        largest = masked.detach().abs().flatten(1).amax(1)
        scale = torch.where(largest > 0, largest, 1) / WEIGHT_MAX
        zeros = torch.zeros_like(scale, dtype=torch.int32)
        return torch.fake_quantize_per_channel_affine(masked, scale, zeros, 0, -WEIGHT_MAX, WEIGHT_MAX)


def rounded(model: nn.Module, calibration: Tensor) -> fx.GraphModule:
    """A copy of the model that computes as its integer network does: batch normalisation folded, weights and
    activations rounded to the scales that `quantise` finds on uint8 images (N, C, H, W); masks are kept."""
    nodes = {node.name: node for node in quantise(model, calibration, fit.images_of).nodes}
    module = fuse(finalised(model).eval())
    for layer in Graph(module).order:
        node = nodes[layer.node.name]
        if layer.op == "max_pool":
            continue
        with module.graph.inserting_after(layer.output):
            step = module.graph.call_function(ROUND, (layer.output, node.scale, 0, *node.clamp))
        layer.output.replace_all_uses_with(step, lambda user, own=step: user is not own)
        if layer.op == "conv":
            parametrize.register_parametrization(layer.module, "weight", _Rounded(layer.module.weight))
    module.recompile()
    return module


def _plain(module: fx.GraphModule) -> nn.Module:
    """Undo `rounded`: the weights stay as they are rounded last, activations are not rounded."""
    for node in list(module.graph.nodes):
        if node.target is ROUND:
            node.replace_all_uses_with(node.args[0])
            module.graph.erase_node(node)
    module.recompile()
    for part in list(module.modules()):
        if parametrize.is_parametrized(part, "weight"):
            parametrize.remove_parametrizations(part, "weight")
    return module.eval()


def fine_tune(model: nn.Module, train: tuple[Tensor, Tensor], steps: int, seed: int, *, flip: bool = True) -> nn.Module:
    """A copy of the model, its batch normalisation folded, trained on as `rounded` computes; `quantise` takes it.

    Gradients pass the rounding straight through. train: images uint8 (N, C, H, W) and labels int64 (N,).
    Raises what `quantise` and `fit.fit` raise.
    """
    module = rounded(model, train[0][:CALIBRATION])
    fit.fit(module, train, steps, RATE, seed, flip=flip)
    return _plain(module)
