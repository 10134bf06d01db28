# SPDX-License-Identifier: Apache-2.0
"""What the host can see of the core, predicted from its inputs alone: register writes and input packets.

The model holds the contents of the memories as docs/architecture.md sections 3 to 6 define them, decodes each layer
from them with the models of `models/`, and says which lines a result transfer has to send. It knows nothing of the
order of work or of time, so what depends on them is *unknown* to it: reading that is an error of the stimulus.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from models import lines, stream
from models.config import Config
from models.descriptor import Descriptor
from models.lines import WORD_BYTES
from models.stream import Packet, line_packet
from verif.sim.env.conclusions import CommandOutcome, Conclusion, Forgotten, Interrupt, Reset, ResultsDue
from verif.sim.env.descriptor_checks import first_violation
from verif.sim.env.layer_reference import LayerDone, compute_layer, descriptor_of

# Of several faults of one beat of s_axis_wgt the first of these counts (docs/architecture.md section 4).
_WEIGHT_FAULTS = ("wgt_index_order", "wgt_index_range", "par_range", "wgt_tlast_early", "wgt_tlast_late")


class UnknownContents(Exception):
    """The stimulus uses memory contents that nothing has defined."""


@dataclass
class _Load:
    base: int
    count: int
    done: int = 0
    next_word: int = 0


class CoreModel:
    """The core's state as the host has made it.

    Feed it with `write`, `read_status`, `read_interrupts`, `weight_packet`, `activation_packet`, `result_packet` and
    `reset`. It hands what follows to `publish` and keeps `errors` (sticky causes), `descriptor_error` and the like.
    """

    def __init__(self, config: Config, publish: Callable[[Conclusion], None]):
        self.config, self.publish = config, publish
        self.registers: dict[str, dict[str, int]] = {}
        self.vectors = np.zeros((config.WgtBanks * config.WgtDepth, config.NumLanes), np.uint16)
        self.vectors_known = np.zeros(len(self.vectors), bool)
        self.parameters: list[int | None] = [None] * config.ParDepth
        self.bitmaps: list[int | None] = [None] * (config.IdxBanks * config.IdxDepth)
        self.packed: list[bytes] = [b""] * len(self.bitmaps)
        self._clear()

    def _clear(self) -> None:
        self.weights_load: _Load | None = None
        self.parameters_load: _Load | None = None
        self.activations_load: _Load | None = None
        self.weights_discard = self.activations_discard = False
        self.layers_open: list[Descriptor | None] = []  # pushed, not yet known to have ended; None: to be refused
        self.section_ends: dict[int, int] = {}  # where output sections go on, those that were started
        self.results_due = 0  # packets
        self.errors: set[str] = set()
        self.descriptor_error = 0
        self.error_info = {"WGT_ERROR_INFO": 0, "ACT_ERROR_INFO": 0}
        self.act_end = 0
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

    @property
    def status(self) -> dict[str, int]:
        """The bits of STATUS that do not depend on time, once the streams rest."""
        return {
            "wgt_busy": self.weights_load is not None,
            "par_busy": self.parameters_load is not None,
            "act_busy": self.activations_load is not None,
            "result_busy": self.results_due > 0,
            "wgt_discard": self.weights_discard,
            "act_discard": self.activations_discard,
        }

    def read_status(self, values: dict[str, int]) -> None:
        """A read of STATUS tells the model how far the core has come."""
        outstanding = values["queue_level"] + 1 if values["layer_busy"] else 0
        if outstanding < len(self.layers_open):
            del self.layers_open[: len(self.layers_open) - outstanding]

    def reset(self, kind: str) -> None:
        """A reset ("rst_ni" or "soft_reset"): what was under way is lost, and memory that it was writing is unknown."""
        layers = [d for d in self.layers_open if d]
        under_way = []
        for memory, load in (
            ("weights", self.weights_load),
            ("parameters", self.parameters_load),
            ("lines", self.activations_load),
        ):
            if load:
                under_way.append((memory, load.base, load.count))
        self._clear()
        if kind == "rst_ni":
            self.registers.clear()
        self.publish(Reset(kind))
        for d in layers:
            self._forget_output(d)
        for contents in under_way:
            self._forget(*contents)

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
        weights_busy = self.weights_load or self.parameters_load or self.weights_discard
        if "wgt_load" in pulses and self._may_start(
            "wgt_load", weights_busy, self._value("WGT_BASE"), self._value("WGT_COUNT"), len(self.vectors)
        ):
            self.weights_load = _Load(self._value("WGT_BASE"), self._value("WGT_COUNT"))
            weights_busy = True
        if "par_load" in pulses and self._may_start(
            "par_load", weights_busy, self._value("PAR_BASE"), self._value("PAR_COUNT"), len(self.parameters)
        ):
            self.parameters_load = _Load(self._value("PAR_BASE"), self._value("PAR_COUNT"))
        if "act_load" in pulses:
            self._start_activations()
        if "layer_push" in pulses:
            self._push_layer()
        if "result_send" in pulses and self._may_start(
            "result_send",
            self.results_due > 0,
            self._value("RES_IDX_BASE"),
            self._value("RES_LINES"),
            len(self.bitmaps),
        ):
            self._send(self._value("RES_IDX_BASE"), self._value("RES_LINES"))
        # A layer that is refused reports its descriptor.
        failed = {name for name, outcome in self._outcomes.items() if outcome != "accepted"}
        if failed - {"layer_push"} or self._outcomes.get("layer_push") == "busy":
            self.publish(Interrupt("error"))  # one write, one event

    def _conclude(self, command: str, outcome: str) -> None:
        self._outcomes[command] = outcome
        self.publish(CommandOutcome(command, outcome))

    def _report(self, cause: str) -> None:
        """An error that a stream, a descriptor or a layer causes."""
        self.errors.add(cause)
        self.publish(Interrupt("error"))

    def _may_start(self, command: str, busy, base: int, count: int, size: int, legal: bool = True) -> bool:
        if busy:
            self.errors.add("command_busy")
            outcome = "busy"
        elif count == 0 or base + count > size or not legal:
            self.errors.add("command_range")
            outcome = "refused"
        else:
            outcome = "accepted"
        self._conclude(command, outcome)
        return outcome == "accepted"

    def _start_activations(self) -> None:
        base, limit = self._value("ACT_BASE"), self._value("ACT_LIMIT")
        words = self.config.ActBanks * self.config.ActDepth
        legal = base <= limit <= words and 1 <= self._value("ACT_LINE_POS") <= lines.LINE_BITS
        busy = self.activations_load or self.activations_discard
        entry, count = self._value("ACT_IDX_BASE"), self._value("ACT_LINES")
        if self._may_start("act_load", busy, entry, count, len(self.bitmaps), legal):
            self.activations_load = _Load(entry, count, next_word=base)
            self.act_end = base

    # -- input packets ------------------------------------------------------------------------------------------

    def weight_packet(self, packet: Packet) -> None:
        """A packet of s_axis_wgt, taken by a weight or a parameter load or swallowed after an error."""
        if self.weights_discard:
            return
        if self.weights_load:
            memory, load, self.weights_load = "weights", self.weights_load, None
        elif self.parameters_load:
            memory, load, self.parameters_load = "parameters", self.parameters_load, None
        else:
            raise UnknownContents("a packet on s_axis_wgt outside any load")
        count, found = len(packet.beats), []
        if count < load.count:
            found.append((count - 1, "wgt_tlast_early"))
        if count > load.count:
            found.append((load.count - 1, "wgt_tlast_late"))
        good = packet.beats[: load.count]
        found += self._weight_faults(good) if memory == "weights" else self._parameter_faults(good)
        if found:
            beat, error = min(found, key=lambda fault: (fault[0], _WEIGHT_FAULTS.index(fault[1])))
            self._report(error)
            self.weights_discard, self.error_info["WGT_ERROR_INFO"] = True, beat
            good = good[:beat]
        else:
            self.publish(Interrupt("wgt_done" if memory == "weights" else "par_done"))
        here = slice(load.base, load.base + len(good))
        if memory == "weights":
            self.vectors[here] = self._lanes(good)
            self.vectors_known[here] = True
        else:
            self.parameters[here] = good
        self._forget(memory, load.base + len(good), load.count - len(good))

    def _lanes(self, beats: Sequence[int]) -> np.ndarray:
        """Weight beats -> uint16 (beats, L), each {index[3:0], value[7:0]}."""
        size = stream.weight_bytes(self.config)
        octets = np.frombuffer(b"".join(beat.to_bytes(size, "little") for beat in beats), np.uint8)
        bits = np.unpackbits(octets.reshape(-1, size), axis=1, bitorder="little")
        bits = bits[:, : stream.LANE_BITS * self.config.NumLanes].reshape(
            len(beats), self.config.NumLanes, stream.LANE_BITS
        )
        return bits @ (1 << np.arange(stream.LANE_BITS, dtype=np.uint16))

    def _weight_faults(self, beats: Sequence[int]) -> list[tuple[int, str]]:
        k, m = (1 << self._value("WGT_MODE", name) for name in ("k_log2", "m_log2"))
        index = (self._lanes(beats) >> 8).astype(int).reshape(len(beats), -1, k)
        found = []
        for broken, error in (
            ((index >= m).any((1, 2)), "wgt_index_range"),
            ((np.diff(index, axis=2) <= 0).any((1, 2)), "wgt_index_order"),
        ):
            if broken.any():
                found.append((int(np.argmax(broken)), error))
        return found

    def _parameter_faults(self, beats: Sequence[int]) -> list[tuple[int, str]]:
        bad = (i for i, beat in enumerate(beats) if not 1 <= beat >> 64 & 0x3F <= 62 or beat >> 63 & 1)
        return [(beat, "par_range") for beat in bad]

    def activation_packet(self, packet: Packet) -> None:
        """A packet of s_axis_act: a line of the load under way, or swallowed after an error."""
        if self.activations_discard:
            return
        load = self.activations_load
        if load is None:
            raise UnknownContents("a packet on s_axis_act outside any load")
        error = self._line_fault(packet, load)
        if error:
            self._report(error)
            self.activations_load, self.activations_discard = None, True
            self.error_info["ACT_ERROR_INFO"] = load.done
            self._forget("lines", load.base + load.done, load.count - load.done)
            return
        bitmap = packet.beats[0] & (1 << lines.LINE_BITS) - 1
        parts = zip(packet.beats[1:], packet.keeps[1:], strict=True)
        packed = b"".join(beat.to_bytes(keep.bit_length(), "little") for beat, keep in parts)
        self.bitmaps[load.base + load.done], self.packed[load.base + load.done] = bitmap, packed
        self.act_end = load.next_word = load.next_word + -(-len(packed) // WORD_BYTES)
        load.done += 1
        if load.done == load.count:
            self.activations_load = None
            self.publish(Interrupt("act_done"))

    def _line_fault(self, packet: Packet, load: _Load) -> str | None:
        bitmap = packet.beats[0] & (1 << lines.LINE_BITS) - 1
        if packet.keeps[0] != 0xFF:
            return "act_population"
        if bitmap >> self._value("ACT_LINE_POS"):
            return "act_bitmap"
        population = bitmap.bit_count()
        if load.next_word + -(-population // WORD_BYTES) > self._value("ACT_LIMIT"):
            return "act_overflow"
        good = line_packet(bitmap, bytes(population), self.config.StreamBytes).keeps
        last, due = len(packet.keeps) - 1, len(good) - 1
        for beat, (keep, expected) in enumerate(zip(packet.keeps, good, strict=False)):
            if (beat == last) != (beat == due):
                return "act_tlast_early" if beat == last else "act_tlast_late"
            if keep != expected:
                return "act_population"
        return None

    def result_packet(self, packet: Packet) -> None:
        """A packet of m_axis_res, whatever it holds: one less is due."""
        self.results_due = max(0, self.results_due - 1)

    # -- layers and results -------------------------------------------------------------------------------------

    def _forget(self, memory: str, base: int, count: int) -> None:
        """Contents become unknown."""
        if count == 0:
            return
        here = slice(base, base + count)
        if memory == "weights":
            self.vectors_known[here] = False
        elif memory == "parameters":
            self.parameters[here] = [None] * count
        else:
            self.bitmaps[here] = [None] * count
        self.publish(Forgotten(memory, base, count))

    def _forget_output(self, d: Descriptor) -> None:
        if d.out_pitch == d.out_lines:
            self._forget("lines", d.out_idx_base, d.out_entries)
        else:
            for channel in range(d.out_k):
                self._forget("lines", d.out_idx_base + channel * d.out_pitch, d.out_lines)

    def _lines(self, entries: Sequence[int]) -> tuple[list[int], list[bytes]]:
        found = [self.bitmaps[entry] for entry in entries]
        known = [bitmap for bitmap in found if bitmap is not None]
        if len(known) < len(found):
            raise UnknownContents(f"index entry {entries[found.index(None)]} is read but its contents are unknown")
        return known, [self.packed[entry] for entry in entries]

    def _push_layer(self) -> None:
        if len(self.layers_open) > self.config.QueueDepth:
            self.errors.add("command_busy")
            self._conclude("layer_push", "busy")
            return
        d = descriptor_of(self.registers)
        self.descriptor_error = first_violation(self.config, d)
        self._conclude("layer_push", "refused" if self.descriptor_error else "accepted")
        self.publish(Interrupt("layer_done"))
        if self.descriptor_error:
            self._report("descriptor")
            self.layers_open.append(None)
            return
        layer = self._compute(d)
        self.layers_open.append(d)
        self.publish(layer)
        packed = lines.compress(layer.output, d.tile)
        self.section_ends[d.out_section] = layer.section_end
        if layer.overflow:
            self._report("out_overflow")
            self._forget_output(d)
        else:
            for entry, bitmap, part in zip(d.out_index, packed.bitmaps.ravel(), packed.packed(), strict=True):
                self.bitmaps[entry], self.packed[entry] = int(bitmap), part.tobytes()

    def _compute(self, d: Descriptor) -> LayerDone:
        """Read a layer's tensors from the memories and compute what it has to produce."""
        vectors = slice(d.wgt_base, d.wgt_base + d.vectors)
        if not self.vectors_known[vectors].all():
            raise UnknownContents(f"weight vectors {d.wgt_base} to {d.wgt_base + d.vectors - 1} are not all loaded")
        if d.maximum and (self.vectors[vectors] & 0xFF > 1).any():
            raise UnknownContents(f"a maximum of weights from {d.wgt_base} on that are neither 0 nor 1")
        bitmaps, packed = self._lines(d.in_index)
        found = self.parameters[d.par_base : d.par_base + d.out_k]
        parameters = [beat for beat in found if beat is not None]
        if len(parameters) < len(found):
            raise UnknownContents(f"parameters of channel {found.index(None)} are not loaded")
        appended = bool(d.out_append) and d.out_section in self.section_ends
        return compute_layer(
            d,
            self.vectors[vectors],
            bitmaps,
            packed,
            parameters,
            self._lines(d.res_index),
            section_start=self.section_ends[d.out_section] if appended else d.out_act_base,
            appended=appended,
        )

    def _send(self, base: int, count: int) -> None:
        bitmaps, packed = self._lines(range(base, base + count))
        pairs = zip(bitmaps, packed, strict=True)
        self.results_due += count
        self.publish(ResultsDue(tuple(line_packet(*pair, self.config.StreamBytes) for pair in pairs)))
        self.publish(Interrupt("result_done"))
