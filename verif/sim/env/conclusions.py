# SPDX-License-Identifier: Apache-2.0
"""What the reference model concludes from what the core was given, in the order of cause and effect.

An access comes first, then what it leads to; a layer that was taken is a LayerDone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from models.stream import Packet
from verif.sim.env.layer_reference import LayerDone
from verif.sim.env.program_words import Engine, RunPlan


@dataclass(frozen=True)
class Access:
    """An access of the AXI4-Lite port as it was understood, before it has any effect.

    Values are by field. A read has to give those of `expected`; the others have no one right value at this time.
    An access that was not legal, or was not answered with OKAY, has none of both.
    """

    address: int
    write: bool
    okay: bool  # the core's answer
    name: str | None  # of the register, None where there is none
    rights: str | None  # "RO", "WO" or "RW"
    legal: bool  # the answer has to be OKAY
    values: Mapping[str, int]  # read, or what the register is to hold: bytes without strobe keep what they were
    expected: Mapping[str, int]
    stray: int  # bits that were read outside all fields, where there have to be zeros
    layers_open: int  # pushed and not known to have ended
    running: bool  # a run was started and is not known to have ended

    @property
    def understood(self) -> bool:
        """It was carried out: `values` are valid."""
        return self.legal and self.okay


@dataclass(frozen=True)
class CommandOutcome:
    """What became of a command: "accepted", "busy" or "refused"."""

    command: str  # its field of CTRL
    outcome: str


@dataclass(frozen=True)
class Reset:
    """A reset: "rst_ni" or "soft_reset". Result packets and interrupts that were due are not any more."""

    kind: str


@dataclass(frozen=True)
class Forgotten:
    """Memory contents that are unknown from here on: "weights", "parameters", "program" or "lines" (index entries)."""

    memory: str
    base: int
    count: int


@dataclass(frozen=True)
class LinesDue:
    """Lines that the core has to write to index entries, in any order, their bytes one after another from word
    ``first`` of the Activation Memory on.

    engine: who writes them; what: the same in words; packed: their bytes; complete: False when the section is too
    small, or that of a layer before that may still run, so that some stay out; section: number of a layer's; appended:
    behind what went there before, whose last lines may come among these; order: layers before this one in its run.
    """

    engine: Engine
    what: str
    entries: Sequence[int]
    bitmaps: Sequence[int]
    packed: Sequence[bytes]
    first: int
    limit: int
    complete: bool = True
    section: int | None = None
    appended: bool = False
    order: int | None = None


@dataclass(frozen=True)
class LinesOver:
    """All layers have ended: of those whose section was too small no more lines come."""


@dataclass(frozen=True)
class ResultsDue:
    """Packets that the core has to send next, in this order, after those that are due already."""

    packets: tuple[Packet, ...]


@dataclass(frozen=True)
class Interrupt:
    """An event that has to set a bit of INTR_STATE; ``served``: the host has cleared such a bit instead."""

    cause: str
    served: bool = False


@dataclass(frozen=True)
class RunStarted:
    """A run was accepted."""

    plan: RunPlan


@dataclass(frozen=True)
class RunFailed:
    """A run has to end with this error of an engine. What is due besides may come or not until it is over."""

    engine: Engine
    iteration: int
    number: int  # of the descriptor
    cause: str


@dataclass(frozen=True)
class RunOver:
    """The host knows that a run has ended."""


Conclusion = (
    Access
    | LayerDone
    | CommandOutcome
    | Reset
    | Forgotten
    | LinesDue
    | LinesOver
    | ResultsDue
    | Interrupt
    | RunStarted
    | RunFailed
    | RunOver
)
