# SPDX-License-Identifier: Apache-2.0
"""The two sides of a valid/ready handshake: sources and sinks that hold back."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import FallingEdge, RisingEdge

from verif.shared.stalls import NO_STALLS, Stalls
from verif.shared.structs import Struct

# Ports that go with valid, by name without suffix, and the layout of those that are packed structs.
Payload = Mapping[str, Struct | None]


class _End:
    """What both sides share. An item is one mapping: plain ports by name, and the fields of packed structs."""

    def __init__(self, dut: Any, payload: Payload, suffix: str, rng: np.random.Generator, stalls: Stalls):
        self.clk, self.rng = dut.clk_i, rng
        self.ports = {name: getattr(dut, f"{name}_{suffix}") for name in payload}
        self.payload = payload
        self.stalls = stalls
        cocotb.start_soon(self._run())

    @property
    def stalls(self) -> Stalls:
        """How this side holds back from now on."""
        return self._stalls

    @stalls.setter
    def stalls(self, stalls: Stalls) -> None:
        self._stalls = stalls
        self._pauses: Iterator[bool] | None = stalls.pauses(self.rng)

    def _go(self) -> bool:
        return self._pauses is None or not next(self._pauses)

    async def _run(self) -> None:
        raise NotImplementedError


class Source(_End):
    """Sends items through `<name>_valid_i`, `<name>_ready_o`; what stands beside valid is noise while it is low."""

    def __init__(
        self,
        dut: Any,
        name: str,
        payload: Payload,
        rng: np.random.Generator,
        stalls: Stalls = NO_STALLS,
    ):
        """``name`` "" for plain `valid_i`, `ready_o`."""
        prefix = f"{name}_" if name else ""
        self.valid, self.ready = getattr(dut, f"{prefix}valid_i"), getattr(dut, f"{prefix}ready_o")
        self.waiting: deque[Mapping[str, Any]] = deque()  # not taken yet
        super().__init__(dut, payload, "i", rng, stalls)

    def send(self, *items: Mapping[str, Any]) -> None:
        """Send these after what is sent already; fields that are left out are 0.

        Raises ValueError for a name that the payload does not have.
        """
        known = {key for name, layout in self.payload.items() for key in (layout.fields if layout else (name,))}
        for item in items:
            if unknown := item.keys() - known:
                raise ValueError(f"the payload has no {sorted(unknown)}, expected some of {sorted(known)}")
        self.waiting += items

    async def _run(self) -> None:
        offered = False
        while True:
            await FallingEdge(self.clk)
            offered = offered or (self._go() and bool(self.waiting))
            self.valid.value = offered
            for name, layout in self.payload.items():
                if not offered:
                    port = self.ports[name]
                    port.value = int.from_bytes(self.rng.bytes(len(port) // 8 + 1), "little") % (1 << len(port))
                elif layout:
                    item = self.waiting[0]
                    self.ports[name].value = layout.pack({key: item[key] for key in layout.fields if key in item})
                else:
                    self.ports[name].value = self.waiting[0].get(name, 0)
            await RisingEdge(self.clk)
            if offered and self.ready.value:
                self.waiting.popleft()
                offered = False


class Sink(_End):
    """Takes items from `<name>_valid_o`, `<name>_ready_i`; checks that one that waits stays, and as it is."""

    def __init__(
        self,
        dut: Any,
        name: str,
        payload: Payload,
        rng: np.random.Generator,
        take: Callable[[dict[str, Any]], None],
        stalls: Stalls = NO_STALLS,
    ):
        """``take`` is called with every item, at the rising edge at which it is taken. ``name`` as of Source."""
        prefix = f"{name}_" if name else ""
        self.valid, self.ready = getattr(dut, f"{prefix}valid_o"), getattr(dut, f"{prefix}ready_i")
        self.name, self.take = name, take
        super().__init__(dut, payload, "o", rng, stalls)

    async def _run(self) -> None:
        waits: list[str] | None = None
        while True:
            await FallingEdge(self.clk)
            go = self._go()
            self.ready.value = go
            await RisingEdge(self.clk)
            values = [str(port.value) for port in self.ports.values()] if self.valid.value else None
            assert waits in (None, values), f"{self.name}: what waits changed from {waits} to {values}"
            waits = None if go else values
            if go and values:
                self.take(self._item())

    def _item(self) -> dict[str, Any]:
        item: dict[str, Any] = {}
        for name, layout in self.payload.items():
            value = self.ports[name].value
            item |= layout.unpack(value) if layout else {name: int(value)}
        return item
