# SPDX-License-Identifier: Apache-2.0
"""Draws what the PEs do over a layer's time."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np

from verif.shared.layer_files import SAMPLE_CYCLES

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.colors import ListedColormap

LABELS = ("busy", "no weight", "no activation", "drain", "no unit")
COLOURS = ("#2a9d4e", "#e0a526", "#d1495b", "#3d6fb6", "#d9d9d9")


def draw_occupancy(states: np.ndarray, title: str, path: Path) -> None:
    """Write a PNG: the PEs' states as shares over time, and below them each PE's state.

    states: uint8 (samples, PEs), pe_state_e every SAMPLE_CYCLES cycles.
    """
    cycles = np.arange(len(states)) * SAMPLE_CYCLES
    shares = np.stack([(states == state).mean(1) for state in range(len(LABELS))])
    # A moving mean over about 1 % of the time: single samples of a small array jump.
    width = max(1, len(states) // 100)
    kernel = np.ones(width) / width
    weight = np.convolve(np.ones(len(states)), kernel, "same")
    smooth = np.stack([np.convolve(share, kernel, "same") / weight for share in shares])
    figure, (upper, lower) = plt.subplots(2, 1, figsize=(11, 7), sharex=True, layout="constrained")
    upper.stackplot(cycles, 100 * smooth, labels=LABELS, colors=COLOURS)
    upper.set(ylabel="PEs in %", ylim=(0, 100), title=title)
    upper.legend(loc="lower left", ncols=len(LABELS))
    extent = (0, len(states) * SAMPLE_CYCLES, states.shape[1] - 0.5, -0.5)
    lower.imshow(
        states.T,
        aspect="auto",
        interpolation="nearest",
        extent=extent,
        cmap=ListedColormap(COLOURS),
        vmin=0,
        vmax=len(LABELS) - 1,
    )
    lower.set(xlabel="cycle", ylabel="PE")
    figure.savefig(path, dpi=110)
    plt.close(figure)
