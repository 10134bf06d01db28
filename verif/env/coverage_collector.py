# SPDX-License-Identifier: Apache-2.0
"""Samples the functional coverage from what the monitors and the reference model have seen."""

from __future__ import annotations

from cocotb_coverage.coverage import coverage_db
from pyuvm import uvm_subscriber

from verif.coverage.geometry import GeometryCoverage
from verif.coverage.protocol import COMMANDS, STREAMS, ProtocolCoverage
from verif.coverage.sparsity import SparsityCoverage
from verif.env.device import device
from verif.env.register_agent import BusAccess

EXPORT = "functional.yml"


class CoverageCollector(uvm_subscriber):
    """Connected behind the scoreboard, so that the model already knows each access; exports in report_phase."""

    def build_phase(self):
        super().build_phase()
        self.registers = self.cdb_get("REGISTERS")
        config = self.cdb_get("CONFIG")
        self.sparsity = SparsityCoverage(config.NumLanes)
        self.geometry = GeometryCoverage()
        self.protocol = ProtocolCoverage(config.QueueDepth)
        self._layers = 0
        self._status: dict[str, int] | None = None  # what STATUS read, if that was the latest access

    def connect_phase(self):
        self.model = self.get_parent().scoreboard.checker.model

    def write(self, access: BusAccess):
        status, self._status = self._status, None
        name = self.registers.name_at(access.address)
        self.protocol.access(access.write, self.registers.rights(name) if name else None)
        if name is None or not access.okay:
            return
        values = self.registers.decode(name, access.data)
        if access.write and name == "CTRL":
            self._commands(values)
            if values["soft_reset"]:
                self._reset("soft_reset", status)
        elif not access.write:
            self._read(name, values)

    def _commands(self, values: dict[str, int]):
        for command in COMMANDS:
            if values[command]:
                self.protocol.command(command, self.model.outcomes[command])
        for layer in self.model.layers[self._layers :]:
            self.sparsity.sample(layer)
            self.geometry.sample(layer)
        self._layers = len(self.model.layers)

    def _read(self, name: str, values: dict[str, int]):
        if name == "STATUS":
            self.protocol.status(values)
            self._status = values
        elif name in ("INTR_STATE", "ERROR"):
            cover = self.protocol.interrupts if name == "INTR_STATE" else self.protocol.errors
            for label, on in values.items():
                if on:
                    cover.hit(label)
        elif name == "DESCRIPTOR_ERROR" and values["code"]:
            self.protocol.descriptor.hit(str(values["code"]))

    def hard_reset(self):
        """rst_ni has fallen."""
        self._reset("rst_ni", self._status)

    def _reset(self, kind: str, status: dict[str, int] | None):
        # What a reset met is known for sure only when STATUS was read right before it.
        if status:
            self.protocol.reset(kind, status)

    def report_phase(self):
        for name in STREAMS:
            # Bound on Verilator alone: other simulators run generated Verilog without the protocol modules.
            if hasattr(device(), f"u_{name}_protocol"):
                seen = getattr(device(), f"u_{name}_protocol").seen_q
                self.protocol.stream(name, int(seen.value))
        coverage_db.export_to_yaml(EXPORT)
