# SPDX-License-Identifier: Apache-2.0
"""mem_1r1w: a word is read a cycle later and kept until the next read; reads and writes go on side by side; parts of a
word are written by themselves."""

import os

import pytest
from cocotb.triggers import FallingEdge

from verif.sim.kit import block_test, start
from verif.sim.seed import rng


class Bench:
    """Drives both ports each cycle and checks the read data against a dictionary."""

    def __init__(self, dut) -> None:
        self.dut = dut
        self.width, self.part = int(os.environ["DataWidth"]), int(os.environ["PartWidth"])
        self.ones = 2**self.width - 1
        self.all_parts = 2 ** (self.width // self.part) - 1
        self.memory: dict[int, int] = {}
        self.due: int | None = None  # None: nothing was read, or a word that was never written

    def merged(self, address: int, word: int, parts: int) -> int | None:
        """The word that is at an address when some parts of it are written; None where others never were."""
        ones = sum((2**self.part - 1) << at for at in range(0, self.width, self.part) if parts >> at // self.part & 1)
        if parts == self.all_parts:
            return word
        old = self.memory.get(address)
        return None if old is None else old & ~ones | word & ones

    async def cycle(self, write: tuple[int, int] | None, read: int | None, parts: int | None = None) -> None:
        """``write``: address and word; ``parts``: those that are written, all by default."""
        dut = self.dut
        parts = self.all_parts if parts is None else parts
        dut.we_i.value, dut.re_i.value = parts if write is not None else 0, read is not None
        if write is not None:
            dut.waddr_i.value, dut.wdata_i.value = write
        if read is not None:
            dut.raddr_i.value = read
            self.due = self.memory.get(read)
            if write is not None and write[0] == read and parts:
                self.due = write[1] ^ self.ones  # of no use, and seen to be
        if write is not None and (word := self.merged(*write, parts)) is not None:
            self.memory[write[0]] = word
        await FallingEdge(dut.clk_i)
        if self.due is not None:
            assert int(dut.rdata_o.value) == self.due


@block_test(us=5)
async def every_word(dut):
    """Every word is written, then read; it stays while others are written."""
    await start(dut)
    bench, gen = Bench(dut), rng()
    words = [int.from_bytes(gen.bytes(16), "little") & bench.ones for _ in range(int(os.environ["NumWords"]))]
    for address, word in enumerate(words):
        await bench.cycle((address, word), None)
    for address, word in enumerate(words):
        await bench.cycle(None, address)
        await bench.cycle((address, word ^ bench.ones), None)
        assert int(dut.rdata_o.value) == word
        await bench.cycle((address, word), address)
        assert int(dut.rdata_o.value) == word ^ bench.ones


@block_test(us=100)
async def random_accesses(dut):
    """Both ports at random, over few and over all addresses."""
    await start(dut)
    bench, gen = Bench(dut), rng()
    for addresses in (2, int(os.environ["NumWords"])):
        for _ in range(1000):
            word = int.from_bytes(gen.bytes(16), "little") & bench.ones
            write = (int(gen.integers(addresses)), word) if gen.random() < 0.6 else None
            parts = int(gen.integers(bench.all_parts + 1)) if gen.random() < 0.5 else None
            await bench.cycle(write, int(gen.integers(addresses)) if gen.random() < 0.6 else None, parts)


@pytest.mark.parametrize(
    "sim, width, words, part", [("verilator", 88, 30, 88), ("verilator", 32, 32, 16), ("icarus", 1, 16, 1)]
)
def test_mem_1r1w(run_block, sim, width, words, part):
    run_block("spcore_mem_1r1w", {"DataWidth": width, "NumWords": words, "PartWidth": part}, sim=sim)
