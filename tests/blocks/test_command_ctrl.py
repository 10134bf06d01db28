# SPDX-License-Identifier: Apache-2.0
"""command_ctrl through its AXI4-Lite port: registers, the host's commands, interrupts, errors, resets."""

import cocotb
import pytest
from cocotb.triggers import FallingEdge, Timer
from cocotbext.axi import AxiResp

from tests.blocks.command_bench import (
    ACT_ERR,
    ACT_SIZE,
    CONFIG,
    CONFIGURATION,
    COUNTERS,
    IDX_SIZE,
    LAYER,
    MODES,
    PARAMETERS,
    PE_COUNTERS,
    WGT_ERR,
    WGT_SIZE,
    Bench,
)
from verif.shared.stalls import STALLS
from verif.sim.env.layer_reference import descriptor_field
from verif.sim.kit import block_test


@block_test(us=5)
async def reset_before_the_first_edge(dut):
    """Registers start with random values (by seed): the core is in reset all the same, without a clock."""
    dut.rst_ni.value = 0
    await Timer(1, "ns")
    assert dut.core_rst_no.value == 0


@block_test(us=20)
async def constants_and_reset_values(dut):
    """Constants show the configuration; every other register reads its reset value."""
    bench = await Bench(dut).begin()
    built = {
        "ID": {"signature": 0x5343, "major": 1, "minor": 0},
        "CONFIG_ARRAY": {"num_pe": CONFIG.NumPe, "num_lanes": CONFIG.NumLanes},
        "CONFIG_REGION": {
            "region_pos": CONFIG.RegionPos,
            "num_regions": CONFIG.NumRegions,
            "stream_bytes": CONFIG.StreamBytes,
        },
        "CONFIG_OUTPUT": {"num_sp": CONFIG.NumSp, "sp_lanes": CONFIG.SpLanes, "num_stage": CONFIG.NumStage},
        "CONFIG_WGT": {"depth": CONFIG.WgtDepth, "banks": CONFIG.WgtBanks},
        "CONFIG_ACT": {"depth": CONFIG.ActDepth, "banks": CONFIG.ActBanks},
        "CONFIG_IDX": {"depth": CONFIG.IdxDepth, "banks": CONFIG.IdxBanks},
        "CONFIG_PAR": {"depth": CONFIG.ParDepth, "banks": 1},
        "CONFIG_PRG": {"depth": CONFIG.PrgDepth, "banks": 1},
    }
    for name in bench.registers.names:
        if name in built:
            assert await bench.fields(name) == built[name]
        elif bench.registers.rights(name) != "WO":
            assert await bench.read(name) == bench.registers.reset_value(name), name
    assert dut.irq_o.value == 0


@block_test(us=100)
async def host_registers(dut):
    """What the host writes it reads back, byte strobes included; no register disturbs another."""
    bench = await Bench(dut).begin()
    names = [
        name
        for name in bench.registers.names
        if bench.registers.rights(name) == "RW" and name not in ("ERROR", "INTR_STATE")
    ]
    assert len(names) > 30
    held = dict.fromkeys(names, 0)
    for stalls in STALLS:
        bench.stall(stalls)
        for name in bench.gen.permutation(names).tolist():
            values = bench.free_fields(name)
            await bench.write(name, **values)
            held[name] = bench.registers.encode(name, **values)
            if bench.gen.random() < 0.3:  # some bytes of the word
                start = int(bench.gen.integers(4))
                data = bench.gen.bytes(int(bench.gen.integers(1, 5 - start)))
                assert await bench.write_at(bench.registers.address(name) + start, data) == AxiResp.OKAY
                implemented = bench.registers.encode(name, **bench.registers.decode(name, 2**32 - 1))
                old = held[name].to_bytes(4, "little")
                new = old[:start] + data + old[start + len(data) :]
                held[name] = int.from_bytes(new, "little") & implemented
        for name in names:
            assert await bench.read(name) == held[name], name
    assert not bench.pulses
    assert await bench.read("ERROR") == 0


