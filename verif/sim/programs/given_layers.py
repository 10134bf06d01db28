# SPDX-License-Identifier: Apache-2.0
"""The pyuvm side of `run_layers`: runs the layers of a directory and leaves their results."""

from __future__ import annotations

import json
import os
from pathlib import Path

import cocotb
import numpy as np
import pyuvm
from cocotb.triggers import Timer

from models.stream import decode_output
from verif.shared.layer_files import DIRECTORY, OUTPUT, SAMPLE_CYCLES, load_layers
from verif.sim.env.device import device
from verif.sim.env.interrupts import CLOCK_NS
from verif.sim.env.scenario import CoreTest
from verif.sim.env.sequences import RunLayer

STATE_BITS = 3


class Occupancy:
    """Samples pe_state_o while the core is busy with a layer."""

    def __init__(self, pes: int):
        self.pes = pes
        self._samples: list[int] = []

    async def sample(self):
        """Never ends: start it as a task and cancel that."""
        while True:
            await Timer(SAMPLE_CYCLES * CLOCK_NS, "ns")
            self._samples.append(int(device().pe_state_o.value))

    def states(self) -> np.ndarray:
        """uint8 (samples, PEs) since the last call."""
        size = -(-self.pes * STATE_BITS // 8)
        octets = np.frombuffer(b"".join(s.to_bytes(size, "little") for s in self._samples), np.uint8)
        bits = np.unpackbits(octets.reshape(-1, size), axis=1, bitorder="little")[:, : self.pes * STATE_BITS]
        self._samples.clear()
        return bits.reshape(-1, self.pes, STATE_BITS) @ np.array([1, 2, 4], np.uint8)


class TracedLayer(RunLayer):
    """RunLayer with the occupancy sampled from the push to the end of the layer."""

    def __init__(self, layer, plan, occupancy: Occupancy):
        super().__init__(layer, plan)
        self.occupancy = occupancy

    async def compute(self):
        task = cocotb.start_soon(self.occupancy.sample())
        await super().compute()
        task.cancel()


@pyuvm.test()
class GivenLayers(CoreTest):
    """The layers of the directory that the environment names."""

    async def scenario(self):
        occupancy = Occupancy(self.config.NumPe)
        for number, (layer, plan) in enumerate(load_layers(Path(os.environ[DIRECTORY]))):
            run = TracedLayer(layer, plan, occupancy)
            await run.start(self.sequencer)
            np.savez(
                OUTPUT.format(number),
                output=decode_output(self.env.results.take(), plan),
                seconds=run.seconds,
                counters=json.dumps(run.counters),
                states=occupancy.states(),
            )
