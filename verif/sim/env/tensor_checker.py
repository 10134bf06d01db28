# SPDX-License-Identifier: Apache-2.0
"""The layers of a run against the network that the program was made from.

The core's lines are compared with what its model decodes from the program's words; here that is compared with what the
words are meant to do.
"""

from __future__ import annotations

from pyuvm import uvm_subscriber

from models.program import Program
from verif.sim.env.conclusions import Conclusion, LinesDue, RunStarted
from verif.sim.env.program_words import Engine


class TensorChecker(uvm_subscriber):
    """Listens to the predictor. Set `program` before its run starts; None: nothing is compared."""

    def build_phase(self):
        super().build_phase()
        self.program: Program | None = None
        self.compared = 0
        self._layers = 0

    def connect_phase(self):
        self.checker = self.get_parent().scoreboard.checker

    def write(self, conclusion: Conclusion):
        match conclusion:
            case RunStarted():
                self._layers = 0
            case LinesDue(engine=Engine.LAYERS) if self.program:
                iteration, number = divmod(self._layers, len(self.program.layers))
                self._layers += 1
                self._compare(conclusion, self.program, iteration, number)

    def _compare(self, due: LinesDue, program: Program, iteration: int, number: int):
        step = program.layers[number]
        self.compared += 1
        if step.descriptor.keep_slot:  # sums, which show in the layer that continues them
            return
        expected = program.expected_lines(step.part, iteration)
        if list(due.bitmaps) != expected.bitmaps.ravel().tolist() or b"".join(due.packed) != expected.data.tobytes():
            self.checker.fail("tensor", f"{due.what}, {step.node}: not the tensor of the network")
