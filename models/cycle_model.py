# SPDX-License-Identifier: Apache-2.0
"""Event-level model of the core's cycles (docs/architecture.md section 7).

One event a line fetched, a weight vector there, a drain: what a PE does between them follows from recurrences, while
scheduler, staging slots and streaming processors are shared in order of time. The memories are played cycle by cycle
(`models/memory_model.py`). Approximations: all lines of a layer are written with the same length, and residual lines
take time of the line writer, but no banks. tests/core/test_cycle_model_error.py measures the model against the RTL.
"""

import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from typing import Any

from models.descriptor import Unit
from models.memory_model import Memory, Requests
from models.tiling import Plan, chunk_channels
from models.work import LINE_BEGIN, Work

# Pipeline latencies in cycles.
ACCESS = 2  # request to the access of a bank
BIND = 6 + ACCESS  # PE seen to be ready to the first index read of the unit that it gets
ENTRY = 6 + ACCESS  # index entry read to its line's first word
WORD = 4  # last word read to the line's last piece in the region loader
SLOT = 5 + ACCESS  # last word of a line read to the first of the line that takes its slot
REGION = 6  # last piece to the pass generator
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

# Depths of the PE's queues: constants of the RTL, which a test compares.
LINES = 5
WORDS = 4
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


# A pass: a time, address of its vector, emissions, whether it ends its region, the unit that it ends.
_Pass = tuple[int, int | None, int, bool, Unit | None]


@dataclass
class _Line:
    """A line on its way: first word and words, cycles in the region loader, of which channel of which unit, whether it
    is the channel's or the unit's last; when its last word was read."""

    first: int
    words: int
    load: int
    channel: int
    unit: Unit
    last: bool
    ends: bool
    complete: int | None = None


class _Pe:
    """State of one PE; times are cycles."""

    def __init__(self, number: int, regions: int, vectors: int):
        self.number = number
        # Line fetch: index entries, the words of one line after another, lines.
        self.index = Requests(self, ENTRIES + 2)  # two more beyond their memory
        self.words = Requests(self, WORDS)
        self.entries: deque[tuple[int, _Line]] = deque()  # from when on they can be taken
        self.take_time = 0
        self.channel_open = False
        self.fetching = False
        self.next_line: tuple[int, _Line] | None = None  # its words are asked for next
        self.held = 0
        self.lines: deque[_Line] = deque()  # that the loader has not seen
        # Region loader: regions with their unit, channel, whether they end it.
        self.free = deque([0] * regions)  # when region buffers became free
        self.load_time = 0
        self.region_open = False
        self.regions: deque[tuple[int, Unit, int | None, bool]] = deque()  # loaded
        # Pass generator, weight vectors, scanner.
        self.passes: deque[_Pass] = deque()  # of the generator's region, by offset
        self.region_time = 0  # of the generator's region
        self.generate_time = 0
        self.vectors = Requests(self, 2 * vectors)  # the passes have the limit
        self.order: deque[tuple[_Pass, list[int]]] = deque()  # passes, when ready; when their vector is there
        self.starts = deque([0] * vectors)
        self.draining: Unit | None = None
        self.scan_end = 0

    @property
    def drained(self) -> Unit:
        """The unit that waits to be drained, of a PE that asks for it."""
        assert self.draining is not None
        return self.draining

    def starves(self, time: int) -> bool:
        """Whether it has nothing to compute."""
        return self.scan_end <= time and not self.draining and (not self.order or self.order[0][0][0] > time)


