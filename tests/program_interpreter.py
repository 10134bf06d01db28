# SPDX-License-Identifier: Apache-2.0
"""Runs programs on the core's memories, without time: descriptor by descriptor, in any order that the waits allow."""

import numpy as np

from models import lines
from models.compiler.engine_times import alone
from models.config import Config
from models.lines import WORD_BYTES
from models.program import ENGINES, LAYERS, OPEN, ActivationLoad, LayerStep, Program, WeightLoad
from verif.sim.env.layer_reference import compute_layer

_OPEN_LAYER = len(ENGINES)  # instead of an engine's next descriptor


class Interpreter:
    """The memories, and what each kind of descriptor does to them."""

    def __init__(self, program: Program, config: Config):
        self.program, self.config = program, config
        self.weights = np.zeros((config.WgtBanks * config.WgtDepth, config.NumLanes), np.uint16)
        self.parameters = [0] * config.ParDepth
        self.words = np.zeros(config.ActBanks * config.ActDepth * WORD_BYTES, np.uint8)
        self.index = [(0, 0)] * (config.IdxBanks * config.IdxDepth)
        self.ends: dict[int, int] = {}  # of sections
        self.kept = None  # sums of the last layer that kept its slots
        # Layers that were issued and have not retired: descriptor, whether it is calculated, sums that it continues.
        self.open: list[list] = []

    def run(self, rng) -> list[tuple[int, object]]:
        """Runs all iterations, with engines taking turns at random as their waits allow; the result transfers, each
        with its iteration and lines."""
        program, results = self.program, []
        sizes = [len(steps) for steps in program.engines]
        done = [0] * len(ENGINES)
        while any(d < program.iterations * size for d, size in zip(done, sizes, strict=True)):
            ready = [e for e in range(len(ENGINES)) if self._ready(e, done)]
            engine = int(rng.choice(ready + [_OPEN_LAYER] * len(self.open)))
            if engine == _OPEN_LAYER:
                done[LAYERS] += self._go_on(rng)
                continue
            iteration, number = divmod(self._issued(engine, done), sizes[engine])
            step = program.engines[engine][number]
            if isinstance(step, LayerStep):
                kept = self.kept if step.descriptor.continue_slot else None
                self.open.append([step.descriptor, False, kept])
                if not step.descriptor.out_append:
                    self.ends[step.descriptor.out_section] = step.descriptor.out_act_base
                continue
            found = self._step(step, iteration)
            if found is not None:
                results.append((iteration, step, found))
            done[engine] += 1
        return results

    def _issued(self, engine, done):
        return done[engine] + (len(self.open) if engine == LAYERS else 0)

    def _go_on(self, rng):
        """Calculates an open layer, whichever, or retires the oldest; how many retire."""
        left = [layer for layer in self.open if not layer[1]]
        if self.open[0][1] and (not left or rng.random() < 0.5):
            self.open.pop(0)
            return 1
        layer = left[rng.integers(len(left))]
        self._layer(layer[0], layer[2])
        layer[1] = True
        return 0

    def _ready(self, engine, done):
        sizes = [len(steps) for steps in self.program.engines]
        issued = self._issued(engine, done)
        if issued == self.program.iterations * sizes[engine] or issued - done[engine] == OPEN[engine]:
            return False
        iteration, number = divmod(issued, sizes[engine])
        if engine == LAYERS and self.open and alone(self.program.layers, number):
            return False
        for other, wait in enumerate(self.program.engines[engine][number].waits):
            met = wait.count == 0 or iteration < wait.previous
            if not met and done[other] < (iteration - wait.previous) * sizes[other] + wait.count:
                return False
            if other != engine and sizes[other] and done[other] < (iteration - 1) * sizes[other]:
                return False
        return True

    def _write_line(self, entry, bitmap, packed, word):
        self.index[entry] = bitmap, word
        self.words[word * WORD_BYTES : word * WORD_BYTES + len(packed)] = np.frombuffer(packed, np.uint8)
        return word + -(-len(packed) // WORD_BYTES)

    def _line(self, entry):
        bitmap, word = self.index[entry]
        return bitmap, self.words[word * WORD_BYTES : word * WORD_BYTES + bitmap.bit_count()].tobytes()

    def _lines(self, entries):
        pairs = [self._line(entry) for entry in entries]
        return [bitmap for bitmap, _ in pairs], [packed for _, packed in pairs]

    def _step(self, step, iteration):
        program = self.program
        if isinstance(step, WeightLoad):
            for n, beat in enumerate(program.weight_beats(step)):
                if step.parameters:
                    self.parameters[step.base + n] = beat
                else:
                    lanes = [beat >> 12 * lane & 0xFFF for lane in range(self.config.NumLanes)]
                    self.weights[step.base + n] = lanes
        elif isinstance(step, ActivationLoad):
            found = program.expected_lines(step.part, iteration)
            word = step.base
            for n, (bitmap, packed) in enumerate(zip(found.bitmaps.ravel().tolist(), found.packed(), strict=True)):
                word = self._write_line(step.idx_base + n, bitmap, packed.tobytes(), word)
            assert word <= step.limit and n + 1 == step.lines
        else:
            return self._lines(range(step.idx_base, step.idx_base + step.lines))
        return None

    def _layer(self, d, kept):
        start = self.ends[d.out_section]
        vectors = self.weights[d.wgt_base : d.wgt_base + d.vectors]
        parameters = self.parameters[d.par_base : d.par_base + d.out_k]
        appended = bool(d.out_append)
        done = compute_layer(
            d,
            vectors,
            *self._lines(d.in_index),
            parameters,
            self._lines(d.res_index),
            start,
            appended,
            kept,
        )
        assert not done.overflow and (kept is not None) == bool(d.continue_slot)
        if d.keep_slot:
            self.kept = done.kept
            return
        found = lines.compress(done.output, d.tile)
        for entry, bitmap, packed in zip(d.out_index, found.bitmaps.ravel().tolist(), found.packed(), strict=True):
            start = self._write_line(entry, bitmap, packed.tobytes(), start)
        self.ends[d.out_section] = start


def run(program: Program, config: Config, rng) -> None:
    """Run a program and compare every result with the network's."""
    results = Interpreter(program, config).run(rng)
    assert len(results) == program.iterations * len(program.results)
    for iteration, transfer, (bitmaps, packed) in results:
        expected = program.expected_lines(transfer.part, iteration)
        assert bitmaps == expected.bitmaps.ravel().tolist(), (transfer, iteration)
        assert b"".join(packed) == expected.data.tobytes(), (transfer, iteration)
