# SPDX-License-Identifier: Apache-2.0
"""Everything the host can do wrong: each malformed stream, overflow, each descriptor check, commands at the wrong time.

Each error has to be reported by its cause, may change nothing else, and the layer after it has to be right.
"""

from dataclasses import replace

import cocotb
import pytest
import pyuvm
from cocotb.triggers import ClockCycles

from models import km, stream
from models.lines import LineShape
from models.stream import Packet
from models.tiling import Cut, make_plan
from tests.descriptor_cases import CASES, legal_layer
from verif.shared.stimulus import Memories, long_layer, make_layer, random_layer, random_stalls
from verif.sim.env.scenario import CoreTest
from verif.sim.env.sequences import (
    CoreError,
    CoreSequence,
    FetchLines,
    ItemSequence,
    LoadActivations,
    LoadLayer,
    LoadParameters,
    LoadWeights,
    PushLayer,
    ReadCounters,
    RunLayer,
    WaitLayers,
    layer_cycles,
)
from verif.sim.env.stream_agent import Transfer

INFO = {"wgt": "WGT_ERROR_INFO", "par": "WGT_ERROR_INFO", "act": "ACT_ERROR_INFO"}


class Recover(CoreSequence):
    """Read what the core says about an error, then flush both streams and clear the causes."""

    async def body(self):
        await ClockCycles(cocotb.top.clk_i, 100)  # the scoreboard compares what it reads once the streams rest
        self.status = await self.read("STATUS")
        self.info = {name: (await self.read(register))["value"] for name, register in INFO.items()}
        self.code = (await self.read("DESCRIPTOR_ERROR"))["code"]
        await self.read("ACT_END")  # for the scoreboard
        await self.write("CTRL", wgt_flush=1, act_flush=1)
        await self.write("ERROR", **dict.fromkeys(await self.errors(), 1))
        assert not await self.errors(), "ERROR is not cleared by writing ones"


class Command(CoreSequence):
    """Register writes, then a command; `errors` has what ERROR says some cycles later."""

    def __init__(self, command: str, **registers: int):
        super().__init__(command)
        self.command, self.registers_ = command, registers

    async def body(self):
        for register, value in self.registers_.items():
            await self.write(register, value=value)
        await self.write("CTRL", **{self.command: 1})
        await ClockCycles(cocotb.top.clk_i, 10)
        self.found = await self.errors()


class ErrorTest(CoreTest):
    async def expect(self, cause: str, sequence, where: int | None = None):
        """The sequence has to end in this error; ``where``: the beat or line that the core has to name."""
        with pytest.raises(CoreError) as caught:
            await sequence.start(self.sequencer)
        assert caught.value.causes == [cause]
        recover = Recover("recover")
        await recover.start(self.sequencer)
        kind = cause.partition("_")[0]
        if where is not None:
            assert recover.info[kind] == where, f"{cause}: error info {recover.info[kind]}, expected {where}"
            assert recover.status["wgt_discard"] == (kind != "act")
            assert recover.status["act_discard"] == (kind == "act")
        return recover

    async def good_layer(self):
        layer, plan = random_layer(self.rng, self.config, km.MODES[self.rng.integers(len(km.MODES))], work=10_000)
        await RunLayer(layer, plan, random_stalls(self.rng)).start(self.sequencer)


@pyuvm.test()
class MalformedWeights(ErrorTest):
    bound_us = 500

    async def scenario(self):
        layer, _ = legal_layer(self.config)
        beats = stream.weight_beats(self.config, layer)
        bad = len(beats) // 2

        def load(changed, count=None):
            return LoadWeights(changed, 0, 1, 2, random_stalls(self.rng), count)

        def index(lane):
            return beats[bad] >> 12 * lane + 8 & 0xF

        def with_indices(changes, bad=bad):
            beat = beats[bad]
            for lane, value in changes.items():
                beat = beat & ~(0xF << 12 * lane + 8) | value << 12 * lane + 8
            return load([*beats[:bad], beat, *beats[bad + 1 :]])

        await self.expect("wgt_tlast_early", load(beats[:-1], len(beats)), len(beats) - 2)
        await self.good_layer()
        await self.expect("wgt_tlast_late", load([*beats, beats[0]], len(beats)), len(beats) - 1)
        await self.good_layer()
        for first in range(0, self.config.NumLanes, 2):
            second = first + 1
            await self.expect("wgt_index_range", with_indices({second: 4 + first}), bad)
            await self.expect("wgt_index_range", with_indices({first: 4 + first, second: 5 + first}), bad)
            await self.expect("wgt_index_order", with_indices({first: index(second)}), bad)
            await self.expect("wgt_index_order", with_indices({first: index(second), second: index(first)}), bad)
        await self.expect("wgt_index_range", with_indices({1: 9}, bad=0), 0)
        await self.good_layer()


