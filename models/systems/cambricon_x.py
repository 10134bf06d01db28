# SPDX-License-Identifier: Apache-2.0
"""Cambricon-X (S. Zhang et al., MICRO 2016) and DianNao, its dense base: PEs of 16 multipliers and an adder tree.

Each PE makes one output channel of the present position. Of a segment of 256 activations of the window, which all PEs
look at together, the indexing module selects for each PE up to 16 a cycle that its non-zero weights want; the segment
is done when the PE with the most of them is, after one cycle at least. Zeros of activations are multiplied. Weights lie
in the PEs as non-zeros with the step to the next, in 8 bits. DianNao takes 16 neighbours along the depth a cycle.
"""

from dataclasses import dataclass

import numpy as np

from models.systems.system import (
    ACTIVATION_BANK,
    BYTE,
    SUM_BITS,
    WEIGHT_BANK,
    WEIGHT_BYTES,
    WORD_BITS,
    Result,
    Workload,
    access,
    ceil_div,
)

TREE = 16
WINDOW = 256
STEP_BITS = 8


@dataclass(frozen=True)
class CambriconX:
    """pes: output channels at once; skip: False is DianNao."""

    name: str = "Cambricon-X"
    pes: int = 64
    skip: bool = True

    def part(self, work: Workload) -> Result:
        k, c, r, s = work.weights.shape
        passes = ceil_div(k, self.pes)
        if self.skip:
            # Window order: kernel position, then depth.
            flat = work.weights.transpose(0, 2, 3, 1).reshape(k, -1)
            filled = np.pad(flat, [(0, passes * self.pes - k), (0, -flat.shape[1] % WINDOW)])
            wanted = filled.reshape(passes, self.pes, -1, WINDOW).sum(3)
            steps = np.maximum(1, -(-wanted.max(1) // TREE))
            cycles, kept, value = int(steps.sum()), int(work.weights.sum()), BYTE + STEP_BITS
            fetched = passes * filled.shape[1]  # activations of a position
        else:
            cycles, kept, value = passes * r * s * ceil_div(c, TREE), work.weights.size, BYTE
            fetched = passes * c * r * s
        multiplications = kept * work.positions
        return Result(
            cycles=cycles * work.positions,
            multipliers=self.pes * TREE,
            multiplications=multiplications,
            useful=work.useful,
            accesses={
                "weights": access(kept / TREE, value * TREE, WEIGHT_BANK),
                "local weights": access(multiplications / TREE, value * TREE, WEIGHT_BYTES / self.pes),
                "activations": access(fetched * work.positions * BYTE / WORD_BITS, WORD_BITS, ACTIVATION_BANK),
                "outputs": access(work.outputs * BYTE / WORD_BITS, WORD_BITS, ACTIVATION_BANK),
                "sums": access(2 * cycles * self.pes * work.positions, SUM_BITS, SUM_BITS / 8),
            },
            moved={"weights": kept, "activations": fetched * work.positions, "sums": work.outputs},
            outside={
                "weights": kept * value,
                "activations": (work.activations.size + work.outputs) * BYTE,
            },
            requantised=work.outputs,
        )
