# SPDX-License-Identifier: Apache-2.0
"""What another mode, batch or larger memory would change: the cycles of the same network, compiled again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from models import km
from models.compiler.compile import Compiler
from models.config import Config
from models.network import Images, Network, Node

MODES = ((1, 1), (2, 4), (1, 4))


@dataclass(frozen=True)
class Trial:
    """A change in words, with what it asks of `Compiler`."""

    what: str
    network: Network
    config: Config
    batch: int

    def cycles(self, calibration: Images) -> float | None:
        """Predicted cycles an image, None where it does not fit."""
        try:
            compiler = Compiler(self.network, self.config, self.batch, calibration)
            return compiler.time(compiler.compile()).per_image
        except ValueError:
            return None


def _in_mode(node: Node, k: int, m: int) -> Node:
    """A convolution without groups in another mode, its weights pruned to it."""
    if node.op != "conv" or node.groups > 1:
        return node
    return replace(node, k=k, m=m, weights=km.project(node.kernels, k, m, 0))


def in_mode(network: Network, k: int, m: int) -> Network:
    """A network with all convolutions but the first and those in groups in one mode; weights that break it are 0."""
    first = next((node.name for node in network.nodes if node.op == "conv"), "")
    nodes = tuple(node if node.name == first else _in_mode(node, k, m) for node in network.nodes)
    return replace(network, nodes=nodes)


def trials(network: Network, config: Config, batch: int) -> Iterator[Trial]:
    """One change at a time."""
    for k, m in MODES:
        other = in_mode(network, k, m)
        if [(node.k, node.m) for node in other.nodes] != [(node.k, node.m) for node in network.nodes]:
            yield Trial(f"MODE={k}/{m}, but for the first convolution and groups", other, config, batch)
    for name, parameter in (("Weight", "WgtDepth"), ("Activation", "ActDepth"), ("Index", "IdxDepth")):
        larger = replace(config, **{parameter: 2 * getattr(config, parameter)})
        yield Trial(
            f"{name} Memory of twice the size ({parameter}={getattr(larger, parameter)})", network, larger, batch
        )
    for images in (1, 2, 4):
        if images != batch:
            yield Trial(f"BATCH={images}", network, config, images)
