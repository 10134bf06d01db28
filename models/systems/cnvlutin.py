# SPDX-License-Identifier: Apache-2.0
"""Cnvlutin (J. Albericio et al., ISCA 2016) and DaDianNao, its dense base: 16 lanes of activations for many filters.

Activations lie in bricks of 16 along the depth, each brick as its non-zeros with their offsets, in the room of a dense
one. A lane takes the bricks of a window that are its own, one non-zero a cycle (an empty brick takes one cycle, as its
fetch does); a window is done when the slowest lane is. Every unit has a weight of 16 filters for each lane, so a
non-zero meets all filters at once; a lane's weights lie in a memory of its unit's own. DaDianNao takes a brick a cycle,
one value a lane.

The paper deals slices of the depth to lanes, which is stated for depths of 16 bricks; here bricks go to lanes in turn,
depth first: the same for 256 channels, and balanced for others. An image (three channels) keeps the conventional format
in both machines, its rows of a window packed.
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

BRICK = 16
OFFSET_BITS = 4
IMAGE_CHANNELS = 3


@dataclass(frozen=True)
class Cnvlutin:
    """units: of 16 lanes and 16 filters each; skip: False is DaDianNao."""

    name: str = "Cnvlutin"
    units: int = 4
    skip: bool = True

    def _windows(self, work: Workload) -> tuple[int, int]:
        """Cycles of all windows for one set of filters, and activations that the lanes take meanwhile."""
        c, (r, s), (ho, wo) = len(work.activations), work.weights.shape[2:], work.out_size
        if c <= IMAGE_CHANNELS:
            return work.positions * r * ceil_div(s * c, BRICK), work.positions * r * s * c
        depth = ceil_div(c, BRICK)
        if not self.skip:
            return work.positions * r * s * depth, work.positions * r * s * c
        filled = np.pad(work.padded, [(0, -c % BRICK), (0, 0), (0, 0)])
        bricks = np.add.reduce(filled.reshape(depth, BRICK, *filled.shape[1:]), 1, dtype=np.int32)
        times = np.maximum(bricks, 1)
        lanes = np.zeros((BRICK, ho, wo), np.int32)
        for i in range(r):
            for j in range(s):
                rows = slice(i, i + (ho - 1) * work.stride + 1, work.stride)
                columns = slice(j, j + (wo - 1) * work.stride + 1, work.stride)
                for z in range(depth):
                    lanes[((i * s + j) * depth + z) % BRICK] += times[z, rows, columns]
        return int(lanes.max(0).sum()), int(work.met.sum())

    def part(self, work: Workload) -> Result:
        k, c = work.weights.shape[:2]
        filters = BRICK * self.units
        passes = ceil_div(k, filters)
        cycles, taken = self._windows(work)
        skips = self.skip and c > IMAGE_CHANNELS
        value = BYTE + OFFSET_BITS if skips else BYTE
        multiplications = taken * k
        # Each activation taken is broadcast to the units; each asks for a weight of every filter.
        read = taken * passes
        written = work.outputs * value
        stored = ceil_div(c, BRICK) * BRICK * work.activations[0].size if skips else work.activations.size
        return Result(
            cycles=cycles * passes,
            multipliers=filters * BRICK,
            multiplications=multiplications,
            useful=work.useful,
            accesses={
                "weights": access(work.weights.size / BRICK, BYTE * BRICK, WEIGHT_BANK),
                "local weights": access(multiplications / BRICK, BYTE * BRICK, WEIGHT_BYTES / filters),
                "activations": access(read * value / WORD_BITS, WORD_BITS, ACTIVATION_BANK),
                "outputs": access(written / WORD_BITS, WORD_BITS, ACTIVATION_BANK),
                # Products of all lanes are added in a tree; its sum alone meets the accumulator.
                "sums": access(2 * cycles * k, SUM_BITS, SUM_BITS / 8),
            },
            moved={"weights": work.weights.size, "activations": read, "sums": work.outputs},
            outside={"weights": work.weights.size * BYTE, "activations": stored * value + written},
            requantised=work.outputs,
        )
