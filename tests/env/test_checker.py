# SPDX-License-Identifier: Apache-2.0
"""The checker against packets and accesses made by hand: it passes what is right and finds each kind of fault."""

import numpy as np
import pytest

from models import km
from models.stream import Packet
from tests.env.feeding import CONFIG, REGISTERS, Feeder
from verif.shared.stimulus import make_layer, random_layer, random_plan
from verif.sim.env.register_agent import BusAccess


@pytest.fixture
def fed(rng):
    """A feeder whose layer is due, and the packets that are right."""
    layer = make_layer(rng, (3, 6, 7), 9, (3, 3), padding=(1, 1, 1, 1))
    feeder = Feeder()
    packets = feeder.run(layer, random_plan(rng, CONFIG, layer))
    assert len(packets) > 8
    return feeder, packets


def feed(feeder, packets):
    for packet in packets:
        feeder.result(packet)
    return feeder.checker.problems


def full(packets):
    """Number of a packet with at least two packed bytes."""
    return next(i for i, p in enumerate(packets) if len(p.beats) > 1 and p.keeps[-1] & 2)


def test_starts_as_failed():
    assert Feeder().checker.problems == ["nothing was compared"]


@pytest.mark.parametrize("mode", km.MODES)
def test_right_packets_pass(mode, rng):
    feeder = Feeder()
    for _ in range(3):
        layer, plan = random_layer(rng, CONFIG, mode, work=20_000)
        packets = feeder.run(layer, plan)
        assert feed(feeder, packets) == []
        assert np.array_equal(feeder.layers[-1].output, layer.expected)
        assert np.array_equal(feeder.layers[-1].activations, layer.activations)
        assert np.array_equal(feeder.layers[-1].weight_counts, layer.weight_counts)
        if layer.groups == 1:
            assert np.array_equal(feeder.layers[-1].weights, layer.weights)


def test_digest_depends_on_every_bit(fed):
    feeder, packets = fed
    feed(feeder, packets)
    first = feeder.checker.digest.hexdigest()
    other = Feeder()
    packets[-1].beats[-1] ^= 1
    feed(other, packets)
    assert other.checker.digest.hexdigest() != first


def test_missing_packets_are_counted(fed):
    feeder, packets = fed
    assert "missing: 2 result packets" in feed(feeder, packets[:-2])[0]


def test_excess_packets_are_counted(fed):
    feeder, packets = fed
    assert "excess" in feed(feeder, packets + packets[:1])[0]
    assert feeder.checker.wrong["excess"] == 1


def corruptions(packets):
    i = full(packets)
    bitmap, byte, keep, split, joined = ([Packet(list(p.beats), list(p.keeps)) for p in packets] for _ in range(5))
    bitmap[i].beats[0] ^= 1
    byte[i].beats[1] ^= 0x100
    keep[i].keeps[-1] >>= 1
    split[i : i + 1] = [
        Packet(packets[i].beats[:1], packets[i].keeps[:1]),
        Packet(packets[i].beats[1:], packets[i].keeps[1:]),
    ]
    joined[i - 1 : i + 1] = [Packet(packets[i - 1].beats + packets[i].beats, packets[i - 1].keeps + packets[i].keeps)]
    j = next(j for j in range(i + 1, len(packets)) if packets[j] != packets[i])
    order = list(packets)
    order[i], order[j] = order[j], order[i]
    return {"bitmap": bitmap, "byte 1": byte, "TKEEP": keep, "TLAST": joined, "expected on": split, "result": order}


@pytest.mark.parametrize("what", ["bitmap", "byte 1", "TKEEP", "TLAST", "expected on", "result"])
def test_a_wrong_packet_is_found(what, fed):
    feeder, packets = fed
    problems = feed(feeder, corruptions(packets)[what])
    assert problems and any(what in text for text in problems), problems
    assert feeder.checker.wrong["result"] >= 1


def test_register_reads_are_compared():
    feeder = Feeder()
    feeder.write("WGT_BASE", value=17)
    feeder.read("WGT_BASE", value=17)
    feeder.read("ACT_LINE_POS", value=REGISTERS.reset_value("ACT_LINE_POS"))
    assert feeder.checker.wrong.total() == 0
    feeder.read("WGT_BASE", value=16)
    assert feeder.checker.wrong["register"] == 1


