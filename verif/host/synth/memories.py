# SPDX-License-Identifier: Apache-2.0
"""The memory wrappers of rtl/mem: the kinds of memory that exist, what they measure and how fast they are.

Below ONE_KBIT, or with an asynchronous read, a memory is made of cells: latches behind a register of the write data,
or flip-flops, whichever is smaller, with a clock gate a word and AND-OR for each read port, at the cells' areas in
Nangate45 (DLH_X1 2.660, DFF_X1 4.522, CLKGATE_X1 3.458, AOI22_X1 1.330, NAND2_X1 0.798 um2). Above, it is a macro at
the density of register files and SRAM of 45 nm: fakeram45 of OpenROAD-flow-scripts (bsg_fakeram: 32x32 0.776 um2 a bit,
64x32 0.606, 512x64 0.528), all single port; two ports take TWO_PORT times that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import log2
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from verif.host.synth.hierarchy import Unit

ONE_KBIT = 1024
NAND2_UM2 = 0.798
LATCH_GE = 2.660 / NAND2_UM2
FLIP_FLOP_GE = 4.522 / NAND2_UM2
CLOCK_GATE_GE = 3.458 / NAND2_UM2
READ_GE = 1.1  # a bit and read port: half an AOI22 and its share of the gates that join them
DECODE_GE = 2.0  # a word
# um2 a bit of single-port macros at 45 nm from so many bits on.
MACRO_UM2 = ((32 * ONE_KBIT, 0.528), (2 * ONE_KBIT, 0.606), (0, 0.776))
# An assumption: a cell of eight transistors is 30 % larger than one of six (L. Chang et al., VLSI Symposium 2005).
TWO_PORT = 1.3

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
    def overhead(self) -> float:
        """How much larger a bit of this macro is than one of a large single-port one."""
        return self.um2_per_bit / MACRO_UM2[0][1]

    def __str__(self) -> str:
        ports = "1rw" if self.single_port else f"{self.reads}r{self.writes}w"
        return f"{self.words}x{self.width} {ports}"

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
