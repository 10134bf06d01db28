# SPDX-License-Identifier: Apache-2.0
"""Samples the functional coverage from what the predictor concludes."""

from __future__ import annotations

from collections.abc import Mapping

from cocotb_coverage.coverage import coverage_db
from pyuvm import uvm_subscriber

from verif.shared.variables import FUNCTIONAL_COVERAGE
from verif.sim.coverage.engines import ProgramCoverage
from verif.sim.coverage.geometry import GeometryCoverage
from verif.sim.coverage.protocol import STREAMS, ProtocolCoverage
from verif.sim.coverage.sparsity import SparsityCoverage
from verif.sim.env.analysis_input import AnalysisInput
from verif.sim.env.conclusions import Access, CommandOutcome, Conclusion, Reset, RunFailed, RunStarted
from verif.sim.env.device import device
from verif.sim.env.layer_reference import LayerDone


class CoverageCollector(uvm_subscriber):
    """Listens to the predictor; exports in report_phase."""

    def build_phase(self):
        super().build_phase()
        config = self.cdb_get("CONFIG")
        self.sparsity = SparsityCoverage(config.NumLanes)
        self.geometry = GeometryCoverage(config.slots, config.RegionPos)
        self.protocol = ProtocolCoverage(config.QueueDepth)
        self.program = ProgramCoverage(config.RegionPos)
        self.sightings = AnalysisInput("sightings", self, self.program.sighting)
        self._status: Mapping[str, int] | None = None  # what STATUS read, if that was the latest access

    def write(self, conclusion: Conclusion):
        match conclusion:
            case Access():
                self._access(conclusion)
            case CommandOutcome(command, outcome):
                self.protocol.command(command, outcome)
            case LayerDone():
                self.sparsity.sample(conclusion)
                self.geometry.sample(conclusion)
            case RunStarted(plan):
                self.program.started(plan)
            case RunFailed():
                self.program.failed(conclusion)
            case Reset(kind):
                # What a reset met is known for sure only when STATUS was read right before it.
                if self._status:
                    self.protocol.reset(kind, self._status)
                self._status = None

    def _access(self, access: Access):
        self.protocol.access(access.write, access.rights)
        values = access.values
        if not (access.write and values.get("soft_reset")):  # that is the reset itself
            self._status = values if access.name == "STATUS" and access.understood else None
        if access.write or not access.understood:
            return
        if access.name == "STATUS":
            self.protocol.status(values)
        elif access.name in ("INTR_STATE", "ERROR"):
            cover = self.protocol.interrupts if access.name == "INTR_STATE" else self.protocol.errors
            for label, on in values.items():
                if on:
                    cover.hit(label)
        elif access.name == "DESCRIPTOR_ERROR" and values["code"]:
            self.protocol.descriptor.hit(str(values["code"]))

    def report_phase(self):
        for name in STREAMS:
            # Bound on Verilator alone: other simulators run generated Verilog without the protocol modules.
            if hasattr(device(), f"u_{name}_protocol"):
                seen = getattr(device(), f"u_{name}_protocol").seen_q
                self.protocol.stream(name, int(seen.value))
        coverage_db.export_to_yaml(FUNCTIONAL_COVERAGE)
