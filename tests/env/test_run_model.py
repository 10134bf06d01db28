# SPDX-License-Identifier: Apache-2.0
"""The reference model of runs: random programs fed by hand in any order that their waits allow."""

import numpy as np
import pytest

from models.program import Program
from models.program_check import check
from models.stream import Packet
from tests.env.feeding import CONFIG, Feeder
from verif.host.programs import with_read_outs
from verif.shared.program_stimulus import random_program
from verif.sim.env.conclusions import CommandOutcome, Interrupt, LinesDue, RunFailed, RunOver, RunStarted
from verif.sim.env.memory_contents import UnknownContents
from verif.sim.env.program_words import Engine


class Host:
    """Feeds a model the streams of a program in order, whichever stream moves next."""

    def __init__(self, program: Program, rng: np.random.Generator):
        self.feeder, self.program, self.rng = Feeder(), program, rng
        turns = range(program.iterations)
        self.weights = [program.weight_beats(load) for _ in turns for load in program.weights]
        self.activations = [
            packet for turn in turns for load in program.activations for packet in self.packets(load, turn)
        ]

    def packets(self, load, iteration):
        return self.program.input_packets(load, iteration, CONFIG.StreamBytes)

    def start(self, **changes: int) -> None:
        words, registers = self.program.encode()
        self.feeder.load_program(words.tolist())
        for name, value in (registers | changes).items():
            self.feeder.write(name, value=value)
        self.feeder.command("run")

    def go_on(self) -> None:
        """Until nothing more is taken."""
        model = self.feeder.model
        while model.run and not model.run.failed:
            able = [
                stream
                for engine, stream in ((Engine.WEIGHTS, self.weights), (Engine.ACTIVATIONS, self.activations))
                if engine in model.run.loading
            ]
            if not able:
                return
            stream = able[self.rng.integers(len(able))]
            item = stream.pop(0)
            if stream is self.weights:
                self.feeder.weights(item)
            else:
                model.activation_packet(item)

    def expected(self):
        turns = range(self.program.iterations)
        return [
            packet
            for turn in turns
            for transfer in self.program.results
            for packet in self.program.result_packets(transfer, turn, CONFIG.StreamBytes)
        ]


@pytest.fixture(params=range(12))
def host(request):
    rng = np.random.default_rng(request.param)
    sizes = {"layers": int(rng.integers(1, 7)), "iterations": int(rng.integers(1, 5)), "batch": int(rng.integers(1, 3))}
    return Host(random_program(rng, CONFIG, **sizes), rng)


def test_the_checker_of_programs_finds_no_fault(host):
    check(host.program, CONFIG)


def test_a_program_gives_the_tensors_of_its_network(host):
    host.start()
    host.go_on()
    feeder, program = host.feeder, host.program
    assert not host.weights and not host.activations
    assert feeder.of(CommandOutcome)[-1] == CommandOutcome("run", "accepted")
    assert feeder.of(Interrupt) == [Interrupt("prg_done"), Interrupt("run_done")]
    assert feeder.checker.due == host.expected()
    done = iter(feeder.layers)
    due = iter([found for found in feeder.of(LinesDue) if found.what != "input"])
    for turn in range(program.iterations):
        for number, step in enumerate(program.layers):
            layer, written = next(done), next(due)
            assert layer.descriptor == step.descriptor
            expected = program.expected_lines(step.part, turn)
            assert written.what == f"layer {number} of iteration {turn}"
            assert list(written.bitmaps) == expected.bitmaps.ravel().tolist()
            assert b"".join(written.packed) == b"".join(part.tobytes() for part in expected.packed())
            assert list(written.entries) == step.part.entries(layer.output.shape[2]).ravel().tolist()
    # Until the host knows that it is over, nothing else is accepted.
    feeder.fetch(program.layers[-1].part.base, 1)
    assert feeder.of(CommandOutcome)[-1] == CommandOutcome("result_send", "busy")
    feeder.write("ERROR", command_busy=1)
    for packet in host.expected():
        feeder.result(packet)
    feeder.read("STATUS")
    assert feeder.of(RunOver) and feeder.model.run is None
    feeder.fetch(program.layers[-1].part.base, 1)
    assert feeder.of(CommandOutcome)[-1] == CommandOutcome("result_send", "accepted")


def test_words_are_read_as_they_were_written(host):
    host.start()
    plan = host.feeder.of(RunStarted)[0].plan
    assert plan.iterations == host.program.iterations
    for issues, steps in zip(plan.issues, host.program.engines, strict=True):
        for issue, step in zip(issues, steps, strict=True):
            assert {wait.engine: (wait.count, wait.previous) for wait in issue.waits} == {
                engine: (wait.count, wait.previous) for engine, wait in enumerate(step.waits) if wait.count
            }
            fields = vars(issue.step)
            for name in ("base", "count", "parameters", "idx_base", "lines", "line_pos", "limit", "descriptor"):
                assert name not in fields or fields[name] == getattr(step, name)
            if "mode" in fields:
                assert issue.step.mode == (step.k_log2, step.m_log2)


