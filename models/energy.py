# SPDX-License-Identifier: Apache-2.0
"""Dynamic energy from counted actions: costs per action of two technologies, and what a layer on the core does.

Absolute figures are rough; ratios between two runs of one accounting are what the model is for. Leakage is not in it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt

from models.tiling import Plan
from models.work import Work

_POINT_BITS, _POINT_BYTES = 64, 8192
REQUANTISE = 16  # 8-bit multiplications that the 32-bit one of an output is worth

LANE_BITS, ENTRY_BITS, WORD_BITS, ACC_BITS = 12, 88, 64, 32


@dataclass(frozen=True)
class Technology:
    """Costs per action in pJ.

    multiply: of 8 bits; add: of 32 bits; memory: a read of 64 bits from 8 KB; wire: a bit over a millimetre; flip_flop:
    a clock cycle of one whose data stand still; gate: an output of a gate equivalent that switches, with its load;
    dram: a bit. ge_um2, bit_um2: area of a gate equivalent and of a bit of memory, which give lengths of wires.
    """

    name: str
    source: str
    multiply: float
    add: float
    memory: float
    wire: float
    flip_flop: float
    gate: float
    dram: float
    ge_um2: float
    bit_um2: float

    def access(self, bits: float, capacity: float) -> float:
        """Energy of one access of ``bits`` to a memory of ``capacity`` bytes, in pJ: by the root of the capacity.

        Horowitz' three memories (8 KB, 32 KB, 1 MB) follow that law, and it gives every other size.
        """
        return self.memory * bits / _POINT_BITS * sqrt(capacity / _POINT_BYTES)


# A clock cycle of DFF_X1 takes 6.9 fJ in the cell and 1.15 fJ at its pin, at 1.1 V. A gate drives 8 fF, two or three
# pins of 1.6 fF and as much wire, and a change takes 2 fJ in the cell (NAND2_X1 1.3, AOI21_X1 2.0, XOR2_X1 2.9).
_NANGATE_V, _HOROWITZ_V = 1.1, 0.9
N45 = Technology(
    name="45 nm",
    source=(
        "M. Horowitz, ISSCC 2014, fig. 1.1.9 (arithmetic, memories; 0.9 V); wires 0.2 pF/mm (R. Ho et al., Proc. IEEE "
        "89(4), 2001), a bit in two switching; flip-flops and gates: Nangate45 typical, scaled to 0.9 V; LPDDR4 by "
        "CACTI's wrapper in Accelergy"
    ),
    multiply=0.2,
    add=0.1,
    memory=10.0,
    wire=0.2 * _HOROWITZ_V**2 / 2,
    flip_flop=8.05e-3 * (_HOROWITZ_V / _NANGATE_V) ** 2,
    gate=8e-3 * _HOROWITZ_V**2 / 2 + 2e-3 * (_HOROWITZ_V / _NANGATE_V) ** 2,
    dram=8.0,
    ge_um2=0.798 / 0.8,
    bit_um2=0.528,
)
_SHRINK = 0.020 / 0.1  # of Dally's 32-bit addition against Horowitz'
N14 = Technology(
    name="14 nm",
    source=(
        "W. Dally et al., CACM 63(7), 2020 (32-bit addition 20 fJ, 8 KB memory 50 fJ/bit, wire 100 fJ/bit-mm); 8-bit "
        "multiplication, flip-flops and gates: those of 45 nm by the ratio of the additions; areas of 16 nm (0.25 um2 "
        "a GE placed, 0.07 um2 a bit cell at 64 % macro efficiency, WikiChip); LPDDR4 as above"
    ),
    multiply=N45.multiply * _SHRINK,
    add=0.020,
    memory=0.050 * _POINT_BITS,
    wire=0.100,
    flip_flop=N45.flip_flop * _SHRINK,
    gate=N45.gate * _SHRINK,
    dram=8.0,
    ge_um2=0.25,
    bit_um2=0.07 / 0.64,
)
TECHNOLOGIES = (N45, N14)


@dataclass(frozen=True)
class Access:
    """Accesses of one kind: how many, of how many bits each, to a memory or bank of how many bytes."""

    count: float
    bits: float
    capacity: float

    def __add__(self, other: "Access") -> "Access":
        """Of the same memory."""
        count = self.count + other.count
        bits = (self.all_bits + other.all_bits) / count if count else self.bits
        return Access(count, bits, self.capacity)

    def __mul__(self, times: float) -> "Access":
        return Access(self.count * times, self.bits, self.capacity)

    @property
    def all_bits(self) -> float:
        return self.count * self.bits

    def picojoule(self, technology: Technology = N45) -> float:
        """What they take together."""
        return self.count * technology.access(self.bits, self.capacity)


def arithmetic(multiplications: float, requantised: float, technology: Technology = N45) -> dict[str, float]:
    """Energy in pJ of 8-bit multiplications with an addition each, and of outputs brought to 8 bits."""
    t = technology
    return {
        "arithmetic": multiplications * (t.multiply + t.add),
        "requantisation": requantised * (t.multiply * REQUANTISE + t.add),
    }


@dataclass(frozen=True)
class Actions:
    """What a layer on the core does: 8-bit multiplications, outputs requantised, accumulators handed over, accesses by
    place."""

    multiplications: int
    requantised: int
    handed: int
    accesses: Mapping[str, Access]

    def energy(self, technology: Technology = N45) -> dict[str, float]:
        """Dynamic energy by place, in pJ."""
        memories = {place: access.picojoule(technology) for place, access in self.accesses.items()}
        return arithmetic(self.multiplications, self.requantised, technology) | memories


def actions(plan: Plan, work: Work, counts: Mapping[str, int]) -> Actions:
    """Actions of a planned layer with the core's counters, or the cycle model's, in lower case.

    Used of them: busy, wgt_reads, act_reads and idx_reads. Every lane works in a busy cycle: a lane whose filler weight
    is zero is not gated here, nor a zero activation in dense mode. Multicast reads count once.
    """
    c, d = plan.config, plan.descriptor
    lane_cycles = counts["busy"] * c.NumLanes
    acc_bytes = c.AccDepth * ACC_BITS / 8  # also of a bank of a staging slot
    handed = int(work.rows.sum()) * d.chunks * d.splits * 4 * c.NumLanes
    pieces = int(work.pieces.sum(0) @ d.readers)
    lane_bits = LANE_BITS * c.NumLanes
    return Actions(
        multiplications=lane_cycles,
        requantised=handed // d.splits,
        handed=handed,
        accesses={
            "weights": Access(counts["wgt_reads"], lane_bits, c.WgtDepth * lane_bits / 8),
            "activations": Access(counts["act_reads"], WORD_BITS, c.ActDepth * WORD_BITS / 8),
            "index": Access(counts["idx_reads"], ENTRY_BITS, c.IdxDepth * ENTRY_BITS / 8),
            "sums": Access(2 * (lane_cycles + handed), ACC_BITS, acc_bytes),
            # A piece is up to 8 bytes written; every emission reads one.
            "regions": Access(8 * pieces + counts["busy"], 8, c.NumRegions * c.RegionPos),
            "staging": Access(2 * handed, ACC_BITS, acc_bytes),
        },
    )
