# SPDX-License-Identifier: Apache-2.0
"""How far a run has come, from what is seen of it: packets taken and sent, lines written.

The model of the core is ahead of it; here a descriptor has retired when what it does has been seen to end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from cocotb.simtime import get_sim_time
from cocotb.triggers import Event, Timer
from pyuvm import uvm_analysis_port, uvm_component

from models.descriptor import Descriptor
from models.stream import Packet
from verif.sim.env.analysis_input import AnalysisInput
from verif.sim.env.conclusions import Conclusion, LayerDone, LinesDue, Reset, RunFailed, RunOver, RunStarted
from verif.sim.env.device import device
from verif.sim.env.interrupts import CLOCK_NS
from verif.sim.env.program_words import (
    OPEN_LAYERS,
    ActivationsStep,
    Engine,
    Issue,
    LayerStep,
    ResultsStep,
    RunPlan,
    Standing,
    Wait,
)
from verif.sim.env.stream_agent import StreamMonitor

CHECK_CYCLES = 1000  # between two looks of the watchdog
PATIENCE_CYCLES = 5000  # without anything moving; and what a unit of the layer at hand takes
_STREAMS = {Engine.WEIGHTS: "s_axis_wgt", Engine.ACTIVATIONS: "s_axis_act", Engine.RESULTS: "m_axis_res"}


class StandsStill(AssertionError):
    """Nothing has moved in a run for too long; the text says what each engine waits for."""


@dataclass(frozen=True)
class Retired:
    """A descriptor has retired; cycle: of the simulation."""

    engine: Engine
    iteration: int
    number: int
    cycle: int


@dataclass(frozen=True)
class WaitSeen:
    """A wait when its descriptor's turn came: met, or blocking."""

    engine: Engine
    wait: Wait
    met: bool


@dataclass(frozen=True)
class HeldBack:
    """An engine whose next descriptor is two iterations ahead of another engine."""

    engine: Engine


@dataclass(frozen=True)
class SetsAhead:
    """Loads of weights and parameters that have retired when a layer's turn comes, beyond those that it waits for;
    negative: it has to wait for them."""

    loads: int


@dataclass(frozen=True)
class OpenTogether:
    """Both layers' waits are met, and the older one has not retired."""

    older: Descriptor
    younger: Descriptor


@dataclass(frozen=True)
class WrittenBeside:
    """The first line of a layer was written before the older layer had retired."""

    older: Descriptor
    younger: Descriptor


Sighting = Retired | WaitSeen | HeldBack | SetsAhead | OpenTogether | WrittenBeside


