# SPDX-License-Identifier: Apache-2.0
"""command_ctrl in runs: programs in bounds, commands of descriptors, errors that end a run, soft resets in one."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import cocotb
import pytest
from cocotb.triggers import FallingEdge

from models.program import NO_WAITS, ActivationLoad, ResultTransfer, WeightLoad
from tests.blocks.command_bench import COMMAND, CONFIG, LAYER, PARAMETERS, WGT_SIZE, Bench, unpack
from verif.sim.env.layer_reference import descriptor_field
from verif.sim.kit import block_test

DESCRIPTOR_WORDS = (2, 3, 16, 2)


@block_test(us=200)
async def programs_in_bounds(dut):
    """Programs at and past the end of the Program Memory, of nothing, and without an iteration."""
    bench = await Bench(dut).begin()
    bench.set("program", done=1)
    size = CONFIG.PrgDepth

    async def check(good: bool, *arguments):
        start = await bench.set_run(*arguments)
        await bench.clear()
        await bench.write("CTRL", run=1)
        for _ in range(4):
            await FallingEdge(dut.clk_i)
        assert bench.pulses == [start] * good, arguments
        assert await bench.set_bits("ERROR") == (set() if good else {"command_range"}), arguments
        assert await bench.set_bits("INTR_STATE") == {"run_done" if good else "error"}, arguments

    for engine, words in enumerate(DESCRIPTOR_WORDS):

        def one(value: int, other: int = 0, engine=engine) -> tuple[int, ...]:
            return tuple(value if e == engine else other for e in range(4))

        most = size // words
        await check(True, one(0), one(most))
        await check(True, one(size - words, 1), one(1))
        await check(True, one(size - most * words), one(most))
        await check(False, one(1 + size % words), one(most))
        await check(False, one(size - words + 1), one(1, 1))
        await check(False, one(0), one(most + 1))
        await check(False, one(0), one(2**15 - 1))
        await check(False, one(2**16 - 1), one(1))
        await check(False, one(2**16 - 1), one(2**15 - 1))
        await check(True, one(2**16 - 1), one(0, 1))
    await check(True, (0,) * 4, (0,) * 4, 1)
    await check(True, (0,) * 4, (1,) * 4, 2**16 - 1)
    await check(False, (0,) * 4, (1,) * 4, 0)


RANDOM_LAYER: dict = {}  # a layer of random values, set by its words


def _layer_words(bench) -> list[int]:
    """A layer's descriptor of random values, and noise in the bits that are no field."""
    names = [name for name in bench.registers.names if name.startswith("LAYER_")]
    halves = [int(bench.gen.integers(2**32)) for _ in names]
    RANDOM_LAYER.clear()
    for name, half in zip(names, halves, strict=True):
        RANDOM_LAYER.update({descriptor_field(name, k): v for k, v in bench.registers.decode(name, half).items()})
    for name, field in LAYER.fields.items():
        if field.signed:
            RANDOM_LAYER[name] -= RANDOM_LAYER[name] >> (field.width - 1) << field.width
    return [0, *(low | high << 32 for low, high in zip(halves[::2], halves[1::2], strict=True))]


def _load(engine: int, *values) -> list[int]:
    """A descriptor of a load or transfer, by models/program.py."""
    kinds = WeightLoad, ActivationLoad, None, ResultTransfer
    return kinds[engine](NO_WAITS, *values).words()


@dataclass(frozen=True)
class Step:
    """Of an engine: a command of its program and its pulses; how the engine is at work, ends and fails."""

    engine: int
    words: Callable[[Bench], list[int]]
    pulses: list[tuple]
    busy: tuple[str, str]
    done: tuple[str, str]
    failure: tuple[tuple, str] | None = None
    out_of_range: list[int] | None = None


STEPS = (
    Step(
        0,
        lambda bench: _load(0, 5, 7, False, 0, "", 1, 3),
        [("wgt", "start_weights", 5, 7, 1, 3)],
        ("wgt", "busy_weights"),
        ("wgt", "done_weights"),
        (("wgt", "err", {"index_order": 1}), "wgt_index_order"),
        _load(0, WGT_SIZE, 1, False, 0, ""),
    ),
    Step(
        1,
        lambda bench: _load(1, 3, 4, 35, 9, 11, None),
        [("act", "start", 3, 4, 9, 11, 35)],
        ("act", "busy"),
        ("act", "done"),
        (("act", "err", {"overflow": 1}), "act_overflow"),
        _load(1, 3, 4, 65, 9, 11, None),
    ),
    Step(
        2,
        _layer_words,
        [("layer", "push", RANDOM_LAYER), ("layer", "issue")],
        ("layer", "busy"),
        ("layer", "done"),
        (("layer", "overflow"), "out_overflow"),
    ),
    Step(
        3,
        lambda bench: _load(3, 6, 8, None),
        [("res", "start", 6, 8)],
        ("res", "busy"),
        ("res", "done"),
        None,
        _load(3, 0, 0, None),
    ),
    Step(
        0,
        lambda bench: _load(0, 8, 9, True, 0, "", 3, 7),
        [("wgt", "start_params", 8, 9)],
        ("wgt", "busy_params"),
        ("wgt", "done_params"),
        (("wgt", "err", {"par_range": 1}), "par_range"),
        _load(0, CONFIG.ParDepth - 1, 2, True, 0, ""),
    ),
)