def test_bits_outside_the_fields_read_as_zeros():
    feeder = Feeder()
    address = REGISTERS.address("LAYER_CLAMP")
    assert REGISTERS.encode("LAYER_CLAMP", **REGISTERS.decode("LAYER_CLAMP", 1 << 31)) == 0
    for data, wrong in ((0, 0), (1 << 31, 1)):
        feeder.interpreter.access(BusAccess(address, False, data, True))
        assert feeder.checker.wrong["register"] == wrong


def test_responses_are_checked():
    feeder = Feeder()
    feeder.write("ID", okay=False, major=2)
    feeder.read("CTRL", okay=False)
    assert feeder.checker.wrong.total() == 0
    feeder.write("ID", major=2)
    feeder.read("WGT_BASE", okay=False)
    assert feeder.checker.wrong["response"] == 2


def test_error_bits_are_compared_when_quiet():
    feeder = Feeder()
    feeder.command("result_send")  # no lines: refused
    feeder.read("ERROR", quiet=False)
    feeder.read("ERROR", command_range=1)
    assert feeder.checker.wrong.total() == 0
    feeder.read("ERROR")
    assert feeder.checker.wrong["register"] == 1
    feeder.write("ERROR", command_range=1)
    feeder.read("ERROR")
    assert feeder.checker.wrong["register"] == 1


def test_few_messages_but_all_counted(fed):
    feeder, packets = fed
    for packet in packets:
        packet.beats[0] ^= 1
    problems = feed(feeder, packets)
    assert feeder.checker.wrong["result"] == len(packets)
    assert len(problems) <= 11


def test_status_is_compared_when_quiet():
    feeder = Feeder()
    feeder.start_activations(1, line_pos=20, base=7)
    feeder.read("STATUS", act_busy=1)
    feeder.read("STATUS", quiet=False)
    feeder.model.activation_packet(Packet([1 << 20], [0xFF]))  # outside the line
    feeder.read("STATUS", act_discard=1)
    assert feeder.checker.wrong.total() == 0
    for wrong in ({}, {"act_busy": 1}, {"act_discard": 1, "wgt_busy": 1}, {"act_discard": 1, "layer_busy": 1}):
        before = feeder.checker.wrong["register"]
        feeder.read("STATUS", **wrong)
        assert feeder.checker.wrong["register"] > before, wrong


def test_error_info_and_bump_pointer_are_compared():
    feeder = Feeder()
    feeder.start_activations(3, line_pos=20, base=7)
    feeder.model.activation_packet(Packet([3, 0x0201], [0xFF, 3]))
    feeder.read("ACT_END", value=8)
    feeder.model.activation_packet(Packet([1 << 20], [0xFF]))
    feeder.read("ACT_ERROR_INFO", value=1)
    feeder.load_weights([0] * 3, count=4)
    feeder.read("WGT_ERROR_INFO", value=0)  # indices out of order in the first beat
    assert feeder.checker.wrong.total() == 0
    for register in ("ACT_END", "ACT_ERROR_INFO", "WGT_ERROR_INFO"):
        before = feeder.checker.wrong["register"]
        feeder.read(register, value=9)
        assert feeder.checker.wrong["register"] == before + 1, register
    feeder.command("act_flush")
    feeder.checker.wrong.clear()
    feeder.read("ACT_ERROR_INFO", value=0)
    assert feeder.checker.wrong.total() == 0


def serve(feeder, *causes):
    feeder.read("INTR_STATE", **dict.fromkeys(causes, 1))
    feeder.write("INTR_STATE", **dict.fromkeys(causes, 1))


def test_interrupts_are_counted(fed):
    feeder, _ = fed
    assert len(feeder.checker.unserved) == 5
    serve(feeder, "wgt_done", "par_done", "act_done", "layer_done")
    assert feeder.checker.unserved == ["interrupts: +1 result_done expected"]
    serve(feeder, "result_done", "error")
    assert feeder.checker.unserved == ["interrupts: -1 error expected"]
    feeder.command("result_send")  # busy: the packets have not come
    feeder.write("INTR_STATE", layer_done=1)  # was not set
    assert feeder.checker.unserved == []