class RunRecord:
    """What was seen of a run, without a simulator. `retired` and `started` have cycles of the simulation.

    A layer is open from when its waits are seen to be met, and there is room for it, to its retirement.
    """

    def __init__(self, plan: RunPlan, now: Callable[[], int], publish: Callable[[Sighting], None]):
        self.standing = Standing(plan)
        self.started, self.now, self.publish = now(), now, publish
        self.retired: list[Retired] = []
        self.macs: list[int] = []  # of each layer, of all iterations; the model is ahead
        self.lines = dict.fromkeys(Engine, 0)  # of the descriptor under way: taken or sent
        self.left: dict[int, int] = {}  # of layers, by how many are before them: lines to be written
        self.failed: RunFailed | None = None
        self._turns = 0  # of layers
        self._ended = 0  # layers, as the core says
        for engine in Engine:
            if engine is not Engine.LAYERS:
                self._turn(engine)
        self._open_layers()

    def packet(self, engine: Engine) -> None:
        """A packet of an engine's stream has ended."""
        issue = self.standing.next(engine)
        if issue is None:
            return
        self.lines[engine] += 1
        due = issue.step.lines if isinstance(issue.step, (ActivationsStep, ResultsStep)) else 1
        if self.lines[engine] == due:
            self._retire(engine)

    def written(self, due: LinesDue, left: int) -> None:
        """A line of a layer was written; so many of that layer are to come. Layers retire in order."""
        if due.order is None:
            return
        retired = self.standing.retired
        if due.order > retired[Engine.LAYERS] and due.order not in self.left:
            self.publish(WrittenBeside(self._descriptor(retired[Engine.LAYERS]), self._descriptor(due.order)))
        self.left[due.order] = left
        while self.left.get(retired[Engine.LAYERS]) == 0:
            del self.left[retired[Engine.LAYERS]]
            self._retire(Engine.LAYERS)

    def layer_ended(self) -> None:
        """The core says that a layer has ended, which is the only sign of one that keeps its slots."""
        order, self._ended = self._ended, self._ended + 1
        if order == self.standing.retired[Engine.LAYERS] and self._descriptor(order).keep_slot:
            self._retire(Engine.LAYERS)

    def _retire(self, engine: Engine) -> None:
        standing = self.standing
        found = Retired(engine, *standing.place(engine, standing.retired[engine]), self.now())
        standing.retired[engine] += 1
        standing.open[engine] = max(0, standing.open[engine] - 1)
        self.lines[engine] = 0
        self.retired.append(found)
        self.publish(found)
        if engine is not Engine.LAYERS:
            self._turn(engine)
        self._open_layers()

    def _open_layers(self) -> None:
        """Open the layers that can be."""
        standing, engine = self.standing, Engine.LAYERS
        while standing.open[engine] < OPEN_LAYERS and (issue := standing.next(engine)):
            if self._turns == standing.issued(engine):
                self._turns += 1
                self._turn(engine)
            if standing.reasons(engine):
                return
            if standing.open[engine]:
                self.publish(OpenTogether(self._descriptor(standing.retired[engine]), _of_layer(issue)))
            standing.open[engine] += 1

    def _descriptor(self, order: int) -> Descriptor:
        """Of a layer, from how many are before it."""
        return _of_layer(self.standing.plan.issues[Engine.LAYERS][self.standing.place(Engine.LAYERS, order)[1]])

    def _turn(self, engine: Engine) -> None:
        """An engine turns to its next descriptor."""
        issue = self.standing.next(engine)
        if issue is None:
            return
        for wait in issue.waits:
            self.publish(WaitSeen(engine, wait, self.standing.met(engine, wait)))
        if self.standing.ahead_of(engine):
            self.publish(HeldBack(engine))
        sets = [wait.count for wait in issue.waits if wait.engine is Engine.WEIGHTS and not wait.previous]
        if engine is Engine.LAYERS and sets:
            needed = self.standing.at(engine)[0] * self.standing.counts[Engine.WEIGHTS] + sets[0]
            self.publish(SetsAhead(self.standing.retired[Engine.WEIGHTS] - needed))

    @property
    def layer_cycles(self) -> list[int]:
        """Of each layer of all iterations, from the retirement before to its own; of the first from the run's start."""
        cycles = [found.cycle for found in self.retired if found.engine is Engine.LAYERS]
        return [end - start for start, end in zip([self.started, *cycles], cycles, strict=False)]

    @property
    def cycles(self) -> int:
        """From the run's start to the last retirement."""
        return self.retired[-1].cycle - self.started if self.retired else 0

    def explain(self, beats: int = 0) -> Iterator[str]:
        """A line for each engine: what it does or waits for. beats: of the weight packet under way."""
        for engine in Engine:
            yield from self._open_ones() if engine is Engine.LAYERS else ()
            issue = self.standing.next(engine)
            if issue is None:
                if not self.standing.open[engine]:
                    yield f"{engine.label}: all done" if self.standing.counts[engine] else f"{engine.label}: no program"
                continue
            iteration, number = self.standing.at(engine)
            what = f"{engine.label}: descriptor {number} of iteration {iteration}, {issue.step},"
            if reasons := self.standing.reasons(engine):
                yield f"{what} waits for {' and '.join(reasons)}"
                continue
            match issue.step:
                case LayerStep():
                    yield f"{what} waits for the layers that are open"
                    continue
                case ActivationsStep(lines=lines):
                    how_far = f"{self.lines[engine]} of {lines} lines came"
                case ResultsStep(lines=lines):
                    how_far = f"{self.lines[engine]} of {lines} lines sent"
                case _:
                    how_far = f"{beats} of {issue.step.count} beats came"
            yield f"{what} has no more to wait for: {how_far}"

    def _open(self) -> Iterator[int]:
        """The layers that are open: how many are before each."""
        first = self.standing.retired[Engine.LAYERS]
        yield from range(first, first + self.standing.open[Engine.LAYERS])

    def _open_ones(self) -> Iterator[str]:
        """A line for each layer that is open."""
        for order in self._open():
            iteration, number = self.standing.place(Engine.LAYERS, order)
            d = self._descriptor(order)
            lines = 0 if d.keep_slot else len(d.out_index)
            yield (
                f"layers: descriptor {number} of iteration {iteration}, {LayerStep(d)}, is open: "
                f"{lines - self.left.get(order, lines)} of {lines} lines written"
            )

    @property
    def patience(self) -> int:
        """Cycles in which nothing need be seen: units of the layers that are open compute, were no operand zero."""
        found = [self._descriptor(order) for order in self._open()]
        units = [d.jobs * d.splits if d.keep_slot else 1 for d in found]  # of those that keep slots nothing is seen
        times = [2 * d.split_c * d.taps * (d.tile_h * d.tile_w + 2) for d in found]
        return PATIENCE_CYCLES + sum(n * time for n, time in zip(units, times, strict=True))


