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

    into: bool  # items go into the block

    def __init__(self, dut: Any, name: str, payload: Payload, rng: np.random.Generator):
        prefix = f"{name}_" if name else ""
        forth, back = ("i", "o") if self.into else ("o", "i")
        self.clk, self.rng = dut.clk_i, rng
        self.valid, self.ready = getattr(dut, f"{prefix}valid_{forth}"), getattr(dut, f"{prefix}ready_{back}")
        self.payload = payload
        self.ports = {port: getattr(dut, f"{port}_{forth}") for port in payload}
        self.stalls = NO_STALLS
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
    """Sends items through `<name>_valid_i`, `<name>_ready_o`; what goes with valid is noise while it is low."""

    into = True

    def __init__(self, dut: Any, name: str, payload: Payload, rng: np.random.Generator):
        """``name`` "" for plain `valid_i`, `ready_o`."""
        self.waiting: deque[Mapping[str, Any]] = deque()  # not taken yet
        super().__init__(dut, name, payload, rng)

    def send(self, *items: Mapping[str, Any]) -> None:
        """Send these after what is sent already; fields that are left out are 0.

        Raises ValueError for a name that the payload does not have.
        """
        known = {key for port, layout in self.payload.items() for key in (layout.fields if layout else (port,))}
        for item in items:
            if unknown := item.keys() - known:
                raise ValueError(f"the payload has no {sorted(unknown)}, expected some of {sorted(known)}")
        self.waiting += items

    async def _run(self) -> None:
        offered = False
        while True:
            await FallingEdge(self.clk)
            if not offered:
                offered = self._go() and bool(self.waiting)
                self.valid.value = offered
                for name, port in self.ports.items():
                    port.value = self._value(name, self.waiting[0]) if offered else self._noise(len(port))
            await RisingEdge(self.clk)
            if offered and self.ready.value:
                self.waiting.popleft()
                offered = False

    def _value(self, port: str, item: Mapping[str, Any]) -> int:
        layout = self.payload[port]
        return layout.pack({key: item[key] for key in layout.fields if key in item}) if layout else item.get(port, 0)

    def _noise(self, width: int) -> int:
        return int.from_bytes(self.rng.bytes(width // 8 + 1), "little") % (1 << width)


class Sink(_End):
    """Takes items from `<name>_valid_o`, `<name>_ready_i`; checks that one that waits stays, and as it is."""

    into = False

    def __init__(
        self,
        dut: Any,
        name: str,
        payload: Payload,
        rng: np.random.Generator,
        take: Callable[[dict[str, Any]], None],
    ):
        """``take`` is called with every item, at the rising edge at which it is taken. ``name`` as of Source."""
        self.take = take
        super().__init__(dut, name, payload, rng)

    async def _run(self) -> None:
        waits: list[str] | None = None
        while True:
            await FallingEdge(self.clk)
            go = self._go()
            self.ready.value = go
            await RisingEdge(self.clk)
            values = [str(port.value) for port in self.ports.values()] if self.valid.value else None
            assert waits in (None, values), f"what waits at {self.valid._name} changed from {waits} to {values}"
            waits = None if go else values
            if go and values:
                self.take(self._item())

    def _item(self) -> dict[str, Any]:
        item: dict[str, Any] = {}
        for name, layout in self.payload.items():
            value = self.ports[name].value
            item |= layout.unpack(value) if layout else {name: int(value)}
        return item
