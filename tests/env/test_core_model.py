# SPDX-License-Identifier: Apache-2.0
"""The reference model's view of loads, errors, descriptors and resets, command by command."""

from dataclasses import replace

import numpy as np
import pytest

from models import reference, stream, work
from models.lines import LineShape
from models.stream import Packet
from models.tiling import Cut, make_plan
from tests.descriptor_cases import CASES, legal_layer
from tests.env.feeding import CONFIG, REGISTERS, Feeder
from verif.shared.stimulus import make_layer, random_layer, with_residual
from verif.sim.env.conclusions import Access, CommandOutcome, Forgotten, Interrupt, LinesDue, Reset, ResultsDue
from verif.sim.env.counters import STATES, counter_problems
from verif.sim.env.descriptor_checks import first_violation
from verif.sim.env.layer_reference import LayerDone, descriptor_of, memory_accesses
from verif.sim.env.memory_contents import UnknownContents
from verif.sim.env.sequences import layer_registers

GOOD_BEAT = 0x301_101_302_105  # two groups of 2/4 with indices 1, 3 and 1, 3


@pytest.fixture
def layer_plan(rng):
    layer = make_layer(rng, (4, 6, 7), 9, (3, 2), padding=(1, 0, 2, 1))
    return layer, make_plan(CONFIG, layer, Cut(LineShape(2, 7), LineShape(3, 4), 2))


def test_descriptor_survives_the_registers(rng):
    for _ in range(10):
        _, plan = random_layer(rng, CONFIG, (2, 4))
        written = layer_registers(REGISTERS, plan.descriptor)
        words = {name: REGISTERS.encode(name, **fields) for name, fields in written.items()}
        read = {name: REGISTERS.decode(name, word) for name, word in words.items()}
        assert descriptor_of(read) == plan.descriptor
        assert first_violation(CONFIG, plan.descriptor) == 0


@pytest.mark.parametrize("number, changes", CASES)
def test_descriptor_checks(number, changes):
    _, plan = legal_layer(CONFIG)
    assert first_violation(CONFIG, plan.descriptor) == 0
    d = replace(plan.descriptor, **changes)
    assert first_violation(CONFIG, d) == number
    feeder = Feeder()
    feeder.push(d)
    assert feeder.model.errors == {"descriptor"} and feeder.model.descriptor_error == number
    assert not feeder.layers
    assert feeder.of(CommandOutcome) == [CommandOutcome("layer_push", "refused")]


@pytest.mark.parametrize(
    "error, beats, count",
    [
        ("wgt_tlast_early", [GOOD_BEAT] * 3, 4),
        ("wgt_tlast_late", [GOOD_BEAT] * 5, 4),
        ("wgt_index_range", [GOOD_BEAT, GOOD_BEAT | 0x400_000], 2),
        ("wgt_index_order", [GOOD_BEAT, 0x101_301_302_105], 2),
    ],
)
def test_weight_stream_errors(error, beats, count):
    feeder = Feeder()
    feeder.load_weights(beats, count=count)
    assert feeder.model.errors == {error} and feeder.model.weights_discard
    feeder.model.weight_packet(Packet([0]))  # swallowed
    feeder.command("par_load")
    assert "command_busy" in feeder.model.errors
    feeder.command("wgt_flush")
    feeder.load_weights([GOOD_BEAT], base=7)
    assert feeder.model.contents.vectors_known[7]
    assert not feeder.model.weights_discard


@pytest.mark.parametrize(
    "error, beats, count",
    [
        ("wgt_index_order", [0x101_400_302_105], 1),  # 4 is out of range as well
        ("wgt_index_order", [0x101_301_302_105], 2),
        ("wgt_index_order", [0x101_301_302_105] * 2, 1),
        ("wgt_index_range", [GOOD_BEAT | 0x400_000], 2),
        ("wgt_index_range", [GOOD_BEAT | 0x400_000] * 2, 1),
        ("wgt_index_range", [GOOD_BEAT | 0x400_000, 0x101_301_302_105], 2),  # the first beat counts
    ],
)
def test_first_of_several_weight_faults(error, beats, count):
    feeder = Feeder()
    feeder.load_weights(beats, count=count)
    assert feeder.model.errors == {error} and feeder.model.error_info["WGT_ERROR_INFO"] == 0


@pytest.mark.parametrize("beats, count", [([0], 2), ([0, 0], 1)])
def test_parameter_range_comes_before_tlast(beats, count):
    feeder = Feeder()
    feeder.load_parameters(beats, count=count)
    assert feeder.model.errors == {"par_range"}


