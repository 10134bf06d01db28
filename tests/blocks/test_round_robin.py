# SPDX-License-Identifier: Apache-2.0
"""round_robin: the choice of every cycle, and its fairness."""

import os

import pytest
from cocotb.triggers import FallingEdge, Timer

from verif.sim.kit import block_test, start
from verif.sim.seed import rng


@block_test(us=50)
async def random_requests(dut):
    """Against a model, with choices that are not taken between."""
    await start(dut)
    n = int(os.environ["NumReq"])
    gen = rng()
    last = n - 1
    for rate in (0.05, 0.5, 1):
        for _ in range(300):
            requests = [i for i in range(n) if gen.random() < rate]
            dut.req_i.value = sum(1 << i for i in requests)
            take = bool(requests) and gen.random() < 0.7
            dut.take_i.value = take
            clear = gen.random() < 0.05
            dut.clear_i.value = clear
            await Timer(1, "ns")
            if requests:
                want = min(requests, key=lambda i: (i - last - 1) % n)
                assert dut.choice_o.value == 1 << want and dut.index_o.value == want
                last = want if take else last
            else:
                assert dut.choice_o.value == 0
            last = n - 1 if clear else last
            await FallingEdge(dut.clk_i)


@pytest.mark.parametrize(
    "sim, requests", [("verilator", 2), ("verilator", 5), ("verilator", 64), ("icarus", 4), ("gates", 4)]
)
def test_round_robin(run_block, sim, requests):
    run_block("spcore_round_robin", {"NumReq": requests}, sim=sim)


def test_parameter_check(run_block):
    with pytest.raises(RuntimeError, match="NumReq = 1, expected at least 2"):
        run_block("spcore_round_robin", {"NumReq": 1})