@block_test(us=100)
async def illegal_accesses(dut):
    """Unmapped addresses, writes to read-only registers, reads of CTRL: SLVERR, nothing changes."""
    bench = await Bench(dut).begin()
    registers = bench.registers
    mapped = {registers.address(name) for name in registers.names}
    free = [address for address in range(0, 0x1000, 4) if address not in mapped]
    before = {name: await bench.read(name) for name in registers.names if registers.rights(name) != "WO"}
    for address in [*free[:24], *bench.gen.choice(free[24:], 40, replace=False).tolist(), 0xFFC]:
        assert await bench.write_at(address, bench.gen.bytes(4)) == AxiResp.SLVERR
        assert await bench.read_at(address) == (AxiResp.SLVERR, 0)
    for name in registers.names:
        if registers.rights(name) == "RO":
            assert await bench.write_at(registers.address(name), b"\xff\xff\xff\xff") == AxiResp.SLVERR, name
    assert (await bench.read_at(registers.address("CTRL")))[0] == AxiResp.SLVERR
    assert before == {name: await bench.read(name) for name in before}
    assert not bench.pulses


@block_test(us=200)
async def commands(dut):
    """Each command is one pulse with the arguments of its registers; several may share a write."""
    bench = await Bench(dut).begin()
    for stalls in STALLS:
        bench.stall(stalls)
        args = {"wgt": (5, 7), "mode": (2, 4), "par": (9, 3), "act": (11, 12, 100, 200, 49), "res": (21, 22)}
        await bench.set_loads(**args, prg=(30, 31))
        await bench.set_run()
        starts = {
            "wgt_load": ("wgt", "start_weights", 5, 7, 2, 4),
            "par_load": ("wgt", "start_params", 9, 3),
            "prg_load": ("wgt", "start_program", 30, 31),
            "act_load": ("act", "start", 11, 12, 100, 200, 49),
            "result_send": ("res", "start", 21, 22),
        }
        for name, start in starts.items():
            await bench.command(name, pulses=[start])
        await bench.command("wgt_flush", pulses=[("wgt", "flush")])
        await bench.command("act_flush", pulses=[("act", "flush")])
        await bench.command(pulses=[])
        await bench.command(
            "wgt_load",
            "act_load",
            "result_send",
            pulses=[starts["wgt_load"], starts["act_load"], starts["result_send"]],
        )
        await bench.command("wgt_load", "par_load", error="command_busy", pulses=[starts["wgt_load"]])
        await bench.command("wgt_load", "prg_load", error="command_busy", pulses=[starts["wgt_load"]])
        await bench.command("par_load", "prg_load", error="command_busy", pulses=[starts["par_load"]])
        for name, start in starts.items():
            await bench.command(name, "run", error="command_busy", pulses=[start])


@block_test(us=50)
async def busy(dut):
    """A command to a busy or discarding engine is ignored; a flush in the same write makes way."""
    bench = await Bench(dut).begin()
    await bench.set_loads()
    wgt, par = ("wgt", "start_weights", 0, 1, 1, 2), ("wgt", "start_params", 0, 1)
    act = ("act", "start", 0, 1, 0, 10, 64)
    prg, run = ("wgt", "start_program", 0, 1), await bench.set_run()
    for engine, state, blocked in (
        ("wgt", "busy_weights", ("wgt_load", "par_load", "prg_load")),
        ("wgt", "busy_params", ("wgt_load", "par_load", "prg_load")),
        ("wgt", "busy_program", ("wgt_load", "par_load", "prg_load")),
        ("wgt", "discard", ("wgt_load", "par_load", "prg_load")),
        ("act", "busy", ("act_load",)),
        ("act", "discard", ("act_load",)),
        ("res", "busy", ("result_send",)),
        ("layer", "busy", ()),
    ):
        bench.set(engine, **{state: 1})
        for command in (*blocked, "run"):
            await bench.command(command, error="command_busy")
        if (engine, state) == ("wgt", "discard"):
            await bench.command("wgt_flush", "wgt_load", pulses=[wgt, ("wgt", "flush")])
            bench.set("wgt", discard=1)
            await bench.command("wgt_flush", "par_load", pulses=[par, ("wgt", "flush")])
            bench.set("wgt", discard=1)
            await bench.command("wgt_flush", "prg_load", pulses=[prg, ("wgt", "flush")])
            await bench.command("act_load", pulses=[act])
        elif (engine, state) == ("act", "discard"):
            await bench.command("act_flush", "act_load", pulses=[act, ("act", "flush")])
            await bench.command("wgt_load", pulses=[wgt])
        elif blocked and engine != "res":
            await bench.command(
                "wgt_flush", "act_flush", *blocked, error="command_busy", pulses=[("wgt", "flush"), ("act", "flush")]
            )
        bench.set(engine, **{state: 0})
    bench.set("wgt", discard=1)
    bench.set("act", discard=1)
    await bench.command("wgt_flush", "run", error="command_busy", pulses=[("wgt", "flush")])
    await bench.command("act_flush", "run", error="command_busy", pulses=[("act", "flush")])
    bench.set("program", done=1)
    await bench.clear()
    await bench.write("CTRL", wgt_flush=1, act_flush=1, run=1)
    assert bench.pulses == [run, ("wgt", "flush"), ("act", "flush")]
    assert await bench.set_bits("INTR_STATE") == {"run_done"}


