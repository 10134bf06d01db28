# SPDX-License-Identifier: Apache-2.0
"""The scoreboard: every packet of the result stream and every register read against the reference model.

Its verdict starts as failed: a run in which no result packet was compared does not pass.
"""

from __future__ import annotations

import hashlib
from collections import Counter

from cocotb.simtime import get_sim_time
from pyuvm import uvm_analysis_export, uvm_component

from models.config import Config
from models.stream import Packet
from verif.env.core_model import CoreModel
from verif.env.interrupts import CLOCK_NS
from verif.env.register_agent import BusAccess
from verif.env.register_model import RegisterModel

MAX_REPORTED = 10
SETTLE_NS = 64 * CLOCK_NS  # from the end of a packet until all that it causes can be read


def packet_difference(found: Packet, expected: Packet) -> str | None:
    """What differs first, in the words of the format: bitmap, TLAST, TKEEP or a packed byte; None when equal."""
    if found == expected:
        return None
    if found.beats[0] != expected.beats[0]:
        return f"bitmap {found.beats[0]:#018x}, expected {expected.beats[0]:#018x}"
    if len(found.beats) != len(expected.beats):
        return f"TLAST on beat {len(found.beats) - 1}, expected on beat {len(expected.beats) - 1}"
    if found.keeps != expected.keeps:
        return f"TKEEP {[hex(k) for k in found.keeps]}, expected {[hex(k) for k in expected.keeps]}"
    beat = next(i for i, pair in enumerate(zip(found.beats, expected.beats, strict=True)) if pair[0] != pair[1])
    octet = ((diff := found.beats[beat] ^ expected.beats[beat]) & -diff).bit_length() - 1 >> 3
    values = [packet.beats[beat] >> 8 * octet & 0xFF for packet in (found, expected)]
    return f"byte {octet} of beat {beat} is {values[0]:#04x}, expected {values[1]:#04x}"


