"""Event-level model of the core's cycles (docs/architecture.md section 7).

One event a pass, a unit, a drain: a PE's pipeline between them is computed by recurrences, the shared
resources (Weight Memory banks, scheduler, drain, staging slots, streaming processors) in order of time.
"""

import heapq
from collections import deque
from dataclasses import dataclass

import numpy as np

from models.config import Config
from models.layer import Layer
from models.tiling import Plan
from models.work import Work, measure

# Latencies of the pipeline in cycles.
FETCH = 8  # unit bound to its first line at the region loader
LOAD = 2  # region complete to the pass generator
PASS_FIFO = 4
WEIGHT_FIFO = 4
GENERATE = 2  # pass generated to the scanner
WEIGHT = 3  # grant to the vector at the scanner
FLUSH = 5  # last emission to the drain request
GRANT = 3  # drain granted to its first row
STREAM = 8  # slot full to its first line written

_PASS, _ASSIGN, _DRAIN, _PORT, _SLOT = range(5)


@dataclass(frozen=True)
class Cycles:
    """Prediction: total cycles, useful lane-cycles per lane, PE-cycles by cause and Weight Memory accesses."""

    cycles: int
    macs: int
    busy: int
    no_weight: int
    no_activation: int
    drain: int
    no_unit: int
    wgt_reads: int
    wgt_hits: int

    @property
    def pe_cycles(self) -> int:
        return self.busy + self.no_weight + self.no_activation + self.drain + self.no_unit


@dataclass
class _Unit:
    job: int
    tile: int
    chunk: int
    channels: range
    start: int = 0  # when it was bound


class _Pe:
    """State of one PE; times are cycles."""

    def __init__(self, regions: int):
        self.free = deque([0] * regions)  # when the region buffers became free
        self.loading = None  # (unit, live channels still to load)
        self.loader_time = 0
        self.regions = deque()  # loaded: (time, unit, channel, last of unit)
        self.passes = deque()  # of the region in the pass generator: (offset, weight address, emissions, release, end)
        self.gen_time = 0
        self.gen_base = 0
        self.request_time = 0
        self.starts = deque([0] * max(PASS_FIFO, WEIGHT_FIFO))
        self.scan_end = 0
        self.request = None  # the pass whose weight is asked for
        self.blocked = False  # between the last emission of a unit and the end of its drain
        self.behind = deque()  # passes of the next unit whose weights are there
        self.ended = None  # the unit that drains


