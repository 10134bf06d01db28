# SPDX-License-Identifier: Apache-2.0
"""What an imported network is, as text: its layers, what the host does, how far it is from the file."""

from __future__ import annotations

import numpy as np

from models.importer.passes import Imported
from models.network import Node
from models.reference import Bytes

_HEADER = (
    "| layer | kind | input | output | k/m | weights | non-zero | density | distance |\n"
    "|---|---|---|---|---|---:|---:|---:|---:|"
)


def title(node: Node) -> str:
    """Kind and window, such as "conv 3x3/2 in 8 groups + residual"."""
    text = node.op
    if node.op != "concat":
        strides = "" if node.stride == (1, 1) else "/" + "x".join(map(str, dict.fromkeys(node.stride)))
        text += f" {node.kernel[0]}x{node.kernel[1]}{strides}"
    if node.groups > 1:
        text += f" in {node.groups} groups"
    return text if node.residual is None else f"{text} + {node.residual}"


def layers_table(imported: Imported, tensors: dict[str, Bytes]) -> str:
    """Of each layer: shapes, mode, weights and how many are not zero, density of what it reads, and how far its values
    are from the float network's (root mean squares); tensors: of a run."""
    lines = [_HEADER]
    for node in imported.network.nodes:
        read = tensors[node.source]
        shapes = ("x".join(map(str, tensors[name].shape[1:])) for name in (node.source, node.name))
        weights = non_zero = mode = ""
        if node.op == "conv":
            mode, weights = f"{node.k}/{node.m}", f"{node.kernels.size:,}"
            non_zero = f"{np.count_nonzero(node.kernels) / node.kernels.size:.2f}"
        density = np.count_nonzero(read) / read.size
        apart = imported.distances.get(node.name, 0.0)
        lines.append(
            f"| {node.name} | {title(node)} | {' | '.join(shapes)} | {mode} | {weights} | {non_zero} | {density:.2f} "
            f"| {100 * apart:.2f} % |"
        )
    return "\n".join(lines)


def summary(imported: Imported) -> list[str]:
    """What the host does, which inputs are not used, what was pruned, how scales were chosen and how far the outputs
    are from the file's."""
    lines = [f"host: {line}" for line in imported.host]
    lines += [f"unused: input {name}: no output depends on it, and it needs no array" for name in imported.graph.unused]
    for name, cut in imported.cuts.items():
        lines.append(
            f"pruned: {name}: {100 * cut.weights:.1f} % of the weights, {100 * cut.magnitude:.1f} % of their magnitude"
        )
    if imported.method is None:
        lines.append("scales: the file's")
    else:
        how = {"error": "least squared error", "percentile": "percentile"}[imported.method]
        where = "calibration inputs" if imported.calibrated else "noise: give calibration inputs (CALIB=)"
        lines.append(f"scales: by {how}, from {where}")
    for name, apart in imported.outputs.items():
        lines.append(f"output {name}: {100 * apart:.2f} % from ONNX Runtime's")
    return lines