async def _begin_run(bench):
    """All engines have something to do, none is done."""
    bench.set("program", done=0)
    await bench.set_run()
    await bench.clear()
    await bench.write("CTRL", run=1)
    assert (await bench.fields("STATUS"))["run_busy"]
    assert await bench.read("RUN_ERROR") == await bench.read("RUN_ERROR_ITERATION") == 0
    bench.pulses.clear()


async def _words(bench, engine: int, words: list[int]):
    """A descriptor of the program comes; its first word, the waits, does not come here."""
    for index, word in enumerate(words):
        await FallingEdge(bench.dut.clk_i)
        bench.set("program", we=(index > 0) << engine, index=index, word=word)
    await FallingEdge(bench.dut.clk_i)
    bench.set("program", we=0, index=int(bench.gen.integers(16)))


async def _issue(bench, engine: int, words: list[int]):
    """A descriptor of the program comes and is issued, as early as it can be; a layer is prepared before that.
    Then the next one comes."""
    await _words(bench, engine, words)
    if engine == 2:
        await bench.pulse("program", "prepare")
        for _ in range(int(bench.gen.integers(4))):
            await FallingEdge(bench.dut.clk_i)
        assert ("layer", "issue") not in bench.pulses
    await bench.pulse("program", "issue", 1 << engine)
    await FallingEdge(bench.dut.clk_i)
    await _words(bench, engine, [int.from_bytes(bench.gen.bytes(8), "little") for _ in words])


async def _ends(bench, *causes: str):
    """The run is over and has said so once, without an error of a command."""
    for _ in range(4):
        await FallingEdge(bench.dut.clk_i)
    assert await bench.set_bits("INTR_STATE") == {"run_done", *causes}
    assert not (await bench.fields("STATUS"))["run_busy"]


@block_test(us=100)
async def runs(dut):
    """A program's commands reach their engines, retirements the program unit; nothing else is seen of them."""
    bench = await Bench(dut).begin()
    bench.set("layer", ready=1)
    await bench.set_loads(wgt=(1, 1), par=(2, 2), act=(3, 3, 0, 1, 3), res=(4, 4))
    await _begin_run(bench)
    for step in STEPS:
        await _issue(bench, step.engine, step.words(bench))
        assert bench.pulses == step.pulses
        bench.set(step.busy[0], **{step.busy[1]: 1})
        await FallingEdge(dut.clk_i)
        bench.set(step.busy[0], **{step.busy[1]: 0})
        await bench.pulse(*step.done)
        assert unpack(COMMAND["program"], dut.program_cmd_o.value)["retire"] == 1 << step.engine
        await FallingEdge(dut.clk_i)
        assert unpack(COMMAND["program"], dut.program_cmd_o.value)["retire"] == 0
        bench.pulses.clear()
    # The host's commands are refused, but flushes; its registers are its own again after the run.
    for name in ("wgt_load", "par_load", "prg_load", "act_load", "layer_push", "result_send", "run"):
        await bench.write("CTRL", **{name: 1})
        assert await bench.set_bits("ERROR") == {"command_busy"}
        await bench.write("ERROR", command_busy=1)
        assert await bench.set_bits("INTR_STATE") == {"error"}
        await bench.write("INTR_STATE", error=1)
    await bench.write("CTRL", wgt_flush=1, act_flush=1)
    assert bench.pulses == [("wgt", "flush"), ("act", "flush")]
    assert (await bench.fields("STATUS"))["run_busy"]
    assert await bench.read("INTR_STATE") == 0
    bench.set("program", done=1)
    await _ends(bench)
    assert await bench.read("RUN_ERROR") == 0
    await bench.command("wgt_load", pulses=[("wgt", "start_weights", 1, 1, 1, 2)])


