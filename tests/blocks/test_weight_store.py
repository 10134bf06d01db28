# SPDX-License-Identifier: Apache-2.0
"""weight_store: vectors written one a cycle, read by all requesters, also while others are written."""

import os

import pytest
from cocotb.triggers import FallingEdge, RisingEdge

from tests.blocks.memory_port import LATENCY
from verif.shared.structs import struct
from verif.sim.kit import Scoreboard, block_test, start
from verif.sim.seed import rng

REQ, RSP = struct("mem_req_t"), struct("mem_rsp_t")


@block_test(us=50)
async def write_and_read(dut):
    """All vectors written, then read by random requesters while some are written anew; counts of reads and hits."""
    gen = rng()
    requesters, lanes, banks, depth = (int(os.environ[name]) for name in ("NumReq", "NumLanes", "Banks", "Depth"))
    size, width = banks * depth, 12 * lanes
    await start(dut)
    vectors = [int.from_bytes(gen.bytes(width // 8 + 1), "little") % 2**width for _ in range(size)]
    dut.we_i.value = 1
    for address, vector in enumerate(vectors):
        dut.waddr_i.value, dut.wvector_i.value = address, vector
        await FallingEdge(dut.clk_i)
    dut.we_i.value = 0

    # The upper half is written again while the lower half is read.
    asked = [Scoreboard(f"vector of requester {i}") for i in range(requesters)]
    pending: dict[int, int] = {}
    counted = 0
    for cycle in range(600):
        asks = cycle < 500
        for i in range(requesters):
            if asks and i not in pending and gen.random() < 0.4:
                pending[i] = int(gen.integers(size // 2))
        dut.req_i.value = sum(
            REQ.pack({"valid": 1, "addr": address}) << (REQ.width * i) for i, address in pending.items()
        )
        dut.we_i.value = bool(asks and gen.random() < 0.3)
        dut.waddr_i.value = size // 2 + int(gen.integers(size // 2))
        dut.wvector_i.value = int.from_bytes(gen.bytes(width // 8), "little")
        await RisingEdge(dut.clk_i)
        responses, value = int(dut.rsp_o.value), dut.vector_o.value
        counted += int(dut.reads_o.value) + int(dut.hits_o.value)
        for i in range(requesters):
            response = RSP.unpack(responses >> (RSP.width * i) & (2**RSP.width - 1))
            if response["rvalid"]:
                asked[i].take(value[width * (i + 1) - 1 : width * i].to_unsigned())
            if response["gnt"] and i in pending:
                asked[i].expect(vectors[pending.pop(i)])
        await FallingEdge(dut.clk_i)
    assert not pending, "requests are left after 100 cycles"
    assert sum(board.came for board in asked) == counted > 500 * LATENCY


@pytest.mark.parametrize(
    "sim, requesters, lanes, banks", [("verilator", 64, 16, 8), ("verilator", 16, 4, 16), ("icarus", 8, 4, 8)]
)
def test_weight_store(run_block, sim, requesters, lanes, banks):
    sizes = {"NumReq": requesters, "NumLanes": lanes, "Banks": banks, "Depth": 12}
    run_block("spcore_weight_store", sizes, sim=sim)