class Checker:
    """The comparison itself, without a simulator: feed it bus accesses and packets, then ask for `problems`."""

    # What reads as the host wrote it (or as the reset left it) is compared; the rest changes on its own.
    _STICKY = ("ERROR", "DESCRIPTOR_ERROR", "WGT_ERROR_INFO", "ACT_ERROR_INFO", "ACT_END")
    _CLEARED = ("INTR_STATE", "ERROR")  # by writing ones

    def __init__(self, config: Config, registers: RegisterModel):
        self.registers = registers
        self.model = CoreModel(config)
        self.compared = 0
        self.wrong: Counter[str] = Counter()
        self.digest = hashlib.sha256()
        self._messages: list[str] = []
        self._word = config.StreamBytes

    def fail(self, kind: str, text: str) -> None:
        """Count a failure; the first few keep their text."""
        self.wrong[kind] += 1
        if len(self._messages) < MAX_REPORTED:
            self._messages.append(f"{kind}: {text}")

    @property
    def problems(self) -> list[str]:
        """Why the run does not pass: empty when something was compared, nothing was wrong and nothing is missing."""
        found = list(self._messages)
        hidden = self.wrong.total() - len(found)
        if hidden:
            found.append(f"and {hidden} more: {dict(self.wrong)}")
        if self.model.expected:
            found.append(f"missing: {len(self.model.expected)} result packets never came")
        if not self.compared:
            found.append("nothing was compared")
        return found

    @property
    def unserved(self) -> list[str]:
        """Interrupts that never came, or came without a cause; known when nothing is under way."""
        return [f"interrupts: {n:+d} {cause} expected" for cause, n in self.model.interrupts.items() if n]

    def result(self, packet: Packet) -> None:
        """A packet of m_axis_res."""
        for beat, keep in zip(packet.beats, packet.keeps, strict=True):
            self.digest.update(beat.to_bytes(self._word, "little") + keep.to_bytes(self._word, "little"))
        if not self.model.expected:
            self.fail("excess", f"result packet {self.compared} (bitmap {packet.beats[0]:#x}) although none is due")
            return
        difference = packet_difference(packet, self.model.expected.pop(0))
        if difference:
            self.fail("result", f"packet {self.compared}: {difference}")
        self.compared += 1

    def access(self, access: BusAccess, quiet: bool = True) -> None:
        """An access of the AXI4-Lite port. ``quiet``: no stream has moved for a while; what they cause is settled."""
        name = self.registers.name_at(access.address)
        rights = self.registers.rights(name) if name else None
        legal = rights in ("RW", "WO" if access.write else "RO")
        if access.okay != legal:
            kind = "write" if access.write else "read"
            answer = "OKAY" if access.okay else "SLVERR"
            self.fail("response", f"{kind} of {name or hex(access.address)} ({rights or 'unmapped'}) answered {answer}")
        if not access.okay or not legal or name is None:
            return
        data = access.data
        if access.write and rights == "RW" and name not in self._CLEARED:
            data |= self._held(name) & ~access.written
        values = self.registers.decode(name, data)
        if access.write:
            self.model.write(name, values)
        elif name == "INTR_STATE":
            self.model.read_interrupts(values)
        elif name == "STATUS":
            self._status(values, quiet)
        elif name in self._STICKY:
            if quiet:
                self._sticky(name, values)
        elif rights == "RW":
            self._written(name, data)

    def _status(self, values: dict[str, int], quiet: bool) -> None:
        outstanding = values["queue_level"] + 1 if values["layer_busy"] else 0
        if outstanding > len(self.model.layers_open):
            self.fail("register", f"STATUS shows {outstanding} layers, {len(self.model.layers_open)} were pushed")
        self.model.read_status(values)
        for bit, expected in self.model.status.items() if quiet else ():
            if values[bit] != expected:
                self.fail("register", f"STATUS.{bit} reads {values[bit]}, expected {int(expected)}")

    def _sticky(self, name: str, values: dict[str, int]) -> None:
        found: set[str] | int
        expected: set[str] | int
        if name == "ERROR":
            # Overflow shows at some time before its layer ends.
            unsure = {"out_overflow"} if self.model.layers_open else set()
            found, expected = {cause for cause, value in values.items() if value} - unsure, self.model.errors - unsure
        elif name == "DESCRIPTOR_ERROR":
            found, expected = values["code"], self.model.descriptor_error
        else:
            settled = self.model.error_info | {"ACT_END": self.model.act_end}
            found, expected = values["value"], settled[name]
        if found != expected:
            self.fail("register", f"{name} reads {found or 'nothing'}, expected {expected or 'nothing'}")

    def _held(self, name: str) -> int:
        """What the host has made of a register."""
        default = self.registers.decode(name, self.registers.reset_value(name))
        return self.registers.encode(name, **self.model.registers.get(name, default))

    def _written(self, name: str, data: int) -> None:
        expected = self._held(name)
        if data != expected:
            self.fail("register", f"{name} reads {data:#010x}, expected {expected:#010x}")


class AnalysisInput(uvm_analysis_export):
    """An analysis export that hands what is written to a function."""

    def __init__(self, name, parent, function):
        super().__init__(name, parent)
        self.write = function


class Scoreboard(uvm_component):
    """Connects the monitors to a Checker; the run fails in check_phase when the checker has a problem."""

    def build_phase(self):
        self.checker = Checker(self.cdb_get("CONFIG"), self.cdb_get("REGISTERS"))
        model = self.checker.model
        self.accesses = AnalysisInput("accesses", self, self._access)
        self.weights = AnalysisInput("weights", self, self._moving(model.weight_packet))
        self.activations = AnalysisInput("activations", self, self._moving(model.activation_packet))
        self.results = AnalysisInput("results", self, self._moving(self.checker.result))
        self._moved = 0.0

    def _moving(self, function):
        """The function for a packet, which also notes the time."""

        def take(packet: Packet):
            self._moved = get_sim_time("ns")
            function(packet)

        return take

    def _access(self, access: BusAccess):
        env = self.get_parent()
        idle = all(agent.monitor.idle for agent in (env.weight_agent, env.activation_agent, env.result_agent))
        self.checker.access(access, quiet=idle and get_sim_time("ns") > self._moved + SETTLE_NS)

    def check_phase(self):
        problems = self.checker.problems + self.checker.unserved
        assert not problems, "scoreboard: " + "; ".join(problems)
        self.logger.info("scoreboard: %d result packets as expected", self.checker.compared)
