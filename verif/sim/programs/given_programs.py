# SPDX-License-Identifier: Apache-2.0
"""The pyuvm side of `run_programs`: programs from files, each in one run, every line and every tensor checked."""

from __future__ import annotations

import os
import time
from pathlib import Path

import cocotb
import numpy as np
import pyuvm
from cocotb.triggers import Timer

from models.program import Program
from models.program_results import tensors_of
from models.reference import Bytes
from verif.shared.layer_files import COMPUTING, PROGRESS, Progress
from verif.shared.program_files import COUNT, DIRECTORY, PROGRAM, REPORT, RESULTS, LayerReport, RunReport
from verif.sim.env.interrupts import CLOCK_NS
from verif.sim.env.program_words import Engine
from verif.sim.env.run_monitor import RunMonitor
from verif.sim.env.scenario import CoreTest
from verif.sim.env.sequences import RunProgram

LOOK_CYCLES = 1000


async def tell(monitor: RunMonitor, before: int, layers: int) -> None:
    """Once a second of wall time, say which layer runs since when; before: layers of runs that are over; layers: of
    this one. Never ends: start it as a task and cancel that."""
    began, written, over = time.monotonic(), time.monotonic(), monitor.record
    while True:
        await Timer(LOOK_CYCLES * CLOCK_NS, "ns")
        record, now = monitor.record, time.monotonic()
        if record is None or record is over:
            began = now
            continue
        if now - written >= 1:
            written, number = now, min(record.standing.retired[Engine.LAYERS], layers - 1)
            ends = (found.cycle for found in reversed(record.retired) if found.engine is Engine.LAYERS)
            cycles, speed = record.now() - next(ends, record.started), (record.now() - record.started) / (now - began)
            Progress(before + number, COMPUTING, cycles, speed).write(Path(PROGRESS))


@pyuvm.test()
class GivenPrograms(CoreTest):
    """The programs in the directory that the environment names, one after another."""

    bound_us = None  # the run monitor sees to it

    async def scenario(self):
        directory, before = Path(os.environ[DIRECTORY]), 0
        for number in range(int(os.environ[COUNT])):
            program = Program.load(directory / PROGRAM.format(number))
            layers = program.iterations * len(program.layers)
            telling = cocotb.start_soon(tell(self.env.run_monitor, before, layers))
            report, tensors = await self.run_program(program)
            telling.cancel()
            report.write(Path(REPORT.format(number)))
            np.savez(Path(RESULTS.format(number)), *tensors.values(), names=np.array(list(tensors)))
            before += layers

    async def run_program(self, program: Program) -> tuple[RunReport, dict[str, Bytes]]:
        """One run: what was seen of it, and its results."""
        scoreboard, run = self.env.scoreboard, RunProgram(program)
        compared = scoreboard.line_checker.compared, scoreboard.checker.compared
        await run.start(self.sequencer)
        expected = [
            packet
            for iteration in range(program.iterations)
            for transfer in program.results
            for packet in program.result_packets(transfer, iteration, self.config.StreamBytes)
        ]
        received = self.env.results.take()
        assert received == expected, "results: not those of the network"
        record = run.record
        retired = {
            engine.label: [found.cycle - record.started for found in record.retired if found.engine is engine]
            for engine in Engine
        }
        layers = [LayerReport(*pair) for pair in zip(record.layer_cycles, record.macs, strict=True)]
        lines = scoreboard.line_checker.compared - compared[0]
        packets = scoreboard.checker.compared - compared[1]
        report = RunReport(record.cycles, layers, retired, lines, packets, run.seconds)
        return report, tensors_of(program, received, self.config.StreamBytes)
