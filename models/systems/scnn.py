# SPDX-License-Identifier: Apache-2.0
"""SCNN (A. Parashar et al., ISCA 2017) and DCNN, its dense base: products of all pairs of non-zeros of a channel.

The input plane is cut into one tile a PE. A PE multiplies vectors of I of its tile's non-zeros with vectors of F
non-zero weights of the same channel and sends the F x I products through a crossbar to 2 F I accumulator banks of 32
sums. Output channels are taken in groups whose sums, with the halo around the tile, fit the banks; weights of a group
are broadcast, and all PEs wait for the slowest at its end. Fragments of fewer than F or I, products that fall outside
the plane and conflicts at the banks are what it loses. With a stride, only operands of one phase meet.

Conflicts are simulated on a sample of the layer's own products: each bank takes one a cycle from a queue, and the
multipliers stall while a product finds its bank's queue full. The paper gives neither the queue's depth nor which sum
lies in which bank: 8 entries, and banks in turn by address, are assumptions.

DCNN has the same tiles and multipliers, dot products of F I over a window, and no zeros skipped.
"""

from dataclasses import dataclass

import numpy as np

from models.systems.system import (
    ACTIVATION_BYTES,
    BYTE,
    SUM_BITS,
    WEIGHT_BANK,
    Result,
    Workload,
    access,
    ceil_div,
)
from models.work import Counts

RUN_BITS = 4  # of zeros, with each value
BANK_SUMS = 32
QUEUE = 8
FIFO_BYTES = 512  # of a PE's weights
STREAMS, STEPS = 8, 128  # of the sample


@dataclass(frozen=True)
class _Tiles:
    """How a layer lies on the PEs: input tile, its sums with halo, output channels of a group."""

    height: int
    width: int
    sums: tuple[int, int]
    group: int


