# SPDX-License-Identifier: Apache-2.0
"""The predictor: fed with what the core was given, it publishes what follows from that.

It owns the reference model. Whoever wants to know something of the model listens to its port: conclusions come in the
order of cause and effect, so that no subscriber has to ask, or to be connected before another.
"""

from __future__ import annotations

from collections.abc import Callable

from cocotb.simtime import get_sim_time
from cocotb.triggers import FallingEdge
from pyuvm import uvm_analysis_port, uvm_component

from models.stream import Packet
from verif.sim.env.analysis_input import AnalysisInput
from verif.sim.env.conclusions import Access, Conclusion
from verif.sim.env.core_model import CoreModel
from verif.sim.env.device import device
from verif.sim.env.interrupts import CLOCK_NS
from verif.sim.env.register_agent import BusAccess
from verif.sim.env.register_model import RegisterModel
from verif.sim.env.stream_agent import StreamMonitor

SETTLE_NS = 64 * CLOCK_NS  # from the end of a packet until all that it causes can be read


class Interpreter:
    """Understands bus accesses by the register description and the model, without a simulator."""

    # What reads as the host wrote it (or as the reset left it) is known; the rest changes on its own.
    _STICKY = (
        "ERROR",
        "DESCRIPTOR_ERROR",
        "WGT_ERROR_INFO",
        "ACT_ERROR_INFO",
        "ACT_END",
        "RUN_ERROR",
        "RUN_ERROR_ITERATION",
    )
    _CLEARED = ("INTR_STATE", "ERROR")  # by writing ones

    def __init__(self, model: CoreModel, registers: RegisterModel, publish: Callable[[Conclusion], None]):
        self.model, self.registers, self.publish = model, registers, publish

    def access(self, access: BusAccess, quiet: bool = True) -> None:
        """Publish an access as it was understood, then let the model take it.

        ``quiet``: no stream has moved for a while; what they cause is settled.
        """
        name = self.registers.name_at(access.address)
        rights = self.registers.rights(name) if name else None
        legal = rights in ("RW", "WO" if access.write else "RO")
        values: dict[str, int] = {}
        expected: dict[str, int] = {}
        stray = 0
        if name and legal and access.okay:
            data = access.data
            if not access.write:
                expected = self._expected(name, rights, quiet)
            elif rights == "RW" and name not in self._CLEARED:
                data |= self.registers.encode(name, **self._held(name)) & ~access.written
            values = self.registers.decode(name, data)
            if not access.write:
                stray = data ^ self.registers.encode(name, **values)
        self.publish(
            Access(
                address=access.address,
                write=access.write,
                okay=access.okay,
                name=name,
                rights=rights,
                legal=legal,
                values=values,
                expected=expected,
                stray=stray,
                layers_open=len(self.model.layers_open),
                running=self.model.run is not None,
            )
        )
        if name and values:
            self._take(name, access.write, values)

    def _take(self, name: str, write: bool, values: dict[str, int]) -> None:
        if write:
            self.model.write(name, values)
        elif name == "INTR_STATE":
            self.model.read_interrupts(values)
        elif name == "STATUS":
            self.model.read_status(values)

    def _expected(self, name: str, rights: str | None, quiet: bool) -> dict[str, int]:
        """What a read has to give, as far as it is known."""
        if name == "STATUS":
            return {bit: int(on) for bit, on in self.model.status.items()} if quiet else {}
        if name in self._STICKY:
            return self._sticky(name) if quiet else {}
        return self._held(name) if rights == "RW" and name != "INTR_STATE" else {}

    def _sticky(self, name: str) -> dict[str, int]:
        if self.model.run:  # the model is ahead of it
            return {}
        if name == "ERROR":
            # Overflow shows at some time before its layer ends.
            unsure = {"out_overflow"} if self.model.layers_open else set()
            causes = set(self.registers.decode(name, 0)) - unsure
            return {cause: int(cause in self.model.errors) for cause in causes}
        if name == "DESCRIPTOR_ERROR":
            return {"code": self.model.descriptor_error}
        if name == "RUN_ERROR":
            return self.model.run_error.registers
        if name == "RUN_ERROR_ITERATION":
            return {"value": self.model.run_error.iteration}
        return {"value": (self.model.error_info | {"ACT_END": self.model.act_end})[name]}

    def _held(self, name: str) -> dict[str, int]:
        """What the host has made of a register."""
        return self.model.registers.get(name) or self.registers.decode(name, self.registers.reset_value(name))


class Predictor(uvm_component):
    """Connects the monitors to the model; `ap` publishes each Conclusion.

    `accesses`, `weights`, `activations` and `results` are its inputs (of the result packets it needs to know when they
    came, not what they hold); `monitors`: those of the streams that have to rest before registers are settled.
    """

    def build_phase(self):
        self.ap = uvm_analysis_port("ap", self)
        registers = self.cdb_get("REGISTERS")
        self.model = CoreModel(self.cdb_get("CONFIG"), self.ap.write, registers)
        self.interpreter = Interpreter(self.model, registers, self.ap.write)
        self.monitors: list[StreamMonitor] = []
        self.accesses = AnalysisInput("accesses", self, self._access)
        self.weights = AnalysisInput("weights", self, self._moving(self.model.weight_packet))
        self.activations = AnalysisInput("activations", self, self._moving(self.model.activation_packet))
        self.results = AnalysisInput("results", self, self._moving(self.model.result_packet))
        self._moved = 0.0

    def _moving(self, function: Callable[[Packet], None]) -> Callable[[Packet], None]:
        """The function for a packet, which also notes the time."""

        def take(packet: Packet) -> None:
            self._moved = get_sim_time("ns")
            function(packet)

        return take

    def _access(self, access: BusAccess):
        idle = all(monitor.idle for monitor in self.monitors)
        self.interpreter.access(access, quiet=idle and get_sim_time("ns") > self._moved + SETTLE_NS)

    async def run_phase(self):
        while True:
            await FallingEdge(device().rst_ni)
            self.model.reset("rst_ni")
