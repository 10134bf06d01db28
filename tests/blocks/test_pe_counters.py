# SPDX-License-Identifier: Apache-2.0
"""pe_counters: states and products of the cycles that count, each a cycle after count_i; clearing, carries."""

import pytest
from cocotb.triggers import FallingEdge, Timer

from verif.shared.structs import struct
from verif.sim.kit import block_test, start
from verif.sim.seed import rng

COUNTERS = struct("pe_counters_t")
STATES = ("busy", "no_weight", "no_activation", "drain", "no_unit")


@block_test(us=500)
async def random_cycles(dut):
    """Long runs of a state and short ones, counting and not, cleared now and then."""
    await start(dut)
    await FallingEdge(dut.clk_i)
    assert not int(dut.counters_o.value)
    gen = rng()
    want, counting, clearing, state, macs = dict.fromkeys((*STATES, "macs"), 0), False, False, 0, 0
    for _ in range(6000):
        if gen.random() < 0.05:
            state = int(gen.integers(len(STATES)))
        macs = int(gen.integers(17))
        dut.state_i.value, dut.macs_i.value = state, macs
        dut.count_i.value, dut.clear_i.value = gen.random() < 0.95, gen.random() < 0.001
        if clearing:
            want = dict.fromkeys(want, 0)
        elif counting:
            want[STATES[state]] += 1
            want["macs"] += macs
        await Timer(1, "ns")
        counting, clearing = bool(dut.count_i.value), bool(dut.clear_i.value)
        await FallingEdge(dut.clk_i)
        assert COUNTERS.unpack(dut.counters_o.value) == want
    assert want["macs"] > 2**12


@pytest.mark.parametrize("sim", ["verilator", "icarus", "gates"])
def test_pe_counters(run_block, sim):
    run_block("spcore_pe_counters", sim=sim)


def test_parameter_check(run_block):
    with pytest.raises(RuntimeError, match="CountW = 9, expected at most 8"):
        run_block("spcore_pe_counters", {"CountW": 9})
