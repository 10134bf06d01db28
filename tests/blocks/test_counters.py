"""counters: every counter in every cycle against Python's sums, cleared and stopped at random."""

import os

import cocotb
import numpy as np
import pytest
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge

from verif.runner import run_block
from verif.seed import rng
from verif.structs import struct

COUNTERS = struct("counters_t")
STATES = ("busy", "no_weight", "no_activation", "drain", "no_unit")  # in the order of pe_state_e
BANKED = ("wgt", "act", "idx")


class Bench:
    """Drives the events of one cycle at a time and checks all counters."""

    def __init__(self, dut) -> None:
        self.dut = dut
        self.pes, self.lanes = int(os.environ["NumPe"]), int(os.environ["NumLanes"])
        self.banks = {name: int(os.environ[f"{name.capitalize()}Banks"]) for name in BANKED}
        self.want = dict.fromkeys(COUNTERS.fields, 0)

    async def start(self) -> None:
        dut = self.dut
        cocotb.start_soon(Clock(dut.clk_i, 10, "ns").start())
        dut.clear_i.value = dut.count_i.value = 0
        dut.rst_ni.value = 0
        await FallingEdge(dut.clk_i)
        await FallingEdge(dut.clk_i)
        dut.rst_ni.value = 1

    def random_events(self, gen) -> dict:
        """Events of a cycle: states and MACs of the PEs, what the memories and the line writer do."""
        return {
            "states": gen.choice(gen.permutation(5)[: gen.integers(1, 6)], self.pes),
            "macs": gen.integers(self.lanes + 1, size=self.pes),
            "reads": {name: int(gen.integers(banks + 1)) for name, banks in self.banks.items()},
            "hits": {name: int(gen.integers(self.pes + 1)) for name in BANKED},
            "written": int(gen.integers(2)),
            "bytes": int(gen.integers(65)),
        }

    async def cycle(self, events: dict, count: int = 1, clear: int = 0) -> None:
        dut, want = self.dut, self.want
        mac_w = self.lanes.bit_length()
        dut.count_i.value, dut.clear_i.value = count, clear
        dut.pe_state_i.value = sum(int(state) << (3 * i) for i, state in enumerate(events["states"]))
        dut.pe_macs_i.value = sum(int(macs) << (mac_w * i) for i, macs in enumerate(events["macs"]))
        for name in BANKED:
            getattr(dut, f"{name}_reads_i").value = events["reads"][name]
            getattr(dut, f"{name}_hits_i").value = events["hits"][name]
        dut.line_written_i.value, dut.line_bytes_i.value = events["written"], events["bytes"]
        await FallingEdge(dut.clk_i)
        if clear:
            self.want = want = dict.fromkeys(COUNTERS.fields, 0)
        elif count:
            want["cycles"] += 1
            want["macs"] += int(events["macs"].sum())
            for number, name in enumerate(STATES):
                want[name] += int((events["states"] == number).sum())
            for name in BANKED:
                want[f"{name}_reads"] += events["reads"][name]
                want[f"{name}_hits"] += events["hits"][name]
            want["lines_written"] += events["written"]
            want["bytes_written"] += events["written"] * events["bytes"]
        found = COUNTERS.unpack(dut.counters_o.value)
        assert found == want
        assert sum(found[name] for name in STATES) == self.pes * found["cycles"]


@cocotb.test()
async def random_cycles(dut):
    bench, gen = Bench(dut), rng()
    await bench.start()
    for count_rate in (0.5, 1.0):
        for clear_rate in (0.1, 0.01, 0.0):
            for _ in range(120):
                count, clear = int(gen.random() < count_rate), int(gen.random() < clear_rate)
                await bench.cycle(bench.random_events(gen), count, clear)


@cocotb.test()
async def extremes(dut):
    """All PEs in each state in turn, with the most of every event; kept while stopped, cleared while counting."""
    bench, gen = Bench(dut), rng()
    await bench.start()
    for state in range(5):
        most = {
            "states": np.full(bench.pes, state),
            "macs": np.full(bench.pes, bench.lanes),
            "reads": bench.banks,
            "hits": dict.fromkeys(BANKED, bench.pes),
            "written": 1,
            "bytes": 64,
        }
        for _ in range(10):
            await bench.cycle(most)
        await bench.cycle(most, count=0)
    assert bench.want["macs"] == 50 * bench.pes * bench.lanes
    await bench.cycle(bench.random_events(gen), count=1, clear=1)
    assert not any(bench.want.values())
    await bench.cycle(bench.random_events(gen))


@pytest.mark.parametrize("sim, pes, lanes, banks", [("verilator", 64, 16, (8, 16, 4)), ("icarus", 4, 4, (2, 8, 4))])
def test_counters(sim, pes, lanes, banks):
    parameters = dict(zip(("WgtBanks", "ActBanks", "IdxBanks"), banks, strict=True))
    run_block("spcore_counters", {"NumPe": pes, "NumLanes": lanes} | parameters, sim=sim)
