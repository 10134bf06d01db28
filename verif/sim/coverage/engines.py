# SPDX-License-Identifier: Apache-2.0
"""Coverage of runs: waits, iterations, loads ahead, errors by engine."""

from __future__ import annotations

from models.descriptor import Descriptor
from verif.sim.coverage.bins import Ranges, cross, point
from verif.sim.coverage.geometry import REGIONS
from verif.sim.env.conclusions import RunFailed
from verif.sim.env.program_words import Engine, RunPlan
from verif.sim.env.run_monitor import HeldBack, OpenTogether, SetsAhead, Sighting, WaitSeen, WrittenBeside

ENGINES = [engine.label for engine in Engine]
TURNS = ("this", "previous")
# An engine that does one thing after the other is never held back by what it has done itself.
WAITS = [
    label
    for label in cross(ENGINES, ENGINES, TURNS, ["met", "blocking"])
    if not (label.endswith("blocking") and label.split("/")[0] == label.split("/")[1] != Engine.LAYERS.label)
]
KINDS = ("convolution", "residual", "groups", "sum", "maximum")
SECTIONS = ("one section", "two sections")
ITERATIONS = Ranges(1, 2, 3)
AHEAD = Ranges(0, 1, 2, 4)
STILL_LOADING = "still loading"
DESCRIPTORS = Ranges(0, 1, 2, 5)
_OF_WEIGHTS = ("wgt_tlast_early", "wgt_tlast_late", "wgt_index_range", "wgt_index_order", "par_range", "command_range")
_OF_LINES = ("act_tlast_early", "act_tlast_late", "act_population", "act_bitmap", "act_overflow", "command_range")
ERRORS = [
    *cross(["weights"], _OF_WEIGHTS),
    *cross(["activations"], _OF_LINES),
    *cross(["layers"], ["descriptor", "out_overflow"]),
    *cross(["results"], ["command_range"]),
]


class ProgramCoverage:
    """Cover points under `program`."""

    def __init__(self, region_pos: int):
        self.region_pos = region_pos
        self.waits = point("program.wait", WAITS)
        self.iterations = point("program.iterations", ITERATIONS.labels)
        self.descriptors = {
            engine: point(f"program.descriptors_of_{engine.label}", DESCRIPTORS.labels) for engine in Engine
        }
        self.ahead = point("program.loads_ahead", [STILL_LOADING, *AHEAD.labels])
        self.held_back = point("program.held_back_an_iteration_ahead", ENGINES)
        self.open = point("program.layers_open_together", cross(KINDS, KINDS))
        self.open_regions = point("program.regions_of_layers_open_together", cross(REGIONS, REGIONS))
        self.open_sections = point("program.sections_of_layers_open_together", SECTIONS)
        self.beside = point("program.lines_before_the_older_layer_retires", SECTIONS)
        self.errors = point("program.error", ERRORS)
        # A result transfer that is refused is refused the first time.
        iterations = [*cross(ENGINES[:-1], ["first", "later"]), "results/first"]
        self.error_iteration = point("program.error_in_iteration", iterations)

    def started(self, plan: RunPlan) -> None:
        """A run that was accepted."""
        self.iterations.hit(ITERATIONS(plan.iterations))
        for engine, issues in zip(Engine, plan.issues, strict=True):
            self.descriptors[engine].hit(DESCRIPTORS(len(issues)))

    def failed(self, error: RunFailed) -> None:
        """What ends a run."""
        self.errors.hit(f"{error.engine.label}/{error.cause}")
        self.error_iteration.hit(f"{error.engine.label}/{'later' if error.iteration else 'first'}")

    def sighting(self, seen: Sighting) -> None:
        """Something of a run, as it was seen."""
        match seen:
            case WaitSeen(engine, wait, met):
                state = "met" if met else "blocking"
                self.waits.hit(f"{engine.label}/{wait.engine.label}/{TURNS[wait.previous]}/{state}")
            case HeldBack(engine):
                self.held_back.hit(engine.label)
            case SetsAhead(loads):
                self.ahead.hit(AHEAD(loads) if loads >= 0 else STILL_LOADING)
            case OpenTogether(older, younger):
                self.open.hit(f"{kind(older)}/{kind(younger)}")
                self.open_regions.hit("/".join(REGIONS[d.half_regions(self.region_pos)] for d in (older, younger)))
                self.open_sections.hit(_sections(older, younger))
            case WrittenBeside(older, younger):
                self.beside.hit(_sections(older, younger))


def kind(d: Descriptor) -> str:
    """What a layer is, in the words of KINDS."""
    if d.maximum:
        return "maximum"
    if d.tap_shared:
        return "sum"
    return "residual" if d.residual else "groups" if d.groups > 1 else "convolution"


def _sections(older: Descriptor, younger: Descriptor) -> str:
    shared = younger.out_append and younger.out_section == older.out_section
    return SECTIONS[0 if shared else 1]