@pyuvm.test()
class MalformedParameters(ErrorTest):
    bound_us = 100

    async def scenario(self):
        beats = stream.parameter_beats(legal_layer(self.config)[0])
        for bad in (beats[4] & ~(0x3F << 64), beats[4] | 0x3F << 64, beats[4] | 1 << 63):
            changed = [*beats[:4], bad, *beats[5:]]
            await self.expect("par_range", LoadParameters(changed, 3, random_stalls(self.rng)), 4)
        await self.expect("wgt_tlast_early", LoadParameters(beats[:3], 3, count=5), 2)
        await self.expect("wgt_tlast_late", LoadParameters(beats[:5], 3, count=3), 2)
        await self.good_layer()


@pyuvm.test()
class MalformedActivations(ErrorTest):
    bound_us = 500

    async def scenario(self):
        layer = make_layer(self.rng, (5, 6, 7), 4, (1, 1), density=0.7)
        plan = legal_layer(self.config)[1]
        packets = stream.activation_packets(plan, layer)
        positions = plan.descriptor.line_h * plan.descriptor.line_w
        bad = next(i for i in range(4, len(packets)) if len(packets[i].beats) >= 3)
        good, width = packets[bad], self.config.StreamBytes

        def load(packet, limit=5000):
            changed = [*packets[:bad], packet, *packets[bad + 1 :]]
            return LoadActivations(changed, 0, 100, limit, positions, random_stalls(self.rng))

        def changed_keep(beat, keep):
            keeps = list(good.keeps)
            keeps[beat] = keep
            return Packet(good.beats, keeps)

        full = (1 << width) - 1
        cases = {
            "act_tlast_early": [Packet(good.beats[:-1], good.keeps[:-1]), Packet(good.beats[:1], good.keeps[:1])],
            "act_tlast_late": [
                Packet([*good.beats, 1], [*good.keeps[:-1], good.keeps[-1], 1]),
                Packet([*good.beats, 1, 1, 1], [*good.keeps, full, full, 1]),
            ],
            "act_population": [
                changed_keep(len(good.keeps) - 1, good.keeps[-1] >> 1 or full),
                changed_keep(1, full >> 1),
                changed_keep(0, 0x7F),
                Packet(
                    [good.beats[0] ^ 1 << (good.beats[0] & -good.beats[0]).bit_length() - 1, *good.beats[1:]],
                    good.keeps,
                ),
            ],
            "act_bitmap": [Packet([good.beats[0] | 1 << positions, *good.beats[1:]], good.keeps)],
        }
        for cause, malformed in cases.items():
            for packet in malformed:
                await self.expect(cause, load(packet), bad)
            await self.good_layer()
        words = [-(-packet.beats[0].bit_count() // 8) for packet in packets]
        await self.expect("act_overflow", load(good, 100 + sum(words[: bad + 1]) - 1), bad)
        await load(good, 100 + sum(words)).start(self.sequencer)  # just large enough
        await self.good_layer()


@pyuvm.test()
class MalformedBriefly(ErrorTest):
    """A fault on each input stream, and a small layer: short enough for Icarus."""

    bound_us = 50

    async def scenario(self):
        layer = make_layer(self.rng, (2, 3, 4), 4, (1, 1), mask="full")
        plan = make_plan(self.config, layer, Cut(LineShape(3, 4), LineShape(3, 4)))
        beats = stream.weight_beats(self.config, layer)
        lines = stream.activation_packets(plan, layer)
        unordered = beats[1] & ~0xF00 | beats[1] >> 12 & 0xF00
        await self.expect("wgt_index_order", LoadWeights([beats[0], unordered], 0, 1, 2), 1)
        longer = Packet([*lines[1].beats, 1], [*lines[1].keeps, 1])
        await self.expect("act_tlast_late", LoadActivations([lines[0], longer], 0, 0, 9, 12), 1)
        await RunLayer(layer, plan).start(self.sequencer)


@pyuvm.test()
class OutputOverflow(ErrorTest):
    bound_us = 500

    async def scenario(self):
        for short in (1, 3, None):
            words = 0
            while words < 4:
                layer, plan = random_layer(self.rng, self.config, (2, 4), work=15_000)
                plan = Memories(self.config).place(layer, plan)
                d = plan.descriptor
                words = d.out_act_limit - d.out_act_base
            limit = d.out_act_base if short is None else d.out_act_limit - short
            await LoadLayer(layer, plan).start(self.sequencer)
            await PushLayer(replace(d, out_act_limit=limit)).start(self.sequencer)
            await self.expect("out_overflow", WaitLayers(layer_cycles(d)))
            await ReadCounters().start(self.sequencer)
            # The same layer with room to spare, from what is loaded.
            await PushLayer(d).start(self.sequencer)
            await WaitLayers(layer_cycles(d)).start(self.sequencer)
            await FetchLines(d.out_idx_base, d.out_entries).start(self.sequencer)
        await self.good_layer()


@pyuvm.test()
class RefusedDescriptors(ErrorTest):
    bound_us = 500

    async def scenario(self):
        layer, plan = legal_layer(self.config)
        await RunLayer(layer, plan).start(self.sequencer)
        counts = self.env.interrupts.counts
        for number, changes in CASES:
            done = counts["layer_done"]
            await PushLayer(replace(plan.descriptor, **changes)).start(self.sequencer)
            recover = await self.expect("descriptor", WaitLayers(2000))
            assert recover.code == number, f"{changes}: check {recover.code}, expected {number}"
            assert counts["layer_done"] == done + 1
        await RunLayer(layer, plan).start(self.sequencer)


@pyuvm.test()
class CommandsAtTheWrongTime(ErrorTest):
    bound_us = 10000

    async def scenario(self):
        layer, plan = legal_layer(self.config)
        await RunLayer(layer, plan).start(self.sequencer)
        d, config = plan.descriptor, self.config
        entries, words = config.IdxBanks * config.IdxDepth, config.ActBanks * config.ActDepth
        vectors = config.WgtBanks * config.WgtDepth
        for command, registers in (
            ("wgt_load", {"WGT_BASE": 0, "WGT_COUNT": 0}),
            ("wgt_load", {"WGT_BASE": 1, "WGT_COUNT": vectors}),
            ("par_load", {"PAR_BASE": 0, "PAR_COUNT": 0}),
            ("par_load", {"PAR_BASE": config.ParDepth, "PAR_COUNT": 1}),
            ("act_load", {"ACT_IDX_BASE": 0, "ACT_LINES": 0, "ACT_BASE": 0, "ACT_LIMIT": 9}),
            ("act_load", {"ACT_IDX_BASE": 1, "ACT_LINES": entries, "ACT_BASE": 0, "ACT_LIMIT": 9}),
            ("act_load", {"ACT_IDX_BASE": 0, "ACT_LINES": 1, "ACT_BASE": 0, "ACT_LIMIT": words + 1}),
            ("act_load", {"ACT_IDX_BASE": 0, "ACT_LINES": 1, "ACT_BASE": 9, "ACT_LIMIT": 8}),
            ("act_load", {"ACT_IDX_BASE": 0, "ACT_LINES": 1, "ACT_BASE": 0, "ACT_LIMIT": 9, "ACT_LINE_POS": 65}),
            ("act_load", {"ACT_IDX_BASE": 0, "ACT_LINES": 1, "ACT_BASE": 0, "ACT_LIMIT": 9, "ACT_LINE_POS": 0}),
            ("result_send", {"RES_IDX_BASE": 0, "RES_LINES": 0}),
            ("result_send", {"RES_IDX_BASE": entries, "RES_LINES": 1}),
            ("prg_load", {"PRG_BASE": 0, "PRG_COUNT": 0}),
            ("prg_load", {"PRG_BASE": 1, "PRG_COUNT": config.PrgDepth}),
            ("run", {"RUN_ITERATIONS": 0}),
            ("run", {"RUN_ITERATIONS": 1, "RUN_RES_BASE": config.PrgDepth - 1, "RUN_RES_COUNT": 1}),
        ):
            await self.refuse(command, "command_range", registers)

        # Start each engine without feeding it, then again.
        await Command("wgt_load", WGT_BASE=0, WGT_COUNT=1).start(self.sequencer)
        for command in ("wgt_load", "par_load"):
            await self.refuse(command, "command_busy", {"PAR_BASE": 0, "PAR_COUNT": 1})
        await self.feed("weights", stream.weight_beats(config, layer)[:1])
        await Command("par_load", PAR_BASE=0, PAR_COUNT=1).start(self.sequencer)
        for command in ("wgt_load", "par_load"):
            await self.refuse(command, "command_busy", {})
        await self.feed("weights", stream.parameter_beats(layer)[:1])
        lines = {"ACT_IDX_BASE": 0, "ACT_LINES": 1, "ACT_BASE": 0, "ACT_LIMIT": 9, "ACT_LINE_POS": 64}
        await Command("act_load", **lines).start(self.sequencer)
        await self.refuse("act_load", "command_busy", {})
        await self.feed("activations", [0], [0xFF])

        # With the result stream held up, its engine stays busy.
        self.env.result_agent.driver.sink.pause = True
        await ClockCycles(cocotb.top.clk_i, 3)
        await Command("result_send", RES_IDX_BASE=d.out_idx_base, RES_LINES=1).start(self.sequencer)
        await self.refuse("result_send", "command_busy", {})
        self.env.result_agent.driver.sink.pause = False

        # A full queue: one layer runs, QueueDepth wait.
        await self.fill_queue()
        await self.good_layer()

    async def refuse(self, command, cause, registers):
        again = Command(command, **registers)
        await again.start(self.sequencer)
        assert again.found == [cause], f"{command} with {registers}: {again.found}, expected {cause}"
        await Recover("recover").start(self.sequencer)

    async def feed(self, stream_name, beats, keeps=()):
        await ItemSequence(Transfer([Packet(list(beats), list(keeps))])).start(getattr(self.sequencer, stream_name))
        await ClockCycles(cocotb.top.clk_i, 20)

    async def fill_queue(self):
        long, plan = long_layer(self.rng, self.config)
        plan = Memories(self.config).place(long, plan)
        await LoadLayer(long, plan).start(self.sequencer)
        await PushLayer(plan.descriptor).start(self.sequencer)
        await ClockCycles(cocotb.top.clk_i, 200)  # it has left the queue
        for _ in range(self.config.QueueDepth):
            push = Command("layer_push")
            await push.start(self.sequencer)
            assert push.found == []
        await self.refuse("layer_push", "command_busy", {})
        await WaitLayers(layer_cycles(plan.descriptor)).start(self.sequencer)
        await FetchLines(plan.descriptor.out_idx_base, 16 * plan.descriptor.out_lines).start(self.sequencer)


@pyuvm.test()
class BesideAProgramLoad(ErrorTest):
    """Every other engine works while words of a program are awaited."""

    bound_us = 1000

    async def scenario(self):
        layer, plan = legal_layer(self.config)
        d, config = plan.descriptor, self.config
        entries, words = config.IdxBanks * config.IdxDepth, config.ActBanks * config.ActDepth
        await LoadLayer(layer, plan).start(self.sequencer)
        await Command("prg_load", PRG_BASE=0, PRG_COUNT=1).start(self.sequencer)
        line = {"ACT_IDX_BASE": entries - 1, "ACT_LINES": 1, "ACT_BASE": words, "ACT_LIMIT": words, "ACT_LINE_POS": 64}
        await Command("act_load", **line).start(self.sequencer)
        await self.both_busy("act_busy")
        await ItemSequence(Transfer([Packet([0], [0xFF])])).start(self.sequencer.activations)
        await PushLayer(d).start(self.sequencer)
        await self.both_busy("layer_busy")
        await WaitLayers(layer_cycles(d)).start(self.sequencer)
        self.env.result_agent.driver.sink.pause = True
        await Command("result_send", RES_IDX_BASE=d.out_idx_base, RES_LINES=1).start(self.sequencer)
        await self.both_busy("result_busy")
        self.env.result_agent.driver.sink.pause = False
        await ItemSequence(Transfer([Packet([0], [])])).start(self.sequencer.weights)
        await ClockCycles(cocotb.top.clk_i, 100)
        await self.good_layer()

    async def both_busy(self, engine: str):
        status = await self.status()
        assert status["prg_busy"] and status[engine], f"STATUS {status}, expected prg_busy and {engine}"


@pytest.mark.parametrize(
    "testcase",
    [
        "MalformedWeights",
        "MalformedParameters",
        "MalformedActivations",
        "OutputOverflow",
        "RefusedDescriptors",
        "CommandsAtTheWrongTime",
        "BesideAProgramLoad",
    ],
)
def test_errors(simulate, testcase):
    simulate(testcase)


def test_malformed_on_icarus_as_on_verilator(simulate):
    assert simulate("MalformedBriefly", sim="icarus") == simulate("MalformedBriefly")
