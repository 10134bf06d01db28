"""drain_arbiter: who is granted, into which slot, in every cycle (docs/architecture.md section 7.8)."""

import os

import cocotb
import pytest
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge

from verif.runner import run_block
from verif.seed import rng
from verif.structs import struct

INFO, SLOT = struct("drain_info_t"), struct("slot_info_t")


class Bench:
    """PEs that ask with units of random jobs, slots that are freed some time after they are complete."""

    def __init__(self, dut, gen, splits: int) -> None:
        self.dut, self.gen, self.splits = dut, gen, splits
        self.pes, self.sps, self.stages = (int(os.environ[name]) for name in ("NumPe", "NumSp", "NumStage"))
        self.requests: dict[int, dict] = {}
        self.next_unit = 0  # number of the next unit to ask, job * splits + split
        self.slots: dict[int, list] = {}  # slot -> [job, units granted, cycles until it is freed or None]
        self.done: set[int] = set()
        self.oldest = 0
        self.draining: tuple[int, int, dict] | None = None  # PE, slot, info
        self.rows = 0  # left of it
        self.last = self.pes - 1  # granted last

    async def start(self) -> None:
        dut = self.dut
        cocotb.start_soon(Clock(dut.clk_i, 10, "ns").start())
        for port in (
            dut.start_i,
            dut.tile_w_i,
            dut.splits_i,
            dut.oldest_job_i,
            dut.req_i,
            dut.info_i,
            dut.last_i,
            dut.slot_free_i,
        ):
            port.value = 0
        dut.rst_ni.value = 0
        await FallingEdge(dut.clk_i)
        await FallingEdge(dut.clk_i)
        dut.rst_ni.value = 1
        dut.tile_w_i.value, dut.splits_i.value = 8, self.splits

    def may_bind(self, job: int) -> bool:
        free = self.sps * self.stages - len(self.slots)
        oldest_bound = any(slot[0] == self.oldest for slot in self.slots.values())
        return free > 1 or (free == 1 and (self.splits == 1 or job == self.oldest or oldest_bound))

    async def cycle(self, request_rate: float, jobs: int) -> None:
        dut, gen = self.dut, self.gen
        # Units of the few oldest jobs, in random order among the PEs as if they computed for random times.
        for pe in range(self.pes):
            if pe not in self.requests and self.next_unit < jobs * self.splits and gen.random() < request_rate:
                job = self.next_unit // self.splits
                height = int(gen.integers(1, 9))
                self.requests[pe] = {
                    "job": job,
                    "split": self.splits > 1,
                    "chunk": job % 3,
                    "out_line": job // 3,
                    "tile_h": height,
                    "tile_w": int(gen.integers(1, 9)),
                }
                self.next_unit += 1
        freed = [slot for slot, (_, _, left) in self.slots.items() if left == 0]
        last = self.draining is not None and self.rows == 1
        dut.req_i.value = sum(1 << pe for pe in self.requests)
        dut.info_i.value = sum(INFO.pack(info) << (INFO.width * pe) for pe, info in self.requests.items())
        dut.oldest_job_i.value, dut.last_i.value = self.oldest, last
        start = gen.random() < 0.05
        dut.start_i.value = start
        dut.slot_free_i.value = sum(1 << slot for slot in freed)
        known = {pe for pe, info in self.requests.items() if any(info["job"] == s[0] for s in self.slots.values())}
        can = known or {pe for pe, info in self.requests.items() if self.may_bind(info["job"])}
        can = can if self.draining is None or last else set()
        free_of = [self.stages - sum(slot // self.stages == sp for slot in self.slots) for sp in range(self.sps)]
        await FallingEdge(dut.clk_i)
        grants = int(dut.gnt_o.value)
        if last:
            pe, slot, info = self.draining
            found = SLOT.unpack(int(dut.slot_info_o.value) >> (SLOT.width * slot) & ((1 << SLOT.width) - 1))
            assert {name: found[name] for name in ("job", "chunk", "out_line")} == {
                name: info[name] for name in ("job", "chunk", "out_line")
            }
            assert found["npos"] == 8 * (info["tile_h"] - 1) + info["tile_w"]
            assert found["mask"].bit_count() == info["tile_h"] * info["tile_w"]
            if self.slots[slot][1] == self.splits:
                self.slots[slot][2] = int(gen.integers(1, 30))
            self.draining = None
        for slot in self.slots.values():
            slot[2] = slot[2] - 1 if slot[2] else slot[2]
        for slot in freed:
            self.done.add(self.slots.pop(slot)[0])
        while self.oldest in self.done:
            self.oldest += 1
        turn = min(can, key=lambda pe: (pe - self.last - 1) % self.pes, default=self.last)
        self.last = self.pes - 1 if start else turn
        if not can:
            assert grants == 0
            self.rows -= 1
            return
        assert grants == 1 << turn, f"{grants:b}, expected PE {turn} of {can}"
        pe, slot = grants.bit_length() - 1, int(dut.slot_o.value)
        assert dut.pe_o.value == pe
        info = self.requests.pop(pe)
        if pe in known:
            assert self.slots[slot][0] == info["job"]
        else:
            assert slot not in self.slots
            assert free_of[slot // self.stages] == max(free_of), "the streaming processor with most free slots"
            self.slots[slot] = [info["job"], 0, None]
        assert dut.add_o.value == (pe in known)
        self.slots[slot][1] += 1
        assert dut.complete_o.value == (self.slots[slot][1] == self.splits)
        self.draining, self.rows = (pe, slot, info), 3 + int(gen.integers(info["tile_h"], 20))


async def run(dut, splits: int, request_rate: float, jobs: int = 60) -> None:
    bench = Bench(dut, rng(splits), splits)
    await bench.start()
    for _ in range(100 * jobs * splits):
        await bench.cycle(request_rate, jobs)
        if len(bench.done) == jobs:
            return
    raise AssertionError(f"stuck: {len(bench.done)} of {jobs} jobs are done")


@cocotb.test()
async def without_splits(dut):
    await run(dut, 1, 0.5)


@cocotb.test()
async def with_splits(dut):
    await run(dut, 3, 0.5)


@cocotb.test()
async def rare_requests(dut):
    await run(dut, 2, 0.01)


@pytest.mark.parametrize(
    "sim, pes, sps, stages", [("verilator", 16, 2, 2), ("verilator", 4, 1, 2), ("icarus", 4, 2, 2)]
)
def test_drain_arbiter(sim, pes, sps, stages):
    run_block("spcore_drain_arbiter", {"NumPe": pes, "NumSp": sps, "NumStage": stages}, sim=sim)
