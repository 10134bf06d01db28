# SPDX-License-Identifier: Apache-2.0
"""drain_arbiter: who is granted, into which slot, against the rules of docs/architecture.md section 7.8; two layers.

Never two drains from a PE or a group or into a streaming processor, what is told of a drain changes with its rows, a
slot for a job, the last free one for the oldest job, none for the younger layer while the older one's units wait for
one, nobody forgotten, no pause between drains while others wait.
"""

import os
from dataclasses import dataclass, replace

import pytest
from cocotb.triggers import FallingEdge

from tests.blocks.contexts import Contexts
from verif.shared.structs import struct
from verif.sim.kit import block_test, start
from verif.sim.seed import rng

REQ, SLOT = struct("drain_req_t"), struct("slot_info_t")
# Cycles in which a streaming processor without a drain takes a PE that it may take, at most: it chooses in turn with
# the others, and a PE or slot may be kept for the drain that follows another one's present drain.
CHOICE = 100
LANES = 4
# Cycles that a unit of the older layer may have waited when the younger one's opens a slot: what was chosen waits
# for two drains, and units with splits are looked up one a cycle. A job that was chosen before drains within as many.
SEEN = 50
LATENCY = 3  # cycles from a grant to the PE's first row before the node


@dataclass
class Drain:
    """A drain from its grant on: `age` cycles ago. Rows are before the node from LATENCY on."""

    pe: int
    info: dict
    rows: int
    age: int = 0


@dataclass
class Layer:
    """What the arbiter knows of a layer; `pitch`: columns of a full tile."""

    splits: int
    jobs: int
    base: int
    lines: int
    ratio: int
    res_base: int
    res_pitch: int
    pitch: int
    keeps: bool = False
    continues: bool = False