class _Output:
    """Drain arbiter, staging slots, streaming processors and line writer."""

    def __init__(self, plan: Plan, work: Work, activations: Memory, index: Memory):
        self.plan, self.activations, self.index = plan, activations, index
        self.written = 0  # lines
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
        self._write(unit, start, self.sp_free[sp])
        return end, self.sp_free[sp]

    def _write(self, unit: Unit, start: int, end: int) -> None:
        """A job's lines, all of the same length, while its slot is read and LINE cycles later."""
        d, lines = self.plan.descriptor, self.channels[unit.chunk]
        entry = d.out_idx_base + unit.chunk * self.channels[0] * d.out_pitch + unit.tile
        for line in range(lines):
            time = start + LINE + (end - start) * (line + 1) // lines
            while time in self.index.written:
                time += 1
            first = self.plan.out_words * self.written // (d.out_k * d.out_lines)
            self.written += 1
            after = self.plan.out_words * self.written // (d.out_k * d.out_lines)
            self.activations.write(time, d.out_act_base + first, after - first)
            self.index.write(time, entry + line * d.out_pitch, 1)

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
        self.pes = [_Pe(i, config.NumRegions, config.WgtQueueDepth + 1) for i in range(config.NumPe)]
        self.weights = Memory(config.WgtBanks, config.NumPe, self._at)
        self.activations = Memory(config.ActBanks, config.NumPe, self._at)
        self.index = Memory(config.IdxBanks, config.NumPe, self._at, skewed=True)
        self.index.served = self._entry
        self.activations.asked, self.activations.served = self._asked, self._word
        self.weights.served = self._vector
        self.output = _Output(plan, work, self.activations, self.index)
        self.waiting: list[_Pe] = []  # PEs that ask to be drained
        self.events: list[tuple[int, int, Callable[[int, Any], None], Any]] = []
        self.sequence = 0
        self.units, self.schedule_time = d.units(), 0
        self.emissions = work.emissions.tolist()
        self.lines: dict[int, list[list[tuple[int, int, int, int]]]] = {}
        self.end = self.no_weight = self.no_activation = self.drained = 0

    def _at(self, time: int, handler: Callable[[int, Any], None], argument: object) -> None:
        self.sequence += 1
        heapq.heappush(self.events, (time, self.sequence, handler, argument))

    # Scheduler, line fetch

    def _lines_of(self, tile: int) -> list[list[tuple[int, int, int, int]]]:
        """By channel the lines of a tile's window: number, first word, words, cycles in the region loader."""
        if tile not in self.lines:
            fetch = self.work.fetches[tile]
            self.lines[tile] = [
                list(zip(fetch.lines, *lists, strict=True))
                for lists in zip(fetch.first_word.tolist(), fetch.words.tolist(), fetch.load.tolist(), strict=True)
            ]
        return self.lines[tile]

    def _bind(self, time: int, pe: _Pe) -> None:
        unit = next(self.units, None)
        if unit is None:
            return
        time = max(time, self.schedule_time)
        self.schedule_time = time + 1
        d, start = self.plan.descriptor, time + BIND - ACCESS
        lines = self._lines_of(unit.tile)
        for channel in unit.channels:
            entry, end = d.in_idx_base + channel * d.in_pitch, channel == unit.channels[-1]
            for number, first, words, load in lines[channel]:
                last = number == lines[channel][-1][0]
                line = _Line(first, words, load, channel, unit, last, last and end)
                pe.index.wanted.append((start, entry + number, line))
        if unit.channels and lines[0]:
            self.index.ask(pe.index, start)
        else:
            pe.entries.append((start + 2, _Line(0, 0, 0, 0, unit, True, True)))
            self._take(start + 2, pe)

    def _entry(self, time: int, pe: _Pe, line: _Line) -> None:
        pe.entries.append((time + ENTRY - ACCESS - 2, line))
        self._take(time, pe)

    def _take(self, time: int, pe: _Pe) -> None:
        """Take index entries in order while there is room for their lines."""
        while pe.entries:
            ready, line = pe.entries[0]
            kept = line.load or (line.last and (pe.channel_open or line.ends))
            if kept and (pe.held == LINES or (pe.next_line and pe.fetching)):
                return
            pe.entries.popleft()
            taken = max(ready, time, pe.take_time)
            pe.take_time = taken + 1
            pe.channel_open = not line.last and (pe.channel_open or line.load > 0)
            self.index.give_back(pe.index, taken + 1)
            if kept:
                pe.held += 1
                pe.lines.append(line)
                if line.words:
                    pe.next_line = (taken + 2, line)
                    if not pe.fetching:
                        self._fetch(taken, pe)
                else:
                    line.complete = taken
                    self._load(pe)
            if line.ends:
                self._at(taken + 1, self._bind, pe)

    def _fetch(self, time: int, pe: _Pe) -> None:
        """Ask for the words of the next line."""
        pe.fetching = pe.next_line is not None
        if pe.next_line:
            ready, line = pe.next_line
            pe.next_line = None
            start, last = max(ready, time + 1), line.first + line.words - 1
            pe.words.wanted.extend(
                (start, word, line if word == last else None) for word in range(line.first, last + 1)
            )
            self.activations.ask(pe.words, start)

    def _asked(self, time: int, pe: _Pe, line: _Line | None) -> None:
        if line:
            self._fetch(time, pe)
            self._take(time + 1, pe)

    def _word(self, time: int, pe: _Pe, line: _Line | None) -> None:
        self.activations.give_back(pe.words, time + 2)
        if line:
            line.complete = time
            self._load(pe)

    # Region loader

    def _load(self, pe: _Pe) -> None:
        """Spread fetched lines into free regions."""
        while pe.lines:
            line = pe.lines[0]
            opens = line.load and not pe.region_open
            if line.complete is None or (opens and not pe.free):
                return
            pe.lines.popleft()
            start = max(line.complete + WORD, pe.load_time, pe.free.popleft() if opens else 0)
            pe.load_time = start + (line.load or LINE_BEGIN)
            left = pe.load_time - LINE_BEGIN  # its last octet is taken
            self._at(left, self._left, pe)
            pe.region_open = pe.region_open or line.load > 0
            if line.last:
                pe.regions.append((left + REGION, line.unit, line.channel if pe.region_open else None, line.ends))
                pe.region_open = False
                self._next_pass(pe)

    def _left(self, time: int, pe: _Pe) -> None:
        pe.held -= 1
        self._take(time + 1, pe)

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
        """Ask for the weight vectors of the next passes, while there is room for them."""
        room = min(len(pe.starts), max(1, SEGMENTS // self.work.segments))
        while len(pe.order) < room:
            if not pe.passes:
                if not pe.regions:
                    return
                self._generate(pe)
            offset, address, n, release, end = pe.passes.popleft()
            generated = max(pe.region_time + offset, pe.starts[len(pe.order) - room])
            stall = generated - pe.region_time - offset
            pe.region_time += stall
            pe.generate_time += stall
            vector: list[int] = [] if address is not None else [0]
            pe.order.append(((generated + SEGMENT, address, n, release, end), vector))
            if address is not None:
                pe.vectors.wanted.append((generated + ADDRESS - ACCESS, address, vector))
                self.weights.ask(pe.vectors, generated + ADDRESS - ACCESS)
            else:
                self._scan(pe)

    def _vector(self, time: int, pe: _Pe, vector: list[int]) -> None:
        pe.vectors.room += 1
        vector.append(time + VECTOR)
        self._scan(pe)

    def _scan(self, pe: _Pe) -> None:
        """Compute the passes that have their vectors, up to the end of a unit."""
        while pe.order and pe.order[0][1] and not pe.draining:
            (ready, _, n, release, end), (vector,) = pe.order.popleft()
            start = max(pe.scan_end, ready, vector)
            no_weight = min(start - pe.scan_end, max(0, vector - max(ready, pe.scan_end)))
            self.no_weight += no_weight
            self.no_activation += start - pe.scan_end - no_weight
            pe.starts.append(start)
            pe.starts.popleft()
            pe.scan_end = start + n
            if end is not None:
                pe.draining = end
                delay = FLUSH + CHOICE + (LOOKUP if self.output.splits > 1 else 0)
                self._at(pe.scan_end + delay, self._request_drain, pe)
            if release:
                pe.free.append(pe.scan_end + RELEASE)
                self._load(pe)
            self._next_pass(pe)

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
        self._scan(pe)
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
            wgt_hits=self.weights.requests - self.weights.reads,
            act_reads=self.activations.reads + self.work.residual_words,
            act_hits=self.activations.requests - self.activations.reads,
            idx_reads=self.index.reads + len(self.plan.descriptor.res_index),
            idx_hits=self.index.requests - self.index.reads,
        )


def predict(plan: Plan, work: Work) -> Cycles:
    """Predicted cycles of a planned layer, from its measured work."""
    return _Simulation(plan, work).run()
