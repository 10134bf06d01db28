# SPDX-License-Identifier: Apache-2.0
"""Programs: networks in one run, with hosts that stall and stop, commands and resets meanwhile, and errors of each
engine in the middle, after which the next run is right."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import zip_longest

import cocotb
import numpy as np
import pytest
import pyuvm
from cocotb.triggers import ClockCycles

from models.compiler import compile_network
from models.network import taken
from models.networks.builder import images_of
from models.networks.random import random_network
from models.program import NO_WAITS, Program, Wait
from models.stream import Packet
from tests.core.program_runs import ProgramTest
from verif.host.runner import SimulationFailure
from verif.shared.stalls import Stalls
from verif.sim.env.program_words import Engine
from verif.sim.env.sequences import CoreError, CoreSequence, EndFailedRun, RunProgram, RunStalls

LITTLE = {"WgtDepth": 64, "ParDepth": 32, "ActDepth": 256, "IdxDepth": 256}


@pyuvm.test()
class RandomPrograms(ProgramTest):
    """PROGRAMS of them, one after another, of any size and with any stalls."""

    bound_us = 4000

    async def scenario(self):
        for _ in range(int(os.environ["PROGRAMS"])):
            await self.run_program(self.program())


@pyuvm.test()
class CompiledPrograms(ProgramTest):
    """PROGRAMS random networks, compiled for all of the memories or for little of them."""

    bound_us = 4000

    async def scenario(self):
        for _ in range(int(os.environ["PROGRAMS"])):
            network = random_network(self.rng, int(self.rng.integers(2, 7)))
            batch = int(self.rng.integers(1, 4))
            config = replace(self.config, **LITTLE) if self.rng.random() < 0.5 else self.config
            given = images_of(network, batch * int(self.rng.integers(1, 3)), self.rng)
            # Calibrated on what runs: no section overflows.
            program = compile_network(network, config, batch, given).with_images(given)
            await self.run_program(program)


@pyuvm.test()
class KeptSlots(ProgramTest):
    """PROGRAMS random networks with layers in parts along C: the Weight Memory does not hold a chunk's weights."""

    bound_us = 4000

    def in_parts(self) -> Program:
        """Of networks and sizes that are drawn, the first that can be compiled and has such a layer."""
        while True:
            network = random_network(self.rng, int(self.rng.integers(2, 6)))
            config = replace(self.config, WgtDepth=int(self.rng.integers(1, 8)))
            batch = int(self.rng.integers(1, 3))
            given = images_of(network, batch * int(self.rng.integers(1, 3)), self.rng)
            try:
                program = compile_network(network, config, batch, given).with_images(given)
            except ValueError:
                continue
            if any(step.descriptor.keep_slot for step in program.layers):
                return program

    async def scenario(self):
        for _ in range(int(os.environ["PROGRAMS"])):
            await self.run_program(self.in_parts())


@pyuvm.test()
class BriefProgram(ProgramTest):
    """A program small enough for Icarus."""

    bound_us = 200

    async def scenario(self):
        program = self.program(layers=2, iterations=2, batch=1, size=3)
        await self.run_program(program, RunStalls(Stalls(4, 2), Stalls(4, 2), Stalls(4, 2)))


@pyuvm.test()
class NothingToDo(ProgramTest):
    """Engines without a program, and none with one: the run is over at once."""

    bound_us = 500

    async def scenario(self):
        program = self.program(layers=1, iterations=2, batch=1)
        await self.run_program(program)
        # From what the first left in the memories. No wait is for an engine that has nothing to do.
        (layer,) = program.layers
        alone = replace(
            program,
            weights=(),
            activations=(),
            layers=(replace(layer, waits=NO_WAITS),),
            results=(),
            images=taken(program.images, slice(-1, None)),
        )
        await self.run_program(alone)
        loads = tuple(replace(load, waits=NO_WAITS) for load in program.weights[:1])
        await self.run_program(replace(alone, weights=loads, layers=(replace(layer, waits=(Wait(1), *NO_WAITS[1:])),)))
        (transfer,) = program.results
        sent = replace(alone, layers=(), results=(replace(transfer, waits=NO_WAITS),))
        await self.run_program(sent)
        await self.run_program(replace(sent, results=()))


