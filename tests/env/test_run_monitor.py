# SPDX-License-Identifier: Apache-2.0
"""The record of a run, fed by hand: retirements, waits as they are met, and the words for one that stands still."""

from dataclasses import replace

import pytest

from tests.descriptor_cases import legal_layer
from tests.env.feeding import CONFIG
from verif.sim.env.conclusions import LinesDue
from verif.sim.env.program_words import (
    ActivationsStep,
    Engine,
    Issue,
    LayerStep,
    ResultsStep,
    RunPlan,
    Wait,
    WeightsStep,
)
from verif.sim.env.run_monitor import (
    PATIENCE_CYCLES,
    HeldBack,
    OpenTogether,
    Retired,
    RunRecord,
    SetsAhead,
    WaitSeen,
    WrittenBeside,
)

DESCRIPTOR = replace(legal_layer(CONFIG)[1].descriptor, out_k=1, tiles_y=1, tiles_x=1)


def plan(iterations=2):
    """Two loads of weights, one of lines, a layer and its results; the second load is for the next iteration's."""
    after = Engine.LAYERS
    return RunPlan(
        (
            (
                Issue(WeightsStep(0, 9, False, (1, 2)), (Wait(after, 1, True),)),
                Issue(WeightsStep(9, 5, True, (0, 0)), ()),
            ),
            (Issue(ActivationsStep(0, 64, 2, 0, 99), (Wait(after, 1, True),)),),
            (Issue(LayerStep(DESCRIPTOR), (Wait(Engine.WEIGHTS, 2, False), Wait(Engine.ACTIVATIONS, 1, False))),),
            (Issue(ResultsStep(0, 3), (Wait(after, 1, False),)),),
        ),
        iterations,
    )


class Seen:
    def __init__(self, given=None, **options):
        self.sightings, self.cycle = [], 10
        self.record = RunRecord(given or plan(**options), lambda: self.cycle, self.sightings.append)

    def of(self, kind):
        return [sighting for sighting in self.sightings if isinstance(sighting, kind)]

    def packets(self, engine, count, cycle):
        self.cycle = cycle
        for _ in range(count):
            self.record.packet(engine)

    def layer(self, cycle):
        self.cycle = cycle
        self.written(self.record.standing.retired[Engine.LAYERS], 0)

    def written(self, order, left):
        self.record.written(LinesDue(Engine.LAYERS, "layer", [0], [0], [b""], 0, 9, order=order), left)


def test_retirements_and_cycles_by_layer():
    seen = Seen()
    for start in (0, 1000):
        seen.packets(Engine.WEIGHTS, 2, start + 50)
        seen.packets(Engine.ACTIVATIONS, 2, start + 60)
        seen.layer(start + 200)
        seen.packets(Engine.RESULTS, 3, start + 230)
    assert seen.record.standing.over and list(seen.record.explain()) == [f"{e.label}: all done" for e in Engine]
    assert seen.of(Retired)[2:5] == [
        Retired(Engine.ACTIVATIONS, 0, 0, 60),
        Retired(Engine.LAYERS, 0, 0, 200),
        Retired(Engine.RESULTS, 0, 0, 230),
    ]
    assert seen.record.layer_cycles == [190, 1000] and seen.record.cycles == 1220
    seen.packets(Engine.RESULTS, 1, 3000)  # too many: the scoreboard's business
    assert seen.record.cycles == 1220


def test_waits_are_seen_when_their_turn_comes():
    seen = Seen()
    layer_waits = [sighting for sighting in seen.of(WaitSeen) if sighting.engine is Engine.LAYERS]
    assert [sighting.met for sighting in layer_waits] == [False, False]
    assert seen.of(SetsAhead) == [SetsAhead(-2)]
    seen.packets(Engine.WEIGHTS, 2, 20)
    last = seen.of(WaitSeen)[-1]  # of the second iteration's first load
    assert last == WaitSeen(Engine.WEIGHTS, Wait(Engine.LAYERS, 1, True), False)
    seen.packets(Engine.ACTIVATIONS, 2, 21)
    seen.layer(30)
    seen.packets(Engine.WEIGHTS, 2, 31)
    assert seen.of(SetsAhead)[1:] == [SetsAhead(-2)]


