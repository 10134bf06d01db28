# SPDX-License-Identifier: Apache-2.0
"""pe: whole units of random layers against a convolution, with stalls of memories and drain; throughput; counters."""

import os
from dataclasses import replace

import numpy as np
import pytest
from cocotb.triggers import FallingEdge, RisingEdge, Timer

from models.config import Config, load_config
from models.km import MODES
from models.lines import LineShape
from models.tiling import Cut
from tests.blocks.contexts import Contexts
from tests.blocks.memory_port import MemoryPort
from tests.blocks.naive_geometry import mask_writes, tile_masks
from tests.blocks.pe_bench import Work, make_layer, make_work, random_activations, random_layer
from verif.shared.structs import struct
from verif.sim.kit import block_test, start
from verif.sim.seed import rng

POSITION, MASK = struct("pos_tab_write_t"), struct("mask_tab_write_t")
UNIT = struct("unit_t")
REQUEST, ROW = struct("drain_req_t"), struct("drain_row_t")
COUNTERS, COUNTING = struct("pe_counters_t"), struct("pe_counting_t")
STATES = ("busy", "no_weight", "no_activation", "drain", "no_unit")


def config() -> Config:
    """A configuration of the PE under test, with memories that any layer of a test fits into."""
    sizes = {name: int(os.environ[name]) for name in ("NumLanes", "RegionPos", "NumRegions")}
    return replace(load_config("small"), **sizes, WgtDepth=2**16, ActDepth=2**16, IdxDepth=2**16, ParDepth=2**10)


def is_valid(port) -> bool:
    """The first field of a struct; what stands beside it may be unknown without it."""
    return str(port.value)[0] == "1"


class Bench:
    """Memories and drain around the PE, stepped a cycle at a time."""

    def __init__(self, dut, gen):
        self.dut, self.gen = dut, gen
        self.contexts = Contexts(dut, gen)
        self.memories = {name: {} for name in ("wgt", "act", "idx")}
        self.ports = {name: MemoryPort(dut, name, gen) for name in self.memories}
        self.grant_rate = self.drain_rate = 1.0
        self.states: list[int] = []
        self.macs = 0
        self.of_contexts = np.zeros((2, 2), int)  # by context: busy cycles, MACs
        self.drains: list[tuple[dict, np.ndarray]] = []
        self.granted: int | None = None  # cycles since the grant of the drain under way
        self.rows: list[int] = []

    def port(self, name: str):
        return getattr(self.dut, name)

    async def reset(self) -> None:
        self.dut.rst_ni.value = 0
        self.dut.unit_valid_i.value = 0
        for port in self.ports.values():
            port.reset()
        self.granted, self.rows, self.drains = None, [], []
        await FallingEdge(self.dut.clk_i)
        self.dut.rst_ni.value = 1

    async def cycle(self) -> bool:
        """One clock cycle, from falling edge to falling edge; True if a unit was accepted."""
        dut = self.dut
        for port in self.ports.values():
            port.drive(self.grant_rate)
        await Timer(1, "ns")
        grant = is_valid(dut.drain_req_o) and self.gen.random() < self.drain_rate
        unit = REQUEST.unpack(dut.drain_req_o.value)["unit"] if grant else {}
        dut.drain_gnt_i.value = bool(grant)
        await RisingEdge(dut.clk_i)
        for name, port in self.ports.items():
            port.sample(self.memories[name].__getitem__)
        accepted = bool(dut.unit_valid_i.value and dut.unit_ready_o.value)
        self.states.append(int(dut.state_o.value))
        self.macs += int(dut.macs_o.value)
        busy = self.states[-1] == STATES.index("busy")
        if busy or dut.macs_o.value:
            self.of_contexts[int(dut.ctx_o.value)] += busy, int(dut.macs_o.value)
        if is_valid(dut.drain_row_o):
            row = ROW.unpack(dut.drain_row_o.value)
            assert self.granted is not None, "rows without a grant"
            self.rows.append(int(dut.drain_data_o.value))
            assert row["row"] == len(self.rows) - 1
            if row["last"]:
                self.drains[-1] = (self.drains[-1], self.rows)
                self.granted, self.rows = None, []
        elif self.granted is not None:
            self.granted += 1
            assert not self.rows, "a gap between rows"
            assert self.granted < 5, "the rows do not follow the grant"
        if grant:
            self.granted = 0
            self.drains.append(unit)
        await FallingEdge(dut.clk_i)
        if grant:
            assert not is_valid(dut.drain_req_o), "the request stays up after its grant"
        return accepted

    async def load(self, work: Work) -> None:
        """Put a layer on the PE, beside that of the other context: descriptor, memories, tables."""
        self.contexts.show(work.descriptor, work.derived, work.ctx)
        for name, more in (("wgt", work.weights), ("act", work.words), ("idx", work.index)):
            self.memories[name] |= more
        for q, p in work.table():
            self.dut.pos_tab_i.value = POSITION.pack({"valid": 1, "ctx": work.ctx, "q": q, "p": p})
            await self.cycle()
        self.dut.pos_tab_i.value = 0
        for write in mask_writes(tile_masks(work.descriptor)):
            self.dut.mask_tab_i.value = MASK.pack(write | {"ctx": work.ctx})
            await self.cycle()
        self.dut.mask_tab_i.value = 0

    async def run(self, *works: Work, offer_rate: float = 1.0) -> None:
        """Compute all units of one layer, or of two in any order, and compare what each drains."""
        for work in works:
            await self.load(work)
        units = [(work, unit) for work in works for unit in work.units]
        if len(works) > 1:
            units = [units[i] for i in self.gen.permutation(len(units))]
        self.drains, todo, idle, offered = [], [unit for _, unit in units], 0, False
        while todo or not self.dut.free_o.value or self.granted is not None:
            if todo and not offered and self.gen.random() < offer_rate:
                offered = True
                self.dut.unit_i.value = UNIT.pack(todo[0])
            self.dut.unit_valid_i.value = offered
            before = len(self.drains)
            if await self.cycle():
                todo.pop(0)
                offered, idle = False, 0
            idle = idle + 1 if len(self.drains) == before else 0
            assert idle < 60_000, f"stuck: {len(todo)} units not accepted, {len(self.drains)} drained"
        assert len(self.drains) == len(units)
        for (work, unit), (info, rows) in zip(units, self.drains, strict=True):
            check(work, unit, info, rows)