@block_test(us=10)
async def back_to_back(dut):
    """An engine counts as busy from its start on: a second command at once is refused, its status still idle."""
    bench = await Bench(dut).begin()
    await bench.set_loads()
    await bench.clear()
    address = bench.registers.address("CTRL")
    for name, start in (
        ("wgt_load", ("wgt", "start_weights", 0, 1, 1, 2)),
        ("par_load", ("wgt", "start_params", 0, 1)),
        ("prg_load", ("wgt", "start_program", 0, 1)),
        ("act_load", ("act", "start", 0, 1, 0, 10, 64)),
        ("result_send", ("res", "start", 0, 1)),
    ):
        await bench.clear()
        word = bench.registers.encode("CTRL", **{name: 1}).to_bytes(4, "little")
        writes = [cocotb.start_soon(bench.write_at(address, word)) for _ in range(2)]
        engine = start[0]
        busy = {"wgt_load": "busy_weights", "par_load": "busy_params", "prg_load": "busy_program"}.get(name, "busy")
        while not bench.pulses:
            await FallingEdge(dut.clk_i)
        bench.set(engine, **{busy: 1})
        for write in writes:
            assert await write == AxiResp.OKAY
        assert bench.pulses == [start]
        assert await bench.set_bits("ERROR") == {"command_busy"}
        bench.set(engine, **{busy: 0})


@block_test(us=500)
async def ranges(dut):
    """Loads and transfers at and past the end of each memory, of nothing, in modes and sections that do not exist."""
    bench = await Bench(dut).begin()

    async def check(command: str, good: bool, **arguments):
        await bench.set_loads(**arguments)
        await bench.clear()
        await bench.write("CTRL", **{command: 1})
        for _ in range(2):
            await FallingEdge(dut.clk_i)
        assert len(bench.pulses) == good, (command, arguments)
        assert await bench.set_bits("ERROR") == (set() if good else {"command_range"}), (command, arguments)

    for command, name, size in (
        ("wgt_load", "wgt", WGT_SIZE),
        ("par_load", "par", CONFIG.ParDepth),
        ("result_send", "res", IDX_SIZE),
        ("prg_load", "prg", CONFIG.PrgDepth),
    ):
        top = 2**16 - 1 if name == "prg" else 2**24 - 1
        for base, count, good in (
            (0, size, True),
            (size - 1, 1, True),
            (3, size - 3, True),
            (0, 0, False),
            (0, size + 1, False),
            (size, 1, False),
            (4, size - 3, False),
            (top, 1, False),
            (1, top, False),
            (top, top, False),
        ):
            await check(command, good, **{name: (base, count)})
    for act, good in (
        ((0, IDX_SIZE, 0, ACT_SIZE, 64), True),
        ((IDX_SIZE - 1, 1, 7, 7, 1), True),
        ((IDX_SIZE, 1, 0, 9, 64), False),
        ((1, IDX_SIZE, 0, 9, 64), False),
        ((0, 0, 0, 9, 64), False),
        ((0, 1, 10, 9, 64), False),
        ((0, 1, 0, ACT_SIZE + 1, 64), False),
        ((0, 1, top, top, 64), False),
        ((0, 1, 0, 9, 0), False),
        ((0, 1, 0, 9, 65), False),
        ((0, 1, 0, 9, 127), False),
        ((0, 1, ACT_SIZE, ACT_SIZE, 64), True),
    ):
        await check("act_load", good, act=act)
    for k_log2 in range(4):
        for m_log2 in range(8):
            await check("wgt_load", (k_log2, m_log2) in MODES, mode=(k_log2, m_log2))


@block_test(us=50)
async def layers(dut):
    """A push hands over every field of the descriptor; a full queue refuses it."""
    bench = await Bench(dut).begin()
    names = [name for name in bench.registers.names if name.startswith("LAYER_")]
    bench.set("layer", ready=1)
    for _ in range(6):
        want = {}
        for name in names:
            values = bench.free_fields(name)
            await bench.write(name, **values)
            want |= {descriptor_field(name, field): value for field, value in values.items()}
        assert set(want) == set(LAYER.fields)
        for name, field in LAYER.fields.items():
            if field.signed:
                want[name] -= want[name] >> (field.width - 1) << field.width
        await bench.command("layer_push", pulses=[("layer", "push", want)])
    bench.set("layer", ready=0)
    await bench.command("layer_push", error="command_busy", pulses=[("layer", "push", want)])


