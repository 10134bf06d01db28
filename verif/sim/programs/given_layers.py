# SPDX-License-Identifier: Apache-2.0
"""The pyuvm side of `run_layers`: runs the layers of a directory and leaves their results."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import cocotb
import numpy as np
import pyuvm
from cocotb.triggers import Timer

from models.layer import Layer
from models.stream import decode_output
from models.tiling import Plan
from verif.shared.layer_files import (
    COMPUTING,
    DIRECTORY,
    LOADING,
    OUTPUT,
    PROGRESS,
    SAMPLE_CYCLES,
    SENDING,
    Progress,
    load_layers,
)
from verif.sim.env.device import device
from verif.sim.env.interrupts import CLOCK_NS
from verif.sim.env.scenario import CoreTest
from verif.sim.env.sequences import RunLayer
from verif.sim.kit import bounded
from verif.sim.programs.layer_bound import bound_us

STATE_BITS = 3


class Sampler:
    """Every SAMPLE_CYCLES cycles: pe_state_o while a layer computes, and once a second of wall time how far it is.

    Python sleeps in between, and the host reads the record.
    """

    def __init__(self, pes: int):
        self.pes = pes
        self._samples: list[int] = []
        self._layer, self._phase, self._cycles = 0, LOADING, 0
        self._began = self._written = time.monotonic()

    def enter(self, layer: int, phase: str) -> None:
        """A layer begins something."""
        self._layer, self._phase, self._cycles = layer, phase, 0
        self._began = time.monotonic()

    async def sample(self) -> None:
        """Never ends: start it as a task and cancel that."""
        while True:
            await Timer(SAMPLE_CYCLES * CLOCK_NS, "ns")
            self._cycles += SAMPLE_CYCLES
            if self._phase == COMPUTING:
                self._samples.append(int(device().pe_state_o.value))
            now = time.monotonic()
            if now - self._written >= 1:
                self._written = now
                speed = self._cycles / (now - self._began)
                Progress(self._layer, self._phase, self._cycles, speed).write(Path(PROGRESS))

    def states(self) -> np.ndarray:
        """uint8 (samples, PEs) since the last call."""
        size = -(-self.pes * STATE_BITS // 8)
        octets = np.frombuffer(b"".join(s.to_bytes(size, "little") for s in self._samples), np.uint8)
        bits = np.unpackbits(octets.reshape(-1, size), axis=1, bitorder="little")[:, : self.pes * STATE_BITS]
        self._samples.clear()
        return bits.reshape(-1, self.pes, STATE_BITS) @ np.array([1, 2, 4], np.uint8)


class SampledLayer(RunLayer):
    """RunLayer that tells a sampler what it does."""

    def __init__(self, number: int, layer: Layer, plan: Plan, sampler: Sampler):
        super().__init__(layer, plan)
        self.number, self.sampler = number, sampler

    async def body(self):
        self.sampler.enter(self.number, LOADING)
        await super().body()

    async def compute(self):
        self.sampler.enter(self.number, COMPUTING)
        await super().compute()
        self.sampler.enter(self.number, SENDING)


@pyuvm.test()
class GivenLayers(CoreTest):
    """The layers of the directory that the environment names."""

    bound_us = None  # each layer has its own

    async def scenario(self):
        sampler = Sampler(self.config.NumPe)
        cocotb.start_soon(sampler.sample())
        layers = load_layers(Path(os.environ[DIRECTORY]))
        for number, (layer, plan) in enumerate(layers):
            run = SampledLayer(number, layer, plan, sampler)
            what = f"layer {number + 1} of {len(layers)}: "
            await bounded(run.start(self.sequencer), bound_us(plan), device(), what)
            output = decode_output(self.env.results.take(), plan)
            # Beside the scoreboard, which decodes what the core was given: what the layer means.
            assert np.array_equal(output, layer.expected), f"{what}not the reference's output"
            np.savez(
                OUTPUT.format(number),
                output=output,
                seconds=run.seconds,
                counters=json.dumps(run.counters),
                states=sampler.states(),
            )