class Simulation:
    """One run of the model; ``run`` returns the prediction."""

    def __init__(self, layer: Layer, plan: Plan, work: Work | None = None):
        self.plan, self.work = plan, work or measure(layer, plan)
        self.config = plan.config
        d = plan.descriptor
        self.rs = d.kernel_r * d.kernel_s
        self.heap = []
        self.sequence = 0
        self.pes = [_Pe(self.config.NumRegions) for _ in range(self.config.NumPe)]
        self.bank_free = [0] * self.config.WgtBanks
        self.granted = {}  # address -> time of its last grant
        self.units = iter(self._units())
        self.next_unit = next(self.units)
        self.idle_pes = []
        self.scheduler_time = 0
        self.units_of_job = d.splits
        # Output stage
        self.waiting = []  # PEs that ask for a drain
        self.slot_of_job = {}
        self.drained = {}
        self.free_slots = [self.config.NumStage] * self.config.NumSp
        self.port_free = [0] * self.config.NumSp
        self.sp_free = [0] * self.config.NumSp
        self.open_jobs = []
        self.done_jobs = set()
        self.oldest = 0
        self.count = dict(no_weight=0, no_activation=0, drain=0, wgt_reads=0, wgt_hits=0)
        self.active = 0
        self.end = 0
        chunk_k = self.config.NumLanes << (d.m_log2 - d.k_log2)
        self.sp_cycles = []
        positions = self.work.rows * max(1, 4 >> (d.m_log2 - d.k_log2))
        for tile in range(plan.out_lines):
            per_channel = -(-int(positions[tile]) // self.config.SpLanes)
            self.sp_cycles.append([per_channel * min(chunk_k, d.out_k - c * chunk_k) for c in range(d.chunks)])
        self.load_cost = np.maximum(self.work.load, np.maximum(self.work.window_lines[:, None], self.work.words) + 1)
        self.load_cost = self.load_cost.tolist()
        emissions = self.work.emissions
        self.live = emissions.any(2)
        self.emissions = emissions.tolist()

    def _units(self):
        d = self.plan.descriptor
        rows = list(range(d.tiles_y))
        if d.tiles_y > 2:
            rows = rows[1:-1] + [0, d.tiles_y - 1]
        job = 0
        for ty in rows:
            for tx in range(d.tiles_x):
                for chunk in range(d.chunks):
                    for split in range(d.splits):
                        first = split * d.split_c
                        yield _Unit(job, ty * d.tiles_x + tx, chunk, range(first, min(first + d.split_c, d.in_c)))
                    job += 1

    def _push(self, time, kind, what):
        self.sequence += 1
        heapq.heappush(self.heap, (time, self.sequence, kind, what))

    # Scheduler and region loader

    def _assign(self, time, pe):
        unit = self.next_unit
        if unit is None:
            return
        self.next_unit = next(self.units, None)
        time = max(time, self.scheduler_time)
        self.scheduler_time = time + 1
        unit.start = time
        live = [c for c in unit.channels if self.live[unit.tile, c]]
        pe.loading = (unit, deque(live or [None]))
        pe.loader_time = max(pe.loader_time, time + FETCH)
        self._load(pe)

    def _load(self, pe):
        """Fill the free regions."""
        while pe.loading and pe.free:
            unit, channels = pe.loading
            channel = channels.popleft()
            last = not channels
            cost = 0
            start = pe.loader_time
            if channel is not None:
                start = max(start, pe.free.popleft())
                cost = self.load_cost[unit.tile][channel]
            pe.loader_time = start + cost
            pe.regions.append((pe.loader_time + LOAD, unit, channel, last))
            if last:
                pe.loading = None
                self._push(pe.loader_time, _ASSIGN, pe)
            self._next_pass(pe)

    # Pass generator and weight queue

    def _next_pass(self, pe):
        """Ask for the weight of the next pass, if there is one and room for it."""
        if pe.request is not None or len(pe.behind) >= WEIGHT_FIFO:
            return
        if not pe.passes:
            if not pe.regions:
                return
            ready, unit, channel, last = pe.regions.popleft()
            pe.gen_base = max(pe.gen_time, ready)
            if channel is None:
                pe.passes.append((0, None, 0, False, unit))
                pe.gen_time = pe.gen_base + 1
            else:
                d = self.plan.descriptor
                base = (unit.chunk * d.in_c + channel) * self.rs
                row = self.emissions[unit.tile][channel]
                segments = self.work.segments
                pe.passes.extend((i * segments, base + i, n, False, None) for i, n in enumerate(row) if n)
                offset, address, n, _, _ = pe.passes.pop()
                pe.passes.append((offset, address, n, True, unit if last else None))
                pe.gen_time = pe.gen_base + self.rs * segments
        offset, address, n, release, end = pe.passes.popleft()
        # The generator stalls while the pass FIFO is full; what follows in the region shifts with it.
        generated = max(pe.gen_base + offset, pe.starts[-PASS_FIFO])
        if generated > pe.gen_base + offset:
            pe.gen_time += generated - pe.gen_base - offset
            pe.gen_base = generated - offset
        pe.request = (generated, address, n, release, end)
        if address is None:
            time = generated
        else:
            time = pe.request_time = max(generated + 1, pe.request_time + 1, pe.starts[-WEIGHT_FIFO])
        self._push(time, _PASS, pe)

    def _fetch(self, time, address):
        """Time at which a bank serves an address asked for at ``time``."""
        known = self.granted.get(address, -1)
        if known >= time:
            self.count["wgt_hits"] += 1
            return known
        bank = address % self.config.WgtBanks
        grant = max(time, self.bank_free[bank])
        self.bank_free[bank] = grant + 1
        self.granted[address] = grant
        self.count["wgt_reads"] += 1
        return grant

    def _pass(self, time, pe):
        generated, address, n, release, end = pe.request
        pe.request = None
        weight = 0
        if address is not None:
            grant = self._fetch(time, address)
            pe.request_time = grant
            weight = grant + WEIGHT
        item = (generated + GENERATE, weight, n, release, end)
        if pe.blocked:
            pe.behind.append(item)
        else:
            self._scan(pe, item)
        self._next_pass(pe)

    def _scan(self, pe, item):
        generated, weight, n, release, end = item
        start = max(pe.scan_end, generated, weight)
        gap = start - pe.scan_end
        if gap:
            no_weight = min(gap, max(0, weight - max(generated, pe.scan_end)))
            self.count["no_weight"] += no_weight
            self.count["no_activation"] += gap - no_weight
        pe.starts.append(start)
        pe.starts.popleft()
        pe.scan_end = start + n
        if release:
            pe.free.append(pe.scan_end)
            self._load(pe)
        if end is not None:
            pe.blocked = True
            pe.ended = end
            self._push(pe.scan_end + FLUSH, _DRAIN, pe)

    # Output stage

    def _may_bind(self, job):
        """A free streaming processor for a job's slot, or None."""
        free = sum(self.free_slots)
        if not free or (self.units_of_job > 1 and free == 1 and job != self.oldest):
            return None
        return max(range(self.config.NumSp), key=lambda sp: (self.free_slots[sp], -self.port_free[sp]))

    def _grant(self, time):
        """Start the drains that can start."""
        left = []
        for pe in self.waiting:
            job = pe.ended.job
            sp = self.slot_of_job.get(job)
            if sp is None:
                sp = self._may_bind(job)
                if sp is not None:
                    self.free_slots[sp] -= 1
                    self.slot_of_job[job] = sp
                    self.drained[job] = 0
            if sp is None or self.port_free[sp] > time:
                left.append(pe)
                continue
            unit = pe.ended
            done = time + GRANT + int(self.work.rows[unit.tile])
            self.port_free[sp] = done
            self._push(done, _PORT, None)
            self.count["drain"] += done - pe.scan_end
            pe.scan_end = done
            self.end = max(self.end, done)
            pe.blocked, pe.ended = False, None
            self.active += done - unit.start
            self.drained[job] += 1
            if self.drained[job] == self.units_of_job:
                self.sp_free[sp] = max(self.sp_free[sp], done) + self.sp_cycles[unit.tile][unit.chunk]
                self._push(self.sp_free[sp] + STREAM, _SLOT, (sp, job))
            while pe.behind and not pe.blocked:
                self._scan(pe, pe.behind.popleft())
            self._next_pass(pe)
        self.waiting = left

    def run(self) -> Cycles:
        for pe in self.pes:
            self._push(0, _ASSIGN, pe)
        while self.heap:
            time, _, kind, what = heapq.heappop(self.heap)
            if kind == _PASS:
                self._pass(time, what)
            elif kind == _ASSIGN:
                self._assign(time, what)
            elif kind == _DRAIN:
                self.waiting.append(what)
                self._grant(time)
            elif kind == _PORT:
                self._grant(time)
            else:
                sp, job = what
                self.free_slots[sp] += 1
                self.done_jobs.add(job)
                while self.oldest in self.done_jobs:
                    self.oldest += 1
                self.end = max(self.end, time)
                self._grant(time)
        d = self.plan.descriptor
        busy = int(self.work.emissions.sum()) * d.chunks
        total = self.end * self.config.NumPe
        known = {name: self.count[name] for name in ("no_weight", "no_activation", "drain")}
        return Cycles(
            cycles=self.end, macs=busy, busy=busy, **known, no_unit=total - busy - sum(known.values()),
            wgt_reads=self.count["wgt_reads"], wgt_hits=self.count["wgt_hits"],
        )  # fmt: skip
