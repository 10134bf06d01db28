# SPDX-License-Identifier: Apache-2.0
"""A passive check of the performance counters: what the host reads of them must add up and agree with the reference."""

from __future__ import annotations

from pyuvm import uvm_subscriber

from models.config import Config
from verif.sim.env.conclusions import Access, Conclusion, Reset
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


def combine(raw: dict[str, int]) -> dict[str, int]:
    """Counters by name from register values: halves of the wide ones joined."""
    return {name: raw[name] for name in NARROW} | {name: raw[f"{name}_LO"] | raw[f"{name}_HI"] << 32 for name in WIDE}


def counter_problems(counters: dict[str, int], config: Config, layer: LayerDone) -> list[str]:
    """What is wrong with a layer's counters (see `combine`), given what the reference model says of the layer."""
    found, pes, lanes = [], config.NumPe, config.NumLanes
    total = sum(counters[state] for state in STATES)
    if total != pes * counters["CYCLES"]:
        found.append(f"the states' sum is {total}, expected {pes} x {counters['CYCLES']} cycles")
    if counters["MACS"] != layer.macs:
        found.append(f"MACS is {counters['MACS']}, expected {layer.macs}")
    if counters["MACS"] > lanes * counters["BUSY"]:
        found.append(f"MACS is {counters['MACS']}, more than {lanes} in each of {counters['BUSY']} busy PE-cycles")
    for memory, expected in memory_accesses(layer).items():
        reads, hits = counters[f"{memory}_READS"], counters[f"{memory}_HITS"]
        if reads + hits != expected:
            found.append(f"{memory}_READS and {memory}_HITS are {reads} + {hits}, expected {expected} together")
    if not layer.overflow:
        for name, expected in (
            ("LINES_WRITTEN", len(layer.descriptor.out_index)),
            ("BYTES_WRITTEN", layer.bytes_written),
        ):
            if counters[name] != expected:
                found.append(f"{name} is {counters[name]}, expected {expected}")
    return found


class CounterMonitor(uvm_subscriber):
    """Listens to the predictor; checks each complete set of counters that was read while no layer ran."""

    def build_phase(self):
        super().build_phase()
        self.config = self.cdb_get("CONFIG")
        self.layer: LayerDone | None = None  # the latest
        self.cycles: list[int] = []  # of each layer whose counters were read
        self.checked_pes = 0
        self._raw: dict[str, int] = {}
        self._pe = 0  # PE_SELECT
        self._pes: dict[int, dict[str, int]] = {}

    def connect_phase(self):
        self.checker = self.get_parent().scoreboard.checker

    def write(self, conclusion: Conclusion):
        match conclusion:
            case LayerDone():
                self.layer = conclusion
            case Reset("rst_ni"):
                self._pe = 0
            case Access(name="CTRL", write=True, understood=True):
                self._raw.clear()
                self._pes.clear()
            case Access(name="PE_SELECT", write=True, understood=True):
                self._pe = conclusion.values["value"]
            case Access(write=False, understood=True, layers_open=0, running=False) if self.layer:
                self._read(conclusion, self.layer)

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
        for problem in counter_problems(counters, self.config, layer):
            self.checker.fail("counters", problem)
        self.cycles.append(counters["CYCLES"])
        self.totals = counters
        self._raw.clear()

    def _check_pes(self):
        cycles = {sum(pe[state] for state in STATES) for pe in self._pes.values()}
        if len(cycles) > 1:
            self.checker.fail("counters", f"the states of the PEs add up to different cycles: {sorted(cycles)}")
        if self.cycles:
            for name in WIDE:
                found = sum(pe[name] for pe in self._pes.values())
                if found != self.totals[name]:
                    self.checker.fail(
                        "counters", f"{name} of the PEs adds up to {found}, the total is {self.totals[name]}"
                    )
        self.checked_pes += 1
        self._pes.clear()