class Meanwhile(CoreSequence):
    """Commands while a run is on: each sets command_busy, but for flushes."""

    async def body(self):
        for command in ("wgt_load", "par_load", "act_load", "layer_push", "result_send", "prg_load", "run"):
            await self.write("CTRL", **{command: 1})
            await ClockCycles(cocotb.top.clk_i, 10)
            assert await self.errors() == ["command_busy"]
            assert (await self.read("STATUS"))["run_busy"]
            await self.write("CTRL", wgt_flush=1, act_flush=1)
            await self.write("ERROR", command_busy=1)
            assert not await self.errors()


class Register(CoreSequence):
    """One command."""

    def __init__(self, **fields: int):
        super().__init__("register")
        self.fields = fields

    async def body(self):
        await self.write("CTRL", **self.fields)


@pyuvm.test()
class CommandsInARun(ProgramTest):
    """Host commands while a run is on change nothing of it; after a reset the next run is right."""

    bound_us = 5000

    async def scenario(self):
        run, running = await self.begin(iterations=3)
        await Meanwhile("meanwhile").start(self.sequencer)
        await running
        self.check(run)
        for kind in ("soft_reset", "rst_ni"):
            _, running = await self.begin(iterations=1)
            assert (await self.status())["run_busy"]
            if kind == "rst_ni":
                await self.reset()
            else:
                await Register(soft_reset=1).start(self.sequencer)
                await ClockCycles(cocotb.top.clk_i, 100)
            running.cancel()
            self.env.results.take()
            await self.run_program(self.program())

    async def begin(self, iterations: int) -> tuple[RunProgram, cocotb.task.Task]:
        """A run that is on, of streams slow enough for what is to come."""
        program = self.program(layers=3, iterations=iterations)
        run = RunProgram(program, RunStalls(weights=Stalls(2, 60), activations=Stalls(2, 60)))
        running = cocotb.start_soon(run.start(self.sequencer))
        while not self.env.run_monitor.running:
            await ClockCycles(cocotb.top.clk_i, 100)
        return run, running


Change = Callable[[list[Packet]], list[Packet]]


@dataclass(frozen=True)
class Fault:
    """What goes wrong in a run: of an engine, in an iteration, at one of its descriptors.

    weights, lines: change the packets of a stream of that iteration; words: the program's words.
    """

    cause: str
    engine: Engine
    number: int
    iteration: int = 0
    weights: Change = list
    lines: Change = list
    words: Callable[[list[int]], list[int]] = list


class Faulty(RunProgram):
    """A run with a fault."""

    def __init__(self, program: Program, fault: Fault, stalls: RunStalls):
        super().__init__(program, stalls, fault.words(program.encode()[0].tolist()))
        self.fault = fault

    def weight_packets(self, iteration):
        packets = super().weight_packets(iteration)
        return self.fault.weights(packets) if iteration == self.fault.iteration else packets

    def activation_packets(self, iteration):
        packets = super().activation_packets(iteration)
        return self.fault.lines(packets) if iteration == self.fault.iteration else packets


def at(place: int, change: Callable) -> Callable[[list], list]:
    """Changes one element of a list."""
    return lambda items: [*items[:place], change(items[place]), *items[place + 1 :]]


