# SPDX-License-Identifier: Apache-2.0
"""Record what a cocotb run does at the ports of the design, for a replay without Python.

The trace holds every change of every port with its time, and named marks. All integers are
little-endian:

    "SCTRACE1", u64 clock period, u64 time of the first rising edge, u64 seed, u32 number of ports;
    per port u8 direction (0 input, 1 output), u16 bytes, u8 length of the name, name;
    then records u64 time, u16 port, value in the port's bytes; port 0xffff is a mark, its
    value a u8 length and a name.

Times are simulator time steps.
"""

from __future__ import annotations

import json
import os
import struct
import time
from pathlib import Path

import cocotb
from cocotb.simtime import get_sim_time
from cocotb.triggers import RisingEdge, ValueChange

from verif.shared.variables import MARKS_FILE, TRACE_FILE

MAGIC = b"SCTRACE1"
MARK = 0xFFFF


class Stopwatch:
    """Named points of a run in simulated and in processor time (what else the machine does is not counted).

    With `record` also a port trace; recording costs time, so a run is either recorded or timed.
    """

    def __init__(self, dut, clock, period: int, ports: list[tuple[str, int, int]], record: bool):
        """`period` in time steps; `ports` as (name, direction, bytes) without the clock."""
        self.dut, self.clock, self.period, self.ports, self.record = dut, clock, period, ports, record
        self.marks: list[tuple[str, int, float]] = []  # name, time steps, seconds
        self._records: list[bytes] = []
        self._first_edge = 0

    def start(self) -> None:
        """Begin, before anything is driven."""
        if self.record:
            cocotb.start_soon(self._find_first_edge())
            for index, (name, _, size) in enumerate(self.ports):
                handle = getattr(self.dut, name)
                self._note(index, int(handle.value).to_bytes(size, "little"))
                cocotb.start_soon(self._watch(index, handle, size))

    def mark(self, name: str) -> None:
        """Name this point of the run."""
        self.marks.append((name, int(get_sim_time("step")), time.process_time()))
        if self.record:
            self._note(MARK, struct.pack("B", len(name)) + name.encode())

    def write(self, directory: Path = Path()) -> None:
        """Write marks.json, a mapping of name to [cycle, seconds], and when recording ports.trace."""
        marks = {name: (steps // self.period, seconds) for name, steps, seconds in self.marks}
        (directory / MARKS_FILE).write_text(json.dumps(marks))
        if not self.record:
            return
        seed = int(os.environ["COCOTB_RANDOM_SEED"])
        with (directory / TRACE_FILE).open("wb") as out:
            out.write(MAGIC + struct.pack("<QQQI", self.period, self._first_edge, seed, len(self.ports)))
            for name, direction, size in self.ports:
                out.write(struct.pack("<BHB", direction, size, len(name)) + name.encode())
            out.writelines(self._records)

    def _note(self, index: int, value: bytes) -> None:
        self._records.append(struct.pack("<QH", int(get_sim_time("step")), index) + value)

    async def _find_first_edge(self) -> None:
        await RisingEdge(self.clock)
        self._first_edge = int(get_sim_time("step"))

    async def _watch(self, index: int, handle, size: int) -> None:
        change = ValueChange(handle)
        while True:
            await change
            self._note(index, int(handle.value).to_bytes(size, "little"))
