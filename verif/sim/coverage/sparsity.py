# SPDX-License-Identifier: Apache-2.0
"""Coverage of sparsity: index patterns of the weights, densities, runs, line populations, windows."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from models import km, lines, work
from models.lines import LineShape
from verif.sim.coverage.bins import Bins, Ranges, cross, point
from verif.sim.env.layer_reference import LayerDone

MODES = [f"{k}/{m}" for k, m in km.MODES]
DENSITIES = ("empty", "under 10 %", "10-30 %", "30-50 %", "50-70 %", "70-90 %", "over 90 %", "full")
RUNS = Ranges(1, 2, 3, 5, 9, 17, 33, 64, last=64)
POPULATIONS = Ranges(0, 1, 2, 8, 9, 16, 17, 32, 33, 63, 64, last=64)
WINDOWS = ("padding alone", "empty", "single", "some", "full")
EMPTY_RUNS = Ranges(0, 1, 2, 4, 16)


def density_label(mask: np.ndarray) -> str:
    """The bin of DENSITIES of a mask."""
    density = mask.mean()
    if density in (0, 1):
        return DENSITIES[0] if density == 0 else DENSITIES[-1]
    return DENSITIES[1 + int(np.searchsorted((0.1, 0.3, 0.5, 0.7, 0.9), density, side="right"))]


def runs(bits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lengths of the runs of ones and of zeros in the rows of a bool array (rows, positions)."""
    edges = np.diff(np.pad(bits.astype(np.int8), [(0, 0), (1, 1)]), axis=1)
    ones = np.argwhere(edges == -1)[:, 1] - np.argwhere(edges == 1)[:, 1]
    edges = np.diff(np.pad((~bits).astype(np.int8), [(0, 0), (1, 1)]), axis=1)
    return ones, np.argwhere(edges == -1)[:, 1] - np.argwhere(edges == 1)[:, 1]


def window_counts(mask: np.ndarray, layer: LayerDone) -> tuple[np.ndarray, np.ndarray]:
    """Non-zeros in each tile's window, int64 (tiles, C), and the window's positions inside the plane, (tiles,)."""
    d = layer.descriptor
    padded, inside = work.pad_plane(d, mask), work.pad_plane(d, np.ones_like(mask[:1]))
    total = np.zeros((len(mask) + 1, padded.shape[1] + 1, padded.shape[2] + 1), np.int64)
    total[:, 1:, 1:] = np.concatenate([padded, inside]).cumsum(1).cumsum(2)
    (y0, y1), (x0, x1) = (np.transpose(axis.windows) + axis.before for axis in (d.y, d.x))
    y0, y1 = y0[:, None], y1[:, None]
    sums = total[:, y1, x1] - total[:, y0, x1] - total[:, y1, x0] + total[:, y0, x0]
    sums = sums.reshape(len(mask) + 1, -1)
    return sums[:-1].T, sums[-1]


class SparsityCoverage:
    """Cover points under `sparsity`; bins of the index patterns depend on the number of lanes."""

    def __init__(self, lanes: int):
        self.lanes = lanes
        self.mode = point("sparsity.mode", MODES)
        self.filled = {
            (k, m): point(f"sparsity.group_non_zeros_{k}_{m}", [str(n) for n in range(k + 1)]) for k, m in km.MODES
        }
        self.density = point("sparsity.density", DENSITIES)
        self.mode_density = point("sparsity.mode_x_density", cross(MODES, DENSITIES))
        self.channel_density = point("sparsity.channel_density", DENSITIES)
        self.run_ones = point("sparsity.run_of_non_zeros", RUNS.labels)
        self.run_zeros = point("sparsity.run_of_zeros", RUNS.labels)
        self.population = point("sparsity.input_line_population", POPULATIONS.labels)
        self.output_population = point("sparsity.output_line_population", POPULATIONS.labels)
        self.window = point("sparsity.window", WINDOWS)
        self.mode_window = point("sparsity.mode_x_window", cross(MODES, WINDOWS))
        self.empty_windows = point("sparsity.consecutive_empty_windows", EMPTY_RUNS.labels)
        self.last_empty = point("sparsity.last_window_of_unit", ["empty", "not empty"])
        self.output_density = point("sparsity.output_density", DENSITIES)

    def pattern(self, k: int, m: int) -> Bins:
        """Index patterns of a mode; they count on so many lanes once a layer of the mode has run there."""
        groups = [f"group {g}" for g in range(self.lanes // k)]
        return point(
            f"sparsity.pattern_{k}_{m}_{self.lanes}_lanes", cross(groups, [str(c) for c in combinations(range(m), k)])
        )

    def sample(self, layer: LayerDone) -> None:
        """Sample a layer that the core has taken."""
        d = layer.descriptor
        mode = f"{d.k}/{d.m}"
        self.mode.hit(mode)
        self._weights(layer, d.k, d.m)
        mask = layer.activations != 0
        label = density_label(mask)
        self.density.hit(label)
        self.mode_density.hit(f"{mode}/{label}")
        for channel in mask:
            self.channel_density.hit(density_label(channel))
        self._lines(mask, d.line, self.population)
        if not d.keep_slot:
            self._lines(layer.output != 0, d.tile, self.output_population, with_runs=False)
            self.output_density.hit(density_label(layer.output != 0))
        self._windows(mask, layer, mode)

    def _weights(self, layer: LayerDone, k: int, m: int) -> None:
        values, indices = layer.lanes
        groups = indices.reshape(-1, self.lanes // k, k)
        pattern = self.pattern(k, m)
        for g in range(self.lanes // k):
            found, times = np.unique(groups[:, g], axis=0, return_counts=True)
            for index, n in zip(found.tolist(), times.tolist(), strict=True):
                pattern.hit(f"group {g}/{tuple(index)}", n)
        filled = np.bincount((values.reshape(-1, k) != 0).sum(1), minlength=k + 1)
        for n, times in enumerate(filled.tolist()):
            if times:
                self.filled[k, m].hit(str(n), times)

    def _lines(self, mask: np.ndarray, shape: LineShape, population, with_runs: bool = True) -> None:
        bits = lines.to_blocks(mask.astype(np.uint8), shape).reshape(-1, shape.line_h * shape.line_w).astype(bool)
        for label, n in POPULATIONS.count(bits.sum(1)).items():
            population.hit(label, n)
        if with_runs:
            for cover, lengths in zip((self.run_ones, self.run_zeros), runs(bits), strict=True):
                for label, n in RUNS.count(lengths).items():
                    cover.hit(label, n)

    def _windows(self, mask: np.ndarray, layer: LayerDone, mode: str) -> None:
        counts, size = window_counts(mask, layer)
        size = size[:, None]
        kinds = np.select(
            [np.broadcast_to(size == 0, counts.shape), counts == 0, counts == size, counts == 1],
            [0, 1, 4, 2],
            default=3,
        )
        for kind, n in enumerate(np.bincount(kinds.ravel(), minlength=len(WINDOWS)).tolist()):
            if n:
                self.window.hit(WINDOWS[kind], n)
                self.mode_window.hit(f"{mode}/{WINDOWS[kind]}", n)
        d = layer.descriptor
        shares = [share for first in range(0, d.chunks, d.group_chunks) for share in d.shares(first) if share]
        for share in shares:
            unit = counts[:, share.start : share.stop] == 0
            _, between = runs(~unit)
            for label, n in EMPTY_RUNS.count(between if between.size else np.zeros(1, int)).items():
                self.empty_windows.hit(label, n)
            for empty in unit[:, -1].tolist():
                self.last_empty.hit("empty" if empty else "not empty")
