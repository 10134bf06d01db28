"""bank_swap: every permutation of random words, and zeros while it is not enabled."""

import os

import cocotb
import numpy as np
import pytest
from cocotb.triggers import Timer

from tests.blocks.output_jobs import from_flat, to_flat
from verif.runner import run_block
from verif.seed import rng


@cocotb.test()
async def every_permutation(dut):
    banks = int(os.environ["NumBanks"])
    gen = rng()
    for by in gen.permutation(banks):
        words = gen.integers(0, 2**32, banks, dtype=np.uint32)
        dut.words_i.value, dut.by_i.value = to_flat(words), int(by)
        for enable in (1, 0):
            dut.en_i.value = enable
            await Timer(1, "ns")
            want = words[np.arange(banks) ^ by] if enable else np.zeros(banks, np.uint32)
            assert (from_flat(dut.words_o.value, banks) == want).all(), f"by {by}"


@pytest.mark.parametrize("sim, banks", [("verilator", 64), ("icarus", 16)])
def test_bank_swap(sim, banks):
    run_block("spcore_bank_swap", {"NumBanks": banks}, sim=sim)
