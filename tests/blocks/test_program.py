# SPDX-License-Identifier: Apache-2.0
"""The program unit with its sequencers: descriptors in order, waits, iterations, ends of runs, stopped runs."""

import os
from dataclasses import dataclass, field
from itertools import product

import pytest
from cocotb.triggers import FallingEdge

from models.program import NO_WAITS, Wait
from verif.shared.structs import struct
from verif.sim.kit import block_test, start
from verif.sim.seed import rng

COMMAND, STATUS = struct("program_cmd_t"), struct("program_status_t")
WORDS = (2, 3, 16, 2)  # of a descriptor
OPEN = (1, 1, 2, 1)  # descriptors of an engine under way, at most
LAYERS = 2  # the engine that is given its descriptors ahead of their turn
PREPARE, ISSUE = STATUS.fields["prepare"].offset, STATUS.fields["issue"].offset
WRITES = 0xF << STATUS.fields["we"].offset
# Cycles in which an idle engine issues a descriptor whose waits are met: engines whose loads take no time fetch in
# three of four cycles. And after which a wait that is not met counts as what holds it back.
PATIENCE, BLOCKED = 120, 30


@dataclass
class Listing:
    """Of each engine its descriptors, each as its words; iterations. base: where each engine's words begin."""

    engines: list[list[list[int]]]
    iterations: int = 1
    base: list[int] = field(default_factory=lambda: [0, 0, 0, 0])

    def waits(self, engine: int, number: int) -> list[Wait]:
        word = self.engines[engine][number][0]
        return [Wait(word >> 16 * e & 2**15 - 1, bool(word >> 16 * e + 15 & 1)) for e in range(4)]