def stream_faults(program: Program, iteration: int, rng: np.random.Generator, width: int):
    """A fault of each kind of the input streams, where the program has a place for it."""
    weights = [n for n, load in enumerate(program.weights) if not load.parameters and load.count > 1]
    parameters = [n for n, load in enumerate(program.weights) if load.parameters]

    def of_load(cause, numbers, change):
        if numbers:
            number = int(rng.choice(numbers))
            yield Fault(cause, Engine.WEIGHTS, number, iteration, weights=at(number, change))

    def of_lanes(k_least, m_most):
        modes = {n: (1 << program.weights[n].k_log2, 1 << program.weights[n].m_log2) for n in weights}
        return [n for n, (k, m) in modes.items() if k >= k_least and m <= m_most]

    def same_index(packet):
        beat = packet.beats[1]
        return Packet([packet.beats[0], beat & ~0xF00 | beat >> 12 & 0xF00, *packet.beats[2:]])

    yield from of_load("wgt_tlast_early", weights, lambda packet: Packet(packet.beats[:-1]))
    yield from of_load("wgt_tlast_late", weights + parameters, lambda packet: Packet([*packet.beats, packet.beats[0]]))
    yield from of_load("wgt_index_order", of_lanes(2, 16), same_index)
    yield from of_load(
        "wgt_index_range",
        of_lanes(1, 8)[:1],
        lambda packet: Packet([packet.beats[0], packet.beats[1] | 0xF << 8 + 12 * 3, *packet.beats[2:]]),
    )
    yield from of_load(
        "par_range", parameters, lambda packet: Packet(at(0, lambda beat: beat | 0x3F << 64)(packet.beats))
    )

    load = program.activations[0]
    packets = program.input_packets(load, iteration, width)
    full = next((n for n, packet in enumerate(packets) if len(packet.beats) > 1), None)

    def of_line(cause, number, change):
        return Fault(cause, Engine.ACTIVATIONS, 0, iteration, lines=at(number, change))

    yield of_line("act_population", 0, lambda packet: Packet(packet.beats, at(0, lambda keep: 0x7F)(packet.keeps)))
    if load.line_pos < 64:
        yield of_line(
            "act_bitmap", 0, lambda p: Packet(at(0, lambda beat: beat | 1 << load.line_pos)(p.beats), p.keeps)
        )
    if full is not None:
        yield of_line("act_tlast_early", full, lambda packet: Packet(packet.beats[:-1], packet.keeps[:-1]))
        yield of_line("act_tlast_late", full, lambda packet: Packet([*packet.beats, 1], [*packet.keeps, 1]))


