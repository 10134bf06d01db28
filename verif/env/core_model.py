# SPDX-License-Identifier: Apache-2.0
"""What the host can see of the core, predicted from its inputs alone: register writes and input packets.

The model holds the contents of the memories as docs/architecture.md sections 3 to 6 define them, decodes each layer
from them with the models of `models/`, and says which lines a result transfer has to send. It knows nothing of the
order of work or of time, so what depends on them is *unknown* to it: reading that is an error of the stimulus.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models import lines, stream
from models.config import Config
from models.descriptor import Descriptor
from models.lines import WORD_BYTES
from models.stream import Packet, line_packet
from verif.env.descriptor_checks import first_violation
from verif.env.layer_reference import LayerDone, compute_layer, descriptor_of

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

    Feed it with `write`, `read_status`, `weight_packet`, `activation_packet` and `reset`. It fills `expected` (packets
    of the result stream still to come, in order), `errors` (sticky causes), `descriptor_error`, `layers`, and
    `interrupts`: how many of each cause the host has still to serve (negative for a
    moment when it is faster than a faulty packet).
    """

    def __init__(self, config: Config):
        self.config = config
        self.registers: dict[str, dict[str, int]] = {}
        self.vectors = np.zeros((config.WgtBanks * config.WgtDepth, config.NumLanes), np.uint16)
        self.vectors_known = np.zeros(len(self.vectors), bool)
        self.parameters: list[int | None] = [None] * config.ParDepth
        self.bitmaps: list[int | None] = [None] * (config.IdxBanks * config.IdxDepth)
        self.packed: list[bytes] = [b""] * len(self.bitmaps)
        self.layers: list[LayerDone] = []
        self.expected: list[Packet] = []
        self.errors: set[str] = set()
        self.outcomes: dict[str, str] = {}  # of the latest command of each kind: accepted, busy or refused
        self._clear()

    def _clear(self) -> None:
        self.weights_load: _Load | None = None
        self.parameters_load: _Load | None = None
        self.activations_load: _Load | None = None
        self.weights_discard = self.activations_discard = False
        self.layers_open: list[Descriptor | None] = []  # pushed, not yet known to have ended; None: to be refused
        self.descriptor_error = 0
        self.error_info = {"WGT_ERROR_INFO": 0, "ACT_ERROR_INFO": 0}
        self.act_end = 0
        self.interrupts: Counter[str] = Counter()
        self._pending: dict[str, int] = {}  # INTR_STATE as last read

    # -- register accesses --------------------------------------------------------------------------------------

    def write(self, register: str, values: dict[str, int]) -> None:
        """A register write that the core accepted, by field."""
        if register == "CTRL":
            self._command({name for name, value in values.items() if value})
        elif register == "ERROR":
            self.errors -= {name for name, value in values.items() if value}
        elif register == "INTR_STATE":
            self.interrupts.subtract({cause: 1 for cause, on in values.items() if on and self._pending.get(cause)})
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
            "result_busy": bool(self.expected),
            "wgt_discard": self.weights_discard,
            "act_discard": self.activations_discard,
        }

    def read_status(self, values: dict[str, int]) -> None:
        """A read of STATUS tells the model how far the core has come."""
        outstanding = values["queue_level"] + 1 if values["layer_busy"] else 0
        if outstanding < len(self.layers_open):
            del self.layers_open[: len(self.layers_open) - outstanding]

    def reset(self, soft: bool = False) -> None:
        """A reset: what was under way is lost, and memory that it was writing becomes unknown."""
        for d in filter(None, self.layers_open):
            self._forget_lines(d.out_idx_base, d.out_entries)
        if self.weights_load:
            load = self.weights_load
            self.vectors_known[load.base : load.base + load.count] = False
        if self.parameters_load:
            load = self.parameters_load
            self.parameters[load.base : load.base + load.count] = [None] * load.count
        if self.activations_load:
            self._forget_lines(self.activations_load.base, self.activations_load.count)
        self._clear()
        self.errors.clear()
        self.expected.clear()
        if not soft:
            self.registers.clear()

    def _value(self, register: str, field: str = "value") -> int:
        return self.registers.get(register, {}).get(field, 0)

    def _command(self, pulses: set[str]) -> None:
        if "soft_reset" in pulses:
            self.reset(soft=True)
            return
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
            "result_send", bool(self.expected), self._value("RES_IDX_BASE"), self._value("RES_LINES"), len(self.bitmaps)
        ):
            self._send(self._value("RES_IDX_BASE"), self._value("RES_LINES"))
        outcomes = {command: self.outcomes.get(command) for command in pulses}
        if outcomes.pop("layer_push", None) == "busy" or {"busy", "refused"} & set(outcomes.values()):
            self.interrupts["error"] += 1  # one write, one event

    def _report(self, cause: str) -> None:
        """An error that a stream, a descriptor or a layer causes."""
        self.errors.add(cause)
        self.interrupts["error"] += 1

    def _may_start(self, command: str, busy, base: int, count: int, size: int, legal: bool = True) -> bool:
        if busy:
            self.errors.add("command_busy")
            self.outcomes[command] = "busy"
        elif count == 0 or base + count > size or not legal:
            self.errors.add("command_range")
            self.outcomes[command] = "refused"
        else:
            self.outcomes[command] = "accepted"
        return self.outcomes[command] == "accepted"

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
            load, self.weights_load, faults, done = self.weights_load, None, self._weight_faults, "wgt_done"
        elif self.parameters_load:
            load, self.parameters_load, faults, done = self.parameters_load, None, self._parameter_faults, "par_done"
        else:
            raise UnknownContents("a packet on s_axis_wgt outside any load")
        count, found = len(packet.beats), []
        if count < load.count:
            found.append((count - 1, "wgt_tlast_early"))
        if count > load.count:
            found.append((load.count - 1, "wgt_tlast_late"))
        good = packet.beats[: load.count]
        found += faults(good)
        if found:
            beat, error = min(found, key=lambda fault: (fault[0], _WEIGHT_FAULTS.index(fault[1])))
            self._report(error)
            self.weights_discard, self.error_info["WGT_ERROR_INFO"] = True, beat
            good = good[:beat]
        else:
            self.interrupts[done] += 1
        if faults == self._weight_faults:
            here = slice(load.base, load.base + len(good))
            self.vectors[here] = self._lanes(good)
            self.vectors_known[here] = True
            self.vectors_known[load.base + len(good) : load.base + load.count] = False
        else:
            self.parameters[load.base : load.base + load.count] = good + [None] * (load.count - len(good))

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
            self._forget_lines(load.base + load.done, load.count - load.done)
            return
        bitmap = packet.beats[0] & (1 << lines.LINE_BITS) - 1
        parts = zip(packet.beats[1:], packet.keeps[1:], strict=True)
        packed = b"".join(beat.to_bytes(keep.bit_length(), "little") for beat, keep in parts)
        self.bitmaps[load.base + load.done], self.packed[load.base + load.done] = bitmap, packed
        self.act_end = load.next_word = load.next_word + -(-len(packed) // WORD_BYTES)
        load.done += 1
        if load.done == load.count:
            self.activations_load = None
            self.interrupts["act_done"] += 1

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

    # -- layers and results -------------------------------------------------------------------------------------

    def _forget_lines(self, base: int, count: int) -> None:
        self.bitmaps[base : base + count] = [None] * count

    def _lines(self, base: int, count: int) -> tuple[list[int], list[bytes]]:
        found = self.bitmaps[base : base + count]
        known = [bitmap for bitmap in found if bitmap is not None]
        if len(known) < len(found):
            raise UnknownContents(f"index entry {base + found.index(None)} is read but its contents are unknown")
        return known, self.packed[base : base + count]

    def _push_layer(self) -> None:
        if len(self.layers_open) > self.config.QueueDepth:
            self.errors.add("command_busy")
            self.outcomes["layer_push"] = "busy"
            return
        d = descriptor_of(self.registers)
        self.descriptor_error = first_violation(self.config, d)
        self.outcomes["layer_push"] = "refused" if self.descriptor_error else "accepted"
        self.interrupts["layer_done"] += 1
        if self.descriptor_error:
            self._report("descriptor")
            self.layers_open.append(None)
            return
        layer = self._compute(d)
        self.layers_open.append(d)
        self.layers.append(layer)
        packed = lines.compress(layer.output, d.tile)
        if layer.overflow:
            self._report("out_overflow")
            self._forget_lines(d.out_idx_base, d.out_entries)
        else:
            here = slice(d.out_idx_base, d.out_idx_base + d.out_entries)
            self.bitmaps[here] = packed.bitmaps.ravel().tolist()
            self.packed[here] = [part.tobytes() for part in packed.packed()]

    def _compute(self, d: Descriptor) -> LayerDone:
        """Read a layer's tensors from the memories and compute what it has to produce."""
        vectors = slice(d.wgt_base, d.wgt_base + d.vectors)
        if not self.vectors_known[vectors].all():
            raise UnknownContents(f"weight vectors {d.wgt_base} to {d.wgt_base + d.vectors - 1} are not all loaded")
        bitmaps, packed = self._lines(d.in_idx_base, d.in_entries)
        found = self.parameters[d.par_base : d.par_base + d.out_k]
        parameters = [beat for beat in found if beat is not None]
        if len(parameters) < len(found):
            raise UnknownContents(f"parameters of channel {found.index(None)} are not loaded")
        return compute_layer(d, self.vectors[vectors], bitmaps, packed, parameters)

    def _send(self, base: int, count: int) -> None:
        self.interrupts["result_done"] += 1
        for bitmap, packed in zip(*self._lines(base, count), strict=True):
            self.expected.append(line_packet(bitmap, packed, self.config.StreamBytes))
