# SPDX-License-Identifier: Apache-2.0
"""Event-level model of the core's cycles (docs/architecture.md section 7).

One event a channel fetched, a weight vector asked for, a drain: what a PE does between them follows from recurrences,
while memories, scheduler, staging slots and streaming processors are shared in order of time. Index and Activation
Memory reads are reserved a channel at a time, and every bank serves in order of arrival (the core lets starving PEs
go first): these are the model's approximations. tests/core/test_cycle_model_error.py measures it against the RTL.
"""

import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from typing import Any

from models.descriptor import Unit
from models.tiling import Plan, chunk_channels
from models.work import Work

# Pipeline latencies in cycles.
ACCESS = 2  # request to the access of a bank
BIND = 6 + ACCESS  # PE seen to be ready to the first index read of the unit that it gets
ENTRY = 6 + ACCESS  # index entry read to its line's first word
WORD = 4  # last word read to the line's last piece in the region loader
SLOT = 5 + ACCESS  # last word of a line read to the first of the line that takes its slot
REGION = 4  # last piece to the pass generator
SEGMENT = 6  # pass generated to its first emission
ADDRESS = 5 + ACCESS  # pass generated to the access for its vector
VECTOR = 2  # weight vector read to its pass's first emission
RELEASE = 2  # last emission of a region to the first piece in its buffer, beyond the begin of a line
FLUSH = 2  # last emission to the drain request
CHOICE = 5  # drain request to its grant, by a streaming processor that waits for one
LOOKUP = 2  # more of it when the layer is split
GRANT = 5  # drain granted to its first row, also behind the last row of the one before
AHEAD = 1  # emissions resume so long before the last row is handed over
LINE = 16  # last values of a slot read to its last line written
FIRST_RESIDUAL = 13  # last row of a slot to its first residual line
RESIDUAL = 1.5  # between residual lines of a streaming processor: one takes 12, and 8 are under way

# What the model is held to: layers of more than LONG cycles are predicted within LONG_ERROR.
LONG, LONG_ERROR = 20_000, 0.03

GROUPS = 16  # of PEs at a memory, at most

# Depths of the PE's queues: constants of the RTL, which a test compares.
LINES = 5
ENTRIES = 12
SEGMENTS = 4 + 2  # the scanner's, and those on their way to it


@dataclass(frozen=True)
class Cycles:
    """Prediction: cycles of the layer, products of two non-zero operands, their share of all lane-cycles, PE-cycles by
    state (they add up to N times the cycles), bank accesses and further PEs served by them."""

    cycles: int
    macs: int
    utilization: float
    busy: int
    no_weight: int
    no_activation: int
    drain: int
    no_unit: int
    wgt_reads: int
    wgt_hits: int
    act_reads: int
    act_hits: int
    idx_reads: int
    idx_hits: int


# A channel fetched: when, of which unit, the channel or None where no live one is left, whether the unit ends.
_Fetched = tuple[int, Unit, int | None, bool]
# A pass: a time, address of its vector, emissions, whether it ends its region, the unit that it ends.
_Pass = tuple[int, int | None, int, bool, Unit | None]


