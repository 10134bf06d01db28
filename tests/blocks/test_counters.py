# SPDX-License-Identifier: Apache-2.0
"""counters: every counter in every cycle against Python's sums, cleared and stopped at random.

The totals are compared with what was to be counted some cycles before: LATENCY for the sums over PEs, one for the rest.
"""

import os

import numpy as np
import pytest
from cocotb.triggers import ClockCycles, FallingEdge

from verif.shared.structs import struct
from verif.sim.kit import block_test, start
from verif.sim.seed import rng

COUNTERS, PE_COUNTERS = struct("counters_t"), struct("pe_counters_t")
STATES = ("busy", "no_weight", "no_activation", "drain", "no_unit")  # in the order of pe_state_e
BANKED = ("wgt", "act", "idx")
LATENCY, LATENCY_SHORT = 3, 1
HALVES = ("states_lo_q", "states_hi_q", "macs_lo_q", "macs_hi_q", "macs_top_q")
SUMMED = ("cycles", "macs", *STATES)


class Bench:
    """Drives the events of one cycle at a time and checks all counters."""

    def __init__(self, dut) -> None:
        self.dut = dut
        self.pes, self.lanes = int(os.environ["NumPe"]), int(os.environ["NumLanes"])
        self.banks = {name: int(os.environ[f"{name.capitalize()}Banks"]) for name in BANKED}
        self.want = dict.fromkeys(COUNTERS.fields, 0)
        self.past = [(self.want, False)] * (
            LATENCY + 1
        )  # of each of the last cycles: counted by its end, cleared in it

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

    def expected(self, name: str) -> int:
        """What a counter shows now: a clear takes effect at once, and what was under way then is dropped."""
        latency = LATENCY if name in SUMMED else LATENCY_SHORT
        if any(cleared for _, cleared in self.past[-1 - latency : -1]):
            return 0
        return self.past[-1 - latency][0][name]

    def drive(self, events: dict, count: int, clear: int) -> None:
        dut = self.dut
        mac_w = self.lanes.bit_length()
        dut.count_i.value, dut.clear_i.value = count, clear
        dut.pe_state_i.value = sum(int(state) << (3 * i) for i, state in enumerate(events["states"]))
        dut.pe_macs_i.value = sum(int(macs) << (mac_w * i) for i, macs in enumerate(events["macs"]))
        for name in BANKED:
            getattr(dut, f"{name}_reads_i").value = events["reads"][name]
            getattr(dut, f"{name}_hits_i").value = events["hits"][name]
        dut.line_written_i.value, dut.line_bytes_i.value = events["written"], events["bytes"]

    async def cycle(self, events: dict, count: int = 1, clear: int = 0) -> None:
        dut, want = self.dut, dict(self.want)
        self.drive(events, count, clear)
        await FallingEdge(dut.clk_i)
        if clear:
            want = dict.fromkeys(COUNTERS.fields, 0)
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
        self.want = want
        self.past = [*self.past[1:], (want, bool(clear))]
        found = COUNTERS.unpack(dut.counters_o.value)
        assert found == {name: self.expected(name) for name in found}
        assert sum(found[name] for name in STATES) == self.pes * found["cycles"]


@block_test(us=50)
async def random_cycles(dut):
    await start(dut)
    bench, gen = Bench(dut), rng()
    for count_rate in (0.5, 1.0):
        for clear_rate in (0.1, 0.01, 0.0):
            for _ in range(120):
                count, clear = int(gen.random() < count_rate), int(gen.random() < clear_rate)
                await bench.cycle(bench.random_events(gen), count, clear)


@block_test(us=5)
async def extremes(dut):
    """All PEs in each state in turn, with the most of every event; kept while stopped, cleared while counting."""
    await start(dut)
    bench, gen = Bench(dut), rng()
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
    for _ in range(LATENCY + 2):
        await bench.cycle(bench.random_events(gen))


