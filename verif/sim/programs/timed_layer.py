# SPDX-License-Identifier: Apache-2.0
"""The benchmark's program: the paper's Figure 3 layer through the pyuvm environment, with marks."""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path

import cocotb
import pyuvm
from cocotb.triggers import Timer

from models.layer import Layer
from models.tiling import Plan
from verif.shared.layer_files import DIRECTORY, load_layers
from verif.shared.variables import PORTS, RECORD
from verif.sim.env.device import device
from verif.sim.env.interrupts import CLOCK_NS
from verif.sim.env.scenario import CoreTest
from verif.sim.env.sequences import FetchLines, LoadLayer, PushLayer, WaitLayers, layer_cycles
from verif.sim.kit import bounded
from verif.sim.programs.layer_bound import bound_us
from verif.sim.programs.trace import Stopwatch

STEPS_PER_NS = 1000
PIECE = 2000  # cycles between two marks


@pyuvm.test()
class Figure3(CoreTest):
    """64x64x64, 3x3x128, padding 1, 2/4, activations half zero: loads, layer and results between marks.

    A mark stands every PIECE cycles as well.
    """

    bound_us = None  # the layer has its own

    def start_of_simulation_phase(self):
        ports = [tuple(port) for port in json.loads(os.environ[PORTS])]
        dut = device()
        self.watch = Stopwatch(dut, dut.clk_i, CLOCK_NS * STEPS_PER_NS, ports, record=RECORD in os.environ)
        self.watch.start()

    async def _pieces(self):
        for piece in itertools.count(1):
            await Timer(PIECE * CLOCK_NS, "ns")
            self.watch.mark(f"piece_{piece}")

    async def scenario(self):
        ((layer, plan),) = load_layers(Path(os.environ[DIRECTORY]))
        await bounded(self._timed(layer, plan), bound_us(plan), device())

    async def _timed(self, layer: Layer, plan: Plan):
        d = plan.descriptor
        self.watch.mark("begin")
        pieces = cocotb.start_soon(self._pieces())
        await LoadLayer(layer, plan).start(self.sequencer)
        await PushLayer(d).start(self.sequencer)
        self.watch.mark("layer_begin")
        await WaitLayers(layer_cycles(d)).start(self.sequencer)
        self.watch.mark("layer_end")
        await FetchLines(d.out_idx_base, d.out_entries).start(self.sequencer)
        self.watch.mark("end")
        pieces.cancel()
        self.watch.write()
