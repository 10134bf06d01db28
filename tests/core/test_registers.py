# SPDX-License-Identifier: Apache-2.0
"""The register interface: reset values, every writable bit, illegal accesses, interrupts, configuration registers."""

import cocotb
import pytest
import pyuvm
from cocotb.triggers import ClockCycles

from models import stream
from models.stream import Packet
from tests.descriptor_cases import legal_layer
from verif.sim.env.interrupts import CAUSES
from verif.sim.env.register_agent import RegisterAccess
from verif.sim.env.scenario import CoreTest
from verif.sim.env.sequences import EnableInterrupts, ItemSequence, RunLayer
from verif.sim.env.stream_agent import Transfer

VOLATILE = ("CTRL", "INTR_STATE", "ERROR")


class RegisterTest(CoreTest):
    async def raw(self, *access, **options):
        """An access past the register model, which refuses illegal ones itself."""
        item = RegisterAccess(*access, **options)
        await ItemSequence(item).start(self.sequencer.bus)
        return item

    async def any_layer(self):
        """The scoreboard wants results: end with a layer."""
        layer, plan = legal_layer(self.config)
        await RunLayer(layer, plan, pes=self.config.NumPe).start(self.sequencer)


@pyuvm.test()
class ReadAndWrite(RegisterTest):
    bound_us = 100

    async def scenario(self):
        registers = self.env.registers
        writable = [
            n for n in registers.names if registers.rights(n) == "RW" and n not in VOLATILE and n != "INTR_ENABLE"
        ]
        for name in writable:
            got = await self.raw(registers.address(name), False)
            assert got.data == registers.reset_value(name), f"{name} is {got.data:#x} after reset"
        for _ in range(3):
            values = {}
            for name in self.rng.permutation(writable):
                mask = registers.encode(name, **{f: (1 << w) - 1 for f, w in widths(registers, name).items()})
                values[name] = int(self.rng.integers(1 << 32)) & mask
                # Bits outside the fields are written as ones and read as zeros.
                await self.raw(registers.address(name), True, values[name] | ~mask & 0xFFFFFFFF)
            for name in self.rng.permutation(writable):
                got = await self.raw(registers.address(name), False)
                assert got.okay and got.data == values[name], f"{name} reads {got.data:#x}, written {values[name]:#x}"
        await self.any_layer()


def widths(registers, name):
    return {field.get_name(): field.get_n_bits() for field in registers[name].get_fields()}


@pyuvm.test()
class Configuration(RegisterTest):
    bound_us = 100

    async def scenario(self):
        config = self.config
        expected = {
            "ID": {"signature": 0x5343, "major": 1, "minor": 0},
            "CONFIG_ARRAY": {"num_pe": config.NumPe, "num_lanes": config.NumLanes},
            "CONFIG_REGION": {
                "region_pos": config.RegionPos,
                "num_regions": config.NumRegions,
                "stream_bytes": config.StreamBytes,
            },
            "CONFIG_OUTPUT": {"num_sp": config.NumSp, "sp_lanes": config.SpLanes, "num_stage": config.NumStage},
            "CONFIG_WGT": {"depth": config.WgtDepth, "banks": config.WgtBanks},
            "CONFIG_ACT": {"depth": config.ActDepth, "banks": config.ActBanks},
            "CONFIG_IDX": {"depth": config.IdxDepth, "banks": config.IdxBanks},
        }
        for name, fields in expected.items():
            got = await self.raw(self.env.registers.address(name), False)
            assert self.env.registers.decode(name, got.data) == fields, name
        par = await self.raw(self.env.registers.address("CONFIG_PAR"), False)
        assert self.env.registers.decode("CONFIG_PAR", par.data)["depth"] == config.ParDepth
        await self.any_layer()