@block_test(us=10)
async def selected_pe(dut):
    """The counters of the selected PE; 0 for a number that there is none of."""
    await start(dut)
    bench, gen = Bench(dut), rng()
    values = [{name: int(gen.integers(2**32)) for name in PE_COUNTERS.fields} for _ in range(bench.pes)]
    dut.pe_counters_i.value = sum(PE_COUNTERS.pack(pe) << PE_COUNTERS.width * i for i, pe in enumerate(values))
    for pe in [*range(bench.pes + 3), 2 * bench.pes, 2**15, 2**16 - 1, 2**15 + 1]:
        dut.pe_select_i.value = pe
        await ClockCycles(dut.clk_i, 2, FallingEdge)
        wanted = values[pe] if pe < bench.pes else dict.fromkeys(PE_COUNTERS.fields, 0)
        assert PE_COUNTERS.unpack(dut.pe_counters_o.value) == wanted


ON_VERILATOR = os.environ.get("NumPe") == "64"


@block_test(us=10000, skip=not ON_VERILATOR)  # too slow elsewhere
async def many_cycles(dut):
    """The same events in more cycles than the lower half of a counter holds."""
    await start(dut)
    bench, gen = Bench(dut), rng()
    await bench.cycle(bench.random_events(gen), clear=1)
    events, cycles = bench.random_events(gen) | {"written": 1}, 2**16 + 5
    bench.drive(events, 1, 0)
    await ClockCycles(dut.clk_i, cycles, FallingEdge)
    bench.drive(events, 0, 0)
    await ClockCycles(dut.clk_i, LATENCY + 2, FallingEdge)
    found = COUNTERS.unpack(dut.counters_o.value)
    assert found["cycles"] == cycles and found["macs"] == cycles * int(events["macs"].sum())
    assert [found[name] for name in STATES] == [cycles * int((events["states"] == number).sum()) for number in range(5)]
    for name in BANKED:
        assert found[f"{name}_reads"] == cycles * events["reads"][name]
        assert found[f"{name}_hits"] == cycles * events["hits"][name]
    assert found["lines_written"] == cycles * events["written"]
    assert found["bytes_written"] == cycles * events["written"] * events["bytes"]


@block_test(us=10, skip=not ON_VERILATOR)  # writes internal signals
async def carries(dut):
    """Lower halves that overflow, each on its own and all at once, count in the upper ones a cycle later."""
    await start(dut)
    bench, gen = Bench(dut), rng()
    await bench.cycle(bench.random_events(gen), count=0)
    all_ones = 2**32 - 1
    for round_number in range(40):
        events = bench.random_events(gen)
        lows = [int(gen.integers(all_ones - 3 * bench.pes, all_ones + 1)) for _ in range(5)]
        macs = int(gen.integers(all_ones - bench.pes * bench.lanes, all_ones + 1))
        dut.states_lo_q.value = sum(low << 32 * i for i, low in enumerate(lows))
        dut.states_hi_q.value = round_number % 2 * sum(0xFFFE << 16 * i for i in range(5))
        dut.macs_lo_q.value, dut.macs_hi_q.value, dut.macs_top_q.value = macs, 0xFFFF - round_number % 2, round_number
        bench.drive(events, 1, 0)
        await FallingEdge(dut.clk_i)
        bench.drive(events, 0, 0)
        for _ in range(LATENCY + 2):
            await FallingEdge(dut.clk_i)
        found = COUNTERS.unpack(dut.counters_o.value)
        assert found["macs"] == (round_number << 48) + (0xFFFF - round_number % 2 << 32) + macs + int(
            events["macs"].sum()
        )
        for number, name in enumerate(STATES):
            upper = round_number % 2 * 0xFFFE
            assert found[name] == (upper << 32) + lows[number] + int((events["states"] == number).sum())


@pytest.mark.parametrize("sim, pes, lanes, banks", [("verilator", 64, 16, (8, 16, 4)), ("icarus", 4, 4, (2, 8, 4))])
def test_counters(run_block, sim, pes, lanes, banks):
    parameters = dict(zip(("WgtBanks", "ActBanks", "IdxBanks"), banks, strict=True))
    public = [f"spcore_counters.{half}" for half in HALVES]
    run_block("spcore_counters", {"NumPe": pes, "NumLanes": lanes} | parameters, sim=sim, public=public)