def check(work: Work, unit: dict, info: dict, rows: list[int]) -> None:
    """Compare one unit's drain with the convolution."""
    assert info == {name: unit[name] for name in info}
    found = np.frombuffer(b"".join(row.to_bytes(16 * work.lanes, "little") for row in rows), "<i4").reshape(
        len(rows), -1
    )
    want = work.accumulators(unit)
    assert found.shape == want.shape, f"{len(rows)} rows, expected {len(want)}"
    wrong = np.argwhere(found != want)
    assert not len(wrong), (
        f"{unit} of {work.descriptor}: {len(wrong)} accumulators wrong, (row, bank) {wrong[:5].tolist()}: "
        f"found {found[found != want][:5]}, expected {want[found != want][:5]}"
    )


async def random_units(dut, grant_rates, layers_per_mode: int) -> None:
    gen = rng()
    await start(dut)
    bench = Bench(dut, gen)
    for mode in [*MODES, (1, 1), (1, 1)]:  # pools have no other mode
        for _ in range(layers_per_mode):
            bench.grant_rate = float(gen.choice(grant_rates))
            bench.drain_rate = float(gen.choice([0.05, 1.0]))
            work = make_work(gen, config(), *random_layer(gen, config(), mode))
            await bench.run(work, offer_rate=float(gen.choice([0.1, 1.0])))


@block_test(us=5000)
async def random_layers(dut):
    """Random layers in all modes, memories always granting, units back to back."""
    await random_units(dut, [1.0], int(os.environ["LAYERS"]))


@block_test(us=5000)
async def random_layers_stalled(dut):
    """Random layers in all modes, memories and drain stalling at random."""
    await random_units(dut, [0.1, 0.5, 0.9], int(os.environ["LAYERS"]))


@block_test(us=5000)
async def two_layers(dut):
    """Units of two layers in all modes, in any order, with stalls and without; whose cycles and products they are."""
    gen = rng()
    await start(dut)
    bench = Bench(dut, gen)
    modes, mixed = [*MODES, (1, 1), (1, 1)], 0
    for _ in range(int(os.environ["LAYERS"])):
        for first, second in zip(modes, gen.permutation(modes).tolist(), strict=True):
            bench.grant_rate, bench.drain_rate = (float(rate) for rate in gen.choice([0.3, 1.0], 2))
            works = [
                make_work(gen, config(), *random_layer(gen, config(), tuple(mode)), ctx)
                for ctx, mode in enumerate((first, second))
            ]
            mixed += works[0].derived["half_regions"] != works[1].derived["half_regions"]
            bench.of_contexts[:] = 0
            await bench.run(*works, offer_rate=float(gen.choice([0.1, 1.0])))
            await bench.cycle()
            want = [np.sum([work.emissions(unit) for unit in work.units], axis=0) for work in works]
            assert np.array_equal(bench.of_contexts, want)
    assert mixed or int(os.environ["LAYERS"]) == 1, "no whole and half regions beside each other"


