# SPDX-License-Identifier: Apache-2.0
"""A passive check of the performance counters: what they are when a layer ends, and what the host reads of them, must
add up and agree with the reference."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence

from cocotb import start_soon
from cocotb.triggers import RisingEdge
from pyuvm import uvm_component, uvm_subscriber

from models.config import Config
from verif.shared.structs import struct
from verif.sim.env.conclusions import Access, Conclusion, Reset, RunFailed, RunOver
from verif.sim.env.device import device
from verif.sim.env.layer_reference import LayerDone, memory_accesses

STATES = ("BUSY", "NO_WEIGHT", "NO_ACTIVATION", "DRAIN", "NO_UNIT")
WIDE = ("MACS", *STATES)
NARROW = (
    "CYCLES",
    "WGT_READS",
    "WGT_HITS",
    "ACT_READS",
    "ACT_HITS",
    "IDX_READS",
    "IDX_HITS",
    "LINES_WRITTEN",
    "BYTES_WRITTEN",
)
TOTALS = (*NARROW, *(f"{name}_{half}" for name in WIDE for half in ("LO", "HI")))
PER_PE = tuple(f"PE_{name}" for name in WIDE)
END_CYCLES = 32  # more than from a layer's last line to its end


def combine(raw: dict[str, int]) -> dict[str, int]:
    """Counters by name from register values: halves of the wide ones joined."""
    return {name: raw[name] for name in NARROW} | {name: raw[f"{name}_LO"] | raw[f"{name}_HI"] << 32 for name in WIDE}


def layer_problems(counters: dict[str, int], config: Config, layer: LayerDone) -> list[str]:
    """What is wrong with a layer's counters (see `combine`) that count for it alone, whatever else is open, given what
    the reference model says of the layer."""
    found, lanes = [], config.NumLanes
    if counters["MACS"] != layer.macs:
        found.append(f"MACS is {counters['MACS']}, expected {layer.macs}")
    if counters["MACS"] > lanes * counters["BUSY"]:
        found.append(f"MACS is {counters['MACS']}, more than {lanes} in each of {counters['BUSY']} busy PE-cycles")
    if not layer.overflow:
        for name, expected in (
            ("LINES_WRITTEN", layer.lines_written),
            ("BYTES_WRITTEN", layer.bytes_written),
        ):
            if counters[name] != expected:
                found.append(f"{name} is {counters[name]}, expected {expected}")
    return found


def sum_problems(counters: Mapping[str, int], config: Config, layers: Sequence[LayerDone]) -> list[str]:
    """What is wrong with the sums of counters of layers that overlapped, of one if it was alone."""
    found = []
    total = sum(counters[state] for state in STATES)
    if total != config.NumPe * counters["CYCLES"]:
        found.append(f"the states' sum is {total}, expected {config.NumPe} x {counters['CYCLES']} cycles")
    expected = Counter[str]()
    for layer in layers:
        expected.update(memory_accesses(layer))
    for memory, accesses in expected.items():
        reads, hits = counters[f"{memory}_READS"], counters[f"{memory}_HITS"]
        if reads + hits != accesses:
            found.append(f"{memory}_READS and {memory}_HITS are {reads} + {hits}, expected {accesses} together")
    return found


def counter_problems(counters: dict[str, int], config: Config, layer: LayerDone) -> list[str]:
    """What is wrong with the counters of a layer beside which no other was open."""
    return sum_problems(counters, config, [layer]) + layer_problems(counters, config, layer)


class LayerCounters(uvm_component):
    """Watches passively what the counters are whenever a layer ends: `ended` hears it, `alone` that one begins while no
    other is open."""

    def build_phase(self):
        self.ended: Callable[[dict[str, int]], None] = lambda counters: None
        self.alone: Callable[[], None] = lambda: None
        self._counters, self._status = struct("counters_t"), struct("layer_status_t")

    async def run_phase(self):
        start_soon(self._watch_starts())
        setup, counters, edge = device().u_layer_setup, device().u_counters, RisingEdge(device().clk_i)
        done = RisingEdge(setup.all_done_i)
        await RisingEdge(device().rst_ni)  # before the first reset they mean nothing
        while True:
            await done
            left, cycle = 0, 0
            while cycle == 0 or (left and cycle < END_CYCLES):
                await edge
                cycle += 1
                if int(setup.all_done_i.value):
                    left, cycle = left + 1, 1
                status = self._status.unpack(int(setup.status_o.value))
                if status["done"] and not status["refused"]:
                    left -= 1
                    found = self._counters.unpack(int(counters.counters_o.value))
                    self.ended({name: found[name.lower()] for name in (*NARROW, *WIDE)})

    async def _watch_starts(self):
        restart = RisingEdge(device().u_layer_setup.restart_o)
        await RisingEdge(device().rst_ni)
        while True:
            await restart
            self.alone()


class CounterMonitor(uvm_subscriber):
    """Listens to the predictor and to LayerCounters: of each layer that ends it checks what counts for it alone, and of
    all that overlapped the sums. Checks as well each complete set of counters that was read while no layer ran."""

    def build_phase(self):
        super().build_phase()
        self.config = self.cdb_get("CONFIG")
        self.reset_records()

    def reset_records(self) -> None:
        """Nothing was seen."""
        self.layer: LayerDone | None = None  # the latest
        self.cycles: list[int] = []  # of each layer whose counters were read
        self.checked = self.checked_pes = 0
        self._due: deque[LayerDone] = deque()  # not seen to have ended
        self._overlapping: list[LayerDone] = []  # that have ended since one began alone
        self._sums: Counter[str] = Counter()  # of their counters
        self._unknown = False  # whether there was another among them
        # What else ends is not known: a run goes to its end after an error, or a reset is under way.
        self._failed = self._resetting = False
        self._raw: dict[str, int] = {}
        self._pe = 0  # PE_SELECT
        self._pes: dict[int, dict[str, int]] = {}

    def connect_phase(self):
        self.checker = self.get_parent().scoreboard.checker

    def write(self, conclusion: Conclusion):
        match conclusion:
            case LayerDone():
                self.layer, self._resetting = conclusion, False
                self._due.append(conclusion)
            case RunFailed():
                self._failed = True
            case RunOver() if self._failed:
                self._failed = False
                self._due.clear()
            case Reset(kind):
                self._due.clear()
                self._overlapping.clear()
                self._failed, self._resetting = False, True
                if kind == "rst_ni":
                    self._pe = 0
            case Access(name="CTRL", write=True, understood=True):
                self._raw.clear()
                self._pes.clear()
            case Access(name="PE_SELECT", write=True, understood=True):
                self._pe = conclusion.values["value"]
            case Access(write=False, understood=True, layers_open=0, running=False) if self.layer:
                self._read(conclusion, self.layer)

    def begins_alone(self) -> None:
        """A layer begins beside which no other is open."""
        self._check_sums()
        self._overlapping.clear()
        self._sums.clear()
        self._unknown = False

    def ended(self, counters: dict[str, int]) -> None:
        """A layer ends."""
        self._sums.update(counters)
        if not self._due:
            self._unknown = True
            if not (self._failed or self._resetting):
                self.checker.fail("counters", "a layer has ended that was not due")
            return
        layer = self._due.popleft()
        self._overlapping.append(layer)
        self.checked += 1
        for problem in layer_problems(counters, self.config, layer):
            self.checker.fail("counters", f"when it ended: {problem}")

    def _check_sums(self):
        if self._overlapping and not self._unknown:
            for problem in sum_problems(self._sums, self.config, self._overlapping):
                self.checker.fail("counters", f"of {len(self._overlapping)} layers: {problem}")

    def check_phase(self):
        self._check_sums()

    def _read(self, access: Access, layer: LayerDone):
        name = access.name
        if name in TOTALS:
            self._raw[name] = access.values["value"]
            if len(self._raw) == len(TOTALS):
                self._check_totals(layer)
        elif name in PER_PE and self._pe < self.config.NumPe:
            self._pes.setdefault(self._pe, {})[name.removeprefix("PE_")] = access.values["value"]
            if len(self._pes) == self.config.NumPe and all(len(pe) == len(PER_PE) for pe in self._pes.values()):
                self._check_pes()

    def _check_totals(self, layer: LayerDone):
        counters = combine(self._raw)
        problems = layer_problems if len(self._overlapping) > 1 else counter_problems
        for problem in problems(counters, self.config, layer):
            self.checker.fail("counters", problem)
        self.cycles.append(counters["CYCLES"])
        self._raw.clear()

    def _check_pes(self):
        cycles = {sum(pe[state] for state in STATES) for pe in self._pes.values()}
        if len(cycles) > 1:
            self.checker.fail("counters", f"the states of the PEs add up to different cycles: {sorted(cycles)}")
        if self.cycles:
            for name in WIDE:
                found = sum(pe[name] for pe in self._pes.values())
                if found != self._sums[name]:
                    self.checker.fail(
                        "counters", f"{name} of the PEs adds up to {found}, the total is {self._sums[name]}"
                    )
        self.checked_pes += 1
        self._pes.clear()