@block_test(us=20)
async def interrupts(dut):
    """Each event sets its bit until 1 is written to it; irq_o follows the enabled ones; an event is never lost."""
    bench = await Bench(dut).begin()
    events = {
        "wgt_done": ("wgt", "done_weights"),
        "par_done": ("wgt", "done_params"),
        "prg_done": ("wgt", "done_program"),
        "act_done": ("act", "done"),
        "layer_done": ("layer", "done"),
        "result_done": ("res", "done"),
        "error": ("layer", "overflow"),
    }
    for name, port in events.items():
        await bench.clear()
        others = dict.fromkeys(set(events) - {name}, 1)
        await bench.write("INTR_ENABLE", **others)
        await bench.pulse(*port)
        assert await bench.set_bits("INTR_STATE") == {name}
        assert dut.irq_o.value == 0
        await bench.write("INTR_ENABLE", **{name: 1})
        assert dut.irq_o.value == 1
        await bench.write("INTR_STATE", **others)
        assert await bench.set_bits("INTR_STATE") == {name} and dut.irq_o.value == 1
        await bench.write("INTR_STATE", **{name: 1})
        assert await bench.read("INTR_STATE") == 0 and dut.irq_o.value == 0
    for port in events.values():
        await bench.pulse(*port)
    assert await bench.set_bits("INTR_STATE") == set(events)
    # An event that comes while its bit is cleared stays.
    bench.set("layer", done=1)
    await bench.write("INTR_STATE", **dict.fromkeys(events, 1))
    bench.set("layer", done=0)
    assert await bench.set_bits("INTR_STATE") == {"layer_done"}


@block_test(us=20)
async def errors(dut):
    """Each error pulse sets exactly its cause and the error interrupt; causes are cleared one by one."""
    bench = await Bench(dut).begin()
    sources = {f"wgt_{name}": ("wgt", "err", {name: 1}) for name in WGT_ERR.fields if name != "par_range"}
    sources |= {f"act_{name}": ("act", "err", {name: 1}) for name in ACT_ERR.fields}
    sources |= {
        "par_range": ("wgt", "err", {"par_range": 1}),
        "out_overflow": ("layer", "overflow"),
        "descriptor": ("layer", "refused"),
    }
    assert set(sources) | {"command_busy", "command_range"} == set(bench.registers.decode("ERROR", 0))
    for name, source in sources.items():
        await bench.clear()
        await bench.pulse(*source)
        assert await bench.set_bits("ERROR") == {name}
        assert await bench.set_bits("INTR_STATE") == {"error"}
    for source in sources.values():
        await bench.pulse(*source)
    left = set(sources)
    for name in bench.gen.permutation(sorted(sources)).tolist():
        assert await bench.set_bits("ERROR") == left
        await bench.write("ERROR", **{name: 1})
        left.remove(name)
    assert await bench.read("ERROR") == 0
    bench.set("layer", refused_code=9)
    await bench.pulse("layer", "refused")
    bench.set("layer", refused_code=4)
    assert await bench.fields("DESCRIPTOR_ERROR") == {"code": 9}


@block_test(us=10)
async def soft_reset(dut):
    """It resets the core for some cycles and clears what the core sets; commands meanwhile are refused."""
    bench = await Bench(dut).begin()
    await bench.set_loads(wgt=(5, 7))
    await bench.write("INTR_ENABLE", layer_done=1)
    await bench.write("PE_SELECT", value=3)
    bench.set("layer", refused_code=6)
    for source in (("layer", "refused"), ("layer", "done"), ("wgt", "done_weights")):
        await bench.pulse(*source)
    assert dut.irq_o.value == 1
    await bench.write("CTRL", soft_reset=1, wgt_load=1, par_load=1, act_load=1, result_send=1, layer_push=1)
    low = 0
    for cycle in range(40):
        last = int(not dut.core_rst_no.value)  # the last words of what is being reset
        bench.set("layer", done=last, overflow=last)
        bench.set("act", done=last)
        await FallingEdge(dut.clk_i)
        low += not dut.core_rst_no.value
        if cycle == 0:
            assert dut.irq_o.value == 0
    assert 2 <= low <= 10 and dut.core_rst_no.value == 1
    assert not bench.pulses
    for name in ("ERROR", "INTR_STATE", "DESCRIPTOR_ERROR"):
        assert await bench.read(name) == 0
    assert await bench.read("WGT_COUNT") == 7
    assert await bench.set_bits("INTR_ENABLE") == {"layer_done"}
    assert await bench.read("PE_SELECT") == 3
    # Commands that follow at once, before the core is out of reset.
    for _ in range(2):
        address = bench.registers.address("CTRL")
        writes = [
            cocotb.start_soon(
                bench.write_at(address, bench.registers.encode("CTRL", **{name: 1}).to_bytes(4, "little"))
            )
            for name in ("soft_reset", "wgt_load")
        ]
        for write in writes:
            assert await write == AxiResp.OKAY
        assert not bench.pulses
        assert await bench.set_bits("ERROR") == {"command_busy"}
        for _ in range(10):
            await FallingEdge(dut.clk_i)
    await bench.command("wgt_load", pulses=[("wgt", "start_weights", 5, 7, 1, 2)])