@dataclass(frozen=True)
class Scnn:
    """grid: of PEs each way; f, i: weights and activations of a multiplier array."""

    name: str = "SCNN"
    grid: int = 8
    f: int = 4
    i: int = 4

    @property
    def multipliers(self) -> int:
        return self.grid**2 * self.f * self.i

    @property
    def banks(self) -> int:
        return 2 * self.f * self.i

    def tiles(self, work: Workload) -> _Tiles:
        (_, h, w), (k, _, r, s) = work.activations.shape, work.weights.shape
        height, width = ceil_div(h, self.grid), ceil_div(w, self.grid)
        # Outputs that a tile's inputs add to.
        sums = ceil_div(height + r - 1, work.stride), ceil_div(width + s - 1, work.stride)
        group = self.banks * BANK_SUMS // (sums[0] * sums[1])
        if not group:
            raise ValueError(f"activations: a tile of {height}x{width}, expected one whose sums fit the banks")
        return _Tiles(height, width, sums, min(k, group))

    def _counts(self, work: Workload, tiles: _Tiles) -> tuple[Counts, Counts]:
        """Non-zeros int64 (PEs, C, phases) of activations and (groups, C, phases) of weights."""
        c, h, w = work.activations.shape
        k, n = len(work.weights), work.stride
        rows, columns = np.arange(h), np.arange(w)
        activations, weights = [], []
        for y in range(n):
            for x in range(n):
                met = work.activations & ((rows + work.padding) % n == y)[:, None] & ((columns + work.padding) % n == x)
                fill = [(0, 0), (0, self.grid * tiles.height - h), (0, self.grid * tiles.width - w)]
                blocks = np.pad(met, fill).reshape(c, self.grid, tiles.height, self.grid, tiles.width)
                activations.append(blocks.sum((2, 4), dtype=np.int64).reshape(c, -1).T)
                kept = work.weights[:, :, y::n, x::n].sum((2, 3), dtype=np.int64)
                weights.append(np.add.reduceat(kept, np.arange(0, k, tiles.group)))
        return np.stack(activations, 2), np.stack(weights, 2)

    def _stream(self, work: Workload, tiles: _Tiles, rng: np.random.Generator) -> Counts:
        """Banks of STEPS cycles of products of one PE and group, int64 (STEPS, F I); -1 where there is none."""
        c, h, w = work.activations.shape
        k, n = len(work.weights), work.stride
        found, length = [], 0
        group = int(rng.integers(ceil_div(k, tiles.group))) * tiles.group
        y0 = int(rng.integers(ceil_div(h, tiles.height))) * tiles.height
        x0 = int(rng.integers(ceil_div(w, tiles.width))) * tiles.width
        tile = work.activations[:, y0 : y0 + tiles.height, x0 : x0 + tiles.width]
        for channel in rng.permutation(c).tolist():
            ay, ax = np.nonzero(tile[channel])
            wk, wr, ws = np.nonzero(work.weights[group : group + tiles.group, channel])
            for phase in range(n**2):
                of_a = ((ay + y0 + work.padding) % n == phase // n) & ((ax + x0 + work.padding) % n == phase % n)
                of_w = (wr % n == phase // n) & (ws % n == phase % n)
                if not of_a.any() or not of_w.any():
                    continue
                y, x = _vectors(ay[of_a], self.i), _vectors(ax[of_a], self.i)
                q, r, s = (_vectors(places[of_w], self.f) for places in (wk, wr, ws))
                # Offsets keep addresses positive; only their distances matter.
                row = (y[:, None, :, None] - r[None, :, None, :] + work.weights.shape[2]) // n
                column = (x[:, None, :, None] - s[None, :, None, :] + work.weights.shape[3]) // n
                address = (q[None, :, None, :] * tiles.sums[0] + row) * tiles.sums[1] + column
                none = (y < 0)[:, None, :, None] | (q < 0)[None, :, None, :]
                found.append(np.where(none, -1, address % self.banks).reshape(-1, self.f * self.i))
                length += len(found[-1])
            if length >= STEPS:
                break
        streams = np.concatenate(found) if found else np.full((1, self.f * self.i), -1)
        return np.resize(streams, (STEPS, self.f * self.i))

    def stall(self, work: Workload, tiles: _Tiles) -> float:
        """Cycles that products take at the banks over those that they take at the multipliers, from the sample."""
        rng = np.random.default_rng(0)
        banks = np.stack([self._stream(work, tiles, rng) for _ in range(STREAMS)])
        arrivals = np.zeros((STREAMS, STEPS, self.banks), np.int64)
        stream, step, lane = np.nonzero(banks >= 0)
        np.add.at(arrivals, (stream, step, banks[stream, step, lane]), 1)
        queue = np.zeros((STREAMS, self.banks), np.int64)
        cycles = np.zeros(STREAMS, np.int64)
        for number in range(STEPS):
            # The next vector follows when the queues hold what this one left; a bank takes one product a cycle.
            queue += arrivals[:, number]
            wait = np.maximum(0, queue - QUEUE).max(1)
            queue = np.maximum(0, queue - wait[:, None] - 1)
            cycles += 1 + wait
        return float(cycles.mean() / STEPS)

    def part(self, work: Workload) -> Result:
        tiles = self.tiles(work)
        activations, weights = self._counts(work, tiles)
        fetches, vectors = -(-activations // self.i), -(-weights // self.f)
        pes, groups = len(activations), len(weights)
        busy = fetches.reshape(pes, -1).astype(np.float64) @ vectors.reshape(groups, -1).T.astype(np.float64)
        multiplications = int((activations.sum(0) * weights.sum(0)).sum())
        k = len(work.weights)
        handed = sum(min(tiles.group, k - first) for first in range(0, k, tiles.group)) * tiles.sums[0] * tiles.sums[1]
        coded = BYTE + RUN_BITS
        written = work.outputs * work.out_density
        tile_bytes = ACTIVATION_BYTES / pes / 2  # one for inputs, one for outputs
        return Result(
            cycles=round(busy.max(0).sum() * self.stall(work, tiles)),
            multipliers=self.multipliers,
            multiplications=multiplications,
            useful=work.useful,
            accesses={
                "weights": access(vectors.sum(), coded * self.f, WEIGHT_BANK),
                "local activations": access(fetches.sum() * groups, coded * self.i, tile_bytes),
                "local weights": access(busy.sum(), coded * self.f, FIFO_BYTES),
                "sums": access(2 * multiplications + 2 * handed * pes, SUM_BITS, BANK_SUMS * SUM_BITS / 8),
                "outputs": access(written / self.i, coded * self.i, tile_bytes),
            },
            moved={
                "weights": weights.sum(),
                "activations": int(work.activations.sum()),
                "sums": handed * pes,
            },
            outside={
                "weights": _coded(int(work.weights.sum()), work.weights.size) * coded,
                "activations": (_coded(int(work.activations.sum()), work.activations.size) + written) * coded,
            },
            requantised=work.outputs,
        )


def _vectors(places: Counts, width: int) -> Counts:
    """(n,) -> (ceil(n / width), width), filled with -1."""
    return np.pad(places, (0, -len(places) % width), constant_values=-1).reshape(-1, width)


def _coded(nonzero: int, size: int) -> float:
    """Values stored with runs of up to 15 zeros: longer ones take a zero, on average of independent zeros."""
    if not nonzero:
        return size / (1 << RUN_BITS)
    zero = 1 - nonzero / size
    long = zero ** (1 << RUN_BITS)
    return nonzero * (1 + long / (1 - long)) if long < 1 else size


@dataclass(frozen=True)
class Dcnn:
    """grid: of PEs each way; width: of a PE's dot product."""

    name: str = "DCNN"
    grid: int = 8
    width: int = 16

    def cycles(self, work: Workload) -> int:
        k, c, r, s = work.weights.shape
        tile = ceil_div(work.out_size[0], self.grid) * ceil_div(work.out_size[1], self.grid)
        return int(tile * k * ceil_div(c * r * s, self.width))
