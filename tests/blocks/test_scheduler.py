# SPDX-License-Identifier: Apache-2.0
"""scheduler: every unit once, in order, to a PE that can take it; job window; oldest job; ends; two layers."""

import os
from collections import defaultdict

import pytest
from cocotb.triggers import FallingEdge, RisingEdge

from tests.blocks.contexts import Contexts
from tests.blocks.naive_geometry import derived_fields, expected_units, random_fields
from verif.shared.structs import struct
from verif.sim.kit import Scoreboard, block_test, start
from verif.sim.seed import rng

UNIT, JOB = struct("unit_t"), 16
GROUP = 16  # PEs that share a unit's register


def random_layer(gen, jobs_limit: int) -> dict[str, int]:
    """Descriptor of a random layer."""
    while True:
        layer = random_fields(gen, largest=199)
        channels, chunks = int(gen.integers(1, 40)), int(gen.integers(1, 6))
        # The last group may have fewer chunks and fewer channels.
        group_chunks = int(gen.choice([chunks, gen.integers(1, chunks + 1)]))
        groups = -(-chunks // group_chunks)
        group_c = channels if groups == 1 else int(gen.integers(1, 12))
        if groups > 1:
            channels = (groups - 1) * group_c + int(gen.integers(1, group_c + 1))
        split_c = -(-group_c // int(gen.choice([1, 1, 2, 5, group_c])))
        layer |= {
            "in_c": channels,
            "split_c": split_c,
            "splits": -(-group_c // split_c),
            "chunks": chunks,
            "groups": groups,
            "group_c": group_c,
            "group_chunks": group_chunks,
            "tap_shared": int(gen.integers(2)),
            "continue_slot": int(gen.integers(2)),
            "in_idx_base": int(gen.integers(0, 1000)),
            "wgt_base": int(gen.integers(0, 1000)),
        }
        if layer["tiles_y"] * layer["tiles_x"] * layer["chunks"] <= jobs_limit:
            return layer


def derived_of(layer: dict[str, int]) -> dict[str, int]:
    """The derived values that the scheduler uses."""
    derived = derived_fields(layer, 4)
    return {name: derived[name] for name in ("chunk_vectors", "split_vectors", "split_lines", "group_lines")}


class Layers:
    """What the scheduler has been shown: layers in contexts, in turn, and how many jobs."""

    def __init__(self, dut, gen) -> None:
        self.contexts, self.jobs = Contexts(dut, gen), 0

    def show(self, layer: dict) -> tuple[int, list[dict]]:
        """The next layer; returns its context and its units."""
        ctx = self.contexts.show(layer, derived_of(layer))
        units = expected_units(layer, ctx, self.jobs)
        self.jobs = units[-1]["job"] + 1
        return ctx, units


async def begin(dut, layers: Layers, layer: dict, delay: int) -> list[dict]:
    """Show a layer, and start it after `delay` cycles; returns its units."""
    ctx, units = layers.show(layer)
    dut.prepare_i.value = 1 << ctx
    await FallingEdge(dut.clk_i)
    dut.prepare_i.value = 0
    for _ in range(delay):
        await FallingEdge(dut.clk_i)
        assert not dut.unit_valid_o.value
    assert dut.oldest_o.value == ctx
    dut.start_i.value = 1 << ctx
    await FallingEdge(dut.clk_i)
    dut.start_i.value = 0
    await FallingEdge(dut.clk_i)
    assert not dut.unit_valid_o.value and not dut.running_o.value
    return units


def unit_of(units: int, pe: int) -> dict:
    """The unit that PE `pe` sees on unit_o."""
    return UNIT.unpack(units >> UNIT.width * (pe // GROUP) & ((1 << UNIT.width) - 1))


class Array:
    """PEs that hold a present and a next unit, finish at random, and streaming processors that report jobs."""

    def __init__(self, pes: int, sps: int, gen):
        self.held = [[] for _ in range(pes)]
        self.offers = [0] * pes  # 1: ready; below: cycles until it may be
        self.sps, self.gen = sps, gen
        self.splits: dict[int, int] = {}  # units of each job
        self.contexts: dict[int, int] = {}  # of each job
        self.drained = defaultdict(int)
        self.to_report: list[int] = []
        self.done: set[int] = set()

    def expect(self, units: list[dict]) -> None:
        """Units that will come."""
        for unit in units:
            self.splits[unit["job"]] = self.splits.get(unit["job"], 0) + 1
            self.contexts[unit["job"]] = unit["ctx"]

    def ready(self) -> int:
        """PEs that are ready; one stays so until it gets a unit, and is not in the cycle after."""
        for i, units in enumerate(self.held):
            if self.offers[i] < 0:
                self.offers[i] += 1
            elif len(units) < 2 and self.gen.random() < 0.7:
                self.offers[i] = 1
        return sum(1 << i for i, offer in enumerate(self.offers) if offer > 0)

    def take(self, pe: int, job: int) -> None:
        assert self.offers[pe] == 1, f"PE {pe} got a unit without being ready"
        self.offers[pe] = -1
        self.held[pe].append(job)

    def free(self) -> int:
        return sum(1 << i for i, units in enumerate(self.held) if not units)

    def step(self, finish_rate: float) -> tuple[int, int, int]:
        """Let units finish; returns job_done, job_done_id and job_done_ctx of this cycle."""
        for units in self.held:
            if units and self.gen.random() < finish_rate:
                job = units.pop(0)
                self.drained[job] += 1
                if self.drained[job] == self.splits[job]:
                    self.to_report.insert(int(self.gen.integers(len(self.to_report) + 1)), job)
        valid = ids = 0
        ctx = self.contexts[self.to_report[0]] if self.to_report else int(self.gen.integers(2))
        for sp in range(self.sps):
            if self.to_report and self.contexts[self.to_report[0]] == ctx and self.gen.random() < 0.6:
                job = self.to_report.pop(0)
                self.done.add(job)
                valid |= 1 << sp
                ids |= (job % 2**JOB) << (JOB * sp)
        return valid, ids, ctx


async def run_layer(dut, layers: Layers, layer: dict, finish_rate: float, gen) -> None:
    pes, sps = int(os.environ["NumPe"]), int(os.environ["NumSp"])
    array = Array(pes, sps, gen)
    dut.unit_ready_i.value = dut.pe_free_i.value = 0
    expected, units = await begin(dut, layers, layer, int(gen.integers(120))), Scoreboard(f"unit of {layer}")
    units.expect(*expected)
    array.expect(expected)
    first, jobs = expected[0]["job"], len(array.splits)
    idle = 0
    history = [(0, 0, 0)] * 3  # ready, free and given PEs of the three cycles before
    dones = [0] * 3
    while True:
        done_before = set(array.done)  # what the scheduler can know before this cycle's reports
        dones = [*dones[1:], len(done_before)]
        ready, free = array.ready(), array.free()
        dut.unit_ready_i.value, dut.pe_free_i.value = ready, free
        dut.job_done_i.value, dut.job_done_id_i.value, dut.job_done_ctx_i.value = array.step(finish_rate)
        await RisingEdge(dut.clk_i)
        valid, flat = int(dut.unit_valid_o.value), int(dut.unit_o.value)
        running, all_done, oldest = dut.running_o.value, dut.all_done_o.value, int(dut.oldest_job_o.value)
        await FallingEdge(dut.clk_i)
        assert running == (units.came > 0), "running from the cycle after the first unit to the end"
        assert all(job in done_before for job in range(first, oldest)), f"job {oldest} is not the oldest open one"
        assert all_done == (not units.due and dones[0] == jobs), "two cycles after the last job's end"
        if all_done:
            break
        if valid:
            seen, empty, given = history[0]
            seen &= ~(given | history[1][2] | history[2][2])
            pool = seen & empty or seen
            assert valid == pool & -pool, "the lowest of the PEs without a unit, else of those that are ready"
            pe = valid.bit_length() - 1
            unit = unit_of(flat, pe)
            units.take(unit)
            assert unit["job"] - min(set(array.splits) - done_before) < 4 * pes, "too many open jobs"
            array.take(pe, unit["job"])
            idle = 0
        history = [*history[1:], (ready, free, valid)]
        idle += 1
        assert idle < 2000, f"stuck: {units.due} of {len(expected)} units are still to come"
    dut.job_done_i.value = 0
    await FallingEdge(dut.clk_i)
    assert not dut.running_o.value and not dut.unit_valid_o.value


@block_test(us=2000)
async def random_layers(dut):
    """Random layers, PEs slow and fast, one after the other."""
    await start(dut)
    gen = rng()
    layers = Layers(dut, gen)
    for _ in range(25):
        await run_layer(dut, layers, random_layer(gen, 150), float(gen.choice([0.02, 0.2, 0.9])), gen)


async def run_overlapping(dut, layers: Layers, count: int, finish_rate: float, gen) -> int:
    """So many layers, up to two open at a time; returns the units that came while an older layer was open."""
    pes, sps = int(os.environ["NumPe"]), int(os.environ["NumSp"])
    array, units = Array(pes, sps, gen), Scoreboard("unit")
    first = layers.jobs
    open_layers: list[tuple[int, set[int]]] = []  # context and jobs
    to_start, starting, wait, early, idle, ends = count, None, 0, 0, 0, 0
    came: set[int] = set()  # jobs that units came of
    over = 0  # cycles since the oldest layer's jobs were done
    while to_start or open_layers:
        dut.prepare_i.value = dut.start_i.value = 0
        if starting is not None:
            wait -= 1
            if wait == 0:
                dut.start_i.value, starting = 1 << starting, None
        elif to_start and len(open_layers) < 2 and gen.random() < 0.1:
            to_start -= 1
            starting, more = layers.show(random_layer(gen, int(gen.choice([1, 5, 60]))))
            units.expect(*more)
            array.expect(more)
            open_layers.append((starting, {unit["job"] for unit in more}))
            dut.prepare_i.value, wait = 1 << starting, int(gen.integers(1, 150))
        dut.unit_ready_i.value, dut.pe_free_i.value = array.ready(), array.free()
        done_before = set(array.done)
        dut.job_done_i.value, dut.job_done_id_i.value, dut.job_done_ctx_i.value = array.step(finish_rate)
        await RisingEdge(dut.clk_i)
        valid, flat = int(dut.unit_valid_o.value), int(dut.unit_o.value)
        all_done, oldest = bool(dut.all_done_o.value), int(dut.oldest_job_o.value)
        assert all(job in done_before for job in range(first, oldest)), f"job {oldest} is not the oldest open one"
        running = any(not jobs.isdisjoint(came) for _, jobs in open_layers)
        assert dut.running_o.value == running, "running from the cycle after the first unit to the last layer's end"
        if open_layers:
            assert dut.oldest_o.value == open_layers[0][0]
        idle += 1
        over = over + 1 if open_layers and open_layers[0][1] <= done_before else 0
        assert over < 4, "a layer's end waits for another one"
        if all_done:
            assert over, "a layer ends before its jobs do"
            open_layers.pop(0)
            idle = over = 0
            ends += 1
        await FallingEdge(dut.clk_i)
        if valid:
            pe = valid.bit_length() - 1
            unit = unit_of(flat, pe)
            units.take(unit)
            early += unit["job"] not in open_layers[0][1]
            came.add(unit["job"])
            array.take(pe, unit["job"])
            idle = 0
        assert idle < 2000, f"stuck: {units.due} units are still to come, {len(open_layers)} layers are open"
    assert ends == count and not units.due
    dut.job_done_i.value = 0
    await FallingEdge(dut.clk_i)
    assert not dut.running_o.value and not dut.unit_valid_o.value
    return early


@block_test(us=4000)
async def two_layers(dut):
    """A layer starts while the one before it is open: its units follow that one's, the layers end in order."""
    await start(dut)
    gen = rng()
    layers, early = Layers(dut, gen), 0
    for _ in range(12):
        early += await run_overlapping(dut, layers, 6, float(gen.choice([0.02, 0.2, 0.9])), gen)
        await run_layer(dut, layers, random_layer(gen, 30), 0.2, gen)
    assert early > 20, "layers do not overlap"


@block_test(us=100)
async def slow_job_closes_the_window(dut):
    """While one job stays open, at most 4*NumPe are issued, and all go on when it ends."""
    await start(dut)
    gen = rng()
    pes = int(os.environ["NumPe"])
    one = dict.fromkeys(("in_c", "split_c", "splits", "groups", "group_c"), 1)
    layer = random_layer(gen, 10**6) | one | {"chunks": 1000, "group_chunks": 1000}
    await begin(dut, Layers(dut, gen), layer, 120)
    dut.unit_ready_i.value = 2**pes - 1
    issued = []
    for cycle in range(40 * pes):
        await RisingEdge(dut.clk_i)
        if dut.unit_valid_o.value:
            issued.append(unit_of(int(dut.unit_o.value), int(dut.unit_valid_o.value).bit_length() - 1)["job"])
        await FallingEdge(dut.clk_i)
        # Every job but the first reports the cycle after it was issued; the first in the middle of the test.
        report = 0 if cycle == 20 * pes else issued[-1] if issued and issued[-1] else None
        dut.job_done_i.value, dut.job_done_id_i.value = report is not None, report or 0
        if cycle == 19 * pes:
            assert issued == list(range(4 * pes))
    assert len(issued) > 8 * pes, "the window did not open again"


@pytest.mark.parametrize("pes, sps", [(4, 2), (32, 1)])
def test_scheduler(run_block, pes, sps):
    run_block("spcore_scheduler", {"NumPe": pes, "NumSp": sps})