class Bench:
    """Writes programs, plays the engines, and holds every issue against what a program says."""

    def __init__(self, dut):
        self.dut, self.gen, self.depth = dut, rng(), int(os.environ["PrgDepth"])
        self.words: list[list[int]] = [[], [], [], []]  # of each engine's descriptor as they came
        self.kinds: set[tuple] = set()  # (engine, for which, of the previous iteration, blocking) of waits seen
        self.two_open = 0  # descriptors issued beside another one
        self.held = 0  # cycles in which a descriptor was prepared and its waits were not met
        self.ahead = 0  # cycles in which an engine waited because it would have run too far ahead

    # -- programs -------------------------------------------------------------------------------------------------

    def listing(self, counts, iterations: int = 1, waits=None) -> Listing:
        """Random descriptors, every bit of them; waits: by engine and number, four Waits each, none otherwise."""
        engines = []
        for engine, count in enumerate(counts):
            rows = []
            for number in range(count):
                words = [int.from_bytes(self.gen.bytes(8), "little") for _ in range(WORDS[engine])]
                four = (waits or {}).get((engine, number), NO_WAITS)
                words[0] = sum(wait.word << 16 * e for e, wait in enumerate(four))
                rows.append(words)
            engines.append(rows)
        free = self.depth - sum(len(rows) * WORDS[e] for e, rows in enumerate(engines))
        base, place = [], 0
        for engine, rows in enumerate(engines):
            gap = int(self.gen.integers(free + 1)) if engine < 3 else free  # the last one ends with the memory
            free -= gap
            base.append(place + gap)
            place += gap + len(rows) * WORDS[engine]
        return Listing(engines, iterations, base)

    def random_listing(self, iterations: int) -> Listing:
        """Random waits that a certain order of all descriptors of an iteration meets."""
        gen = self.gen
        counts = [int(n) for n in gen.choice([0, 1, 2, 3, 5, 8], 4, p=[0.1, 0.1, 0.2, 0.2, 0.2, 0.2])]
        order = gen.permutation([engine for engine, count in enumerate(counts) for _ in range(count)]).tolist()
        seen, waits, often = [0, 0, 0, 0], {}, gen.choice([0.1, 0.4, 0.8])
        for engine in order:
            four = []
            for other in range(4):
                previous = bool(gen.integers(2))
                most = counts[other] if previous else seen[other]
                four.append(Wait(int(gen.integers(most + 1)) if gen.random() < often else 0, previous))
            waits[engine, seen[engine]] = four
            seen[engine] += 1
        return self.listing(counts, iterations, waits)

    async def write(self, listing: Listing):
        dut = self.dut
        for base, rows in zip(listing.base, listing.engines, strict=True):
            for number, word in enumerate(word for words in rows for word in words):
                await FallingEdge(dut.clk_i)
                dut.we_i.value, dut.waddr_i.value, dut.wdata_i.value = 1, base + number, word
                if self.gen.random() < 0.1:
                    await FallingEdge(dut.clk_i)
                    dut.we_i.value = 0
                    dut.waddr_i.value = int(self.gen.integers(self.depth))
        await FallingEdge(dut.clk_i)
        dut.we_i.value = 0

    # -- runs -----------------------------------------------------------------------------------------------------

    def command(self, **fields):
        self.dut.cmd_i.value = COMMAND.pack(fields)

    def flat(self) -> int:
        """status_o; what is unknown before the first word is read is 1: a pulse that is would show."""
        return int(self.dut.status_o.value.resolve("ones"))

    def status(self) -> dict:
        return STATUS.unpack(self.flat())

    def quiet(self) -> bool:
        """Nothing is issued in this cycle."""
        return not self.flat() >> ISSUE & 0xF

    async def run(self, listing: Listing, delays=(1, 1, 1, 1), stop_at: int | None = None, exact: bool = False):
        """Play the engines, each about or exactly `delays` cycles at a descriptor, until the end or `stop_at`."""
        base = sum(address << 16 * e for e, address in enumerate(listing.base))
        count = sum(len(rows) << 15 * e for e, rows in enumerate(listing.engines))
        await FallingEdge(self.dut.clk_i)
        self.command(start=1, base=base, count=count, iterations=listing.iterations)
        await FallingEdge(self.dut.clk_i)
        assert not self.status()["done"], "a run is on from its start"
        later = {"base": self.gen.integers(2**63), "count": self.gen.integers(2**60), "iterations": 1}
        state, cycle = _Engines(listing), 0
        while not state.done:
            assert cycle < 100000
            self.command(issue=1, retire=0 if cycle == 0 else self._retired(state), **later)
            await FallingEdge(self.dut.clk_i)
            flat = self.flat()
            cycle += 1
            if flat & WRITES:
                self._take(STATUS.unpack(flat))
            if flat >> PREPARE & 1:
                self._prepare(state)
            for engine in range(4):
                if flat >> ISSUE & 1 << engine:
                    self._check(state, engine, STATUS.unpack(flat))
                    state.issue(
                        engine, 1 + delays[engine] if exact else 2 + int(self.gen.exponential(delays[engine] - 1))
                    )
            self._look(state)
            if cycle == stop_at:
                await self._stop(state)
                return
            assert state.done or not flat >> STATUS.fields["done"].offset & 1
        for _ in range(3):
            self.command(issue=1, retire=self._retired(state) if not state.done else 0, **later)
            await FallingEdge(self.dut.clk_i)
        assert self.status()["done"]
        for _ in range(30):  # nothing more comes
            await FallingEdge(self.dut.clk_i)
            assert self.quiet() and self.status()["done"]
        self.command()

    async def _stop(self, state):
        """Nothing more is issued, also when what was under way retires and waits for it are met."""
        for _ in range(int(self.gen.choice([1, 2, 3, 150]))):
            self.command(retire=self._retired(state))
            await FallingEdge(self.dut.clk_i)
            assert self.quiet() and not self.status()["prepare"]
        self.command()

    def _take(self, status: dict):
        """A word of a descriptor comes; it is on time for an issue from the cycle after the next one on."""
        engine = status["we"].bit_length() - 1
        assert status["we"] == 1 << engine
        if status["index"] == 1:
            self.words[engine] = []
        self.words[engine].append(status["word"])
        assert status["index"] == len(self.words[engine])

    def _retired(self, state) -> int:
        """The retirements of this cycle."""
        bits = 0
        for engine in range(4):
            state.busy[engine] = [left - 1 for left in state.busy[engine]]
            if state.busy[engine] and state.busy[engine][0] <= 0:
                bits |= 1 << engine
                state.retire(engine)
        return bits

    def _prepare(self, state):
        """The next layer may be prepared: there is room, and its words are there."""
        number, iteration = state.next[LAYERS]
        what = f"descriptor {number} of iteration {iteration}"
        assert not state.prepared and not state.issued(LAYERS) and len(state.busy[LAYERS]) < OPEN[LAYERS], what
        assert self.words[LAYERS] == state.listing.engines[LAYERS][number][1:], what
        state.prepared = True

    def _check(self, state, engine: int, status: dict):
        """An engine issues: it may, and the words that came, number and iteration are what the program says."""
        number, iteration = state.next[engine]
        what = f"engine {engine}, descriptor {number} of iteration {iteration}"
        assert len(state.busy[engine]) < OPEN[engine] and not state.issued(engine), what
        assert all(state.met(engine)), f"{what}: waits for {state.met(engine)}"
        assert state.in_step(engine), f"{what}: runs ahead"
        # What it retires next.
        assert status["number"] >> 15 * engine & 2**15 - 1 == state.number[engine], what
        assert status["iteration"] >> 16 * engine & 2**16 - 1 == state.iteration[engine], what
        self.two_open += len(state.busy[engine])
        if engine == LAYERS:
            assert state.prepared, f"{what}: was not prepared"
            state.prepared = False
        else:
            assert self.words[engine] == state.listing.engines[engine][number][1:], what

    def _look(self, state):
        """Note which waits block and which are met; an engine that nothing holds back has to issue soon, and
        a layer has to be prepared soon if there is room."""
        room = len(state.busy[LAYERS]) < OPEN[LAYERS] and not state.issued(LAYERS) and not state.prepared
        state.room = state.room + 1 if room else 0
        assert state.room < PATIENCE, f"descriptor {state.next[LAYERS]} of the layers is not prepared"
        self.held += state.prepared and not all(state.met(LAYERS))
        for engine in range(4):
            if len(state.busy[engine]) == OPEN[engine] or state.issued(engine):
                state.idle[engine] = state.free[engine] = 0
                continue
            state.idle[engine] += 1
            met = state.met(engine)
            if state.idle[engine] > BLOCKED or state.free[engine]:
                for other, wait in enumerate(state.listing.waits(engine, state.next[engine][0])):
                    if wait.count:
                        self.kinds.add((engine, other, wait.previous, not met[other]))
            if all(met) and not state.in_step(engine):
                self.ahead += 1
            if all(met) and state.in_step(engine):
                state.free[engine] += 1
                for other, wait in enumerate(state.listing.waits(engine, state.next[engine][0])):
                    if wait.count:
                        self.kinds.add((engine, other, wait.previous, False))
            assert state.free[engine] < PATIENCE, f"engine {engine} does not issue descriptor {state.next[engine]}"