@pytest.mark.parametrize("beat", [63 << 64, 0, 5 << 64 | 1 << 63])
def test_parameter_range(beat):
    feeder = Feeder()
    feeder.load_parameters([5 << 64, beat])
    assert feeder.model.errors == {"par_range"}
    assert feeder.model.contents.parameters[:2] == [5 << 64, None]


def line(bitmap, *beats):
    """A packet from (data, keep) pairs after the bitmap."""
    return Packet([bitmap, *(b for b, _ in beats)], [0xFF, *(k for _, k in beats)])


@pytest.mark.parametrize(
    "error, packet",
    [
        ("act_tlast_early", line(0x7)),
        ("act_tlast_early", line(0x3FF, (1, 0xFF))),
        ("act_tlast_late", line(0x3, (0x101, 3), (1, 1))),
        ("act_population", line(0x7, (0x101, 3))),
        ("act_population", Packet([7, 0x10101], [0x7F, 7])),
        ("act_bitmap", line(1 << 20, (1, 1))),
        ("act_overflow", line(0xFFFFF, (1, 0xFF), (1, 0xFF), (1, 0xF))),
        # Several faults: the first beat, and of one beat the first in the order of docs/architecture.md section 4.
        ("act_population", Packet([1 << 20], [0x7F])),
        ("act_bitmap", line(0x1FFFFF)),
        ("act_overflow", line(0xFFFFF)),
        ("act_tlast_early", line(0x3FF, (1, 0x7F))),
        ("act_tlast_late", line(0x7, (1, 0xF), (1, 1))),
        ("act_population", line(0x3FF, (1, 0x7F), (1, 3), (1, 1))),
    ],
)
def test_activation_stream_errors(error, packet):
    feeder = Feeder()
    feeder.start_activations(3, line_pos=20, limit=3)
    feeder.model.activation_packet(line(0x5, (0x0201, 3)))
    feeder.model.activation_packet(packet)
    assert feeder.model.errors == {error} and feeder.model.activations_discard
    assert feeder.model.contents.bitmaps[:3] == [5, None, None]
    feeder.model.activation_packet(line(0x1, (1, 1)))  # swallowed
    feeder.command("act_flush")
    feeder.start_activations(1, line_pos=20)
    feeder.model.activation_packet(line(0))
    assert feeder.model.contents.bitmaps[0] == 0


@pytest.mark.parametrize(
    "registers",
    [{"WGT_COUNT": 0}, {"WGT_COUNT": 5, "WGT_BASE": 4092}],
)
def test_loads_past_the_memory_are_refused(registers):
    feeder = Feeder()
    for register, value in registers.items():
        feeder.write(register, value=value)
    feeder.command("wgt_load")
    assert feeder.model.errors == {"command_range"} and feeder.model.weights_load is None


def test_a_busy_engine_ignores_commands():
    feeder = Feeder()
    feeder.start_activations(2, line_pos=4)
    feeder.command("act_load")
    assert feeder.model.errors == {"command_busy"}
    assert feeder.of(CommandOutcome) == [CommandOutcome("act_load", outcome) for outcome in ("accepted", "busy")]


def test_unknown_contents_are_refused(layer_plan):
    layer, plan = layer_plan
    feeder = Feeder()
    with pytest.raises(UnknownContents, match="weight vectors 0 to"):
        feeder.push(plan.descriptor)
    feeder.load_weights(stream.weight_beats(CONFIG, layer))
    with pytest.raises(UnknownContents, match="index entry 0"):
        feeder.push(plan.descriptor)
    with pytest.raises(UnknownContents, match="outside any load"):
        feeder.model.activation_packet(line(0))


def test_reset_forgets_what_was_under_way(layer_plan):
    layer, plan = layer_plan
    feeder = Feeder()
    feeder.run(layer, plan)
    feeder.command("soft_reset")
    d = plan.descriptor
    assert feeder.of(Forgotten) == [Forgotten("lines", d.out_idx_base, d.out_entries)]
    assert feeder.checker.due == [] and feeder.model.results_due == 0
    with pytest.raises(UnknownContents, match="index entry"):
        feeder.fetch(plan.descriptor.out_idx_base, 1)
    feeder.push(plan.descriptor)  # its inputs are still there
    feeder.read("STATUS")  # idle: the layer has ended
    feeder.command("soft_reset")
    feeder.fetch(plan.descriptor.out_idx_base, 1)
    assert feeder.checker.due == stream.expected_packets(plan, layer)[:1]


