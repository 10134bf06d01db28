# SPDX-License-Identifier: Apache-2.0
"""Base class of pyuvm tests on the core: environment, reset, scenario, end."""

from __future__ import annotations

import json
import os
from pathlib import Path

from cocotb.triggers import ClockCycles
from pyuvm import uvm_test

from models.config import load_config
from verif.shared.variables import CONFIG_VARIABLE
from verif.sim import seed
from verif.sim.env.device import device
from verif.sim.env.environment import CoreEnv
from verif.sim.env.sequences import CoreSequence, EnableInterrupts
from verif.sim.kit import bounded

SETTLE_CYCLES = 200  # for the last interrupts, and for packets that should not come


class CoreTest(uvm_test):
    """Override `scenario`. `config`: the configuration; `rng`: random numbers; `sequencer`: the virtual sequencer."""

    bound_us: float | None
    """Simulated time that the scenario may take: about four times what its longest variant takes. See `bounded`.

    None: the scenario bounds its parts itself.
    """

    def build_phase(self):
        self.config = load_config(os.environ[CONFIG_VARIABLE])
        self.rng = seed.rng(0)
        self.cdb_set("CONFIG", self.config, "*")
        self.env = CoreEnv("env", self)

    @property
    def sequencer(self):
        """Where virtual sequences are started."""
        return self.env.virtual_sequencer

    async def reset(self):
        """Reset the core, then enable the interrupts."""
        await self.env.clock_reset.reset()
        await EnableInterrupts("enable").start(self.sequencer)

    async def status(self) -> dict[str, int]:
        """STATUS, read now."""
        reading = CoreSequence("status")
        reading.sequencer = self.sequencer
        return await reading.read("STATUS")

    async def run_phase(self):
        self.raise_objection()
        await self.reset()
        if self.bound_us is None:
            await self.scenario()
        else:
            await bounded(self.scenario(), self.bound_us, device())
        await ClockCycles(device().clk_i, SETTLE_CYCLES)
        self.drop_objection()

    async def scenario(self):
        """What the test does after reset."""
        raise NotImplementedError

    def report_phase(self):
        """Leave what must not depend on the simulator in the run's directory, as CLASS.json."""
        checker, line_checker = self.env.scoreboard.checker, self.env.scoreboard.line_checker
        summary = {
            "digest": checker.digest.hexdigest(),
            "packets": checker.compared,
            "lines_digest": line_checker.digest.hexdigest(),
            "lines": line_checker.compared,
            "cycles": self.env.counters.cycles,
            "runs": self.env.run_monitor.cycles,
        }
        Path(f"{type(self).__name__}.json").write_text(json.dumps(summary))