@pytest.fixture
def long():
    """A program that goes through several iterations."""
    rng = np.random.default_rng(5)
    return Host(random_program(rng, CONFIG, layers=4, iterations=3), rng)


@pytest.mark.parametrize(
    "changes", [{"RUN_ITERATIONS": 0}, {"RUN_WGT_BASE": CONFIG.PrgDepth - 1}, {"RUN_LAYER_COUNT": CONFIG.PrgDepth}]
)
def test_refused_runs(long, changes):
    long.start(**changes)
    assert long.feeder.of(CommandOutcome)[-1] == CommandOutcome("run", "refused")
    assert long.feeder.model.errors == {"command_range"} and long.feeder.model.run is None


def test_a_stream_that_comes_too_early(long):
    """It is said when the other stream's packet, if there is one under way, has ended."""
    long.start()
    model = long.feeder.model
    while Engine.WEIGHTS in model.run.loading:
        long.feeder.weights(long.weights.pop(0))
    long.feeder.weights(long.weights.pop(0))
    with pytest.raises(UnknownContents, match="outside any load: its next waits for"):
        model.activation_packet(long.activations.pop(0))


def test_a_packet_that_is_swallowed_before_the_faulty_one_has_ended(long):
    """The core sees a fault at its beat, the monitors at the packet's end."""
    long.start()
    model = long.feeder.model
    while Engine.WEIGHTS in model.run.loading:
        long.feeder.weights(long.weights.pop(0))
    long.feeder.weights(long.weights.pop(0))
    line = long.activations.pop(0)
    model.activation_packet(Packet(line.beats, [1, *line.keeps[1:]]))
    assert model.errors == {"act_population"} and model.run.failed
    long.feeder.read("STATUS")
    assert model.run is None


@pytest.mark.parametrize("fault", ["weights", "line", "descriptor", "overflow", "range"])
def test_an_error_ends_the_run_and_is_named(long, fault):
    """In iteration 1 where the stream has it, else in iteration 0."""
    program, feeder = long.program, long.feeder
    loads = len(program.weights)
    words, registers = program.encode()
    match fault:
        case "weights":
            bad, number = loads + 1, 1
            long.weights[bad] = long.weights[bad][:-1] if len(long.weights[bad]) > 1 else long.weights[bad] * 2
            expected = Engine.WEIGHTS, number, 1
        case "line":
            count = sum(load.lines for load in program.activations)
            long.activations[count].keeps[0] = 1
            expected = Engine.ACTIVATIONS, 0, 1
        case "descriptor":
            words[registers["RUN_LAYER_BASE"] + 16 + 2] = 0  # no input rows or columns
            expected = Engine.LAYERS, 1, 0
        case "overflow":
            place = registers["RUN_LAYER_BASE"] + 16 + 1 + (0x0C8 - 0x080) // 8
            words[place] = int(words[place]) & 0xFFFFFFFF | (int(words[place]) & 0xFFFFFF) << 32
            expected = Engine.LAYERS, 1, 0
        case "range":
            words[registers["RUN_RES_BASE"] + 1] = 0
            expected = Engine.RESULTS, 0, 0
    feeder.load_program(words.tolist())
    for name, value in registers.items():
        feeder.write(name, value=value)
    feeder.command("run")
    long.go_on()
    failed = feeder.of(RunFailed)
    assert [(f.engine, f.number, f.iteration) for f in failed] == [expected]
    assert feeder.of(Interrupt)[-2:] == [Interrupt("error"), Interrupt("run_done")]
    feeder.read("INTR_STATE", run_done=1, error=1)
    engine, number, iteration = expected
    feeder.read("RUN_ERROR", engine=engine, descriptor=number, failed=1)
    feeder.read("RUN_ERROR_ITERATION", value=iteration)
    assert not feeder.checker.wrong
    assert not feeder.checker.due and not feeder.model.contents.vectors_known.any()
    feeder.command("wgt_flush")
    feeder.command("act_flush")
    assert not feeder.model.weights_discard and not feeder.model.activations_discard


def test_tensors_read_out_after_each_layer(host):
    host.program = with_read_outs(host.program)
    check(host.program, CONFIG)
    host.start()
    host.go_on()
    assert not host.weights and not host.activations
    assert host.feeder.checker.due == host.expected()
    layers = host.program.layers
    read = {(transfer.part.tensor, transfer.part.image) for transfer in host.program.results}
    assert read == {(step.part.tensor, step.part.image) for step in layers}