@block_test(us=200)
async def runs_that_fail(dut):
    """An error of each engine, its own or of its range: loaders are cancelled, nothing starts, the rest ends."""
    bench = await Bench(dut).begin()
    bench.set("layer", ready=1)
    for step, out_of_range in product(STEPS, (False, True)):
        engine, busy = step.engine, step.busy
        if (step.out_of_range if out_of_range else step.failure) is None:
            continue
        await _begin_run(bench)
        gen = bench.gen
        numbers, rounds = (tuple(int(n) for n in gen.integers(2**width, size=4)) for width in (15, 16))
        bench.set(
            "program",
            number=sum(number << 15 * i for i, number in enumerate(numbers)),
            iteration=sum(number << 16 * i for i, number in enumerate(rounds)),
        )
        held = ("res", "layer")[engine == 3]
        bench.set(held, busy=1)  # as if the program had started it before
        if out_of_range:
            await _issue(bench, engine, step.out_of_range)
            assert not bench.pulses
            cause = "command_range"
        else:
            await _issue(bench, engine, step.words(bench))
            assert bench.pulses == step.pulses
            source, cause = step.failure
            bench.set(busy[0], **{busy[1]: 1})
            await bench.pulse(*source)
        other = STEPS[(engine + 1) % 4]
        bench.pulses.clear()
        await FallingEdge(dut.clk_i)
        assert unpack(COMMAND["wgt"], dut.wgt_cmd_o.value)["cancel"]
        assert unpack(COMMAND["act"], dut.act_cmd_o.value)["cancel"]
        assert unpack(COMMAND["layer"], dut.layer_cmd_o.value)["cancel"]
        assert not unpack(COMMAND["program"], dut.program_cmd_o.value)["issue"]
        bench.set("program", number=0, iteration=0)
        await _issue(bench, other.engine, other.words(bench))
        assert not bench.pulses
        bench.set(busy[0], **{busy[1]: 0})
        assert await bench.set_bits("ERROR") == {cause}
        assert await bench.set_bits("INTR_STATE") == {"error"}
        assert (await bench.fields("STATUS"))["run_busy"] == 1
        bench.set(held, busy=0)
        await _ends(bench, "error")
        want = {"engine": engine, "descriptor": numbers[engine], "failed": 1}
        assert await bench.fields("RUN_ERROR") == want
        assert await bench.read("RUN_ERROR_ITERATION") == rounds[engine]
        assert not unpack(COMMAND["wgt"], dut.wgt_cmd_o.value)["cancel"]
    # A refused descriptor; it is not retired.
    await _begin_run(bench)
    await _issue(bench, 2, STEPS[2].words(bench))
    bench.set("layer", done=1, refused=1, refused_code=3)
    await FallingEdge(dut.clk_i)
    bench.set("layer", done=0, refused=0)
    assert unpack(COMMAND["program"], dut.program_cmd_o.value)["retire"] == 0
    await _ends(bench, "error")
    assert await bench.fields("RUN_ERROR") == {"engine": 2, "descriptor": 0, "failed": 1}
    assert await bench.set_bits("ERROR") == {"descriptor"}
    # The first of several, and of those in a cycle that of the first engine.
    await _begin_run(bench)
    bench.set("layer", busy=1)
    bench.set("act", err={"bitmap": 1})
    await bench.pulse("wgt", "err", {"tlast_late": 1})
    bench.set("act", err={})
    await bench.pulse("layer", "overflow")
    bench.set("layer", busy=0)
    await _ends(bench, "error")
    assert await bench.fields("RUN_ERROR") == {"engine": 0, "descriptor": 0, "failed": 1}
    assert await bench.set_bits("ERROR") == {"wgt_tlast_late", "act_bitmap", "out_overflow"}
    # It is forgotten with the next run.
    await _begin_run(bench)


@block_test(us=100)
async def soft_reset_in_a_run(dut):
    """It ends the run without a word: one that an error is ending, and one that is just issuing something."""
    bench = await Bench(dut).begin()
    bench.set("layer", ready=1)

    async def ends():
        assert not (await bench.fields("STATUS"))["run_busy"]
        bench.set("layer", busy=0)
        for _ in range(10):
            await FallingEdge(dut.clk_i)
        for name in ("RUN_ERROR", "RUN_ERROR_ITERATION", "ERROR", "INTR_STATE"):
            assert await bench.read(name) == 0, name
        assert not unpack(COMMAND["wgt"], dut.wgt_cmd_o.value)["cancel"]
        assert await bench.read("RUN_ITERATIONS") == 1

    await _begin_run(bench)
    bench.set("layer", busy=1)
    await bench.pulse("layer", "overflow")
    assert await bench.set_bits("RUN_ERROR") >= {"failed"}
    await bench.write("CTRL", soft_reset=1)
    await ends()
    started = set()
    for cycles in range(12):
        await _begin_run(bench)
        for step in STEPS[:4]:
            await _words(bench, step.engine, step.words(bench))
        reset = cocotb.start_soon(bench.write("CTRL", soft_reset=1))
        for _ in range(cycles):
            await FallingEdge(dut.clk_i)
        await FallingEdge(dut.clk_i)
        bench.set("program", prepare=1, issue=0xF)
        await FallingEdge(dut.clk_i)
        bench.set("program", prepare=0, issue=0)
        await reset
        await ends()
        # Outside a run an issue of a layer means nothing: what prepares layers is reset like the program unit.
        started.add(sum(pulse != ("layer", "issue") for pulse in bench.pulses))
    assert started == {0, 4}


@pytest.mark.parametrize("sim", ["verilator", "icarus"])
def test_command_runs(run_block, sim):
    run_block("spcore_host", PARAMETERS, sim=sim)
