"""The memory wrappers of rtl/mem: the kinds of memory that exist, what they measure and how fast they are.

Below ONE_KBIT a memory is made of cells: latches behind a register of the write data or flip-flops, whichever is
smaller, with clock gates and a tree of AND-OR for each read port, in cells of Nangate45 (DLH_X1 2.660, DFF_X1 4.522,
CLKGATE_X1 3.458, NAND2_X1 0.798, AOI22_X1 1.330 um2). Above, it is a macro of 45 nm: single port as fakeram45 (bsg_fakeram
for OpenROAD: 512x64 0.528 um2 a bit, 64x32 0.606; TABLE), two ports at TWO_PORT times that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import log2
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from verif.synth.hierarchy import Unit

ONE_KBIT = 1024
NAND2_UM2 = 0.798
LATCH_GE = 2.660 / NAND2_UM2
FLIP_FLOP_GE = 4.522 / NAND2_UM2
CLOCK_GATE_GE = 3.458 / NAND2_UM2
READ_GE = 1.1  # a bit and read port: half an AOI22 and its share of the gates that join them
DECODE_GE = 2.0  # a word
# um2 a bit of single-port macros at 45 nm by bits, from the largest down.
MACRO_UM2 = ((32 * ONE_KBIT, 0.528), (0, 0.606))
# A cell of eight transistors instead of six, and a second set of peripherals.
TWO_PORT = 1.5

OUT_FO4 = 12.0
SETUP_FO4 = 4.0


@dataclass(frozen=True)
class Memory:
    """One memory: its shape, and whether the address of a read port goes through to the data."""

    words: int
    width: int
    reads: int
    writes: int
    single_port: bool
    asynchronous: bool

    @property
    def bits(self) -> int:
        """Bits stored."""
        return self.words * self.width

    @property
    def is_macro(self) -> bool:
        """Whether it is large enough for a macro; cells otherwise."""
        return self.bits >= ONE_KBIT and not self.asynchronous

    @property
    def area_ge(self) -> float:
        """Area in gate equivalents (macros by their area at 45 nm)."""
        if self.is_macro:
            return self.bits * self.um2_per_bit / NAND2_UM2
        latches = self.bits * LATCH_GE + self.width * FLIP_FLOP_GE * self.writes
        flip_flops = self.bits * FLIP_FLOP_GE
        read = self.reads * self.bits * READ_GE + (0 if self.asynchronous else self.width * self.reads * FLIP_FLOP_GE)
        return min(latches, flip_flops) + self.words * (CLOCK_GATE_GE + DECODE_GE) + read

    @property
    def um2_per_bit(self) -> float:
        """Density as a macro at 45 nm."""
        density = next(value for least, value in MACRO_UM2 if self.bits >= least)
        return density if self.single_port else density * TWO_PORT

    @property
    def through_fo4(self) -> float:
        """Read address to data where that is one path: decoder, fan-out to the width, AND-OR tree."""
        return 2.5 + log2(self.words) + log2(self.width) / 2


WRAPPERS: dict[str, Callable[[Unit], Memory]] = {
    "spcore_mem_1rw": lambda u: Memory(u.value("NumWords"), u.value("DataWidth"), 1, 1, True, False),
    "spcore_mem_1r1w": lambda u: Memory(u.value("NumWords"), u.value("DataWidth"), 1, 1, False, False),
    "spcore_regfile": lambda u: Memory(u.value("NumWords"), u.value("DataWidth"), u.value("NumRead"), 1, False, True),
}
"""The wrapper modules, and how their parameters say what they hold."""


def memory_of(wrapper: Unit) -> Memory:
    """The memory that an instance of a wrapper stands for."""
    return WRAPPERS[wrapper.module](wrapper)
