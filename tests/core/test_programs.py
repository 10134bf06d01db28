# SPDX-License-Identifier: Apache-2.0
"""Programs: networks in one run, with hosts that stall and stop, with errors of each engine in the middle."""

import os

import pyuvm

from models.program import Program
from verif.shared.program_stimulus import random_program
from verif.shared.stalls import Stalls
from verif.shared.stimulus import random_stalls
from verif.sim.env.scenario import CoreTest
from verif.sim.env.sequences import RunProgram, RunStalls

STOPS = Stalls(60, 1500)  # a host that now and then does nothing for a while


class ProgramTest(CoreTest):
    def stalls(self) -> RunStalls:
        """Of each stream: none, some, or stops."""
        weights, activations, results = (
            STOPS if self.rng.random() < 0.2 else random_stalls(self.rng) for _ in range(3)
        )
        return RunStalls(weights, activations, results)

    async def run_program(self, program: Program, stalls: RunStalls | None = None) -> RunProgram:
        """A run whose results have to be the network's."""
        run = RunProgram(program, stalls or self.stalls())
        compared = self.env.tensors.compared
        await run.start(self.sequencer)
        width, turns = self.config.StreamBytes, range(program.iterations)
        expected = [
            packet
            for turn in turns
            for transfer in program.results
            for packet in program.result_packets(transfer, turn, width)
        ]
        assert self.env.results.take() == expected
        assert self.env.tensors.compared - compared == program.iterations * len(program.layers)
        assert run.record.standing.over
        return run


@pyuvm.test()
class RandomPrograms(ProgramTest):
    """PROGRAMS of them, one after another, of any size and with any stalls."""

    bound_us = 20_000

    async def scenario(self):
        for _ in range(int(os.environ["PROGRAMS"])):
            program = random_program(
                self.rng,
                self.config,
                layers=int(self.rng.integers(1, 7)),
                iterations=int(self.rng.integers(1, 5)),
                batch=int(self.rng.integers(1, 3)),
            )
            await self.run_program(program)


def test_random_programs(simulate):
    simulate("RandomPrograms", PROGRAMS=4)
