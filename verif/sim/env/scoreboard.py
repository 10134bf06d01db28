# SPDX-License-Identifier: Apache-2.0
"""The scoreboard: every result packet, line written and register read against what the predictor concludes.

Its verdict starts as failed: a run in which no result packet was compared does not pass.
"""

from __future__ import annotations

import hashlib
from collections import Counter

from pyuvm import uvm_component

from models.config import Config
from models.stream import Packet
from verif.sim.env.analysis_input import AnalysisInput
from verif.sim.env.conclusions import Access, Conclusion, Interrupt, Reset, ResultsDue, RunFailed, RunOver
from verif.sim.env.line_monitor import LineChecker

MAX_REPORTED = 10


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
    """The comparison itself, without a simulator: feed it conclusions and packets, then ask for `problems`.

    `due`: result packets still to come, in order; `interrupts`: how many of each cause the host has still to serve
    (negative for a moment when it is faster than a faulty packet).
    """

    def __init__(self, config: Config):
        self.due: list[Packet] = []
        self.interrupts: Counter[str] = Counter()
        self.compared = 0
        self.wrong: Counter[str] = Counter()
        self.digest = hashlib.sha256()
        self._messages: list[str] = []
        self._word = config.StreamBytes
        self._failed = False  # a run that goes to its end after an error

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
        if self.due:
            found.append(f"missing: {len(self.due)} result packets never came")
        if not self.compared:
            found.append("nothing was compared")
        return found

    @property
    def unserved(self) -> list[str]:
        """Interrupts that never came, or came without a cause; known when nothing is under way."""
        return [f"interrupts: {n:+d} {cause} expected" for cause, n in self.interrupts.items() if n]

    def result(self, packet: Packet) -> None:
        """A packet of m_axis_res."""
        for beat, keep in zip(packet.beats, packet.keeps, strict=True):
            self.digest.update(beat.to_bytes(self._word, "little") + keep.to_bytes(self._word, "little"))
        if not self.due and self._failed:
            return
        if not self.due:
            self.fail("excess", f"result packet {self.compared} (bitmap {packet.beats[0]:#x}) although none is due")
            return
        difference = packet_difference(packet, self.due.pop(0))
        if difference:
            self.fail("result", f"packet {self.compared}: {difference}")
        self.compared += 1

    def conclude(self, conclusion: Conclusion) -> None:
        """What the predictor publishes."""
        match conclusion:
            case Access():
                self._access(conclusion)
            case ResultsDue(packets):
                self.due += packets
            case Interrupt(cause, served):
                self.interrupts[cause] += -1 if served else 1
            case RunFailed():
                self._failed = True
            case RunOver() if self._failed:
                self._failed = False
                self.due.clear()
            case Reset():
                self._failed = False
                self.due.clear()
                self.interrupts.clear()

    def _access(self, access: Access) -> None:
        if access.okay != access.legal:
            kind = "write" if access.write else "read"
            what = f"{kind} of {access.name or hex(access.address)} ({access.rights or 'unmapped'})"
            self.fail("response", f"{what} answered {'OKAY' if access.okay else 'SLVERR'}")
        if access.name == "STATUS" and access.understood and not access.running:
            outstanding = access.values["queue_level"] + 1 if access.values["layer_busy"] else 0
            if outstanding > access.layers_open:
                self.fail("register", f"STATUS shows {outstanding} layers, {access.layers_open} were pushed")
        for field, expected in access.expected.items():
            if access.values[field] != expected:
                self.fail("register", f"{access.name}.{field} reads {access.values[field]}, expected {expected}")
        if access.stray:
            self.fail("register", f"{access.name} reads {access.stray:#010x} outside its fields")


class Scoreboard(uvm_component):
    """Connects predictor and results to a Checker; the run fails in check_phase when the checker has a problem."""

    def build_phase(self):
        self.checker = Checker(self.cdb_get("CONFIG"))
        self.line_checker = LineChecker(self.checker.fail)
        self.conclusions = AnalysisInput("conclusions", self, self.checker.conclude)
        self.results = AnalysisInput("results", self, self.checker.result)
        self.line_conclusions = AnalysisInput("line_conclusions", self, self.line_checker.conclude)
        self.lines = AnalysisInput("lines", self, self.line_checker.line)

    def check_phase(self):
        problems = self.checker.problems + self.line_checker.missing + self.checker.unserved
        assert not problems, "scoreboard: " + "; ".join(problems)
        self.logger.info(
            "scoreboard: %d result packets and %d lines as expected", self.checker.compared, self.line_checker.compared
        )
