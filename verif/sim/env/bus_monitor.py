# SPDX-License-Identifier: Apache-2.0
"""Passive monitors on cocotb-bus: they sample at clock edges and drive nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cocotb.triggers import RisingEdge
from cocotb_bus.monitors import BusMonitor

from verif.sim.env.device import device


class HandshakeMonitor(BusMonitor):
    """Hands the payload of each transfer of a VALID/READY handshake to a function, at the clock edge that takes it.

    Python sleeps while VALID or READY is low.
    """

    def __init__(self, prefix: str, channel: str, payload: Sequence[str], callback: Callable[[list[int]], None]):
        """``channel``: what stands before "valid" and "ready"; ``payload``: the signals that are handed over."""
        self._signals = [f"{channel}valid", f"{channel}ready", *payload]
        dut = device()
        super().__init__(dut, prefix, dut.clk_i, reset_n=dut.rst_ni, callback=callback, case_insensitive=False)

    async def _monitor_recv(self):
        valid, ready, *payload = self.bus._signals.values()
        edge, offered, taken = RisingEdge(self.clock), RisingEdge(valid), RisingEdge(ready)
        while True:
            await edge
            if self.in_reset or not valid.value:
                await offered
            elif ready.value:
                self._recv([int(signal.value) for signal in payload])
            else:
                await taken
