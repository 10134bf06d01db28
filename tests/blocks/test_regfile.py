# SPDX-License-Identifier: Apache-2.0
"""regfile: a written word is read from the next cycle on, at every port, in the cycle of its address."""

import os

import pytest
from cocotb.triggers import FallingEdge, Timer

from verif.sim.kit import block_test, start
from verif.sim.seed import rng


@block_test(us=100)
async def random_accesses(dut):
    """A write at random each cycle; all read ports are moved twice between two edges."""
    words, width, ports = (int(os.environ[name]) for name in ("NumWords", "DataWidth", "NumRead"))
    gen = rng()
    memory: dict[int, int] = {}
    await start(dut)
    addr_bits = (words - 1).bit_length()
    checked = 0
    for _ in range(2000):
        write = gen.random() < 0.5
        address, word = int(gen.integers(words)), int.from_bytes(gen.bytes(16), "little") % 2**width
        dut.we_i.value, dut.waddr_i.value, dut.wdata_i.value = int(write), address, word
        for _ in range(2):
            reads = [int(gen.integers(words)) for _ in range(ports)]
            dut.raddr_i.value = sum(read << (addr_bits * i) for i, read in enumerate(reads))
            await Timer(1, "ns")
            for i, read in enumerate(reads):
                if read in memory:
                    found = dut.rdata_o.value[width * i + width - 1 : width * i]
                    assert found.to_unsigned() == memory[read], f"port {i}, word {read}"
                    checked += 1
        await FallingEdge(dut.clk_i)
        if write:
            memory[address] = word
    assert checked > 1000


@pytest.mark.parametrize("sim, width, words, ports", [("verilator", 40, 6, 2), ("icarus", 9, 4, 1)])
def test_regfile(run_block, sim, width, words, ports):
    run_block("spcore_regfile", {"DataWidth": width, "NumWords": words, "NumRead": ports}, sim=sim)
