# SPDX-License-Identifier: Apache-2.0
"""The pyuvm side of `run_program`: a program from a file in one run, every line and every tensor checked."""

from __future__ import annotations

import os
import time
from pathlib import Path

import cocotb
import pyuvm
from cocotb.triggers import Timer

from models.program import Program
from verif.shared.layer_files import COMPUTING, PROGRESS, Progress
from verif.shared.program_files import DIRECTORY, PROGRAM, REPORT, LayerReport, RunReport
from verif.sim.env.interrupts import CLOCK_NS
from verif.sim.env.program_words import Engine
from verif.sim.env.run_monitor import RunMonitor
from verif.sim.env.scenario import CoreTest
from verif.sim.env.sequences import RunProgram

LOOK_CYCLES = 1000


async def tell(monitor: RunMonitor, layers: int) -> None:
    """Once a second of wall time, say which layer runs since when. Never ends: start it as a task and cancel that."""
    began = written = time.monotonic()
    number = start = 0
    while True:
        await Timer(LOOK_CYCLES * CLOCK_NS, "ns")
        if (record := monitor.record) is None:
            continue
        if record.standing.retired[Engine.LAYERS] != number:
            number, start, began = record.standing.retired[Engine.LAYERS], record.now(), time.monotonic()
        now = time.monotonic()
        if now - written >= 1:
            written = now
            cycles = record.now() - (start or record.started)
            Progress(min(number, layers - 1), COMPUTING, cycles, now - began).write(Path(PROGRESS))


@pyuvm.test()
class GivenProgram(CoreTest):
    """The program in the directory that the environment names."""

    bound_us = None  # the run monitor sees to it

    async def scenario(self):
        program = Program.load(Path(os.environ[DIRECTORY]) / PROGRAM)
        telling = cocotb.start_soon(tell(self.env.run_monitor, program.iterations * len(program.layers)))
        run = RunProgram(program)
        await run.start(self.sequencer)
        telling.cancel()
        expected = [
            packet
            for iteration in range(program.iterations)
            for transfer in program.results
            for packet in program.result_packets(transfer, iteration, self.config.StreamBytes)
        ]
        assert self.env.results.take() == expected, "results: not those of the network"
        record = run.record
        retired = {
            engine.label: [found.cycle - record.started for found in record.retired if found.engine is engine]
            for engine in Engine
        }
        layers = [LayerReport(*pair) for pair in zip(record.layer_cycles, record.macs, strict=True)]
        scoreboard = self.env.scoreboard
        RunReport(
            record.cycles,
            layers,
            retired,
            scoreboard.line_checker.compared,
            scoreboard.checker.compared,
            run.seconds,
        ).write(Path(REPORT))
