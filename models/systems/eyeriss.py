# SPDX-License-Identifier: Apache-2.0
"""Eyeriss (Y.-H. Chen et al., ISSCC 2016, JSSC 2017): row-stationary, gates at zero activations, skips nothing.

A PE holds a row of a filter and slides it over a row of inputs: a set of R x E PEs makes one two-dimensional
convolution of one channel pair, E output rows at once. Planes of more rows than the array has columns are cut into
strips of equal height, smaller sets are repeated: below one another and side by side, for further filters. A PE
interleaves `filters` filters and as many channels as its two scratchpads hold. Cycles are the busy PEs'
multiplications: loading of scratchpads and ramps are not modelled, so that cycles are a lower bound.

Repeated sets work on further filters, or on further channels whose sums they add up: whichever divisor of their number
moves the fewest bits from and to the shared memory.

Storage on chip is dense; activations are run-length coded on their way from and to outside.
"""

from dataclasses import dataclass

import numpy as np

from models.masks import Mask
from models.systems.system import (
    ACTIVATION_BANK,
    SUM_BITS,
    WEIGHT_BANK,
    WORD_BITS,
    Result,
    Workload,
    access,
    ceil_div,
)

RUN_BITS = 5
CODE_BITS = 64  # with as many pairs of run and value as fit, and a bit that says whether it is the last


def run_length_pairs(mask: Mask) -> int:
    """Pairs of a run of zeros, of up to 31, and a value: one a non-zero, and one a run that is longer."""
    places = np.flatnonzero(mask)
    runs = np.diff(places, prepend=-1) - 1
    tail = mask.size - 1 - (int(places[-1]) if places.size else -1)
    return int(places.size + (runs >> RUN_BITS).sum()) + ceil_div(tail, 1 << RUN_BITS)


def run_length_bits(pairs: float, value_bits: int) -> float:
    """Of pairs packed into 64-bit codes."""
    return pairs / ((CODE_BITS - 1) // (RUN_BITS + value_bits)) * CODE_BITS


@dataclass(frozen=True)
class Mapping:
    """A layer on the array: strips of output rows; sets below one another and side by side; active: PEs on average."""

    strips: int
    below: int
    beside: int
    active: float


@dataclass(frozen=True)
class Eyeriss:
    """rows, columns: of PEs; value_bits: of activations and weights; filters, *_words: of a PE's scratchpads."""

    name: str = "Eyeriss"
    rows: int = 32
    columns: int = 32
    value_bits: int = 8
    filters: int = 16
    filter_words: int = 224
    input_words: int = 12
    sum_words: int = 24

    def mapping(self, work: Workload) -> Mapping:
        r, e = work.weights.shape[2], work.out_size[0]
        if r > self.rows:
            raise ValueError(f"weights: {r} rows, expected at most the array's {self.rows}")
        strips = ceil_div(e, self.columns)
        height = ceil_div(e, strips)
        below, beside = self.rows // r, self.columns // height
        # Sets that find no channel pair are idle.
        pairs = work.weights.shape[0] * work.weights.shape[1]
        rounds = ceil_div(pairs, below * beside)
        return Mapping(strips, below, beside, r * e / strips * pairs / rounds)

    def cycles(self, work: Workload) -> int:
        """Every active PE multiplies each cycle."""
        return round(work.macs / self.mapping(work).active)

    def part(self, work: Workload) -> Result:
        k, c, r, s = work.weights.shape
        found = self.mapping(work)
        channels = max(1, min(self.input_words // s, self.filter_words // (self.filters * s), c))  # in a PE
        weights = work.weights.size * found.strips
        # Neighbouring strips read the rows of a kernel's overlap twice.
        rows_read = work.out_size[0] * work.stride + (r - work.stride) * found.strips
        plane, sets = c * work.padded.shape[2] * rows_read, found.below * found.beside
        inputs, sums = min(
            (
                # Inputs once for the filters in the array; sums there and back for its channels, but for the first.
                (plane * ceil_div(k, self.filters * sets // n), work.outputs * (2 * ceil_div(c, channels * n) - 1))
                for n in range(1, sets + 1)
                if sets % n == 0
            ),
            key=lambda moved: moved[0] * self.value_bits + moved[1] * SUM_BITS,
        )
        fired = int((work.met * k).sum())  # products with a non-zero activation
        word = self.value_bits / 8
        pairs = run_length_pairs(work.activations) + work.outputs * work.out_density
        return Result(
            cycles=self.cycles(work),
            multipliers=self.rows * self.columns,
            multiplications=fired,
            useful=work.useful,
            accesses={
                "weights": access(weights * self.value_bits / WORD_BITS, WORD_BITS, WEIGHT_BANK),
                "activations": access(inputs * self.value_bits / WORD_BITS, WORD_BITS, ACTIVATION_BANK),
                "shared sums": access(sums, SUM_BITS, ACTIVATION_BANK),
                "outputs": access(work.outputs * self.value_bits / WORD_BITS, WORD_BITS, ACTIVATION_BANK),
                "local weights": access(fired, self.value_bits, self.filter_words * word),
                "local activations": access(work.macs, self.value_bits, self.input_words * word),
                "sums": access(2 * fired, SUM_BITS, self.sum_words * SUM_BITS / 8),
            },
            moved={"weights": weights, "activations": inputs, "sums": sums},
            outside={
                "weights": work.weights.size * self.value_bits,
                "activations": run_length_bits(pairs, self.value_bits),
            },
            requantised=work.outputs,
        )
