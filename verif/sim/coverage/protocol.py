# SPDX-License-Identifier: Apache-2.0
"""Coverage of the interfaces: stalls of the streams, commands, interrupts, errors, overlap of the engines."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations, product

from verif.sim.coverage.bins import cross, point
from verif.sim.env.interrupts import CAUSES

LENGTHS = ("1 cycle", "2-3 cycles", "4-15 cycles", "16+ cycles")
HOLDUPS = ("stall at first beat", "stall inside", "stall at last beat", "gap before packet", "gap inside")
# What each stream can show: the loaders stall between packets alone, the result streamer leaves no gap inside a packet,
# and a weight packet is a whole load.
STREAMS = {
    "wgt": ("stall at first beat", "gap inside"),
    "act": ("stall at first beat", "gap before packet", "gap inside"),
    "res": ("stall at first beat", "stall inside", "stall at last beat", "gap before packet"),
}
COMMANDS = ("wgt_load", "par_load", "act_load", "layer_push", "result_send", "prg_load", "run")
OUTCOMES = ("accepted", "busy", "refused")
WEIGHT_STREAM = ("wgt_busy", "par_busy", "prg_busy")
ENGINES = (*WEIGHT_STREAM, "act_busy", "layer_busy", "result_busy")
ERRORS = (
    "wgt_tlast_early",
    "wgt_tlast_late",
    "wgt_index_range",
    "wgt_index_order",
    "par_range",
    "act_tlast_early",
    "act_tlast_late",
    "act_population",
    "act_bitmap",
    "act_overflow",
    "out_overflow",
    "descriptor",
    "command_busy",
    "command_range",
)
RESETS = {  # and the bits of STATUS that show it
    "layer running": ("layer_busy",),
    "load under way": ("wgt_busy", "par_busy", "prg_busy", "act_busy"),
    "result under way": ("result_busy",),
    "run": ("run_busy",),
}


class ProtocolCoverage:
    """Cover points under `protocol`; the lengths of stalls and gaps come from verif/hdl/axis_protocol.sv."""

    def __init__(self, queue_depth: int):
        self.streams = {
            name: point(f"protocol.{name}_stream", cross(holdups, LENGTHS)) for name, holdups in STREAMS.items()
        }
        self.commands = point("protocol.command_x_outcome", cross(COMMANDS, OUTCOMES))
        self.interrupts = point("protocol.interrupt", CAUSES)
        self.errors = point("protocol.error", ERRORS)
        self.descriptor = point("protocol.descriptor_check", [str(n) for n in range(1, 20)])
        pairs = [f"{a} + {b}" for a, b in combinations(ENGINES, 2) if not {a, b} <= {*WEIGHT_STREAM}]
        self.overlap = point("protocol.engines_overlap", pairs)
        self.queue = point("protocol.queue_level", [str(n) for n in range(queue_depth + 1)])
        self.resets = {kind: point(f"protocol.{kind}", ["idle", *RESETS]) for kind in ("rst_ni", "soft_reset")}
        self.accesses = point(
            "protocol.access", cross(["read", "write"], ["read-write", "read-only", "write-only", "unmapped"])
        )

    def stream(self, name: str, seen: int) -> None:
        """Sample the `seen_q` vector of a stream's protocol module."""
        for number, (holdup, length) in enumerate(product(HOLDUPS, LENGTHS)):
            if seen >> number & 1 and holdup in STREAMS[name]:
                self.streams[name].hit(f"{holdup}/{length}")

    def command(self, name: str, outcome: str) -> None:
        """A command and what became of it."""
        self.commands.hit(f"{name}/{outcome}")

    def status(self, values: Mapping[str, int]) -> None:
        """A read of STATUS."""
        for a, b in combinations((engine for engine in ENGINES if values[engine]), 2):
            self.overlap.hit(f"{a} + {b}")
        self.queue.hit(str(values["queue_level"]))

    def reset(self, kind: str, status: Mapping[str, int]) -> None:
        """A reset ("rst_ni" or "soft_reset") when STATUS read so."""
        under_way = [label for label, bits in RESETS.items() if any(status[bit] for bit in bits)]
        for label in under_way or ["idle"]:
            self.resets[kind].hit(label)

    def access(self, write: bool, rights: str | None) -> None:
        """An access of the AXI4-Lite port to a register with these rights, None where there is none."""
        kind = {"RW": "read-write", "RO": "read-only", "WO": "write-only", None: "unmapped"}[rights]
        self.accesses.hit(f"{'write' if write else 'read'}/{kind}")
