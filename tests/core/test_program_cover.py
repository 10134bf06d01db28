# SPDX-License-Identifier: Apache-2.0
"""Programs that make what random ones seldom do: each kind of wait, met and blocking, engines that are held back, two
layers of each pair of kinds open together, a part's lines before those of the part before it."""

from dataclasses import replace
from itertools import permutations, product

import numpy as np
import pytest
import pyuvm

from models.program import Program, Wait
from tests.core.program_runs import ProgramTest
from verif.shared.program_stimulus import KINDS, PARTS, independent_layers
from verif.shared.stalls import NO_STALLS, Stalls
from verif.sim.coverage import engines
from verif.sim.env.analysis_input import AnalysisInput
from verif.sim.env.program_words import Engine
from verif.sim.env.run_monitor import HeldBack, OpenTogether, Sighting, WaitSeen, WrittenBeside
from verif.sim.env.sequences import RunStalls

SLOW = Stalls(3, 100)
ROUNDS = 4  # in which each pair is drawn twice
DRAWN = 60  # programs; of five about one does it


class SightingsTest(ProgramTest):
    """Keeps what the run monitor publishes in `seen`."""

    def build_phase(self):
        super().build_phase()
        self.seen: list[Sighting] = []
        self.sightings = AnalysisInput("sightings", self, self.seen.append)

    def connect_phase(self):
        self.env.run_monitor.ap.connect(self.sightings)


@pyuvm.test()
class EveryWait(SightingsTest):
    """Each engine waits for each other one, of this iteration or the one before, with either of them slow.

    In each iteration all engines do what they did before, with the same data, so that no other wait is needed than that
    of results for layers, or of layers for results.
    """

    bound_us = 20_000

    async def scenario(self):
        program = independent_layers(self.rng, self.config, ["conv", "conv"])
        images = {name: np.repeat(given[:1], 4, 0) for name, given in program.images.items()}
        program = replace(program, images=images, results=program.results * 2)
        await self.run_program(program)
        for (engine, other), previous in product(permutations(Engine, 2), (False, True)):
            for slow in (engine, other):
                streams = (Engine.WEIGHTS, Engine.ACTIVATIONS, Engine.RESULTS)
                stalls = RunStalls(*(SLOW if slow is stream else NO_STALLS for stream in streams))
                await self.run_program(waiting(program, engine, other, previous), stalls)
        waits = {(s.engine, s.wait.engine, s.wait.previous, s.met) for s in self.seen if isinstance(s, WaitSeen)}
        every = {(*pair, *how) for pair, *how in product(permutations(Engine, 2), (False, True), (False, True))}
        assert not every - waits
        assert {s.engine for s in self.seen if isinstance(s, HeldBack)} == set(Engine)


def waiting(program: Program, engine: Engine, other: Engine, previous: bool) -> Program:
    """The program in which each descriptor of an engine waits for all of another one."""
    # A result is of this iteration, or of the one before while the layers wait.
    late = {engine, other} == {Engine.LAYERS, Engine.RESULTS} and previous == (engine is Engine.RESULTS)
    asked = {
        (Engine.RESULTS, Engine.LAYERS): late,
        (Engine.LAYERS, Engine.RESULTS): not late,
        (engine, other): previous,
    }
    steps = {one: getattr(program, one.label) for one in Engine}
    made = {}
    for one, own in steps.items():
        waits = tuple(Wait(len(steps[of]), asked[one, of]) if (one, of) in asked else Wait() for of in Engine)
        made[one.label] = tuple(replace(step, waits=waits) for step in own)
    return replace(program, **made)


@pyuvm.test()
class EveryPair(SightingsTest):
    """Layers of each kind next to layers of each other kind."""

    bound_us = 8000

    async def scenario(self):
        missing = set(product(engines.KINDS, engines.KINDS))
        for kind in KINDS * ROUNDS:
            if missing:
                kinds = [one for other in KINDS for one in (kind, other)]
                await self.run_program(independent_layers(self.rng, self.config, kinds), RunStalls())
                missing -= {
                    (engines.kind(s.older), engines.kind(s.younger)) for s in self.seen if isinstance(s, OpenTogether)
                }
        assert not missing


@pyuvm.test()
class Overtaken(SightingsTest):
    """Of a layer in two parts that append to one section, the second writes a line before the first has retired."""

    bound_us = 10_000

    async def scenario(self):
        for _ in range(DRAWN):
            await self.run_program(independent_layers(self.rng, self.config, [PARTS], size=16), RunStalls())
            beside = [s for s in self.seen if isinstance(s, WrittenBeside)]
            if any(s.younger.out_append and s.older.out_section == s.younger.out_section for s in beside):
                return
        raise AssertionError(f"none of {DRAWN} programs did")


@pytest.mark.parametrize("testcase", ["EveryWait", "EveryPair", "Overtaken"])
def test_program_cover(simulate, testcase):
    simulate(testcase)
