# SPDX-License-Identifier: Apache-2.0
"""The host's interrupt service: Python sleeps until irq_o rises, then events wake who waits for them."""

from __future__ import annotations

from collections import Counter

from cocotb.triggers import Event, First, RisingEdge, Timer
from pyuvm import uvm_component, uvm_sequence

from verif.sim.env.device import device

CLOCK_NS = 10
CAUSES = ("wgt_done", "par_done", "act_done", "layer_done", "result_done", "error", "prg_done", "run_done")


class InterruptTimeout(AssertionError):
    """An expected interrupt did not come."""


class Interrupts(uvm_component):
    """Reads and clears INTR_STATE whenever irq_o is high; `counts` has the events seen of each cause."""

    def build_phase(self):
        self.registers = self.cdb_get("REGISTERS")
        self.counts: Counter[str] = Counter()
        self._event = Event()

    async def run_phase(self):
        irq = device().irq_o
        await RisingEdge(device().rst_ni)  # before the first reset irq_o means nothing
        while True:
            if irq.value != 1:
                await RisingEdge(irq)
            await self._serve()

    async def _serve(self):
        state, enable = self.registers["INTR_STATE"], self.registers["INTR_ENABLE"]
        parent = uvm_sequence("interrupt_service")
        _, found = await state.read(parent=parent)
        _, mask = await enable.read(parent=parent)
        await state.write(found & mask, parent=parent)
        causes = self.registers.decode("INTR_STATE", found & mask)
        self.counts.update({cause: 1 for cause, on in causes.items() if on})
        self._event.set()

    async def wait(self, *causes: str, since: Counter[str], cycles: int) -> str:
        """The first of `causes` that has come more often than in `since` (a copy of `counts`).

        Raises InterruptTimeout after the given number of clock cycles.
        """
        deadline = Timer(cycles * CLOCK_NS, "ns")
        while True:
            for cause in causes:
                if self.counts[cause] > since[cause]:
                    return cause
            self._event.clear()
            if await First(self._event.wait(), deadline) is deadline:
                raise InterruptTimeout(f"none of {', '.join(causes)} within {cycles} cycles")