@pyuvm.test()
class IllegalAccesses(RegisterTest):
    """Unmapped addresses, writes to read-only and reads of write-only registers: SLVERR and no effect."""

    bound_us = 100

    async def scenario(self):
        registers = self.env.registers
        mapped = {registers.address(name) for name in registers.names}
        for address in sorted(set(range(0, 0x1000, 4)) - mapped)[::23] + [0xFFC]:
            for write in (False, True):
                assert not (await self.raw(address, write, 0xFFFFFFFF)).okay, f"address {address:#x}, write {write}"
        for name in registers.names:
            if registers.rights(name) == "RO":
                before = await self.raw(registers.address(name), False)
                assert not (await self.raw(registers.address(name), True, before.data ^ 0xFFFFFFFF)).okay, name
                assert (await self.raw(registers.address(name), False)).data == before.data, name
        assert not (await self.raw(registers.address("CTRL"), False)).okay
        await self.any_layer()


@pyuvm.test()
class PartialAccesses(RegisterTest):
    """Bytes of registers, at every offset: writes leave the other bytes alone; the scoreboard compares the words."""

    bound_us = 100

    async def scenario(self):
        registers = self.env.registers
        for name in ("LAYER_LINES", "LAYER_CLAMP", "WGT_BASE", "INTR_ENABLE", "PE_SELECT"):
            address = registers.address(name)
            known = registers.encode(name, **{f: (1 << w) - 1 for f, w in widths(registers, name).items()})
            word = (await self.raw(address, False)).data
            for offset, size in [(o, s) for o in range(4) for s in range(1, 5 - o)]:
                data = int(self.rng.integers(1 << 8 * size))
                assert (await self.raw(address + offset, True, data, size)).okay
                mask = ((1 << 8 * size) - 1) << 8 * offset
                word = (word & ~mask | data << 8 * offset) & known
                found = (await self.raw(address, False)).data
                assert found == word, f"{name} reads {found:#x}, expected {word:#x} after bytes {offset} + {size}"
                part = (await self.raw(address + offset, False, 0, size)).data
                assert part == (word & mask) >> 8 * offset
        # Pulses and bits cleared by ones: a byte without strobe does nothing.
        await self.raw(registers.address("WGT_COUNT"), True, 0)
        command = registers.encode("CTRL", wgt_load=1)
        await self.raw(registers.address("CTRL") + 2, True, command, 1)
        assert (await self.raw(registers.address("ERROR"), False)).data == 0
        await self.raw(registers.address("CTRL"), True, command, 1)
        await ClockCycles(cocotb.top.clk_i, 20)
        error = registers.encode("ERROR", command_range=1)
        assert error >> 8
        for offset, left in ((0, error), (1, 0)):
            await self.raw(registers.address("ERROR") + offset, True, 0xFF, 1)
            assert (await self.raw(registers.address("ERROR"), False)).data == left
        assert not (await self.raw(registers.address("ID") + 2, True, 0xFF, 1)).okay
        assert not (await self.raw(0xFFE, False, 0, 2)).okay
        await EnableInterrupts("enable").start(self.sequencer)
        await self.any_layer()


@pyuvm.test()
class SoftResetWhenIdle(RegisterTest):
    """It clears what the core holds and leaves what the host wrote."""

    bound_us = 100

    async def scenario(self):
        registers = self.env.registers
        await self.raw(registers.address("WGT_BASE"), True, 77)
        await self.raw(registers.address("CTRL"), True, registers.encode("CTRL", wgt_load=1))  # no vectors: refused
        await ClockCycles(cocotb.top.clk_i, 20)
        assert (await self.raw(registers.address("ERROR"), False)).data == registers.encode("ERROR", command_range=1)
        await self.raw(registers.address("CTRL"), True, registers.encode("CTRL", soft_reset=1, wgt_load=1))
        await ClockCycles(cocotb.top.clk_i, 20)
        for name, expected in {"ERROR": 0, "INTR_STATE": 0, "STATUS": 0, "WGT_BASE": 77}.items():
            assert (await self.raw(registers.address(name), False)).data == expected, name
        await self.any_layer()


