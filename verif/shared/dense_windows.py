# SPDX-License-Identifier: Apache-2.0
"""What the PEs of the plain dense machine do, on its way from a command to the simulation."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models import reference
from models.layer import Layer

STEPS = "SPARSECORE_DENSE_STEPS"  # environment: the file


@dataclass(frozen=True)
class DenseSteps:
    """Windows that PEs take step by step, a position in each PE.

    activations: uint8 (windows, steps, PEs); weights: int8 (windows, steps, lanes); sums: int32 (windows, PEs, lanes).
    """

    activations: npt.NDArray[np.uint8]
    weights: npt.NDArray[np.int8]
    sums: npt.NDArray[np.int32]

    @classmethod
    def of(cls, layer: Layer, pes: int, lanes: int) -> DenseSteps:
        """All windows of a layer, ``lanes`` channels and ``pes`` positions at a time.

        Raises ValueError for activations that are not uint8, or sizes that do not divide.
        """
        if layer.activations.dtype != np.uint8:
            raise ValueError(f"activations: {layer.activations.dtype}, expected uint8")
        out = reference.convolve(layer.activations, layer.weights, layer.stride, layer.padding)
        channels, positions = len(out), out[0].size
        if channels % lanes or positions % pes:
            raise ValueError(f"outputs: {out.shape}, expected multiples of {lanes} channels and {pes} positions")
        padded = reference.pad(layer.activations, layer.padding)
        windows = np.lib.stride_tricks.sliding_window_view(padded, layer.weights.shape[2:], (1, 2))
        taps = windows[:, :: layer.stride[0], :: layer.stride[1]].transpose(1, 2, 0, 3, 4).reshape(positions, -1)
        acts, weights, sums = [], [], []
        for first in range(0, channels, lanes):
            group = slice(first, first + lanes)
            for at in range(0, positions, pes):
                acts.append(taps[at : at + pes].T)
                weights.append(layer.weights[group].reshape(lanes, -1).T)
                sums.append(out[group].reshape(lanes, -1)[:, at : at + pes].T)
        return cls(np.array(acts), np.array(weights), np.array(sums, np.int32))

    def save(self, file: Path) -> None:
        """As `load` reads it."""
        np.savez(file, **asdict(self))

    @classmethod
    def load(cls, file: Path) -> DenseSteps:
        """What `save` wrote."""
        with np.load(file) as npz:
            return cls(**npz)