class _Engines:
    """How far the engines are, by what a program's definition says."""

    def __init__(self, listing: Listing):
        self.listing = listing
        self.number, self.iteration = [0] * 4, [0] * 4  # of the descriptor that it retires next
        self.next = [(0, 0)] * 4  # and that is issued next
        self.busy: list[list[int]] = [[], [], [], []]  # of each descriptor under way, cycles until it may retire
        self.idle, self.free = [0] * 4, [0] * 4  # cycles without a descriptor, and with all waits met
        self.prepared, self.room = False, 0  # the next layer; cycles in which it could have been

    def ended(self, engine: int) -> bool:
        return not self.listing.engines[engine] or self.iteration[engine] == self.listing.iterations

    def issued(self, engine: int) -> bool:
        """All there is."""
        return not self.listing.engines[engine] or self.next[engine][1] == self.listing.iterations

    @property
    def done(self) -> bool:
        return all(self.ended(engine) for engine in range(4))

    def issue(self, engine: int, cycles: int):
        number, iteration = self.next[engine]
        last = number == len(self.listing.engines[engine]) - 1
        self.next[engine] = (0, iteration + 1) if last else (number + 1, iteration)
        self.busy[engine].append(cycles)
        self.idle[engine] = self.free[engine] = 0

    def retire(self, engine: int):
        self.busy[engine].pop(0)
        self.number[engine] += 1
        if self.number[engine] == len(self.listing.engines[engine]):
            self.number[engine] = 0
            self.iteration[engine] += 1

    def met(self, engine: int) -> list[bool]:
        """By engine whether the next descriptor's wait for it is met."""
        found = []
        number, iteration = self.next[engine]
        for other, wait in enumerate(self.listing.waits(engine, number)):
            place = (iteration - wait.previous, wait.count)
            past = not self.listing.engines[other] or self.iteration[other] > place[0]
            found.append(not wait.count or place[0] < 0 or past or (self.iteration[other], self.number[other]) >= place)
        return found

    def in_step(self, engine: int) -> bool:
        """Nobody with descriptors is more than an iteration behind."""
        with_work = (other for other in range(4) if self.listing.engines[other])
        return all(self.next[engine][1] - self.iteration[other] <= 1 for other in with_work)


@block_test(us=400)
async def every_bit(dut):
    """Descriptors of random bits, alone and several, at random places: every bit of their words comes."""
    await start(dut)
    bench = Bench(dut)
    assert bench.status()["done"]
    for counts in ((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1), (9, 6, 3, 8), (2, 2, 2, 2)):
        for iterations in (1, 3):
            listing = bench.listing(counts, iterations)
            await bench.write(listing)
            await bench.run(listing)


@block_test(us=5)
async def nothing_to_do(dut):
    """A run of no descriptors is done at once, however many iterations it has."""
    await start(dut)
    bench = Bench(dut)
    for iterations in (1, 5, 2**16 - 1):
        await bench.run(bench.listing((0, 0, 0, 0), iterations))


