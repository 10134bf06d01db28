# SPDX-License-Identifier: Apache-2.0
"""The test bench of command_ctrl: register access, and what the block tells its engines."""

import cocotb
from cocotb.triggers import FallingEdge, RisingEdge
from cocotb.types import LogicArray
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiResp

from models.config import load_config
from verif.shared.structs import Struct, struct
from verif.sim.env.register_model import RegisterModel
from verif.sim.kit import start
from verif.sim.seed import rng

CONFIG = load_config("small")
CONFIGURATION = struct("config_t")
PARAMETERS = {
    "Cfg": f"{CONFIGURATION.width}'h"
    f"{CONFIGURATION.pack({name: CONFIG.parameters()[name] for name in CONFIGURATION.fields}):x}"
}
WGT_SIZE, ACT_SIZE, IDX_SIZE = (
    getattr(CONFIG, f"{memory}Banks") * getattr(CONFIG, f"{memory}Depth") for memory in ("Wgt", "Act", "Idx")
)
MODES = {(0, 0), (0, 1), (1, 2), (2, 3), (0, 2), (1, 3), (2, 4)}  # log2 of k and m
LAYER, COUNTERS, PE_COUNTERS = struct("layer_t"), struct("counters_t"), struct("pe_counters_t")
WGT_ERR, ACT_ERR = struct("wgt_err_t"), struct("act_err_t")
RUN_REGISTERS = ("WGT", "ACT", "LAYER", "RES")  # by engine of a program
ENGINES = ("wgt", "act", "res", "layer", "program")
COMMAND = {engine: struct(f"{engine}_cmd_t") for engine in ENGINES}
STATUS = {engine: struct(f"{engine}_status_t") for engine in ENGINES}
# Pulses by engine and field, with the fields that count with them.
PULSES = {
    ("wgt", "start_weights"): ("base", "count", "k_log2", "m_log2"),
    ("wgt", "start_params"): ("base", "count"),
    ("wgt", "start_program"): ("base", "count"),
    ("act", "start"): ("idx_base", "lines", "base", "limit", "line_pos"),
    ("res", "start"): ("idx_base", "lines"),
    ("layer", "push"): ("layer",),
    ("layer", "issue"): (),
    ("program", "start"): ("base", "count", "iterations"),
    ("wgt", "flush"): (),
    ("act", "flush"): (),
}


def unpack(layout: Struct, value: LogicArray) -> dict:
    """A struct's fields. What is unknown before a program's first words are there is 1: a pulse that is would show."""
    return layout.unpack(int(value.resolve("ones")))


