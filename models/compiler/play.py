# SPDX-License-Identifier: Apache-2.0
"""Cycles of a program, played: its layers on one core by the cycle model, two of them open at a time.

Where `engine_times.timeline` composes what is known of each layer alone, this plays the units of two layers on the same
PEs, memories and staging slots, on the images of a run. It takes as long as to predict each layer of each image.
"""

from __future__ import annotations

from collections.abc import Sequence

from models.compiler.engine_times import Engines, Timeline, alone, line_beats, stands_still
from models.compiler.predict import measured
from models.config import Config
from models.cycles.model_core import Core
from models.program import LAYERS, ActivationLoad, Program, ResultTransfer


def play(program: Program, config: Config) -> Timeline:
    """When each engine does what, in a run on the program's images.

    Raises ValueError for a program that stands still.
    """
    found, core, layers = Engines(program, program.iterations), Core(config), program.layers
    tensors = [program.tensors(iteration) for iteration in range(program.iterations)]
    nodes = {node.name: node for node in program.network.nodes}
    waiting: int | None = None  # a layer that is issued and begins when the one before it has ended

    def beats(steps: Sequence[ActivationLoad | ResultTransfer], number: int) -> int:
        """Of a transfer of lines."""
        iteration, place = divmod(number, len(steps))
        return line_beats(program.expected_lines(steps[place].part, iteration), config.StreamBytes)

    def transfer() -> None:
        """Move what can be moved."""
        while (
            found.transfer(0, lambda number: program.weights[number % len(program.weights)].count)
            or found.transfer(1, lambda number: beats(program.activations, number))
            or found.transfer(3, lambda number: beats(program.results, number))
        ):
            pass

    def begin(number: int, time: int) -> None:
        """Open a layer."""
        iteration, place = divmod(number, len(layers))
        core.open(*measured(config, nodes[layers[place].node], layers[place], tensors[iteration]), time)

    while found.left(LAYERS) or len(found.ends[LAYERS]) < len(found.begins[LAYERS]):
        transfer()
        while found.issue(LAYERS):
            number = len(found.begins[LAYERS]) - 1
            if alone(layers, number % len(layers)) and len(found.ends[LAYERS]) < number:
                waiting = number
            else:
                begin(number, found.ready[-1])
        if len(found.begins[LAYERS]) == len(found.ends[LAYERS]):
            raise stands_still()
        found.ends[LAYERS].append(core.retire())
        if waiting == len(found.ends[LAYERS]):
            begin(waiting, max(found.ends[LAYERS][-1], found.ready[waiting]))
            waiting = None
    transfer()
    return found.timeline()