@block_test(us=5)
async def hard_reset(dut):
    """rst_ni clears the host's registers too and holds the core in reset a little longer than itself."""
    bench = await Bench(dut).begin()
    await bench.write("WGT_COUNT", value=7)
    await bench.pulse("layer", "overflow")
    dut.rst_ni.value = 0
    await FallingEdge(dut.clk_i)
    assert dut.core_rst_no.value == 0
    dut.rst_ni.value = 1
    await FallingEdge(dut.clk_i)
    assert dut.core_rst_no.value == 0
    for _ in range(10):
        await FallingEdge(dut.clk_i)
    assert dut.core_rst_no.value == 1
    for name in ("WGT_COUNT", "ERROR", "INTR_STATE"):
        assert await bench.read(name) == 0


@block_test(us=50)
async def status_and_counters(dut):
    """STATUS, error info, ACT_END and all counters show what comes in."""
    bench = await Bench(dut).begin()
    gen = bench.gen
    for stalls in STALLS:
        bench.stall(stalls)
        ports = {
            "wgt_busy": ("wgt", "busy_weights"),
            "par_busy": ("wgt", "busy_params"),
            "prg_busy": ("wgt", "busy_program"),
            "act_busy": ("act", "busy"),
            "layer_busy": ("layer", "busy"),
            "result_busy": ("res", "busy"),
            "wgt_discard": ("wgt", "discard"),
            "act_discard": ("act", "discard"),
            "queue_level": ("layer", "level"),
        }
        want = {field: int(gen.integers(256 if field == "queue_level" else 2)) for field in ports}
        for field, (engine, state) in ports.items():
            bench.set(engine, **{state: want[field]})
        words = {
            "WGT_ERROR_INFO": ("wgt", "err_info"),
            "ACT_ERROR_INFO": ("act", "err_info"),
            "ACT_END": ("act", "used_end"),
        }
        values = {name: int(gen.integers(2**24)) for name in words}
        for name, (engine, state) in words.items():
            bench.set(engine, **{state: values[name]})
        totals, shown = (
            {name: int.from_bytes(gen.bytes(8), "little") >> 64 - field.width for name, field in layout.fields.items()}
            for layout in (COUNTERS, PE_COUNTERS)
        )
        dut.counters_i.value = sum(value << COUNTERS.fields[name].offset for name, value in totals.items())
        dut.pe_counters_i.value = sum(value << PE_COUNTERS.fields[name].offset for name, value in shown.items())
        select = int(gen.integers(2**16))
        await bench.write("PE_SELECT", value=select)
        assert dut.pe_select_o.value == select
        assert await bench.fields("STATUS") == want | {"run_busy": 0}
        for name, value in values.items():
            assert await bench.read(name) == value
        for name, value in totals.items():
            if COUNTERS.fields[name].width > 32:
                assert await bench.read(f"{name.upper()}_LO") | await bench.read(f"{name.upper()}_HI") << 32 == value
            else:
                assert await bench.read(name.upper()) == value
        for name, value in shown.items():
            assert await bench.read(f"PE_{name.upper()}") == value


@pytest.mark.parametrize("sim", ["verilator", "icarus"])
def test_command_ctrl(run_block, sim):
    run_block("spcore_host", PARAMETERS, sim=sim)


def test_parameter_check(run_block):
    parameters = {name: value for name, value in CONFIG.parameters().items() if name in CONFIGURATION.fields}
    with pytest.raises(RuntimeError, match=r"WgtBanks\*WgtDepth = 16777216"):
        run_block("sparsecore", parameters | {"WgtBanks": 16, "WgtDepth": 2**20})
