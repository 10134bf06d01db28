# SPDX-License-Identifier: Apache-2.0
"""bank_arbiter: the choice of every cycle and its entry, urgent groups first, fair among equals."""

import os

import pytest
from cocotb.triggers import FallingEdge, Timer

from verif.sim.kit import block_test, start
from verif.sim.seed import rng


@block_test(us=50)
async def random_wants(dut):
    """Against a model, with choices that are not served between, and layers that start."""
    await start(dut)
    n, width = int(os.environ["Groups"]), int(os.environ["EntryW"])
    gen = rng()
    last = n - 1
    for rate, urgency in ((0.05, 0.5), (0.5, 0), (0.5, 0.2), (1, 0.05), (1, 1)):
        for _ in range(200):
            wanted, urgent = gen.random(n) < rate, gen.random(n) < urgency
            entries = [int(gen.integers(1 << width)) for _ in range(n)]
            take, begin = bool(wanted.any()) and gen.random() < 0.8, gen.random() < 0.05
            dut.wanted_i.value = sum(1 << i for i in range(n) if wanted[i])
            dut.urgent_i.value = sum(1 << i for i in range(n) if urgent[i])
            dut.entry_i.value = sum(entry << (width * i) for i, entry in enumerate(entries))
            dut.take_i.value, dut.start_i.value = int(take), int(begin)
            await Timer(1, "ns")
            first = wanted & urgent if (wanted & urgent).any() else wanted
            if wanted.any():
                want = min((i for i in range(n) if first[i]), key=lambda i: (i - last - 1) % n)
                assert dut.choice_o.value == 1 << want and dut.entry_o.value == entries[want]
                last = want if take else last
            else:
                assert dut.choice_o.value == 0
            last = n - 1 if begin else last
            await FallingEdge(dut.clk_i)


@pytest.mark.parametrize(
    "sim, groups, width",
    [("verilator", 16, 12), ("verilator", 4, 1), ("verilator", 20, 15), ("icarus", 8, 5), ("gates", 4, 2)],
)
def test_bank_arbiter(run_block, sim, groups, width):
    run_block("spcore_bank_arbiter", {"Groups": groups, "EntryW": width}, sim=sim)


def test_parameter_check(run_block):
    with pytest.raises(RuntimeError, match="Groups = 6, expected a multiple of four"):
        run_block("spcore_bank_arbiter", {"Groups": 6})
