# SPDX-License-Identifier: Apache-2.0
"""What the host can see of the core, predicted from its inputs alone: register writes and input packets.

The model holds the contents of the memories as docs/architecture.md sections 3 to 6 define them, decodes each layer
from them with the models of `models/`, and says which lines a result transfer has to send. It knows nothing of the
order of work or of time, so what depends on them is *unknown* to it: reading that is an error of the stimulus.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from models import lines
from models.config import Config
from models.descriptor import Descriptor
from models.lines import WORD_BYTES
from models.stream import Packet, line_packet
from verif.sim.env.conclusions import (
    CommandOutcome,
    Conclusion,
    Forgotten,
    Interrupt,
    LinesDue,
    LinesOver,
    Reset,
    ResultsDue,
    RunFailed,
    RunOver,
    RunStarted,
)
from verif.sim.env.descriptor_checks import first_violation
from verif.sim.env.layer_reference import LayerDone, compute_layer, descriptor_of
from verif.sim.env.memory_contents import MemoryContents, UnknownContents
from verif.sim.env.packet_faults import line_fault, weight_lanes, weight_stream_fault
from verif.sim.env.program_words import (
    WORDS,
    ActivationsStep,
    Engine,
    LayerStep,
    ResultsStep,
    RunPlan,
    Standing,
    WeightsStep,
    decode,
)
from verif.sim.env.register_model import RegisterModel


@dataclass
class _Load:
    """A load under way; ``memory``: "weights", "parameters", "program" or "lines" (index entries)."""

    memory: str
    base: int
    count: int
    mode: tuple[int, int] = (0, 0)  # k_log2, m_log2, of weights
    # Of lines:
    line_pos: int = 0
    limit: int = 0
    done: int = 0
    next_word: int = 0


_DONE = {"weights": "wgt_done", "parameters": "par_done", "program": "prg_done", "lines": "act_done"}


@dataclass(frozen=True)
class RunError:
    """What ended the last run."""

    failed: bool = False
    engine: int = 0
    descriptor: int = 0
    iteration: int = 0

    @property
    def registers(self) -> dict[str, int]:
        """RUN_ERROR by field."""
        return {"failed": int(self.failed), "engine": self.engine, "descriptor": self.descriptor}


class _Run:
    """A run as it would go if nothing took time: each descriptor as soon as its waits are met and its input is there.

    The core is never ahead of it. ``loading``: engines whose load has begun; ``failed``: no more is done; ``ended``:
    the host knows of its end, which is before that of the faulty packet.
    """

    def __init__(self, plan: RunPlan):
        self.standing = Standing(plan)
        self.loading: set[Engine] = set()
        self.failed = self.ended = False


class CoreModel:
    """The core's state as the host has made it.

    Feed it with `write`, `read_status`, `read_interrupts`, `weight_packet`, `activation_packet`, `result_packet` and
    `reset`. It hands what follows to `publish` and keeps `errors` (sticky causes), `descriptor_error` and the like.
    """

    def __init__(self, config: Config, publish: Callable[[Conclusion], None], register_model: RegisterModel):
        self.config, self.publish, self.register_model = config, publish, register_model
        self.registers: dict[str, dict[str, int]] = {}
        self.contents = MemoryContents(config)
        self._clear()

    def _clear(self) -> None:
        self.weights_load: _Load | None = None  # or parameters, or a program: what the weight stream brings
        self.activations_load: _Load | None = None
        self.run: _Run | None = None
        self.weights_discard = self.activations_discard = False
        self.layers_open: list[Descriptor | None] = []  # pushed, not yet known to have ended; None: to be refused
        # Loaders that a run's error found busy or idle, and so discarding or not: that depends on time.
        self._discard_unknown: set[str] = set()
        self._lines_missing = False  # of layers that overflow, not known to have ended
        # A packet outside any load, said once the other stream's packet has ended well: the core sees a fault in that
        # one at its beat, ends the run, and swallows.
        self._stray: str | None = None
        self.section_ends: dict[int, int] = {}  # where output sections go on, those that were started
        self.before: LayerDone | None = None  # the layer that started last
        self.before_known = True  # not after a run that ended by an error
        self.results_due = 0  # packets
        self.errors: set[str] = set()
        self.descriptor_error = 0
        self.error_info = {"WGT_ERROR_INFO": 0, "ACT_ERROR_INFO": 0}
        self.act_end = 0
        self.run_error = RunError()
        self._outcomes: dict[str, str] = {}  # of the commands of one write
        self._pending: dict[str, int] = {}  # INTR_STATE as last read

    # -- register accesses --------------------------------------------------------------------------------------

    def write(self, register: str, values: dict[str, int]) -> None:
        """A register write that the core accepted, by field."""
        if register == "CTRL":
            self._command({name for name, value in values.items() if value})
        elif register == "ERROR":
            self.errors -= {name for name, value in values.items() if value}
        elif register == "INTR_STATE":
            for cause, on in values.items():
                if on and self._pending.get(cause):
                    self.publish(Interrupt(cause, served=True))
        else:
            self.registers[register] = values

    def read_interrupts(self, values: dict[str, int]) -> None:
        """A read of INTR_STATE: what it shows can be served."""
        self._pending = values
        if values["run_done"]:
            self._end_run()

    @property
    def status(self) -> dict[str, int]:
        """The bits of STATUS that do not depend on time, once the streams rest. In a run all do."""
        if self.run:
            return {}
        loading = self.weights_load.memory if self.weights_load else None
        found = {
            "wgt_busy": loading == "weights",
            "par_busy": loading == "parameters",
            "prg_busy": loading == "program",
            "act_busy": self.activations_load is not None,
            "result_busy": self.results_due > 0,
            "wgt_discard": self.weights_discard,
            "act_discard": self.activations_discard,
            "run_busy": False,
        }
        return {bit: on for bit, on in found.items() if bit not in self._discard_unknown}

    def read_status(self, values: dict[str, int]) -> None:
        """A read of STATUS tells the model how far the core has come."""
        if not values["run_busy"]:
            self._end_run()
            if "wgt_discard" in self._discard_unknown:
                self.weights_discard = bool(values["wgt_discard"])
            if "act_discard" in self._discard_unknown:
                self.activations_discard = bool(values["act_discard"])
            self._discard_unknown.clear()
        outstanding = values["queue_level"] + 1 if values["layer_busy"] else 0
        if outstanding < len(self.layers_open):
            del self.layers_open[: len(self.layers_open) - outstanding]
        if self._lines_missing and not self.layers_open:
            self._lines_missing = False
            self.publish(LinesOver())

    def reset(self, kind: str) -> None:
        """A reset ("rst_ni" or "soft_reset"): what was under way is lost, and memory that it was writing is unknown."""
        layers = [d for d in self.layers_open if d]
        loads = [load for load in (self.weights_load, self.activations_load) if load]
        running = self.run is not None
        self._clear()
        if kind == "rst_ni":
            self.registers.clear()
        self.publish(Reset(kind))
        for d in layers:
            self._forget_output(d)
        for load in loads:
            self._forget(load.memory, load.base, load.count)
        if running:
            self._forget_all()

    def _value(self, register: str, field: str = "value") -> int:
        return self.registers.get(register, {}).get(field, 0)

    def _command(self, pulses: set[str]) -> None:
        if "soft_reset" in pulses:
            self.reset("soft_reset")
            return
        self._outcomes.clear()
        if "wgt_flush" in pulses:
            self.weights_discard = False
            self.error_info["WGT_ERROR_INFO"] = 0
        if "act_flush" in pulses:
            self.activations_discard = False
            self.error_info["ACT_ERROR_INFO"] = 0
        self._start_weights(pulses)
        if "act_load" in pulses:
            self._start_activations()
        if "layer_push" in pulses:
            self._push_layer()
        if "result_send" in pulses:
            base, count = self._value("RES_IDX_BASE"), self._value("RES_LINES")
            busy = self.results_due > 0
            if self._may_start("result_send", busy, self._in_range(base, count, "lines")):
                self._send(base, count)
                self.publish(Interrupt("result_done"))
        if "run" in pulses:
            self._start_run()
        # A layer that is refused reports its descriptor.
        failed = {name for name, outcome in self._outcomes.items() if outcome != "accepted"}
        if failed - {"layer_push"} or self._outcomes.get("layer_push") == "busy":
            self.publish(Interrupt("error"))  # one write, one event

    def _conclude(self, command: str, outcome: str) -> None:
        self._outcomes[command] = outcome
        self.publish(CommandOutcome(command, outcome))

    def _report(self, cause: str, engine: Engine | None = None) -> None:
        """An error that a stream, a descriptor or a layer causes; in a run by an engine, and that ends it."""
        self.errors.add(cause)
        self.publish(Interrupt("error"))
        if self.run and engine is not None:
            self.run.failed = True
            iteration, number = self.run.standing.at(engine)
            self.run_error = RunError(True, engine, number, iteration)
            streams = {Engine.WEIGHTS: "wgt_discard", Engine.ACTIVATIONS: "act_discard"}
            known = None if cause == "command_range" else streams.get(engine)
            self._discard_unknown = {bit for bit in streams.values() if bit != known}
            self.weights_discard = self.activations_discard = True
            self.publish(RunFailed(engine, iteration, number, cause))
            self.publish(Interrupt("run_done"))
            if self.run.ended:
                self._end_run()

    def _in_range(self, base: int, count: int, memory: str) -> bool:
        return count > 0 and base + count <= self.contents.size(memory)

    def _may_start(self, command: str, busy: object, legal: bool) -> bool:
        """Whether a command is accepted; nothing is while a run is on."""
        if busy or self.run:
            self.errors.add("command_busy")
            outcome = "busy"
        elif not legal:
            self.errors.add("command_range")
            outcome = "refused"
        else:
            outcome = "accepted"
        self._conclude(command, outcome)
        return outcome == "accepted"

    def _start_weights(self, pulses: set[str]) -> None:
        """The commands of the weight stream's loads; of several that share a write the first wins."""
        for command, memory, register in (
            ("wgt_load", "weights", "WGT"),
            ("par_load", "parameters", "PAR"),
            ("prg_load", "program", "PRG"),
        ):
            if command in pulses:
                base, count = self._value(f"{register}_BASE"), self._value(f"{register}_COUNT")
                legal = self._in_range(base, count, memory)
                if self._may_start(command, self.weights_load or self.weights_discard, legal):
                    mode = self._value("WGT_MODE", "k_log2"), self._value("WGT_MODE", "m_log2")
                    self.weights_load = _Load(memory, base, count, mode)

    def _start_activations(self) -> None:
        step = ActivationsStep(
            self._value("ACT_IDX_BASE"),
            self._value("ACT_LINE_POS"),
            self._value("ACT_LINES"),
            self._value("ACT_BASE"),
            self._value("ACT_LIMIT"),
        )
        if self._may_start("act_load", self.activations_load or self.activations_discard, self._loads(step)):
            self._load_lines(step)

    def _loads(self, step: ActivationsStep) -> bool:
        """Whether a load of lines is legal."""
        section = step.base <= step.limit <= self.config.ActBanks * self.config.ActDepth
        entries = self._in_range(step.idx_base, step.lines, "lines")
        return section and entries and 1 <= step.line_pos <= lines.LINE_BITS

    def _load_lines(self, step: ActivationsStep) -> None:
        self.activations_load = _Load(
            "lines", step.idx_base, step.lines, line_pos=step.line_pos, limit=step.limit, next_word=step.base
        )
        self.act_end = step.base

    # -- input packets ------------------------------------------------------------------------------------------

    def weight_packet(self, packet: Packet) -> None:
        """A packet of s_axis_wgt, taken by a weight or a parameter load or swallowed after an error."""
        if self.weights_discard:
            return
        load, self.weights_load = self.weights_load, None
        if load is None:
            self._outside("s_axis_wgt", Engine.WEIGHTS, self.activations_load)
            return
        beat, error = weight_stream_fault(self.config, packet, load.memory, load.count, load.mode)
        good = packet.beats[:beat]
        here = slice(load.base, load.base + len(good))
        if load.memory == "weights":
            self.contents.vectors[here] = weight_lanes(self.config, good)
            self.contents.vectors_known[here] = True
        elif load.memory == "parameters":
            self.contents.parameters[here] = good
        else:
            self.contents.program[here] = [beat & (1 << 64) - 1 for beat in good]
        self._forget(load.memory, load.base + len(good), load.count - len(good))
        if error:
            self.weights_discard, self.error_info["WGT_ERROR_INFO"] = True, beat
            self._report(error, Engine.WEIGHTS)
        else:
            self._no_stray()
            self._loaded(load.memory, Engine.WEIGHTS)

    def _loaded(self, memory: str, engine: Engine) -> None:
        """A load is complete."""
        if self.run:
            self.run.loading.remove(engine)
            self.run.standing.retired[engine] += 1
            self._go_on(self.run)
        else:
            self.publish(Interrupt(_DONE[memory]))

    def _outside(self, stream: str, engine: Engine, others: _Load | None) -> None:
        """A packet came that no load takes; others: the load of the other stream."""
        complaint = f"a packet on {stream} outside any load{self._awaited(engine)}"
        if self.run is None or others is None:
            raise UnknownContents(complaint)
        self._stray = self._stray or complaint

    def _no_stray(self) -> None:
        """Nothing is wrong with the other stream's packet, or the run is over."""
        if self._stray and not (self.run and self.run.failed):
            raise UnknownContents(self._stray)
        self._stray = None

    def _awaited(self, engine: Engine) -> str:
        """What an engine that has no load waits for in a run, in words."""
        reasons = self.run.standing.reasons(engine) if self.run else []
        return f": its next waits for {' and '.join(reasons)}" if reasons else ""

    def activation_packet(self, packet: Packet) -> None:
        """A packet of s_axis_act: a line of the load under way, or swallowed after an error."""
        if self.activations_discard:
            return
        load = self.activations_load
        if load is None:
            self._outside("s_axis_act", Engine.ACTIVATIONS, self.weights_load)
            return
        error = line_fault(self.config, packet, load.line_pos, load.limit - load.next_word)
        if error:
            self.activations_load, self.activations_discard = None, True
            self.error_info["ACT_ERROR_INFO"] = load.done
            self._forget("lines", load.base + load.done, load.count - load.done)
            self._report(error, Engine.ACTIVATIONS)
            return
        self._no_stray()
        bitmap = packet.beats[0] & (1 << lines.LINE_BITS) - 1
        parts = zip(packet.beats[1:], packet.keeps[1:], strict=True)
        packed = b"".join(beat.to_bytes(keep.bit_length(), "little") for beat, keep in parts)
        entry = load.base + load.done
        self.contents.bitmaps[entry], self.contents.packed[entry] = bitmap, packed
        self.publish(LinesDue(Engine.ACTIVATIONS, "input", (entry,), (bitmap,), (packed,), load.next_word, load.limit))
        self.act_end = load.next_word = load.next_word + -(-len(packed) // WORD_BYTES)
        load.done += 1
        if load.done == load.count:
            self.activations_load = None
            self._loaded("lines", Engine.ACTIVATIONS)

    def result_packet(self, packet: Packet) -> None:
        """A packet of m_axis_res, whatever it holds: one less is due."""
        self.results_due = max(0, self.results_due - 1)

    # -- layers and results -------------------------------------------------------------------------------------

    def _forget(self, memory: str, base: int, count: int) -> None:
        """Contents become unknown."""
        if count == 0:
            return
        self.contents.forget(memory, base, count)
        self.publish(Forgotten(memory, base, count))

    def _forget_all(self) -> None:
        """Everything that a run may have changed becomes unknown."""
        for memory in ("weights", "parameters", "lines"):
            self._forget(memory, 0, self.contents.size(memory))
        self.section_ends.clear()
        self.before, self.before_known = None, False

    def _forget_output(self, d: Descriptor) -> None:
        if d.out_pitch == d.out_lines:
            self._forget("lines", d.out_idx_base, d.out_entries)
        else:
            for channel in range(d.out_k):
                self._forget("lines", d.out_idx_base + channel * d.out_pitch, d.out_lines)

    def _push_layer(self) -> None:
        if self.run or len(self.layers_open) > self.config.QueueDepth:
            self.errors.add("command_busy")
            self._conclude("layer_push", "busy")
            return
        d = descriptor_of(self.registers)
        self.descriptor_error = self._violation(d)
        self._conclude("layer_push", "refused" if self.descriptor_error else "accepted")
        self.publish(Interrupt("layer_done"))
        if self.descriptor_error:
            self._report("descriptor")
            self.layers_open.append(None)
            return
        self.layers_open.append(d)
        if self._carry_out(d, "layer", None).overflow:
            self._report("out_overflow")

    def _violation(self, d: Descriptor) -> int:
        if d.continue_slot and not self.before_known:
            raise UnknownContents("a layer continues the slots of one that is unknown: a run ended by an error")
        return first_violation(self.config, d, self.before.descriptor if self.before else None)

    def _carry_out(self, d: Descriptor, what: str, order: int | None) -> LayerDone:
        """Compute a layer, publish it and the lines that it has to write, and keep them. order: layers before it in
        its run."""
        layer = self._compute(d)
        self.before, self.before_known = layer, True
        # Lines of the layers behind one that overflows might be taken for those that it leaves out.
        self._lines_missing |= layer.overflow
        self.publish(layer)
        entries: list[int] = []
        bitmaps: list[int] = []
        parts: list[bytes] = []
        if not d.keep_slot:
            packed = lines.compress(layer.output, d.tile)
            entries, bitmaps = d.out_index, packed.bitmaps.ravel().tolist()
            parts = [part.tobytes() for part in packed.packed()]
        self.publish(
            LinesDue(
                Engine.LAYERS,
                what,
                entries,
                bitmaps,
                parts,
                layer.section_start,
                d.out_act_limit,
                complete=not self._lines_missing,
                section=d.out_section,
                appended=layer.appended,
                order=order,
            )
        )
        self.section_ends[d.out_section] = layer.section_end
        if layer.overflow:
            self._forget_output(d)
        else:
            for entry, bitmap, part in zip(entries, bitmaps, parts, strict=True):
                self.contents.bitmaps[entry], self.contents.packed[entry] = bitmap, part
        return layer

    def _compute(self, d: Descriptor) -> LayerDone:
        """Read a layer's tensors from the memories and compute what it has to produce."""
        weights = self.contents.layer_weights(d)
        bitmaps, packed = self.contents.lines(d.in_index)
        parameters = self.contents.layer_parameters(d)
        appended = bool(d.out_append) and d.out_section in self.section_ends
        return compute_layer(
            d,
            weights,
            bitmaps,
            packed,
            parameters,
            self.contents.lines(d.res_index),
            section_start=self.section_ends[d.out_section] if appended else d.out_act_base,
            appended=appended,
            continued=self.before.kept if d.continue_slot and self.before else None,
        )

    def _send(self, base: int, count: int) -> None:
        bitmaps, packed = self.contents.lines(range(base, base + count))
        pairs = zip(bitmaps, packed, strict=True)
        self.results_due += count
        self.publish(ResultsDue(tuple(line_packet(*pair, self.config.StreamBytes) for pair in pairs)))

    # -- runs ---------------------------------------------------------------------------------------------------

    def _start_run(self) -> None:
        lists = [
            (self._value(f"RUN_{name}_BASE"), self._value(f"RUN_{name}_COUNT"))
            for name in ("WGT", "ACT", "LAYER", "RES")
        ]
        iterations = self._value("RUN_ITERATIONS")
        ends = [base + count * WORDS[engine] for engine, (base, count) in zip(Engine, lists, strict=True)]
        busy = self.weights_load or self.weights_discard or self.activations_load or self.activations_discard
        legal = iterations > 0 and max(ends) <= self.contents.size("program")
        if not self._may_start("run", busy or self.layers_open or self.results_due, legal):
            return
        used = [word for (base, _), end in zip(lists, ends, strict=True) for word in self.contents.program[base:end]]
        if None in used:
            raise UnknownContents("a run of words of the Program Memory that are not loaded")
        plan = decode([word or 0 for word in self.contents.program], lists, iterations, self.register_model)
        self.run = _Run(plan)
        self.run_error = RunError()
        self.publish(RunStarted(plan))
        self._go_on(self.run)

    def _go_on(self, run: _Run) -> None:
        """Everything that can be done before more comes in."""
        moved = True
        while moved and not run.failed:
            moved = False
            for engine in Engine:
                while engine not in run.loading and not run.failed and run.standing.ready(engine):
                    self._issue(run, engine)
                    moved = True
        if run.standing.over:
            self.publish(Interrupt("run_done"))

    def _issue(self, run: _Run, engine: Engine) -> None:
        """Begin an engine's next descriptor; layers and results are done at once."""
        issue = run.standing.next(engine)
        assert issue
        match issue.step:
            case WeightsStep(base, count, parameters, mode):
                memory = "parameters" if parameters else "weights"
                if not self._in_range(base, count, memory):
                    self._report("command_range", engine)
                    return
                self.weights_load = _Load(memory, base, count, mode)
                run.loading.add(engine)
            case ActivationsStep() as step:
                if not self._loads(step):
                    self._report("command_range", engine)
                    return
                self._load_lines(step)
                run.loading.add(engine)
            case LayerStep(descriptor):
                iteration, number = run.standing.at(engine)
                self.descriptor_error = self._violation(descriptor)
                if self.descriptor_error:
                    self._report("descriptor", engine)
                    return
                what = f"layer {number} of iteration {iteration}"
                done = self._carry_out(descriptor, what, run.standing.issued(engine))
                if done.overflow:
                    self._report("out_overflow", engine)
                    return
                run.standing.retired[engine] += 1
            case ResultsStep(base, count):
                if not self._in_range(base, count, "lines"):
                    self._report("command_range", engine)
                    return
                self._send(base, count)
                run.standing.retired[engine] += 1

    def _end_run(self) -> None:
        """The host knows that the run, if there is one, has ended."""
        if self.run is None:
            return
        if not (self.run.failed or self.run.standing.over):
            self.run.ended = True
            return
        self._no_stray()
        failed, self.run = self.run.failed, None
        if failed:
            self.results_due = 0
            self.weights_load = self.activations_load = None
            self._forget_all()
        self.publish(RunOver())