class Bench:
    """PEs that ask with units of random jobs, slots that are freed some time after they are complete.

    layers: splits and jobs of each, one in each context, the second one's jobs behind the first one's.
    """

    def __init__(self, dut, gen, *layers: tuple[int, int]) -> None:
        self.dut, self.gen = dut, gen
        self.layers = [
            Layer(
                *layer,
                int(gen.integers(2**23)),
                int(gen.integers(1, 2**10)),
                int(gen.integers(3)),
                int(gen.integers(2**23)),
                int(gen.integers(1, 2**10)),
                int(gen.choice([8, 5])),
            )
            for layer in layers
        ]
        units = [(ctx, layer) for ctx, layer in enumerate(self.layers) for _ in range(layer.jobs)]
        self.jobs = len(units)
        self.context = [ctx for ctx, _ in units]  # by job
        self.units = [job for job, (_, layer) in enumerate(units) for _ in range(layer.splits)]  # in order
        self.pes, self.sps, self.stages = (int(os.environ[name]) for name in ("NumPe", "NumSp", "NumStage"))
        self.group_pes = -(-self.pes // 8)
        self.groups = -(-self.pes // self.group_pes)
        self.requests: dict[int, dict] = {}
        self.rows: dict[int, int] = {}  # of a PE's request
        self.waited: dict[int, int] = {}  # cycles since it
        self.passed = 0  # slots that the younger layer opened
        self.chosen: dict[int, int] = {}  # jobs that must have been chosen before, cycles until they drain at most
        self.granted: set[int] = set()  # in the last cycle: their requests end now
        self.next_unit = 0  # to ask
        self.slots: dict[tuple[int, int], list] = {}  # (sp, slot) -> [job, units granted, cycles until it is freed]
        self.early: dict[tuple[int, int], dict] = {}  # told before the grant
        self.untold: dict[tuple[int, int], dict] = {}  # slots whose information is still to come
        self.done: set[int] = set()
        self.oldest = 0
        self.granting: list[Drain] = []  # no row yet
        self.drains: list[Drain | None] = [None] * self.sps
        self.pauses: list[list[int]] = [[] for _ in range(self.sps)]  # cycles without a row before each drain's first
        self.idle = [0] * self.sps  # since the last row
        self.starving = [0] * self.sps  # cycles in which it did not drain though it could
        self.steered: list[tuple] = [()] * self.sps  # slot, add, complete of the drains

    async def begin(self) -> None:
        await start(self.dut)
        self.contexts = Contexts(self.dut, self.gen)
        for ctx in range(len(self.layers)):
            self.show(ctx)
        await self.restart(0)

    def show(self, ctx: int) -> None:
        of = self.layers[ctx]
        residual = {"residual": 1, "res_idx_base": of.res_base, "res_pitch": of.res_pitch}
        layer = {"tile_w": of.pitch, "splits": of.splits, "out_idx_base": of.base, "out_pitch": of.lines}
        slots = {"keep_slot": of.keeps, "continue_slot": of.continues}
        self.contexts.show(layer | residual | slots, {"ratio": of.ratio, "jobs": of.jobs % 256}, ctx)

    async def restart(self, ctx: int) -> None:
        """A layer starts, no other is open."""
        self.dut.start_i.value, self.dut.restart_i.value = 1 << ctx, 1
        await FallingEdge(self.dut.clk_i)
        self.dut.start_i.value = self.dut.restart_i.value = 0

    async def follow(self, splits: int, jobs: int, keeps: bool, continues: bool) -> None:
        """A layer in the other context when all before have ended; slots that are kept stay if it continues."""
        ctx = 1 - self.context[-1]
        self.layers += self.layers[: 2 - len(self.layers)]
        self.layers[ctx] = replace(self.layers[1 - ctx], splits=splits, jobs=jobs, keeps=keeps, continues=continues)
        self.show(ctx)
        self.units += [self.jobs + job for job in range(jobs) for _ in range(splits)]
        self.context += [ctx] * jobs
        self.jobs += jobs
        if not continues:
            self.slots.clear()
        await self.restart(ctx)

    def layer_of(self, job: int) -> Layer:
        return self.layers[self.context[job]]

    def slot_of(self, job: int) -> tuple[int, int] | None:
        return next((slot for slot, (owner, _, _) in self.slots.items() if owner == job), None)

    def free_of(self, sp: int) -> int:
        return self.stages - sum(slot[0] == sp for slot in self.slots)

    def may_open(self, job: int) -> bool:
        free = sum(map(self.free_of, range(self.sps)))
        return free > 1 or (
            free == 1
            and (self.layer_of(job).splits == 1 or job == self.oldest or self.slot_of(self.oldest) is not None)
        )

    def older_ctx(self) -> int:
        """The context of the oldest layer that is open; of the last one if none is."""
        return self.context[min(self.oldest, self.jobs - 1)]

    def older_wait(self) -> list[int]:
        """PEs with units of the oldest layer that wait for a slot; the younger layer's open none then."""
        older = self.older_ctx()
        return [pe for pe, info in self.requests.items() if info["ctx"] == older and not self.slot_of(info["job"])]

    def under_way(self) -> list[Drain]:
        return self.granting + [drain for drain in self.drains if drain]

    def could(self, sp: int) -> bool:
        """Somebody could drain to a streaming processor."""
        taken = {drain.pe // self.group_pes for drain in self.under_way()}
        first = self.older_wait()
        for pe, info in self.requests.items():
            slot = self.slot_of(info["job"])
            if pe // self.group_pes not in taken and (
                slot[0] == sp
                if slot
                else self.free_of(sp) and self.may_open(info["job"]) and (pe in first or not first)
            ):
                return True
        return False

    async def cycle(self, request_rate: float, rows: int | None = None) -> None:
        """`rows`: of all units, any number if None."""
        dut, gen = self.dut, self.gen
        for pe in self.granted:
            del self.requests[pe]
        # Units of the few oldest jobs, in random order among the PEs as if they computed for random times.
        busy = {drain.pe for drain in self.under_way()}
        self.granted = set()
        for pe in range(self.pes):
            if (
                pe not in self.requests
                and pe not in busy
                and self.next_unit < len(self.units)
                and self.units[self.next_unit] < self.oldest + 4 * self.pes
                and gen.random() < request_rate
            ):
                job = self.units[self.next_unit]
                self.requests[pe] = {
                    "ctx": self.context[job],
                    "job": job,
                    "split": self.layer_of(job).splits > 1 or self.layer_of(job).continues,
                    "chunk": job % 3 if job % 7 else int(gen.integers(2**16)),
                    "out_line": job // 3,
                    "tile_h": int(gen.integers(1, 9)),
                    "tile_w": int(gen.integers(1, self.layer_of(job).pitch + 1)),
                }
                self.rows[pe] = int(gen.integers(1, 20)) if rows is None else rows
                self.waited[pe] = 0
                self.next_unit += 1
        freed = [slot for slot, (_, _, left) in self.slots.items() if left == 0]
        dut.req_i.value = sum(
            REQ.pack({"valid": 1, "unit": info, "last_row": self.rows[pe] - 1}) << (REQ.width * pe)
            for pe, info in self.requests.items()
        )
        dut.oldest_job_i.value, dut.oldest_i.value = self.oldest, self.older_ctx()
        dut.slot_free_i.value = sum(1 << (sp * self.stages + slot) for sp, slot in freed)
        await FallingEdge(dut.clk_i)
        for pe in self.requests:
            self.waited[pe] += 1
        self.chosen = {job: left - 1 for job, left in self.chosen.items() if not self.slot_of(job)}
        assert 0 not in self.chosen.values(), f"jobs {self.chosen} wait, the younger layer opened a slot"
        for drain in self.under_way():
            drain.age += 1
        for sp, drain in enumerate(self.drains):
            if drain and drain.age == LATENCY + drain.rows:
                self.end_drain(sp, drain.info["job"])
                self.drains[sp] = None
            else:
                assert not int(dut.kept_o.value) >> sp & 1, f"streaming processor {sp} keeps a slot"
        self.check_info()
        for drain in [drain for drain in self.granting if drain.age == LATENCY]:
            self.granting.remove(drain)
            self.check_drain(drain)
        self.check_steering()
        self.check_grants(int(dut.gnt_o.value))
        for slot in self.slots.values():
            slot[2] = slot[2] - 1 if slot[2] else slot[2]
        for slot in freed:
            assert slot not in self.untold, "what a slot held was never told"
            self.done.add(self.slots.pop(slot)[0])
        while self.oldest in self.done:
            self.oldest += 1
        for sp in range(self.sps):
            if self.drains[sp] or not self.could(sp):
                self.starving[sp] = 0
            elif not self.granting:  # whose those are will be seen at their first row
                self.starving[sp] += 1
            assert self.starving[sp] <= CHOICE, f"streaming processor {sp} could drain"

    def end_drain(self, sp: int, job: int) -> None:
        """The last row of a unit is behind the node, from this cycle on."""
        layer, slot = self.layer_of(job), self.slots[self.slot_of(job)]
        last = slot[1] == layer.splits
        assert int(self.dut.kept_o.value) >> sp & 1 == (last and layer.keeps)
        if last and layer.keeps:
            assert int(self.dut.kept_job_o.value) >> 16 * sp & 0xFFFF == job
            self.done.add(job)
            slot[:2] = job + layer.jobs, 0
        elif last:
            slot[2] = int(self.gen.integers(14, 44))

    def check_info(self) -> None:
        told = int(self.dut.info_we_o.value)
        assert told.bit_count() <= 1
        if not told:
            return
        slot = divmod(told.bit_length() - 1, self.stages)
        found = SLOT.unpack(self.dut.info_o.value)
        if slot in self.untold:
            self.check_slot(self.untold.pop(slot), found)
        else:
            begun = slot in self.slots and self.slots[slot][1] > 0
            assert not begun and slot not in self.early, f"{slot} is told twice"
            self.early[slot] = found

    def check_slot(self, info: dict, found: dict) -> None:
        for name in ("ctx", "job", "chunk"):
            assert found[name] == info[name]
        layer = self.layers[info["ctx"]]
        channel = info["chunk"] * LANES << layer.ratio
        assert found["idx_addr"] == (layer.base + channel * layer.lines + info["out_line"]) % 2**24
        assert found["res_addr"] == (layer.res_base + channel * layer.res_pitch + info["out_line"]) % 2**24
        assert found["npos"] == layer.pitch * (info["tile_h"] - 1) + info["tile_w"]
        want = sum(1 << y * layer.pitch + x for y in range(info["tile_h"]) for x in range(info["tile_w"]))
        assert found["mask"] == want

    def told_group(self, sp: int) -> int:
        return int(self.dut.group_o.value) >> (sp * self.groups) & ((1 << self.groups) - 1)

    def check_grants(self, grants: int) -> None:
        for pe in range(self.pes):
            if grants >> pe & 1:
                assert pe in self.requests and pe not in self.granted, f"PE {pe} is granted without a request"
                self.granting.append(Drain(pe, self.requests[pe], self.rows[pe]))
        self.granted = {drain.pe for drain in self.granting if drain.age == 0}
        assert len(self.granted) == grants.bit_count()

    def check_drain(self, drain: Drain) -> None:
        """A PE's first row is before the node."""
        dut, info, group = self.dut, drain.info, drain.pe // self.group_pes
        ports = [sp for sp in range(self.sps) if self.told_group(sp) == 1 << group]
        assert len(ports) == 1, f"group {group} drains to {ports}"
        sp = ports[0]
        assert self.drains[sp] is None, f"streaming processor {sp} has a drain"
        flags = int(dut.slot_o.value) >> (sp * self.stages) & ((1 << self.stages) - 1)
        assert flags.bit_count() == 1
        slot = sp, flags.bit_length() - 1
        add, complete = int(dut.add_o.value) >> sp & 1, int(dut.complete_o.value) >> sp & 1
        bound = self.slot_of(info["job"])
        assert add == (bound is not None)
        if add:
            assert slot == bound, "all units of a job go to one slot"
        else:
            assert slot not in self.slots
            assert self.may_open(info["job"]), "the last free slot is for the oldest job"
            if info["ctx"] != self.older_ctx():
                self.passed += 1
                late = {self.requests[pe]["job"] for pe in self.older_wait() if self.waited[pe] > SEEN + self.pes}
                self.chosen = dict.fromkeys(late, SEEN) | self.chosen
            self.slots[slot] = [info["job"], 0, None]
        layer = self.layer_of(info["job"])
        if self.slots[slot][1] == 0 and not layer.keeps:
            if slot in self.early:
                self.check_slot(info, self.early.pop(slot))
            else:
                self.untold[slot] = info
        self.slots[slot][1] += 1
        assert complete == (self.slots[slot][1] == layer.splits and not layer.keeps)
        self.drains[sp], self.steered[sp] = drain, (flags, add, complete)
        self.pauses[sp].append(self.idle[sp])

    def check_steering(self) -> None:
        """What is told is that of the drains whose rows are before the nodes, in just these cycles."""
        dut = self.dut
        en, select = int(dut.node_en_o.value), int(dut.node_sel_o.value)
        assert en == sum(1 << drain.pe // self.group_pes for drain in self.drains if drain), "two drains in a group"
        for sp, drain in enumerate(self.drains):
            self.idle[sp] = 0 if drain else self.idle[sp] + 1
            assert self.told_group(sp) == (1 << drain.pe // self.group_pes if drain else 0)
            if drain:
                group, number = divmod(drain.pe, self.group_pes)
                assert select >> (group * self.group_pes) & ((1 << self.group_pes) - 1) == 1 << number
                flags = int(dut.slot_o.value) >> (sp * self.stages) & ((1 << self.stages) - 1)
                told = flags, int(dut.add_o.value) >> sp & 1, int(dut.complete_o.value) >> sp & 1
                assert told == self.steered[sp]


async def finish(bench: Bench, request_rate: float) -> None:
    """Until all jobs are done."""
    for _ in range(200 * len(bench.units)):
        await bench.cycle(request_rate)
        if len(bench.done) == bench.jobs:
            assert not bench.untold
            return
    raise AssertionError(f"stuck: {len(bench.done)} of {bench.jobs} jobs are done, {bench.requests} wait")


async def run(dut, request_rate: float, *layers: tuple[int, int]) -> None:
    bench = Bench(dut, rng(sum(splits for splits, _ in layers)), *layers)
    await bench.begin()
    await finish(bench, request_rate)


@block_test(us=60)
async def without_splits(dut):
    await run(dut, 0.5, (1, 60))


@block_test(us=100)
async def with_splits(dut):
    await run(dut, 0.5, (3, 60))


@block_test(us=150)
async def rare_requests(dut):
    await run(dut, 0.01, (2, 60))


@block_test(us=400)
async def two_layers(dut):
    """Jobs of a layer behind those of another one, with and without splits, of a single job too."""
    for layers in (((1, 20), (3, 20)), ((3, 20), (1, 20)), ((2, 20), (5, 12)), ((1, 20), (1, 20)), ((4, 1), (1, 30))):
        await run(dut, 0.5, *layers)


@block_test(us=400)
async def older_layer_first(dut):
    """All PEs wait, with units of two layers: the older one's get slots first, whatever their places."""
    for layers in (((1, 100), (1, 100)), ((3, 40), (1, 60)), ((1, 100), (2, 50)), ((200, 1), (1, 60))):
        bench = Bench(dut, rng(layers[0][0]), *layers)
        await bench.begin()
        await finish(bench, 1)
        assert bench.passed, "the younger layer opened no slot while the older one was open"


@block_test(us=250)
async def kept_slots(dut):
    """Layers whose jobs keep their slots, one after the other, of as many jobs as there are slots and fewer; what is
    not continued is free."""
    gen = rng()
    bench = Bench(dut, gen, (1, 1))
    await bench.begin()
    await finish(bench, 0.5)
    slots = bench.sps * bench.stages
    for jobs in (slots, *gen.integers(1, slots + 1, 5).tolist()):
        for part in range(3):
            keeps = bool(part < 2 or gen.random() < 0.5)  # the last one: sometimes slots stay that nobody wants
            await bench.follow(int(gen.choice([1, 2, 5])), jobs, keeps, part > 0)
            await finish(bench, float(gen.choice([1, 0.3])))
    await bench.follow(3, 20, False, False)
    await finish(bench, 0.5)


@block_test(us=130)
async def in_turn(dut):
    """Units of one job, a slot known: PEs are served round robin, by each streaming processor."""
    bench = Bench(dut, rng(), (1000, 1))
    await bench.begin()
    order: list[int] = []
    for _ in range(120 * bench.pes):
        before = set(bench.requests)
        await bench.cycle(1)
        order += sorted(bench.granted)
        assert bench.granted <= before
        if len(order) >= 4 * bench.pes:
            break
    # All units are of job 0, so one streaming processor takes them all. A PE asks again soon after its drain.
    for pe in range(bench.pes):
        turns = [i for i, granted in enumerate(order) if granted == pe]
        assert len(turns) >= 3, f"PE {pe} was granted {len(turns)} times of {len(order)}"


@block_test(us=200)
async def no_pause(dut):
    """PEs that always ask with units of a job for each streaming processor: rows follow one another from drain to
    drain, unless these are so short that they wait for a choice."""
    for rows in (32, 16, 10, 8, 5, 1):
        bench = Bench(dut, rng(rows), (1000, int(os.environ["NumSp"])))
        bench.units = list(range(bench.sps)) * 1000
        if bench.pes < 4 * bench.sps:
            continue  # too few that wait
        await bench.begin()
        for _ in range(1000):
            await bench.cycle(1, rows)
        # A choice takes four cycles, and another one for the same streaming processor is possible after five.
        pause = max(0, max(5, 4 * bench.sps) - rows)
        for sp, pauses in enumerate(bench.pauses):
            later = pauses[2 * bench.sps :]
            assert len(later) > 20 and max(later) <= pause, f"{rows} rows, streaming processor {sp}: {pauses}"


@pytest.mark.parametrize(
    "sim, pes, sps, stages",
    [
        ("verilator", 16, 2, 2),
        ("verilator", 64, 2, 6),
        ("verilator", 4, 1, 2),
        ("verilator", 11, 3, 1),
        ("icarus", 4, 2, 2),
    ],
)
def test_drain_arbiter(run_block, sim, pes, sps, stages):
    run_block("spcore_drain_arbiter", {"NumPe": pes, "NumLanes": LANES, "NumSp": sps, "NumStage": stages}, sim=sim)