def test_an_engine_is_held_back_two_iterations_ahead():
    seen = Seen(iterations=3)
    for _ in range(2):
        seen.packets(Engine.WEIGHTS, 2, 20)
        seen.packets(Engine.ACTIVATIONS, 2, 20)
        seen.layer(20)
    assert seen.of(HeldBack) == [HeldBack(Engine.WEIGHTS), HeldBack(Engine.ACTIVATIONS), HeldBack(Engine.LAYERS)]
    assert "results, an iteration behind" in next(seen.record.explain())


def test_what_each_engine_waits_for():
    seen = Seen()
    seen.packets(Engine.WEIGHTS, 1, 20)
    seen.packets(Engine.ACTIVATIONS, 1, 20)
    assert list(seen.record.explain(beats=4)) == [
        "weights: descriptor 1 of iteration 0, 5 parameters to 9, has no more to wait for: 4 of 5 beats came",
        "activations: descriptor 0 of iteration 0, 2 lines to index entry 0, has no more to wait for: "
        "1 of 2 lines came",
        f"layers: descriptor 0 of iteration 0, {LayerStep(DESCRIPTOR)}, waits for weights 2 (1 retired) "
        "and activations 1 (0 retired)",
        "results: descriptor 0 of iteration 0, 3 lines from index entry 0, waits for layers 1 (0 retired)",
    ]
    idle = seen.record.patience
    seen.packets(Engine.WEIGHTS, 1, 20)
    seen.packets(Engine.ACTIVATIONS, 1, 20)
    assert f"is open: 0 of {len(DESCRIPTOR.out_index)} lines written" in list(seen.record.explain())[2]
    assert seen.record.patience > idle


@pytest.mark.parametrize("engine", Engine)
def test_an_engine_without_a_program(engine):
    issues = tuple(() if other is engine else found for other, found in zip(Engine, plan().issues, strict=True))
    record = RunRecord(RunPlan(issues, 1), lambda: 0, lambda sighting: None)
    assert list(record.explain())[engine] == f"{engine.label}: no program"
    record.packet(engine)
    assert record.standing.retired[engine] == 0


def layers(*waits, iterations=1):
    """Layers alone, each waiting for so many of them."""
    issues = [
        Issue(LayerStep(replace(DESCRIPTOR, out_append=n % 2)), (Wait(Engine.LAYERS, wait, False),) if wait else ())
        for n, wait in enumerate(waits)
    ]
    return RunPlan(((), (), tuple(issues), ()), iterations)


def test_two_layers_are_open_at_a_time_and_retire_in_order():
    seen = Seen(layers(0, 0, 0, 3))
    together = OpenTogether(layers(0).issues[2][0].step.descriptor, layers(0, 0).issues[2][1].step.descriptor)
    assert seen.of(OpenTogether) == [together]
    lines = list(seen.record.explain())
    how_far = f"{LayerStep(DESCRIPTOR)}, is open: 0 of {len(DESCRIPTOR.out_index)} lines written"
    assert lines[2:4] == [f"layers: descriptor {n} of iteration 0, {how_far}" for n in (0, 1)]
    assert "descriptor 2 of iteration 0" in lines[4] and lines[4].endswith("waits for the layers that are open")
    seen.cycle = 20
    seen.written(1, 0)
    assert not seen.of(Retired) and seen.of(WrittenBeside) == [WrittenBeside(together.older, together.younger)]
    seen.cycle = 30
    seen.written(0, 0)
    assert [(found.number, found.cycle) for found in seen.of(Retired)] == [(0, 30), (1, 30)]
    assert seen.record.layer_cycles == [20, 0]
    # The third is alone: the fourth waits for it.
    assert seen.of(WaitSeen) == [WaitSeen(Engine.LAYERS, Wait(Engine.LAYERS, 3, False), False)]
    seen.written(2, 0)
    seen.written(3, 0)
    assert seen.record.standing.over and len(seen.of(OpenTogether)) == 2  # with the second and the third


def test_patience_with_two_layers_open():
    one, two = Seen(layers(0, 1)).record.patience, Seen(layers(0, 0)).record.patience
    assert two - PATIENCE_CYCLES == 2 * (one - PATIENCE_CYCLES) > 0
