# SPDX-License-Identifier: Apache-2.0
"""From float steps and ranges to the integer network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from models.importer.float_network import FloatNetwork, Floats, Step
from models.importer.ranges import Range
from models.importer.uncounted import uncounted
from models.network import Images, Input, Network, Node, sparsest_mode
from models.reference import Bytes
from models.scales import fixed_point

WEIGHT_MAX = 127
_MOST_BIAS = 2**30
_OPS = {"conv": "conv", "max_pool": "max_pool", "mean_pool": "sum_pool", "concat": "concat"}


def to_integers(values: Floats, given: Range) -> Bytes:
    """Values (N, C, H, W) in steps of a range."""
    low, high = given.limits
    kind = np.uint8 if given.unsigned else np.int8
    return np.clip(np.rint(values / given.scale), low, high).astype(kind)


def weight_steps(step: Step, input_scale: float) -> Floats:
    """(K,) steps of a convolution's weights: the file's, or so that the largest of a channel is 127; larger where the
    bias would not fit."""
    weights, bias = step.kernels, step.bias
    assert bias is not None
    if step.weight_scale is not None:
        return step.weight_scale
    largest = np.abs(weights).max((1, 2, 3))
    steps = np.where(largest > 0, largest, 1) / WEIGHT_MAX
    found: Floats = np.maximum(steps, np.abs(bias) / (input_scale * _MOST_BIAS))
    return found


def given_names(network: FloatNetwork) -> dict[str, str]:
    """The integer network's inputs by tensor: named as the file's, but where a step has that name."""
    taken, found = {step.name for step in network.steps}, {}
    for given in network.inputs:
        name = given.name
        while name in taken:
            name += "_"
        taken.add(name)
        found[given.tensor] = name
    return found


def to_images(network: FloatNetwork, ranges: dict[str, Range], values: Mapping[str, Floats]) -> dict[str, Bytes]:
    """Images of the integer network, from values (N, C, H, W) of the tensors that are given."""
    return {name: to_integers(values[tensor], ranges[tensor]) for tensor, name in given_names(network).items()}


def lower(
    network: FloatNetwork, ranges: dict[str, Range], images: Images, modes: dict[str, tuple[int, int]]
) -> Network:
    """The integer network; images: the first is its example; modes: k and m of convolutions, by their names, else the
    sparsest that the weights satisfy.

    Raises ValueError, which names the node.
    """
    names, planes = given_names(network), network.shapes
    inputs = {name: Input(images[name][0], ranges[tensor].scale) for tensor, name in names.items()}
    nodes: list[Node] = []
    for step in network.steps:
        try:
            if step.counted:
                nodes.append(_node(step, names, ranges, modes.get(step.name)))
            else:
                own, read = ranges[step.output], ranges[step.reads[0]]
                nodes += uncounted(step, names[step.reads[0]], planes[step.reads[0]], read, own, _clamp(step, own))
        except ValueError as error:
            raise ValueError(f"{step.name}: {error}") from None
        names[step.output] = step.name
    return Network(tuple(nodes), inputs, tuple(names[name] for name in network.outputs))


def made(network: FloatNetwork, integers: Network) -> list[tuple[Step, Node]]:
    """Each step with the node that makes its tensor."""
    nodes = {node.name: node for node in integers.nodes}
    return [(step, nodes[step.name]) for step in network.steps]


def _clamp(step: Step, own: Range) -> tuple[int, int]:
    low, high = own.limits
    bounds = [(step.low, step.high)] + ([step.quant.range] if step.quant is not None else [])
    for least, most in bounds:
        if np.isfinite(least):
            low = int(np.clip(np.rint(least / own.scale), low, high))
        if np.isfinite(most):
            high = int(np.clip(np.rint(most / own.scale), low, high))
    return low, high


def _node(step: Step, names: dict[str, str], ranges: dict[str, Range], mode: tuple[int, int] | None) -> Node:
    own, read = ranges[step.output], ranges[step.reads[0]]
    common: dict[str, Any] = {
        "name": step.name,
        "op": _OPS[step.kind],
        "source": names[step.reads[0]],
        "kernel": step.kernel,
        "stride": step.stride,
        "padding": step.padding,
        "scale": own.scale,
    }
    if step.kind in ("max_pool", "concat"):
        others = tuple(names[name] for name in step.reads[1:])
        return Node(**common, others=others, clamp=(0, 255) if own.unsigned else (-128, 127))
    low, high = _clamp(step, own)
    if not own.unsigned and low >= 0:
        raise ValueError(f"bounds {step.low}..{step.high} of a tensor of both signs")
    common["clamp"] = (low, high)
    if step.residual is not None:
        multiplier, shift = fixed_point(ranges[step.residual].scale / own.scale)
        common |= {
            "residual": names[step.residual],
            "residual_multiplier": int(multiplier),
            "residual_shift": int(shift),
        }
    if step.kind == "mean_pool":
        multiplier, shift = fixed_point(read.scale / own.scale / (step.kernel[0] * step.kernel[1]))
        k = step.shape[0]
        return Node(
            **common,
            bias=np.zeros(k, np.int32),
            multiplier=np.full(k, multiplier, np.int32),
            shift=np.full(k, shift, np.int32),
        )
    assert step.bias is not None
    scale = weight_steps(step, read.scale)
    weights = np.rint(step.kernels / scale[:, None, None, None]).astype(np.int8)
    multiplier, shift = fixed_point(read.scale * scale / own.scale)
    bias = np.rint(step.bias / (read.scale * scale))
    if np.abs(bias).max() > np.iinfo(np.int32).max:
        raise ValueError(f"bias: {bias[np.abs(bias).argmax()]:.0f} steps, supported: 32 bits")
    k, m = sparsest_mode(weights, step.groups) if mode is None else mode
    return Node(
        **common,
        k=k,
        m=m,
        groups=step.groups,
        weights=weights,
        weight_scale=scale,
        bias=bias.astype(np.int32),
        multiplier=multiplier,
        shift=shift,
    )