def _of_layer(issue: Issue) -> Descriptor:
    assert isinstance(issue.step, LayerStep)
    return issue.step.descriptor


class RunMonitor(uvm_component):
    """Keeps the record of the run that is on (`record`, of the last one otherwise) and fails when it stands still.

    `ap` publishes each Sighting. Set `host_patience` to the cycles in which the host may do nothing; `monitors` are
    those of the streams.
    """

    def build_phase(self):
        self.ap = uvm_analysis_port("ap", self)
        self.record: RunRecord | None = None
        self.running = False
        self.cycles: list[tuple[int, list[int]]] = []  # of each run that has ended, and of its layers
        self.host_patience = 0
        self.monitors: dict[Engine, StreamMonitor] = {}
        self._lines = 0
        self._started = Event()
        self.conclusions = AnalysisInput("conclusions", self, self._conclude)
        self.weights = AnalysisInput("weights", self, self._packets(Engine.WEIGHTS))
        self.activations = AnalysisInput("activations", self, self._packets(Engine.ACTIVATIONS))
        self.results = AnalysisInput("results", self, self._packets(Engine.RESULTS))

    def _packets(self, engine: Engine) -> Callable[[Packet], None]:
        def take(packet: Packet) -> None:
            if self.running and self.record:
                self.record.packet(engine)

        return take

    def line_written(self, due: LinesDue, left: int) -> None:
        """A line that was due was written."""
        self._lines += 1
        if self.running and self.record:
            self.record.written(due, left)

    def _conclude(self, conclusion: Conclusion):
        match conclusion:
            case RunStarted(plan):
                self.record = RunRecord(plan, self._cycle, self.ap.write)
                self.running = True
                self._started.set()
            case LayerDone() if self.running and self.record:
                self.record.macs.append(conclusion.macs)
            case RunFailed() if self.record:
                self.record.failed = conclusion
            case RunOver() if self.record:
                self.running = False
                self.cycles.append((self.record.cycles, self.record.layer_cycles))
            case Reset():
                self.running = False

    def layer_ended(self) -> None:
        """A layer has ended."""
        if self.running and self.record:
            self.record.layer_ended()

    @staticmethod
    def _cycle() -> int:
        return int(get_sim_time("ns")) // CLOCK_NS

    async def run_phase(self):
        while True:
            self._started.clear()
            await self._started.wait()
            before, since = None, self._cycle()
            while self.running and self.record:
                now = (self._lines, *(monitor.beats for monitor in self.monitors.values()))
                if now != before:
                    before, since = now, self._cycle()
                if self._cycle() - since > self.record.patience + self.host_patience:
                    raise StandsStill(self._explain(self._cycle() - since))
                await Timer(CHECK_CYCLES * CLOCK_NS, "ns")

    def _explain(self, cycles: int) -> str:
        assert self.record
        lines = list(self.record.explain(self.monitors[Engine.WEIGHTS].beats_of_packet))
        if failed := self.record.failed:
            where = f"descriptor {failed.number} of iteration {failed.iteration}"
            lines.insert(0, f"it has to end with {failed.cause} of {failed.engine.label}, {where}")
        for name in _STREAMS.values():
            valid, ready = (getattr(device(), f"{name}_t{signal}").value for signal in ("valid", "ready"))
            lines.append(f"{name}: TVALID {valid}, TREADY {ready}")
        return "\n  ".join([f"the run stands still: nothing has moved for {cycles} cycles", *lines])