def test_conclusions_come_in_the_order_of_cause_and_effect(layer_plan):
    layer, plan = layer_plan
    feeder = Feeder()
    feeder.load(layer, plan)
    before = len(feeder.conclusions)
    feeder.push(plan.descriptor)
    feeder.fetch(plan.descriptor.out_idx_base, 2)
    feeder.command("soft_reset")
    found = [c for c in feeder.conclusions[before:] if not (isinstance(c, Access) and c.name != "CTRL")]
    kinds = (Access, CommandOutcome, Interrupt, LayerDone, LinesDue)
    kinds += (Access, CommandOutcome, ResultsDue, Interrupt)
    kinds += (Access, Reset, Forgotten)
    assert tuple(type(conclusion) for conclusion in found) == kinds
    assert [c.layers_open for c in found if isinstance(c, Access)] == [0, 1, 1]
    assert found[7].packets == tuple(stream.expected_packets(plan, layer)[:2])
    assert found[10] == Reset("soft_reset")


@pytest.mark.parametrize("quiet", [False, True])
def test_what_a_read_has_to_give(quiet):
    feeder = Feeder()
    feeder.write("WGT_BASE", value=17)
    feeder.start_activations(1, line_pos=20, base=7)
    for register, expected in {
        "WGT_BASE": {"value": 17},  # the host's own
        "ACT_END": {"value": 7} if quiet else {},
        "STATUS": feeder.model.status if quiet else {},
        "ERROR": dict.fromkeys(REGISTERS.decode("ERROR", 0), 0) if quiet else {},
        "CYCLES": {},
    }.items():
        feeder.read(register, quiet=quiet)
        assert feeder.conclusions[-1].expected == expected, register
    feeder.read("CTRL", okay=False)
    illegal = feeder.conclusions[-1]
    assert not illegal.legal and not illegal.values and illegal.rights == "WO"