@pyuvm.test()
class InterruptMasks(RegisterTest):
    """Each cause: no irq_o while it is masked, irq_o as soon as it is enabled, and none after it was cleared."""

    bound_us = 100

    async def scenario(self):
        layer, plan = legal_layer(self.config)
        await RunLayer(layer, plan).start(self.sequencer)
        registers, irq, d = self.env.registers, cocotb.top.irq_o, plan.descriptor
        enable, state = registers.address("INTR_ENABLE"), registers.address("INTR_STATE")
        await self.raw(enable, True, 0)
        # Cause every interrupt at once: a transfer, loads, the layer again, and a refused command.
        await self.raw(registers.address("CTRL"), True, registers.encode("CTRL", layer_push=1, act_load=1, wgt_load=1))
        packets = stream.activation_packets(plan, layer)
        await ItemSequence(Transfer(packets)).start(self.sequencer.activations)
        await ItemSequence(Transfer([Packet(stream.weight_beats(self.config, layer))])).start(self.sequencer.weights)
        await ClockCycles(cocotb.top.clk_i, 20)
        await self.raw(registers.address("CTRL"), True, registers.encode("CTRL", par_load=1))
        await ItemSequence(Transfer([Packet(stream.parameter_beats(layer))])).start(self.sequencer.weights)
        await self.raw(registers.address("RES_LINES"), True, 0)
        await self.raw(registers.address("CTRL"), True, registers.encode("CTRL", result_send=1))  # refused
        await self.raw(registers.address("RES_LINES"), True, 1)
        await self.raw(registers.address("RES_IDX_BASE"), True, d.in_idx_base)
        await self.raw(registers.address("CTRL"), True, registers.encode("CTRL", result_send=1))
        for _ in range(200):
            await ClockCycles(cocotb.top.clk_i, 100)
            status = registers.decode("STATUS", (await self.raw(registers.address("STATUS"), False)).data)
            if not any(status.values()):
                break
        assert not any(status.values()), status
        # A program load of a word, and a run in which no engine has anything to do.
        for name, value in (("PRG_BASE", 0), ("PRG_COUNT", 1), ("RUN_ITERATIONS", 1)):
            await self.raw(registers.address(name), True, value)
        for engine in ("WGT", "ACT", "LAYER", "RES"):
            await self.raw(registers.address(f"RUN_{engine}_COUNT"), True, 0)
        await self.raw(registers.address("CTRL"), True, registers.encode("CTRL", prg_load=1))
        await ItemSequence(Transfer([Packet([0])])).start(self.sequencer.weights)
        await ClockCycles(cocotb.top.clk_i, 20)
        await self.raw(registers.address("CTRL"), True, registers.encode("CTRL", run=1))
        await ClockCycles(cocotb.top.clk_i, 20)
        assert irq.value == 0
        pending = registers.decode("INTR_STATE", (await self.raw(state, False)).data)
        assert {cause for cause, on in pending.items() if on} == set(CAUSES), pending
        counts = self.env.interrupts.counts.copy()
        for number, cause in enumerate(CAUSES):
            await self.raw(enable, True, registers.encode("INTR_ENABLE", **{cause: 1}))
            await self.env.interrupts.wait(cause, since=counts, cycles=100)
            await ClockCycles(cocotb.top.clk_i, 100)
            assert irq.value == 0
            left = registers.decode("INTR_STATE", (await self.raw(state, False)).data)
            assert {cause for cause, on in left.items() if on} == set(CAUSES[number + 1 :]), left
        assert self.env.interrupts.counts - counts == dict.fromkeys(CAUSES, 1)


@pytest.mark.parametrize(
    "testcase",
    ["ReadAndWrite", "Configuration", "IllegalAccesses", "PartialAccesses", "SoftResetWhenIdle", "InterruptMasks"],
)
def test_registers(simulate, testcase):
    simulate(testcase)
