# SPDX-License-Identifier: Apache-2.0
"""A dense output-stationary array, the yardstick: every PE holds the sums of one position and 16 output channels.

All PEs take the same step of the kernel in a cycle: a weight vector is broadcast to those of one group of channels, the
activation of each position goes to its PE. Positions of several groups of channels fill the array together, so only the
last round has idle PEs: a generous machine. Nothing is compressed, gated or skipped.
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np

from models.systems.system import (
    ACTIVATION_BANK,
    BYTE,
    MEAN_WAY,
    SUM_BITS,
    WEIGHT_BANK,
    WORD_BITS,
    Result,
    Workload,
    access,
    ceil_div,
)

REGION_BYTES = 2048


@dataclass(frozen=True)
class Dense:
    """pes: output positions at once; lanes: output channels of each; buffered: a PE keeps the window of a channel, as
    this core's do, so that an activation is not read for each tap again."""

    name: str = "Dense"
    pes: int = 64
    lanes: int = 16
    buffered: bool = False

    def part(self, work: Workload) -> Result:
        k, c, r, s = work.weights.shape
        steps = c * r * s
        held = ceil_div(k, self.lanes) * work.positions  # (channels, position) pairs, in this order
        rounds = ceil_div(held, self.pes)
        # A round reads a vector for each group of channels that it touches.
        first = np.arange(rounds) * self.pes
        last = np.minimum(first + self.pes, held) - 1
        vectors = int((last // work.positions - first // work.positions + 1).sum()) * steps
        # Neighbours in a row lie stride apart in the memory's words.
        words = held * steps * min(work.stride, WORD_BITS // BYTE) / (WORD_BITS // BYTE)
        local = {}
        if self.buffered:
            words /= r * s
            local["regions"] = access(held * steps, BYTE, REGION_BYTES)
        return Result(
            cycles=rounds * steps,
            multipliers=self.pes * self.lanes,
            multiplications=work.macs,
            useful=work.useful,
            accesses={
                "weights": access(vectors, BYTE * self.lanes, WEIGHT_BANK),
                "activations": access(words, WORD_BITS, ACTIVATION_BANK),
                "outputs": access(work.outputs * BYTE / WORD_BITS, WORD_BITS, ACTIVATION_BANK),
                **local,
                "sums": access(2 * work.macs, SUM_BITS, SUM_BITS / 8),
            },
            moved={"weights": vectors * self.lanes, "activations": held * steps, "sums": work.outputs},
            outside={
                "weights": work.weights.size * BYTE,
                "activations": (work.activations.size + work.outputs) * BYTE,
            },
            requantised=work.outputs,
            wires={
                "weights": vectors * BYTE * self.lanes * MEAN_WAY,
                "activations": words * WORD_BITS * MEAN_WAY,
                "outputs": work.outputs * (SUM_BITS + BYTE) * MEAN_WAY,
            },
            # A vector goes to all PEs, a byte to its own: along a tree of as many pitches as there are PEs.
            tree=vectors * BYTE * self.lanes * sqrt(self.pes) + held * steps * BYTE * MEAN_WAY,
        )