def test_overflow(layer_plan):
    layer, plan = layer_plan
    d = plan.descriptor
    feeder = Feeder()
    feeder.load(layer, plan)
    words = sum(-(-packet.beats[0].bit_count() // 8) for packet in stream.expected_packets(plan, layer))
    feeder.push(replace(d, out_act_limit=d.out_act_base + words))
    assert not feeder.model.errors
    feeder.push(replace(d, out_act_limit=d.out_act_base + words - 1))
    assert feeder.model.errors == {"out_overflow"}
    with pytest.raises(UnknownContents):
        feeder.fetch(d.out_idx_base, 1)


def test_sections(layer_plan):
    """A layer that appends needs its words behind those of the one before; what overflows stays full until a reset."""
    layer, plan = layer_plan
    d = plan.descriptor
    words = sum(-(-packet.beats[0].bit_count() // 8) for packet in stream.expected_packets(plan, layer))
    feeder = Feeder()
    feeder.load(layer, plan)
    for section, append, room, appended, overflow in (
        (4, 1, 1, False, False),  # never started
        (4, 1, 2, True, False),
        (5, 0, 1, False, False),
        (4, 1, 2, True, True),
        (4, 1, 9, True, True),
        (5, 1, 2, True, False),
        (4, 0, 1, False, False),
        (4, 1, 2, True, False),
    ):
        feeder.model.errors.clear()
        feeder.push(d, out_section=section, out_append=append, out_act_limit=d.out_act_base + room * words)
        feeder.read("STATUS", layer_busy=0)
        assert (feeder.layers[-1].appended, feeder.layers[-1].overflow) == (appended, overflow)
        assert feeder.model.errors == ({"out_overflow"} if overflow else set())
    feeder.model.reset("soft_reset")
    feeder.push(d, out_append=1, out_section=4)
    assert not feeder.layers[-1].appended


def test_kept_slots(rng):
    """A layer in three parts along C: two keep their sums, the last one makes the lines of the whole."""
    layer = make_layer(rng, (6, 3, 4), 5, (2, 1), mode=(2, 4))
    plan = make_plan(CONFIG, layer, Cut(LineShape(1, 4), LineShape(3, 4)))
    whole, taps = plan.descriptor, plan.descriptor.taps
    feeder = Feeder()
    feeder.load(layer, plan)
    for first, last in ((0, 1), (1, 4), (4, 6)):
        channels = dict.fromkeys(("in_c", "group_c", "split_c"), last - first)
        slots = {"keep_slot": int(last < 6), "continue_slot": int(first > 0)}
        place = {"wgt_base": first * taps, "in_idx_base": whole.in_idx_base + first * whole.in_pitch}
        feeder.push(whole, **channels, **slots, **place)
        feeder.read("STATUS", layer_busy=0)
        done = feeder.layers[-1]
        assert not feeder.model.errors and done.lines_written == (0 if last < 6 else whole.out_entries)
    assert np.array_equal(done.output, layer.expected)
    assert [len(due.entries) for due in feeder.of(LinesDue)[-3:]] == [0, 0, whole.out_entries]
    # What is continued was kept by the layer that started last, and nothing is known of that behind a failed run.
    for refused in (
        {"continue_slot": 1},
        {"keep_slot": 1, "tile_h": 1, "tiles_y": 2, "tile_w": 1, "tiles_x": 4, "out_pitch": 8},
    ):
        feeder.push(whole, **refused)
        assert feeder.model.descriptor_error == 19
        feeder.read("STATUS", layer_busy=0)
    feeder.push(whole, keep_slot=1)
    feeder.push(whole, continue_slot=1, out_k=4)
    assert feeder.model.descriptor_error == 19
    feeder.model._forget_all()
    with pytest.raises(UnknownContents):
        feeder.push(whole, continue_slot=1)


@pytest.mark.parametrize("signed", [False, True])
def test_residual(rng, layer_plan, signed):
    layer = with_residual(rng, layer_plan[0], signed=signed)
    plan = make_plan(CONFIG, layer, layer_plan[1].cut)
    feeder = Feeder()
    assert feeder.run(layer, plan) == list(feeder.of(ResultsDue)[-1].packets)
    plain = make_plan(CONFIG, layer_plan[0], layer_plan[1].cut)
    feeder.run(layer_plan[0], plain)
    counts = [memory_accesses(done) for done in feeder.layers]
    more = {memory: counts[0][memory] - counts[1][memory] for memory in counts[0]}
    words = sum(-(-packet.beats[0].bit_count() // 8) for packet in stream.residual_packets(plan, layer))
    assert more == {"WGT": 0, "ACT": words, "IDX": plan.descriptor.out_entries}
    with pytest.raises(UnknownContents):
        feeder.push(plan.descriptor, res_idx_base=4000)


def test_a_chained_layer_reads_the_first_ones_output(rng, layer_plan):
    layer, plan = layer_plan
    feeder = Feeder()
    feeder.load(layer, plan)
    feeder.push(plan.descriptor)
    second = replace(make_layer(rng, layer.out_shape, 5, (1, 1), mode=(1, 4)), activations=layer.expected)
    cut = Cut(plan.cut.tile, LineShape(2, 4))
    d = make_plan(CONFIG, second, cut).descriptor
    base = plan.descriptor.vectors
    feeder.load_weights(stream.weight_beats(CONFIG, second), base, (1, 4))
    feeder.load_parameters(stream.parameter_beats(second), 20)
    feeder.push(
        d, wgt_base=base, par_base=20, in_idx_base=plan.descriptor.out_idx_base, out_idx_base=500, out_act_base=5000
    )
    assert np.array_equal(feeder.layers[-1].output, second.expected)


def test_macs_by_brute_force(rng, layer_plan):
    layer, plan = layer_plan
    ones = reference.convolve(
        (layer.activations != 0).astype(np.uint8), (layer.weights != 0).astype(np.int8), layer.stride, layer.padding
    )
    assert work.count_macs(plan.descriptor, layer.activations, layer.weight_counts) == ones.sum()


def test_counter_problems(layer_plan):
    layer, plan = layer_plan
    feeder = Feeder()
    feeder.run(layer, plan)
    done = feeder.layers[-1]
    good = dict.fromkeys(STATES, 1000) | {
        "CYCLES": 1250,
        "MACS": done.macs,
        "BUSY": 1000 + done.macs,
        "NO_UNIT": 1000 - done.macs,
        "LINES_WRITTEN": done.descriptor.out_entries,
        "BYTES_WRITTEN": done.bytes_written,
    }
    for memory, count in memory_accesses(done).items():
        good |= {f"{memory}_READS": count - 7, f"{memory}_HITS": 7}
    assert counter_problems(good, CONFIG, done) == []
    words = {"CYCLES": "sum", "MACS": "MACS", "LINES_WRITTEN": "LINES", "BYTES_WRITTEN": "BYTES"}
    words |= {f"{memory}_{kind}": f"{memory}_" for memory in ("WGT", "ACT", "IDX") for kind in ("READS", "HITS")}
    for name, word in words.items():
        found = counter_problems(good | {name: good[name] + 1}, CONFIG, done)
        assert len(found) == 1 and word in found[0]
