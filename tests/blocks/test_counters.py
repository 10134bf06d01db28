# SPDX-License-Identifier: Apache-2.0
"""counters: every counter of both layers in every cycle against Python's sums, cleared and stopped at random.

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
LATENCY, LATENCY_SHORT = 3, 1  # and a cycle more for the choice among the layers
HALVES = ("states_lo_q", "states_hi_q", "macs_lo_q", "macs_hi_q", "macs_top_q")
SUMMED = ("cycles", "macs", *STATES)
ALONE = {"line_ctx": 0, "oldest": 0, "shown": 0}  # of the first context alone, with its PEs


class Bench:
    """Drives the events of one cycle at a time and checks all counters."""

    def __init__(self, dut) -> None:
        self.dut = dut
        self.pes, self.lanes = int(os.environ["NumPe"]), int(os.environ["NumLanes"])
        self.banks = {name: int(os.environ[f"{name.capitalize()}Banks"]) for name in BANKED}
        self.oldest = 0  # of the cycle before
        self.want = [dict.fromkeys(COUNTERS.fields, 0) for _ in range(2)]  # by context
        # Of each of the last cycles: counted by its end, cleared in it.
        self.past = [[(want, False)] * (LATENCY + 2) for want in self.want]

    def random_events(self, gen) -> dict:
        """Events of a cycle: states and MACs of the PEs, what the memories and the line writer do."""
        return {
            "states": gen.choice(gen.permutation(5)[: gen.integers(1, 6)], self.pes),
            "macs": gen.integers(self.lanes + 1, size=self.pes),
            "reads": {name: int(gen.integers(banks + 1)) for name, banks in self.banks.items()},
            "hits": {name: int(gen.integers(self.pes + 1)) for name in BANKED},
            "written": int(gen.integers(2)),
            "bytes": int(gen.integers(65)),
            "contexts": gen.integers(2, size=self.pes),
            "line_ctx": int(gen.integers(2)),
            "oldest": int(gen.random() < 0.3),
            "shown": int(gen.integers(2)),
        }

    def expected(self, name: str, ctx: int) -> int:
        """What a counter shows now: a clear takes effect at once, and what was under way then is dropped."""
        latency, past = LATENCY if name in SUMMED else LATENCY_SHORT, self.past[ctx]
        if any(cleared for _, cleared in past[-2 - latency : -2]):
            return 0
        return past[-2 - latency][0][name]

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
        dut.pe_ctx_i.value = sum(int(ctx) << i for i, ctx in enumerate(events["contexts"]))
        dut.line_ctx_i.value = events["line_ctx"]
        dut.oldest_i.value, dut.shown_i.value = events["oldest"], events["shown"]
        self.oldest = events["oldest"]

    async def cycle(self, events: dict, count: int = 1, clear: int = 0) -> None:
        """clear: a bit for each context."""
        dut, oldest_layer = self.dut, self.oldest
        self.drive(events, count, clear)
        await FallingEdge(dut.clk_i)
        for ctx in range(2):
            want, oldest = dict(self.want[ctx]), oldest_layer == ctx
            mine = np.where(events["states"] == STATES.index("no_unit"), oldest_layer, events["contexts"]) == ctx
            if clear >> ctx & 1:
                want = dict.fromkeys(COUNTERS.fields, 0)
            elif count:
                want["cycles"] += oldest
                want["macs"] += int(events["macs"][mine].sum())
                for number, name in enumerate(STATES):
                    want[name] += int((events["states"][mine] == number).sum())
                for name in BANKED:
                    want[f"{name}_reads"] += oldest * events["reads"][name]
                    want[f"{name}_hits"] += oldest * events["hits"][name]
                if events["line_ctx"] == ctx:
                    want["lines_written"] += events["written"]
                    want["bytes_written"] += events["written"] * events["bytes"]
            self.want[ctx] = want
            self.past[ctx] = [*self.past[ctx][1:], (want, bool(clear >> ctx & 1))]
        found = COUNTERS.unpack(dut.counters_o.value)
        assert found == {name: self.expected(name, events["shown"]) for name in found}

    def totals(self, name: str) -> int:
        return sum(want[name] for want in self.want)


@block_test(us=50)
async def random_cycles(dut):
    await start(dut)
    bench, gen = Bench(dut), rng()
    for count_rate in (0.5, 1.0):
        for clear_rate in (0.1, 0.01, 0.0):
            for _ in range(120):
                count = int(gen.random() < count_rate)
                clear = sum(1 << ctx for ctx in range(2) if gen.random() < clear_rate)
                await bench.cycle(bench.random_events(gen), count, clear)
            if clear_rate == 0:
                await bench.cycle(bench.random_events(gen), 0, 3)
                for _ in range(100):
                    await bench.cycle(bench.random_events(gen), int(gen.random() < count_rate))
                assert sum(bench.totals(name) for name in STATES) == bench.pes * bench.totals("cycles") > 0


@block_test(us=5)
async def extremes(dut):
    """All PEs in each state in turn, with the most of every event; kept while stopped, cleared while counting."""
    await start(dut)
    bench, gen = Bench(dut), rng()
    for state in range(5):
        most = {
            "states": np.full(bench.pes, state),
            "contexts": np.zeros(bench.pes, int),
            "macs": np.full(bench.pes, bench.lanes),
            "reads": bench.banks,
            "hits": dict.fromkeys(BANKED, bench.pes),
            "written": 1,
            "bytes": 64,
        } | ALONE
        for _ in range(10):
            await bench.cycle(most)
        await bench.cycle(most, count=0)
    assert bench.want[0]["macs"] == 50 * bench.pes * bench.lanes
    await bench.cycle(bench.random_events(gen), count=1, clear=3)
    assert not any(bench.want[0].values())
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
    await bench.cycle(bench.random_events(gen), clear=3)
    events = bench.random_events(gen) | {"written": 1, "contexts": np.zeros(bench.pes, int)} | ALONE
    cycles = 2**16 + 5
    bench.drive(events, 1, 0)
    await ClockCycles(dut.clk_i, cycles, FallingEdge)
    bench.drive(events, 0, 0)
    await ClockCycles(dut.clk_i, LATENCY + 3, FallingEdge)
    found = COUNTERS.unpack(dut.counters_o.value)
    assert found["cycles"] == cycles and found["macs"] == cycles * int(events["macs"].sum())
    assert [found[name] for name in STATES] == [cycles * int((events["states"] == number).sum()) for number in range(5)]
    for name in BANKED:
        assert found[f"{name}_reads"] == cycles * events["reads"][name]
        assert found[f"{name}_hits"] == cycles * events["hits"][name]
    assert found["lines_written"] == cycles * events["written"]
    assert found["bytes_written"] == cycles * events["written"] * events["bytes"]


@block_test(us=10, skip=not ON_VERILATOR)  # writes internal signals
async def carries(top):
    """Lower halves that overflow, each on its own and all at once, count in the upper ones a cycle later."""
    await start(top)
    bench, gen = Bench(top), rng()
    await bench.cycle(bench.random_events(gen), count=0)
    all_ones = 2**32 - 1
    for round_number in range(40):
        events = bench.random_events(gen) | {"contexts": np.zeros(bench.pes, int)} | ALONE
        lows = [int(gen.integers(all_ones - 3 * bench.pes, all_ones + 1)) for _ in range(5)]
        macs = int(gen.integers(all_ones - bench.pes * bench.lanes, all_ones + 1))
        dut = top.gen_layer[0].u_counters
        dut.states_lo_q.value = sum(low << 32 * i for i, low in enumerate(lows))
        dut.states_hi_q.value = round_number % 2 * sum(0xFFFE << 16 * i for i in range(5))
        dut.macs_lo_q.value, dut.macs_hi_q.value, dut.macs_top_q.value = macs, 0xFFFF - round_number % 2, round_number
        bench.drive(events, 1, 0)
        await FallingEdge(top.clk_i)
        bench.drive(events, 0, 0)
        for _ in range(LATENCY + 3):
            await FallingEdge(top.clk_i)
        found = COUNTERS.unpack(top.counters_o.value)
        assert found["macs"] == (round_number << 48) + (0xFFFF - round_number % 2 << 32) + macs + int(
            events["macs"].sum()
        )
        for number, name in enumerate(STATES):
            upper = round_number % 2 * 0xFFFE
            assert found[name] == (upper << 32) + lows[number] + int((events["states"] == number).sum())


@pytest.mark.parametrize("sim, pes, lanes, banks", [("verilator", 64, 16, (8, 16, 4)), ("icarus", 32, 4, (2, 8, 4))])
def test_counters(run_block, sim, pes, lanes, banks):
    parameters = dict(zip(("WgtBanks", "ActBanks", "IdxBanks"), banks, strict=True))
    writable = [f"spcore_layer_counters.{half}" for half in HALVES]
    run_block("spcore_counters", {"NumPe": pes, "NumLanes": lanes} | parameters, sim=sim, writable=writable)
