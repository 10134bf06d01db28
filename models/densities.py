# SPDX-License-Identifier: Apache-2.0
"""Activation sparsity of a quantised network, layer by layer, beside what `masks.clustered` assumes of one."""

from __future__ import annotations

import numpy as np

from models import masks
from models.network import Images, Network, count_of

_HEADER = (
    "| node | reads | density | spread of channels | dead channels | always on | neighbours |",
    "|---|---|---:|---:|---:|---:|---:|",
)


def _cells(found: masks.Statistics) -> str:
    neighbours = "-" if np.isnan(found.neighbours) else f"{found.neighbours:.2f}"
    return (
        f"{found.density:.2f} | {found.spread:.2f} | {100 * found.dead:.0f} % | {100 * found.always_on:.0f} % "
        f"| {neighbours}"
    )


def table(network: Network, images: Images) -> str:
    """Statistics of the non-zeros that each node reads, over images, as a Markdown table.

    Under each line, in italics, those of clustered masks of the same shape and density, one an image.
    """
    tensors, lines = network.run(images), list(_HEADER)
    reads = [(node.name, node.source) for node in network.nodes]
    reads += [(f"{node.name}, residual", node.residual) for node in network.nodes if node.residual is not None]
    for name, tensor in reads:
        mask = tensors[tensor] != 0
        found, shape = masks.statistics(mask), mask.shape[1:]
        rng = np.random.default_rng(0)
        assumed = masks.statistics(
            np.stack([masks.clustered(shape, found.density, rng) for _ in range(count_of(images))])
        )
        lines.append(f"| {name} | {'x'.join(map(str, shape))} | {_cells(found)} |")
        lines.append(f"| | *clustered* | {_cells(assumed)} |")
    return "\n".join([*lines, ""])
