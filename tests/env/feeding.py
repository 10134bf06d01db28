# SPDX-License-Identifier: Apache-2.0
"""Feeds model and Checker by hand with what the monitors would have seen: no simulator."""

from dataclasses import replace

from models import stream
from models.config import load_config
from models.stream import Packet
from verif.sim.env.conclusions import Conclusion
from verif.sim.env.core_model import CoreModel
from verif.sim.env.layer_reference import LayerDone
from verif.sim.env.predictor import Interpreter
from verif.sim.env.register_agent import BusAccess
from verif.sim.env.register_model import RegisterModel
from verif.sim.env.scoreboard import Checker
from verif.sim.env.sequences import layer_registers

CONFIG = load_config("small")
REGISTERS = RegisterModel()


class Feeder:
    """A model, a checker of what it concludes, and the shortest way to give them a layer."""

    def __init__(self):
        self.checker = Checker(CONFIG)
        self.conclusions: list[Conclusion] = []
        self.model = CoreModel(CONFIG, self.conclude, REGISTERS)
        self.interpreter = Interpreter(self.model, REGISTERS, self.conclude)

    def conclude(self, conclusion: Conclusion) -> None:
        self.conclusions.append(conclusion)
        self.checker.conclude(conclusion)

    def of(self, kind: type) -> list:
        """The conclusions of a kind so far."""
        return [conclusion for conclusion in self.conclusions if isinstance(conclusion, kind)]

    @property
    def layers(self) -> list[LayerDone]:
        """Those that were taken."""
        return self.of(LayerDone)

    def write(self, register: str, okay: bool = True, **fields: int) -> None:
        data = REGISTERS.encode(register, **fields)
        self.interpreter.access(BusAccess(REGISTERS.address(register), True, data, okay))

    def read(self, register: str, okay: bool = True, quiet: bool = True, **fields: int) -> None:
        data = REGISTERS.encode(register, **fields)
        self.interpreter.access(BusAccess(REGISTERS.address(register), False, data, okay), quiet)

    def command(self, name: str) -> None:
        self.write("CTRL", **{name: 1})

    def load_weights(self, beats, base=0, mode=(2, 4), count=None) -> None:
        self.write("WGT_BASE", value=base)
        self.write("WGT_COUNT", value=len(beats) if count is None else count)
        self.write("WGT_MODE", k_log2=mode[0].bit_length() - 1, m_log2=mode[1].bit_length() - 1)
        self.command("wgt_load")
        self.weights(beats)

    def load_parameters(self, beats, base=0, count=None) -> None:
        self.write("PAR_BASE", value=base)
        self.write("PAR_COUNT", value=len(beats) if count is None else count)
        self.command("par_load")
        self.weights(beats)

    def load_program(self, words, base=0) -> None:
        self.write("PRG_BASE", value=base)
        self.write("PRG_COUNT", value=len(words))
        self.command("prg_load")
        self.weights(words)

    def weights(self, beats) -> None:
        """A packet of s_axis_wgt."""
        self.model.weight_packet(Packet(list(beats)))

    def start_activations(self, lines, line_pos, idx_base=0, base=0, limit=1000) -> None:
        self.write("ACT_IDX_BASE", value=idx_base)
        self.write("ACT_LINES", value=lines)
        self.write("ACT_BASE", value=base)
        self.write("ACT_LIMIT", value=limit)
        self.write("ACT_LINE_POS", value=line_pos)
        self.command("act_load")

    def load(self, layer, plan) -> None:
        d = plan.descriptor
        self.load_weights(stream.weight_beats(CONFIG, layer), d.wgt_base, (layer.k, layer.m))
        self.load_parameters(stream.parameter_beats(layer), d.par_base)
        packets = stream.activation_packets(plan, layer)
        self.start_activations(len(packets), d.line_h * d.line_w, d.in_idx_base, plan.in_act_base, plan.in_act_limit)
        for packet in packets:
            self.model.activation_packet(packet)
        if d.residual:
            packets = stream.residual_packets(plan, layer)
            section = plan.in_act_limit, plan.res_act_limit
            self.start_activations(len(packets), d.tile_h * d.tile_w, d.res_idx_base, *section)
            for packet in packets:
                self.model.activation_packet(packet)

    def push(self, descriptor, **changes) -> None:
        for register, fields in layer_registers(REGISTERS, replace(descriptor, **changes)).items():
            self.write(register, **fields)
        self.command("layer_push")

    def fetch(self, base, lines) -> None:
        self.write("RES_IDX_BASE", value=base)
        self.write("RES_LINES", value=lines)
        self.command("result_send")

    def result(self, packet: Packet) -> None:
        self.model.result_packet(packet)
        self.checker.result(packet)

    def run(self, layer, plan) -> list[Packet]:
        """Everything up to the result transfer; returns the packets that a correct core sends."""
        self.load(layer, plan)
        self.push(plan.descriptor)
        self.fetch(plan.descriptor.out_idx_base, plan.descriptor.out_entries)
        return stream.expected_packets(plan, layer)