@block_test(us=2000)
async def counters(dut):
    """The states count every cycle, MACs and positions are those of the layer, what counting_i says."""
    gen = rng()
    await start(dut)
    bench = Bench(dut, gen)
    for mode in ((2, 4), (1, 1)):
        work = make_work(gen, config(), *random_layer(gen, config(), mode))
        while sum(work.emissions(unit)[1] for unit in work.units) < 1000:
            work = make_work(gen, config(), *random_layer(gen, config(), mode))
        dut.counting_i.value = COUNTING.pack({"clear": 1})
        await bench.cycle()
        dut.counting_i.value = 0
        await bench.run(work)
        assert not int(dut.counters_o.value)
        dut.counting_i.value = COUNTING.pack({"count": 1})
        await bench.cycle()
        bench.states, bench.macs, bench.grant_rate, bench.drain_rate = [], 0, 0.3, 0.2
        await bench.run(work, offer_rate=0.1)
        dut.counting_i.value = 0
        await bench.cycle()
        found = COUNTERS.unpack(dut.counters_o.value)
        assert found == {name: bench.states.count(i) for i, name in enumerate(STATES)} | {"macs": bench.macs}
        want = np.sum([work.emissions(unit) for unit in work.units], axis=0)
        assert (found["busy"], found["macs"]) == tuple(want)


@block_test(us=500)
async def reset_in_the_middle(dut):
    """A PE that is reset while it computes comes up with clear accumulators."""
    gen = rng()
    await start(dut)
    bench = Bench(dut, gen)
    for _ in range(3):
        work = make_work(gen, config(), *random_layer(gen, config(), (1, 2)))
        await bench.load(work)
        dut.unit_valid_i.value, dut.unit_i.value = 1, UNIT.pack(work.units[0])
        for _ in range(int(gen.integers(30, 150))):
            await bench.cycle()
        await bench.reset()
        await bench.run(make_work(gen, config(), *random_layer(gen, config(), (2, 8))))


@block_test(us=500)
async def the_same_again(dut):
    """A layer takes the same cycles whatever ran before: an odd number of half regions costs it no half of a buffer."""
    gen = rng()
    await start(dut)
    bench = Bench(dut, gen)
    one = make_layer(gen, random_activations(gen, (1, 8, 8), False, 1.0), 4, (1, 1), (1, 1), skip=False)
    half = make_work(gen, config(), one, Cut(LineShape(8, 8), LineShape(8, 8)), 0)
    assert half.derived["half_regions"]
    a = np.zeros((24, 8, 8), np.uint8)
    a[:, 1, 1], a[::8] = 1, 1  # regions take long and short in turn: those held meanwhile count
    layer = make_layer(gen, a, 4, (2, 1), (1, 1))
    whole = make_work(gen, config(), layer, Cut(LineShape(8, 8), LineShape(7, 8)), 1)
    cycles = set()
    for before in (0, 1, 2, 1):
        for _ in range(before):
            await bench.run(half)
        bench.states = []
        await bench.run(whole)
        cycles.add(len(bench.states))
    assert len(cycles) == 1, cycles


@block_test(us=1000)
async def throughput(dut):
    """1x64 tiles, 3x3, half the activations: the scanner works at least 98 % of the cycles of a unit."""
    gen = rng()
    await start(dut)
    bench = Bench(dut, gen)
    a = random_activations(gen, (24, 4, 64), False, 0.5)
    while not a.any((1, 2)).all():
        a = random_activations(gen, (24, 4, 64), False, 0.5)
    layer = make_layer(gen, a, config().NumLanes * 2, (3, 3), (2, 4), padding=(1, 1, 1, 1))
    work = make_work(gen, config(), layer, Cut(LineShape(1, 64), LineShape(1, 64)))
    for unit in work.units:
        bench.states = []
        await bench.run(replace(work, units=[unit]))
        busy = [i for i, state in enumerate(bench.states) if state == 0]
        share = len(busy) / (busy[-1] - busy[0] + 1)
        dut._log.info("busy %.2f %% of %d cycles", 100 * share, busy[-1] - busy[0] + 1)
        assert len(busy) == work.emissions(unit)[0]
        assert share >= 0.98, f"busy {share:.2%}"


@pytest.mark.parametrize("lanes, region, regions", [(4, 256, 2), (8, 512, 4), (16, 512, 4)])
def test_pe(run_block, lanes, region, regions):
    run_block("spcore_pe", {"NumLanes": lanes, "RegionPos": region, "NumRegions": regions}, env={"LAYERS": "6"})


def test_pe_icarus(run_block):
    run_block("spcore_pe", {"NumLanes": 4, "RegionPos": 256, "NumRegions": 2}, sim="icarus", env={"LAYERS": "1"})
