# SPDX-License-Identifier: Apache-2.0
"""param_mem: reads of all ports while another entry is written; data stay until the next read."""

import os

import pytest
from cocotb.triggers import FallingEdge

from verif.shared.structs import struct
from verif.sim.kit import block_test, start
from verif.sim.seed import rng

PARAM = struct("param_t")


@block_test(us=50)
async def random_accesses(dut):
    depth, ports = int(os.environ["Depth"]), int(os.environ["NumRead"])
    gen = rng()
    await start(dut)
    memory: dict[int, int] = {}
    due: list[int | None] = [None] * ports
    for cycle in range(depth + 1000):
        write = cycle < depth or gen.random() < 0.3
        address = cycle if cycle < depth else int(gen.integers(depth))
        word = int.from_bytes(gen.bytes(9), "little") % 2**PARAM.width
        reads = {i: int(gen.integers(depth)) for i in range(ports) if gen.random() < 0.5}
        dut.we_i.value, dut.waddr_i.value, dut.wdata_i.value = write, address, word
        dut.re_i.value = sum(1 << i for i in reads)
        dut.raddr_i.value = sum(a << (24 * i) for i, a in reads.items())
        await FallingEdge(dut.clk_i)
        due = [memory.get(reads[i]) if i in reads else due[i] for i in range(ports)]
        if write:
            due = [None if reads.get(i) == address else due[i] for i in range(ports)]  # may be anything
            memory[address] = word
        value = dut.rdata_o.value
        for i, want in enumerate(due):
            if want is not None:
                assert value[PARAM.width * (i + 1) - 1 : PARAM.width * i].to_unsigned() == want


@pytest.mark.parametrize("sim, depth, ports", [("verilator", 100, 2), ("verilator", 64, 1), ("icarus", 20, 3)])
def test_param_mem(run_block, sim, depth, ports):
    run_block("spcore_param_mem", {"Depth": depth, "NumRead": ports}, sim=sim)
