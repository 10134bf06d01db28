# SPDX-License-Identifier: Apache-2.0
"""mem_1rw: a read word follows a cycle later and stays through writes and idle cycles until the next read."""

import os

import pytest
from cocotb.triggers import FallingEdge

from verif.sim.kit import block_test, start
from verif.sim.seed import rng


class Bench:
    """Drives one access a cycle and checks the read data against a dictionary."""

    def __init__(self, dut) -> None:
        self.dut = dut
        self.memory: dict[int, int] = {}
        self.due: int | None = None  # None: nothing was read, or a word that was never written

    async def cycle(self, en: int, we: int, address: int, word: int) -> None:
        dut = self.dut
        dut.en_i.value, dut.we_i.value, dut.addr_i.value, dut.wdata_i.value = en, we, address, word
        await FallingEdge(dut.clk_i)
        if en and we:
            self.memory[address] = word
        elif en:
            self.due = self.memory.get(address)
        if self.due is not None:
            assert dut.rdata_o.value == self.due


@block_test(us=10)
async def directed(dut):
    """Every word once; then a word is read, kept while it is written and while nothing is enabled, and read anew."""
    await start(dut)
    bench, gen = Bench(dut), rng()
    depth, width = int(os.environ["NumWords"]), int(os.environ["DataWidth"])
    words = [int.from_bytes(gen.bytes(-(-width // 8)), "little") % 2**width for _ in range(depth)]
    for address in gen.permutation(depth).tolist():
        await bench.cycle(1, 1, address, words[address])
    for address in range(depth):
        await bench.cycle(1, 0, address, 0)
        await bench.cycle(1, 1, address, words[address] ^ 1)
        assert dut.rdata_o.value == words[address]
        await bench.cycle(0, 1, address, 0)
        await bench.cycle(0, 0, address, 0)
        await bench.cycle(1, 0, address, 0)
        assert dut.rdata_o.value == words[address] ^ 1


@block_test(us=100)
async def random_accesses(dut):
    """Accesses to few and to all addresses, with idle cycles between."""
    await start(dut)
    bench, gen = Bench(dut), rng()
    depth, width = int(os.environ["NumWords"]), int(os.environ["DataWidth"])
    for addresses in (2, depth):
        for _ in range(1000):
            word = int.from_bytes(gen.bytes(-(-width // 8)), "little") % 2**width
            await bench.cycle(int(gen.random() < 0.8), int(gen.integers(2)), int(gen.integers(addresses)), word)


@pytest.mark.parametrize("sim, width, depth", [("verilator", 88, 30), ("icarus", 1, 16)])
def test_mem_1rw(run_block, sim, width, depth):
    run_block("spcore_mem_1rw", {"DataWidth": width, "NumWords": depth}, sim=sim)
