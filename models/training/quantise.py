# SPDX-License-Identifier: Apache-2.0
"""Post-training quantisation of a torch model to the integer network of ``models.network``.

Batch normalisation is folded, ReLU and the addition of a residual become part of a convolution, a classifier becomes a
1x1 convolution (or one with the plane's size). Activations have one scale a tensor, weights one a channel; zero points
are 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn
from torch.fx.experimental.optimization import fuse

from models.network import INPUT, Input, Network, Node, sparsest_mode
from models.scales import fixed_point, least_error_step
from models.training.graph import Graph, Layer
from models.training.pruning import finalised

WEIGHT_MAX = 127
CALIBRATION = 512  # images
_SAMPLE = 200_000  # values of a tensor that its scale is chosen from


def _pair(value: int | tuple[int, int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (int(value[0]), int(value[1]))


class _Recorder(fx.Interpreter):
    """Runs the graph and keeps shapes and samples of the tensors asked for."""

    def __init__(self, module: fx.GraphModule, wanted: set[fx.Node]):
        super().__init__(module)
        self.wanted = wanted
        self.shapes: dict[fx.Node, tuple[int, ...]] = {}
        self.samples: dict[fx.Node, np.ndarray] = {}
        self.generator = np.random.default_rng(0)

    def run_node(self, node: fx.Node) -> Tensor:
        value = super().run_node(node)
        if node in self.wanted:
            self.shapes[node] = tuple(value.shape[1:])
            flat = value.detach().flatten().double().numpy()
            chosen = flat if flat.size <= _SAMPLE else self.generator.choice(flat, _SAMPLE)
            self.samples[node] = np.append(chosen, [flat.min(), flat.max()])
        return value


def _weights(layer: Layer, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Weights (K, C / groups, R, S) and bias (K,) of a convolution or linear layer that reads (C, H, W), float64."""
    module = layer.module
    weight = module.weight.detach().double().numpy()
    if isinstance(module, nn.Linear):
        plane = shape if len(shape) == 3 else (shape[0], 1, 1)
        weight = weight.reshape(len(weight), *plane)
    elif _pair(module.dilation) != (1, 1) or module.padding_mode != "zeros":
        raise ValueError(f"{layer.node.name}: dilation and padding other than zeros are not supported")
    bias = np.zeros(len(weight)) if module.bias is None else module.bias.detach().double().numpy()
    return weight, bias


def _padding(layer: Layer) -> tuple[int, int, int, int]:
    padding = layer.module.padding
    if isinstance(padding, str):
        raise ValueError(f"{layer.node.name}: padding {padding!r}, expected numbers")
    y, x = _pair(padding)
    return y, y, x, x


@torch.inference_mode()
def quantise(model: nn.Module, calibration: Tensor, images_of: Callable[[Tensor], Tensor]) -> Network:
    """The integer network of a trained model.

    calibration: uint8 images (N, C, H, W), some hundreds, the first becomes the network's example; images_of: makes of
    them what the model takes, and must be a multiplication by 1/255, so that a zero stays one. The model is left as it
    is.
    Raises ValueError, with the node's name, for what cannot be expressed.
    """
    module = fuse(finalised(model).eval())
    graph = Graph(module)
    recorder = _Recorder(module, {graph.input, *(layer.output for layer in graph.order)})
    recorder.run(images_of(calibration))
    names = {graph.input: INPUT} | {layer.output: layer.node.name for layer in graph.order}
    scales, lows = {graph.input: 1 / 255}, {graph.input: 0}
    nodes = []
    for layer in graph.order:
        node = _node(layer, recorder, names, scales, lows)
        scales[layer.output], lows[layer.output] = node.scale, node.clamp[0]
        nodes.append(node)
    return Network(tuple(nodes), {INPUT: Input(calibration[0].numpy(), 1 / 255)})


def _node(layer: Layer, recorder: _Recorder, names: dict, scales: dict, lows: dict) -> Node:
    source, module, name = layer.source, layer.module, layer.node.name
    shape = recorder.shapes[source]
    common: dict[str, Any] = {"name": name, "op": layer.op, "source": names[source]}
    if layer.op == "max_pool":
        kernel, stride = _pair(module.kernel_size), _pair(module.stride)
        return Node(
            **common,
            kernel=kernel,
            stride=stride,
            padding=_padding(layer),
            scale=scales[source],
            clamp=(-128, 127) if lows[source] else (0, 255),
        )
    values = recorder.samples[layer.output]
    unsigned = layer.relu or (layer.op == "sum_pool" and lows[source] == 0)
    low, high = (0, 255) if unsigned else (-128, 127)
    scale = least_error_step(values, high)
    common |= {"scale": scale, "clamp": (low, high)}
    if layer.op == "sum_pool":
        if isinstance(module, nn.AdaptiveAvgPool2d):
            if _pair(module.output_size) != (1, 1):
                raise ValueError(f"{name}: adaptive pooling to {module.output_size}, expected 1")
            kernel, stride, padding = (shape[1], shape[2]), (1, 1), (0, 0, 0, 0)
        else:
            kernel, stride, padding = _pair(module.kernel_size), _pair(module.stride), _padding(layer)
            if any(padding) and not module.count_include_pad:
                raise ValueError(f"{name}: average pooling that leaves padding out of its count is not supported")
        multiplier, shift = fixed_point(scales[source] / scale / (kernel[0] * kernel[1]))
        full: dict[str, Any] = {
            name: np.full(shape[0], value, np.int32) for name, value in (("multiplier", multiplier), ("shift", shift))
        }
        return Node(**common, kernel=kernel, stride=stride, padding=padding, bias=np.zeros(shape[0], np.int32), **full)
    weight, bias = _weights(layer, shape)
    largest = np.abs(weight).max((1, 2, 3))
    weight_scale = np.where(largest > 0, largest, 1) / WEIGHT_MAX
    integers = np.rint(weight / weight_scale[:, None, None, None]).astype(np.int8)
    step = scales[source] * weight_scale
    multiplier, shift = fixed_point(step / scale)
    linear = isinstance(module, nn.Linear)
    groups = 1 if linear else module.groups
    k, m = sparsest_mode(integers, groups)
    residual = {}
    if layer.residual is not None:
        own, own_shift = fixed_point(scales[layer.residual] / scale)
        residual = {
            "residual": names[layer.residual],
            "residual_multiplier": int(own),
            "residual_shift": int(own_shift),
        }
    return Node(
        **common,
        kernel=integers.shape[2:],
        stride=(1, 1) if linear else _pair(module.stride),
        padding=(0, 0, 0, 0) if linear else _padding(layer),
        k=k,
        m=m,
        groups=groups,
        weights=integers,
        weight_scale=weight_scale,
        bias=np.clip(np.rint(bias / step), -(2**31), 2**31 - 1).astype(np.int32),
        multiplier=multiplier,
        shift=shift,
        **residual,
    )