class _Memory:
    """Banks that serve one address a cycle to everyone who asks for it, and groups of PEs that take one a cycle."""

    def __init__(self, banks: int, pes: int):
        self.banks = banks
        self.group_size = -(-pes // GROUPS)
        self.taken: set[int] = set()  # cycle * banks + bank
        self.busy: set[int] = set()  # cycle * GROUPS + group
        self.granted: dict[int, int] = {}  # address: cycle of its latest access
        self.reads = self.hits = 0

    def read(self, time: int, address: int, pe: int) -> int:
        """The cycle in which a request that could be served at ``time`` is served."""
        bank, group = address % self.banks, pe // self.group_size
        grant = time
        while grant * self.banks + bank in self.taken or grant * GROUPS + group in self.busy:
            grant += 1
        known = self.granted.get(address, -1)
        if time <= known <= grant:
            self.hits += 1
            return known
        self.taken.add(grant * self.banks + bank)
        self.busy.add(grant * GROUPS + group)
        self.granted[address] = grant
        self.reads += 1
        return grant


class _Pe:
    """State of one PE; times are cycles."""

    def __init__(self, number: int, regions: int, ahead: int, vectors: int):
        self.number = number
        self.unit: Unit | None = None  # the unit whose channels are fetched
        self.channel = 0  # the next one
        self.fetch_time = self.index_time = 0
        self.lines_end = deque([-SLOT] * LINES)  # last words of the lines that may still be held
        self.bind_after = 0  # lines the loader must take before the last are fetched and a unit can be bound
        self.tokens = deque([0] * ahead)  # when a further live channel may be fetched
        self.stalled = False
        self.fetched: deque[_Fetched] = deque()
        self.free = deque([0] * regions)  # when region buffers became free
        self.load_time = 0
        self.regions: deque[_Fetched] = deque()  # loaded
        self.passes: deque[_Pass] = deque()  # of the generator's region, by offset
        self.region_time = 0  # of the generator's region
        self.generate_time = 0
        self.request: _Pass | None = None  # the pass whose weight vector is asked for
        self.request_time = 0
        self.starts = deque([0] * vectors)
        # Passes, when ready and with their vector's time, that wait for the unit before them to drain.
        self.prefetched: deque[tuple[int, int, int, bool, Unit | None]] = deque()
        self.draining: Unit | None = None
        self.scan_end = 0

    @property
    def drained(self) -> Unit:
        """The unit that waits to be drained, of a PE that asks for it."""
        assert self.draining is not None
        return self.draining


class _Output:
    """Drain arbiter, staging slots, streaming processors and line writer."""

    def __init__(self, plan: Plan, work: Work):
        d, config = plan.descriptor, plan.config
        self.rows = work.rows.tolist()  # of a tile
        chunk_k = chunk_channels(config, d.k, d.m)
        self.channels = [min(chunk_k, d.out_k - chunk * chunk_k) for chunk in range(d.chunks)]
        self.beats: list[float] = [-(-n // config.SpLanes) for n in work.positions.tolist()]  # of a tile's line
        self.splits = d.splits
        self.pes = config.NumPe
        self.last_pe = 0  # round robin
        self.group_pes = -(-config.NumPe // 8)  # PEs of a group of the drain network
        self.slots = [config.NumStage] * config.NumSp  # free ones
        self.sp_of_job: dict[int, int] = {}
        self.units_left: dict[int, int] = {}
        self.port_free = [0] * config.NumSp  # when it can take a drain
        self.port_group = [-1] * config.NumSp  # where the present one comes from
        self.residual = d.residual
        if d.residual:
            self.beats = [max(n, RESIDUAL) for n in self.beats]
        self.writer_free = 0
        self.sp_free = [0] * config.NumSp
        self.done: set[int] = set()
        self.oldest = 0

    def choose(self, waiting: list[_Pe], time: int) -> tuple[_Pe, int] | None:
        """Who drains next, and to which streaming processor: units of a job with a slot first; the last slot is for the
        oldest job. A group of PEs has one drain at a time."""
        idle = [sp for sp, free in enumerate(self.port_free) if free <= time]
        taken = {self.port_group[sp] for sp in range(len(self.slots)) if sp not in idle}
        waiting = [pe for pe in waiting if pe.number // self.group_pes not in taken]
        if not idle or not waiting:
            return None
        found = [pe for pe in waiting if self.sp_of_job.get(pe.drained.job) in idle]
        opened = max(idle, key=lambda sp: self.slots[sp])
        if not found and self.slots[opened]:
            anyone = sum(self.slots) > 1 or self.splits == 1 or self.oldest in self.sp_of_job
            found = [
                pe
                for pe in waiting
                if pe.drained.job not in self.sp_of_job and (anyone or pe.drained.job == self.oldest)
            ]
        pe = min(found, key=lambda pe: (pe.number - self.last_pe - 1) % self.pes, default=None)
        return (pe, self.sp_of_job.get(pe.drained.job, opened)) if pe else None

    def drain(self, pe: _Pe, sp: int, time: int) -> tuple[int, int | None]:
        """End of a unit's drain, and when its slot is read if this was the job's last unit."""
        unit = pe.drained
        self.last_pe = pe.number
        if unit.job not in self.sp_of_job:
            self.slots[sp] -= 1
            self.sp_of_job[unit.job], self.units_left[unit.job] = sp, self.splits
        self.port_free[sp] = end = time + GRANT + self.rows[unit.tile]
        self.port_group[sp] = pe.number // self.group_pes
        self.units_left[unit.job] -= 1
        if self.units_left[unit.job]:
            return end, None
        lines = self.channels[unit.chunk]
        start = max(self.sp_free[sp], end + self.residual * FIRST_RESIDUAL)
        # A residual line takes a cycle in which no line can be written.
        self.writer_free = max(self.writer_free, start) + (1 + self.residual) * lines
        self.sp_free[sp] = max(start + ceil(lines * self.beats[unit.tile]), self.writer_free)
        return end, self.sp_free[sp]

    def free(self, job: int) -> None:
        self.slots[self.sp_of_job.pop(job)] += 1

    def finish(self, job: int) -> None:
        self.done.add(job)
        while self.oldest in self.done:
            self.oldest += 1


class _Simulation:
    def __init__(self, plan: Plan, work: Work):
        self.plan, self.work = plan, work
        d, config = plan.descriptor, plan.config
        self.lines = max(1, *(len(fetch.lines) for fetch in work.fetches))
        self.pes = [
            _Pe(i, config.NumRegions, -(-LINES // self.lines), config.WgtQueueDepth + 1) for i in range(config.NumPe)
        ]
        self.weights = _Memory(config.WgtBanks, config.NumPe)
        self.activations = _Memory(config.ActBanks, config.NumPe)
        self.index = _Memory(config.IdxBanks, config.NumPe)
        self.output = _Output(plan, work)
        self.waiting: list[_Pe] = []  # PEs that ask to be drained
        self.events: list[tuple[int, int, Callable[[int, Any], None], Any]] = []
        self.sequence = 0
        self.units, self.schedule_time = d.units(), 0
        self.live = (work.load > 0).tolist()
        self.load = work.load.tolist()
        self.emissions = work.emissions.tolist()
        self.reads = [(fetch.lines, fetch.first_word.tolist(), fetch.words.tolist()) for fetch in work.fetches]
        self.end = self.no_weight = self.no_activation = self.drained = 0

    def _at(self, time: int, handler: Callable[[int, Any], None], argument: object) -> None:
        self.sequence += 1
        heapq.heappush(self.events, (time, self.sequence, handler, argument))

    # Scheduler, line fetch, region loader

    def _bind(self, time: int, pe: _Pe) -> None:
        unit = next(self.units, None)
        if unit is None:
            return
        time = max(time, self.schedule_time)
        self.schedule_time = time + 1
        if not unit.channels:
            pe.fetched.append((time + BIND, unit, None, True))
            self._at(time + BIND, self._bind, pe)
            self._load(pe)
            return
        pe.unit, pe.channel = unit, unit.channels.start
        pe.fetch_time = pe.index_time = time + BIND
        self._next_fetch(pe)

    def _next_fetch(self, pe: _Pe) -> None:
        assert pe.unit is not None
        time = pe.fetch_time
        pe.stalled = False
        if self.live[pe.unit.tile][pe.channel]:
            if not pe.tokens:
                pe.stalled = True
                return
            time = max(time, pe.tokens.popleft())
        elif self.lines > LINES:
            # The live channel before must have left the line slots to where this one's entries are read.
            if not pe.tokens:
                pe.stalled = True
                return
            time = max(time, pe.tokens[0])
        self._at(time, self._fetch, pe)

    def _fetch(self, time: int, pe: _Pe) -> None:
        """Read a channel's index entries and words."""
        assert pe.unit is not None
        unit, channel = pe.unit, pe.channel
        numbers, firsts, counts = self.reads[unit.tile]
        d = self.plan.descriptor
        entry = d.in_idx_base + channel * d.in_pitch
        index_time, word_time = max(pe.index_time, time - ENTRIES), time
        for number, first, count in zip(numbers, firsts[channel], counts[channel], strict=True):
            index_time = self.index.read(index_time, entry + number, pe.number) + 1
            word_time = max(word_time, index_time - 1 + ENTRY)
            if count:
                word_time = max(word_time, pe.lines_end.popleft() + SLOT)
                for word in range(first, first + count):
                    word_time = self.activations.read(word_time, word, pe.number) + 1
                pe.lines_end.append(word_time - 1)
        pe.index_time, pe.fetch_time = index_time, word_time
        last = channel == unit.channels[-1]
        waits = 0  # lines of the channel that do not fit into the line slots
        if self.live[unit.tile][channel]:
            waits = max(0, len(counts[channel]) - counts[channel].count(0) - LINES)
            pe.fetched.append((word_time - 1 + WORD, unit, channel, last))
        elif last:
            pe.fetched.append((word_time, unit, None, last))
        if last:
            pe.unit = None
            pe.bind_after = waits
            if not waits:
                self._at(word_time, self._bind, pe)
        else:
            pe.channel += 1
            self._next_fetch(pe)
        self._load(pe)

    def _load(self, pe: _Pe) -> None:
        """Spread fetched channels into free regions."""
        while pe.fetched and (pe.free or pe.fetched[0][2] is None):
            ready, unit, channel, last = pe.fetched.popleft()
            if channel is None:
                pe.load_time = max(pe.load_time, ready)
            else:
                groups = self.load[unit.tile][channel]
                start = max(pe.load_time, pe.free.popleft())
                pe.load_time = max(start + groups, ready + groups // self.lines)
                done = start + groups * (self.lines - LINES + 1) // self.lines if self.lines >= LINES else pe.load_time
                pe.tokens.append(done)
                if last and pe.bind_after:
                    self._at(max(ready, start + groups * pe.bind_after // self.lines), self._bind, pe)
                    pe.bind_after = 0
                if pe.stalled:
                    self._next_fetch(pe)
            pe.regions.append((pe.load_time + REGION, unit, channel, last))
            self._next_pass(pe)

    # Pass generator, weight queue, scanner

    def _generate(self, pe: _Pe) -> None:
        """The passes of the next region."""
        ready, unit, channel, last = pe.regions.popleft()
        pe.region_time = max(pe.generate_time, ready)
        end = unit if last else None
        if channel is None:
            pe.passes.append((0, None, 0, False, end))
            pe.generate_time = pe.region_time + 2
            return
        d = self.plan.descriptor
        base = d.vector(unit.chunk, channel)
        segments = self.work.segments
        row = self.emissions[unit.tile][channel]
        passes: list[_Pass] = [(i * segments, base + i, n, False, None) for i, n in enumerate(row) if n]
        if d.tap_shared:  # one vector for all of them
            passes = [(i, None if number else base, n, False, None) for number, (i, _, n, _, _) in enumerate(passes)]
        if passes:
            offset, address, n, _, _ = passes[-1]
            passes[-1] = (offset, address, n, True, end)
        else:
            passes = [(d.taps * segments - 1, None, 0, True, end)]
        pe.passes.extend(passes)
        pe.generate_time = pe.region_time + d.taps * segments + 1

    def _next_pass(self, pe: _Pe) -> None:
        """Ask for the weight vector of the next pass, if there is one and room for it."""
        if pe.request is not None or len(pe.prefetched) >= len(pe.starts):
            return
        if not pe.passes:
            if not pe.regions:
                return
            self._generate(pe)
        offset, address, n, release, end = pe.passes.popleft()
        room = min(len(pe.starts), max(1, SEGMENTS // self.work.segments))
        generated = max(pe.region_time + offset, pe.starts[-room])
        stall = generated - pe.region_time - offset
        pe.region_time += stall
        pe.generate_time += stall
        pe.request = (generated + SEGMENT, address, n, release, end)
        self._at(max(generated + ADDRESS, pe.request_time + 1), self._vector, pe)

    def _vector(self, time: int, pe: _Pe) -> None:
        assert pe.request is not None
        ready, address, n, release, end = pe.request
        pe.request = None
        vector = 0
        if address is not None:
            pe.request_time = self.weights.read(time, address, pe.number)
            vector = pe.request_time + VECTOR
        if pe.draining:
            pe.prefetched.append((ready, vector, n, release, end))
        else:
            self._scan(pe, ready, vector, n, release, end)
        self._next_pass(pe)

    def _scan(self, pe: _Pe, ready: int, vector: int, n: int, release: bool, end: Unit | None) -> None:
        start = max(pe.scan_end, ready, vector)
        no_weight = min(start - pe.scan_end, max(0, vector - max(ready, pe.scan_end)))
        self.no_weight += no_weight
        self.no_activation += start - pe.scan_end - no_weight
        pe.starts.append(start)
        pe.starts.popleft()
        pe.scan_end = start + n
        if release:
            pe.free.append(pe.scan_end + RELEASE)
            self._load(pe)
        if end is not None:
            pe.draining = end
            self._at(pe.scan_end + FLUSH + CHOICE + (LOOKUP if self.output.splits > 1 else 0), self._request_drain, pe)

    # Output stage

    def _request_drain(self, time: int, pe: _Pe) -> None:
        self.waiting.append(pe)
        self._grant(time, None)

    def _free(self, time: int, job: int) -> None:
        self.output.free(job)
        self._grant(time, None)

    def _finish(self, time: int, job: int) -> None:
        self.output.finish(job)
        self.end = max(self.end, time)
        self._grant(time, None)

    def _grant(self, time: int, _: None) -> None:
        choice = self.output.choose(self.waiting, time)
        if choice is None:
            return
        pe, sp = choice
        self.waiting.remove(pe)
        unit = pe.drained
        end, read = self.output.drain(pe, sp, time)
        self._at(end, self._grant, None)
        if read is not None:
            self._at(read, self._free, unit.job)
            self._at(read + LINE, self._finish, unit.job)
        self.drained += end - AHEAD - pe.scan_end
        pe.scan_end = end - AHEAD
        pe.draining = None
        while pe.prefetched and not pe.draining:
            self._scan(pe, *pe.prefetched.popleft())
        self._next_pass(pe)
        self._grant(time, None)

    def run(self) -> Cycles:
        for pe in self.pes:
            self._at(0, self._bind, pe)
        while self.events:
            time, _, handler, argument = heapq.heappop(self.events)
            handler(time, argument)
        busy = int(self.work.emissions.sum((0, 2)) @ self.plan.descriptor.readers)
        total = self.end * self.plan.config.NumPe
        return Cycles(
            cycles=self.end,
            macs=self.work.macs,
            utilization=self.work.macs / (total * self.plan.config.NumLanes),
            busy=busy,
            no_weight=self.no_weight,
            no_activation=self.no_activation,
            drain=self.drained,
            no_unit=total - busy - self.no_weight - self.no_activation - self.drained,
            wgt_reads=self.weights.reads,
            wgt_hits=self.weights.hits,
            act_reads=self.activations.reads + self.work.residual_words,
            act_hits=self.activations.hits,
            idx_reads=self.index.reads + len(self.plan.descriptor.res_index),
            idx_hits=self.index.hits,
        )


def predict(plan: Plan, work: Work) -> Cycles:
    """Predicted cycles of a planned layer, from its measured work."""
    return _Simulation(plan, work).run()