class Bench:
    """Register access by name, and a record of every pulse to the engines with its arguments."""

    def __init__(self, dut):
        self.dut, self.gen, self.registers = dut, rng(), RegisterModel()

    async def begin(self):
        dut = self.dut
        self.state = {engine: {} for engine in ENGINES}
        await start(dut)
        self.master = AxiLiteMaster(
            AxiLiteBus.from_prefix(dut, "s_axil"), dut.clk_i, dut.rst_ni, reset_active_level=False
        )
        self.pulses = []
        cocotb.start_soon(self._watch())
        while not dut.core_rst_no.value:
            await FallingEdge(dut.clk_i)
        return self

    async def _watch(self):
        dut = self.dut
        while True:
            await RisingEdge(dut.clk_i)
            commands = {engine: unpack(COMMAND[engine], getattr(dut, f"{engine}_cmd_o").value) for engine in ENGINES}
            for (engine, pulse), arguments in PULSES.items():
                if commands[engine][pulse]:
                    self.pulses.append((engine, pulse, *(commands[engine][argument] for argument in arguments)))

    def stall(self, stalls):
        """Idle cycles on every channel of the bus."""
        ports = self.master.write_if, self.master.read_if
        for channel in (
            ports[0].aw_channel,
            ports[0].w_channel,
            ports[0].b_channel,
            ports[1].ar_channel,
            ports[1].r_channel,
        ):
            channel.clear_pause_generator()
            channel.pause = False
            if pauses := stalls.pauses(self.gen):
                channel.set_pause_generator(pauses)

    async def write_at(self, address: int, data: bytes) -> AxiResp:
        return (await self.master.write(address, data)).resp

    async def read_at(self, address: int) -> tuple[AxiResp, int]:
        answer = await self.master.read(address, 4)
        return answer.resp, int.from_bytes(answer.data, "little")

    async def write(self, name: str, **fields: int):
        word = self.registers.encode(name, **fields).to_bytes(4, "little")
        assert await self.write_at(self.registers.address(name), word) == AxiResp.OKAY

    async def read(self, name: str) -> int:
        answer, word = await self.read_at(self.registers.address(name))
        assert answer == AxiResp.OKAY
        return word

    async def fields(self, name: str) -> dict[str, int]:
        return self.registers.decode(name, await self.read(name))

    async def set_bits(self, name: str) -> set[str]:
        return {field for field, value in (await self.fields(name)).items() if value}

    async def clear(self):
        """Clear all sticky bits, forget the pulses."""
        for name in ("ERROR", "INTR_STATE"):
            await self.write(name, **dict.fromkeys(self.registers.decode(name, 0), 1))
            assert await self.read(name) == 0
        self.pulses.clear()

    def set(self, engine: str, **fields):
        """Change fields of an engine's status."""
        self.state[engine] |= fields
        getattr(self.dut, f"{engine}_status_i").value = STATUS[engine].pack(self.state[engine])

    async def pulse(self, engine: str, field: str, value=1):
        await FallingEdge(self.dut.clk_i)
        self.set(engine, **{field: value})
        await FallingEdge(self.dut.clk_i)
        self.set(engine, **{field: {} if isinstance(value, dict) else 0})

    async def command(self, *commands: str, error: str | None = None, pulses: list[tuple] = ()):
        """Give commands in one write; expect `pulses` and either no error or exactly `error`."""
        await self.clear()
        await self.write("CTRL", **dict.fromkeys(commands, 1))
        for _ in range(3):
            await FallingEdge(self.dut.clk_i)
        assert self.pulses == list(pulses)
        assert await self.set_bits("ERROR") == ({error} if error else set())
        assert await self.set_bits("INTR_STATE") == ({"error"} if error else set())

    async def set_loads(self, wgt=(0, 1), mode=(1, 2), par=(0, 1), act=(0, 1, 0, 10, 64), res=(0, 1), prg=(0, 1)):
        """Arguments of all loads: (base, count), and for activations (index base, lines, base, limit, positions)."""
        await self.write("PRG_BASE", value=prg[0])
        await self.write("PRG_COUNT", value=prg[1])
        await self.write("WGT_BASE", value=wgt[0])
        await self.write("WGT_COUNT", value=wgt[1])
        await self.write("WGT_MODE", k_log2=mode[0], m_log2=mode[1])
        await self.write("PAR_BASE", value=par[0])
        await self.write("PAR_COUNT", value=par[1])
        for name, value in zip(
            ("ACT_IDX_BASE", "ACT_LINES", "ACT_BASE", "ACT_LIMIT", "ACT_LINE_POS"), act, strict=True
        ):
            await self.write(name, value=value)
        await self.write("RES_IDX_BASE", value=res[0])
        await self.write("RES_LINES", value=res[1])

    async def set_run(self, bases=(0, 0, 0, 0), counts=(1, 1, 1, 1), iterations=1) -> tuple:
        """Arguments of a run, in the order of the engines; the start that they give."""
        for name, base, count in zip(RUN_REGISTERS, bases, counts, strict=True):
            await self.write(f"RUN_{name}_BASE", value=base)
            await self.write(f"RUN_{name}_COUNT", value=count)
        await self.write("RUN_ITERATIONS", value=iterations)
        flat = (
            sum(value << width * i for i, value in enumerate(values)) for width, values in ((16, bases), (15, counts))
        )
        return ("program", "start", *flat, iterations)

    def free_fields(self, name: str) -> dict[str, int]:
        """A random value of every field of a register."""
        return {
            field: int(self.gen.integers(ones + 1)) for field, ones in self.registers.decode(name, 2**32 - 1).items()
        }