def word_faults(program: Program, rng: np.random.Generator):
    """A descriptor of each engine that is out of range, and sections that are too small."""
    registers = program.encode()[1]

    def place(name, number, size, word):
        return registers[f"RUN_{name}_BASE"] + size * number + word

    number = int(rng.integers(len(program.weights)))
    yield Fault(
        "command_range",
        Engine.WEIGHTS,
        number,
        words=at(place("WGT", number, 2, 1), lambda word: word | 0xFFFFFF),
    )
    yield Fault(
        "command_range",
        Engine.ACTIVATIONS,
        0,
        words=at(place("ACT", 0, 3, 1), lambda word: word & ~(0x7F << 24)),
    )
    number = int(rng.integers(len(program.results)))
    yield Fault(
        "command_range", Engine.RESULTS, number, words=at(place("RES", number, 2, 1), lambda word: word & 0xFFFFFF)
    )
    number = int(rng.integers(len(program.layers)))
    yield Fault(
        "descriptor", Engine.LAYERS, number, words=at(place("LAYER", number, 16, 2), lambda word: word & 0xFFFFFFFF)
    )
    if any(packet.beats[0] for packet in program.input_packets(program.activations[0], 0, 8)):
        limit = place("ACT", 0, 3, 2)
        yield Fault(
            "act_overflow", Engine.ACTIVATIONS, 0, words=at(limit, lambda word: (word & 0xFFFFFF) * (1 + 2**32))
        )
    for number, step in enumerate(program.layers):
        sizes = [int(program.expected_lines(step.part, turn).words.sum()) for turn in range(program.iterations)]
        later = [turn for turn, size in enumerate(sizes) if size > sizes[0]]
        for turn, room in ((0, sizes[0] - 1), (later[0] if later else 0, sizes[0])):
            if sizes[turn] > room >= 0:
                limit = step.descriptor.out_act_base + room
                word = place("LAYER", number, 16, 1 + (0x0C8 - 0x080) // 8)
                yield Fault(
                    "out_overflow",
                    Engine.LAYERS,
                    number,
                    turn,
                    words=at(word, lambda word, limit=limit: word & 0xFFFFFFFF | limit << 32),
                )


@pyuvm.test()
class ErrorsInRuns(ProgramTest):
    """Every fault that a program has room for, each in a run of its own that it ends; then a run that is right."""

    bound_us = 4000

    async def scenario(self):
        program = self.program(layers=4, iterations=3, batch=1)
        iterations = 0, int(self.rng.integers(1, 3))
        streams = [stream_faults(program, turn, self.rng, self.config.StreamBytes) for turn in iterations]
        # Of a fault of the first iteration and its like of a later one, in turn, one that there is.
        taken_in_turn = [pair[n % 2] or pair[0] or pair[1] for n, pair in enumerate(zip_longest(*streams))]
        faults = [*taken_in_turn, *word_faults(program, self.rng)]
        overflows = {bool(f.iteration): f for f in faults if f.cause == "out_overflow"}  # in the first iteration, later
        for fault in [*(f for f in faults if f.cause != "out_overflow"), *overflows.values()]:
            await self.fail(program, fault)
            if self.rng.random() < 0.3:
                await self.run_program(program)
        await self.run_program(program)

    async def fail(self, program: Program, fault: Fault):
        run = Faulty(program, fault, self.stalls())
        with pytest.raises(CoreError) as caught:
            await run.start(self.sequencer)
        assert caught.value.causes == [fault.cause]
        self.env.results.take()
        end = EndFailedRun(run)
        await end.start(self.sequencer)
        found = end.error | {"iteration": end.iteration}
        assert found == {
            "failed": 1,
            "engine": fault.engine,
            "descriptor": fault.number,
            "iteration": fault.iteration,
        }, f"{fault.cause}: RUN_ERROR {found}"


class Silent(RunProgram):
    """A host that offers no weights."""

    async def weights(self):
        pass


@pyuvm.test()
class StandsStill(ProgramTest):
    """A host that stops for ever, or a program that waits in a circle."""

    bound_us = 1000

    async def scenario(self):
        program = self.program(layers=2, iterations=1, batch=1)
        if os.environ["WHY"] == "host":
            await Silent(program).start(self.sequencer)
        a, b, c, _ = program.layers[0].waits
        circle = replace(program.layers[0], waits=(a, b, c, Wait(1)))
        await RunProgram(replace(program, layers=(circle, *program.layers[1:]))).start(self.sequencer)


def test_random_programs(simulate):
    simulate("RandomPrograms", PROGRAMS=20)


def test_compiled_programs(simulate):
    simulate("CompiledPrograms", PROGRAMS=3)


def test_programs_that_keep_slots(simulate):
    simulate("KeptSlots", PROGRAMS=3)


@pytest.mark.parametrize("testcase", ["NothingToDo", "CommandsInARun", "ErrorsInRuns"])
def test_programs(simulate, testcase):
    simulate(testcase)


def test_a_program_on_icarus_as_on_verilator(simulate):
    assert simulate("BriefProgram", sim="icarus") == simulate("BriefProgram")


@pytest.mark.parametrize(
    "why, message",
    [
        ("host", r"weights: descriptor 0 of iteration 0, .* has no more to wait for: 0 of \d+ beats came"),
        ("circle", r"layers: descriptor 0 of iteration 0, .* waits for results 1 \(0 retired\)"),
    ],
)
def test_a_run_that_stands_still_says_why(simulate, why, message):
    with pytest.raises(SimulationFailure, match=message):
        simulate("StandsStill", WHY=why)