@block_test(us=100)
async def ready_in_advance(dut):
    """The next descriptor is there when one retires: two cycles to the next issue, of layers that wait for it too."""
    await start(dut)
    bench = Bench(dut)
    own = {(2, number): [Wait(), Wait(), Wait(number or 6, not number), Wait()] for number in range(6)}
    listing = bench.listing((6, 6, 6, 6), waits=own)
    await bench.write(listing)
    for engine in range(4):
        alone = Listing([rows if e == engine else [] for e, rows in enumerate(listing.engines)], 2, listing.base)
        issues, retirements = [], []
        base = sum(address << 16 * e for e, address in enumerate(alone.base))
        await FallingEdge(dut.clk_i)
        bench.command(start=1, base=base, count=len(alone.engines[engine]) << 15 * engine, iterations=2)
        for cycle in range(500):
            await FallingEdge(dut.clk_i)
            bench.command(issue=1, retire=(bool(issues) and cycle == issues[-1] + 25) << engine)
            retirements += [cycle] * (bool(issues) and cycle == issues[-1] + 25)
            if not bench.quiet():
                issues.append(cycle)
        assert len(issues) == 12 and bench.status()["done"]
        assert {after - before for before, after in zip(retirements, issues[1:], strict=False)} == {2}
        bench.command()


@block_test(us=2000)
async def waits_one_by_one(dut):
    """A wait of each engine for each other, of this and of the previous iteration: it blocks until it is met."""
    await start(dut)
    bench = Bench(dut)
    for engine, other, previous in product(range(4), range(4), (False, True)):
        if engine == other:
            continue
        four = [Wait(3, previous) if e == other else Wait() for e in range(4)]
        counts = [4 if e == other else 2 if e == engine else 0 for e in range(4)]
        listing = bench.listing(counts, 2, {(engine, 1): four})
        await bench.write(listing)
        await bench.run(listing, [70 if e == other else 1 for e in range(4)], exact=True)
        assert (engine, other, previous, True) in bench.kinds
    # More than an engine has, or anything of an engine that has nothing: met when it is through.
    four = (Wait(), Wait(9), Wait(), Wait(1))
    listing = bench.listing((2, 4, 0, 0), 2, {(0, 1): four})
    await bench.write(listing)
    await bench.run(listing, (1, 40, 1, 1))


@block_test(us=4000)
async def random_programs(dut):
    """Random waits, engines that are fast and slow: no order is wrong, nobody waits longer than it has to."""
    await start(dut)
    bench = Bench(dut)
    for _ in range(int(os.environ["Runs"])):
        listing = bench.random_listing(int(bench.gen.choice([1, 2, 3, 5, 20])))
        await bench.write(listing)
        await bench.run(listing, bench.gen.choice([1, 3, 30, 80], 4).tolist())
    if int(os.environ["Runs"]) >= 40:
        wanted = set(product(range(4), range(4), (False, True), (False, True)))
        missing = {kind for kind in wanted - bench.kinds if kind[0] != kind[1]}
        assert not missing, f"waits (engine, for which, previous, blocking) not seen: {sorted(missing)}"
        assert bench.ahead and bench.two_open and bench.held


@block_test(us=1000)
async def stopped(dut):
    """A run that is stopped at any time issues nothing more, and the next one is right, also of another program."""
    await start(dut)
    bench = Bench(dut)
    for _ in range(40):
        listing = bench.random_listing(3)
        await bench.write(listing)
        await bench.run(listing, [20, 1, 40, 60], stop_at=int(bench.gen.integers(1, 200)))
        await FallingEdge(dut.clk_i)
        for _ in range(int(bench.gen.integers(0, 3))):
            await FallingEdge(dut.clk_i)
            assert bench.quiet()
        again = bench.random_listing(2) if bench.gen.integers(2) else listing
        await bench.write(again)
        await bench.run(again, [1, 9, 3, 1])


@block_test(us=20)
async def reset(dut):
    """A reset in a run ends it; a run after it is right."""
    await start(dut)
    bench = Bench(dut)
    listing = bench.listing((3, 3, 3, 3), 2)
    await bench.write(listing)
    for stop_at in (1, 5, 30):
        await bench.run(listing, stop_at=stop_at)
        dut.rst_ni.value = 0
        await FallingEdge(dut.clk_i)
        dut.rst_ni.value = 1
        bench.command(issue=1)
        for _ in range(30):
            await FallingEdge(dut.clk_i)
            assert bench.quiet() and bench.status()["done"]
        await bench.run(listing)


@pytest.mark.parametrize("depth, runs, sim", [(1024, 40, "verilator"), (300, 10, "verilator"), (256, 4, "icarus")])
def test_program(run_block, depth, runs, sim):
    run_block("spcore_program", {"PrgDepth": depth}, sim=sim, env={"Runs": str(runs)})


def test_parameter_check(run_block):
    with pytest.raises(RuntimeError, match="PrgDepth = 32, expected 64 to 32768"):
        run_block("spcore_program", {"PrgDepth": 32})
