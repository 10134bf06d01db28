# SPDX-License-Identifier: Apache-2.0
"""Runs of programs on the core, for the tests beside this file."""

from models.program import Program
from verif.shared.program_stimulus import random_program
from verif.shared.stalls import Stalls
from verif.shared.stimulus import random_stalls
from verif.sim.env.scenario import CoreTest
from verif.sim.env.sequences import ReadCounters, RunProgram, RunStalls

STOPS = Stalls(60, 1500)  # a host that now and then does nothing for a while


class ProgramTest(CoreTest):
    def program(self, **options) -> Program:
        sizes = {
            "layers": int(self.rng.integers(1, 10)),
            "iterations": int(self.rng.integers(1, 5)),
            "batch": int(self.rng.integers(1, 4)),
        }
        return random_program(self.rng, self.config, **sizes | options)

    def stalls(self) -> RunStalls:
        """Of each stream: none, some, or stops."""
        weights, activations, results = (
            STOPS if self.rng.random() < 0.2 else random_stalls(self.rng) for _ in range(3)
        )
        return RunStalls(weights, activations, results)

    async def run_program(self, program: Program, stalls: RunStalls | None = None) -> RunProgram:
        """A run whose results have to be the network's."""
        run = RunProgram(program, stalls or self.stalls())
        compared, ended = self.env.tensors.compared, self.env.counters.checked
        await run.start(self.sequencer)
        self.check(run)
        layers = program.iterations * len(program.layers)
        assert self.env.tensors.compared - compared == layers
        assert self.env.counters.checked - ended == layers
        if self.rng.random() < 0.2:
            await ReadCounters(self.config.NumPe).start(self.sequencer)
        return run

    def check(self, run: RunProgram) -> None:
        program, width = run.program, self.config.StreamBytes
        expected = [
            packet
            for turn in range(program.iterations)
            for transfer in program.results
            for packet in program.result_packets(transfer, turn, width)
        ]
        assert self.env.results.take() == expected
        assert run.record.standing.over
