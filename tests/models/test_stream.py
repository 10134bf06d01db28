# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from models import km, lines, masks, stream, tiling
from models.config import load_config
from models.layer import Layer
from models.lines import LineShape
from models.stream import Packet
from models.tiling import Cut


def make(rng, k, m, signed=False, config="small"):
    config = load_config(config)
    channels = 37
    layer = Layer(
        activations=masks.activations(masks.clustered((5, 9, 11), 0.5, rng), rng, signed),
        weights=km.project(rng.integers(-128, 128, (channels, 5, 3, 2), np.int8), k, m, 0),
        bias=rng.integers(-(2**31), 2**31, channels).astype(np.int32),
        multiplier=rng.integers(0, 2**31, channels).astype(np.int32),
        shift=rng.integers(30, 63, channels).astype(np.int32),
        k=k,
        m=m,
        clamp=(-128, 127) if signed else (0, 255),
    )
    tile = LineShape(3, 5)
    return layer, tiling.make_plan(config, layer, Cut(LineShape(4, 11), tile, 2))


@pytest.mark.parametrize("k,m", km.MODES)
@pytest.mark.parametrize("config", ["small", "paper"])
def test_weights_arrive_as_documented(k, m, config, rng):
    layer, plan = make(rng, k, m, config=config)
    lanes, chunk_k = plan.config.NumLanes, plan.config.NumLanes * m // k
    beats = stream.weight_beats(plan.config, layer)
    assert len(beats) == plan.descriptor.vectors
    assert max(beats).bit_length() <= 12 * lanes <= 8 * stream.weight_bytes(plan.config)
    rebuilt = np.zeros((plan.descriptor.chunks * chunk_k, 5, 3, 2), np.int8)
    for number, beat in enumerate(beats):
        rest, s = divmod(number, 2)
        rest, r = divmod(rest, 3)
        chunk, c = divmod(rest, 5)
        previous = -1
        for lane in range(lanes):
            value, index = beat >> 12 * lane & 0xFF, beat >> 12 * lane + 8 & 0xF
            previous = previous if lane % k else -1
            assert previous < index < m
            previous = index
            rebuilt[chunk * chunk_k + lane // k * m + index, c, r, s] = value - (value > 127) * 256
    np.testing.assert_array_equal(rebuilt[:37], layer.weights)
    assert not rebuilt[37:].any()


def test_parameters(rng):
    layer, _ = make(rng, 1, 1)
    for channel, beat in enumerate(stream.parameter_beats(layer)):
        assert beat >> 64 == layer.shift[channel]
        assert beat >> 32 & 0xFFFFFFFF == layer.multiplier[channel]
        assert np.uint32(beat & 0xFFFFFFFF).astype(np.int32) == layer.bias[channel]
    assert stream.weight_bytes(load_config("small")) == 9 and stream.weight_bytes(load_config("paper")) == 24


@pytest.mark.parametrize("signed", [False, True])
def test_activation_packets(signed, rng):
    layer, plan = make(rng, 2, 4, signed)
    packets = stream.activation_packets(plan, layer)
    assert len(packets) == 5 * 3
    decoded = [stream.decode_packet(packet, 8) for packet in packets]
    rebuilt = lines.Lines(
        np.array([bitmap for bitmap, _ in decoded], np.uint64).reshape(5, 3),
        np.frombuffer(b"".join(packed for _, packed in decoded), np.uint8),
    )
    found = lines.decompress(rebuilt, plan.cut.line, (5, 9, 11), layer.activations.dtype)
    np.testing.assert_array_equal(found, layer.activations)


@pytest.mark.parametrize("signed", [False, True])
def test_result_packets(signed, rng):
    layer, plan = make(rng, 1, 2, signed)
    packets = stream.expected_packets(plan, layer)
    output = stream.decode_output(packets, plan)
    assert output.dtype == layer.expected.dtype
    np.testing.assert_array_equal(output, layer.expected)
    with pytest.raises(ValueError, match=f"{len(packets) - 1} lines, expected {len(packets)}"):
        stream.decode_output(packets[1:], plan)


def test_line_packet_by_hand():
    assert stream.line_packet(0, b"", 8) == Packet([0], [0xFF])
    packed = bytes(range(1, 11))
    assert stream.line_packet(0x3FF, packed, 8) == Packet([0x3FF, 0x0807060504030201, 0x0A09], [0xFF, 0xFF, 0x3])
    assert stream.line_packet(0x3FF, packed, 16) == Packet([0x3FF, int.from_bytes(packed, "little")], [0xFF, 0x3FF])


@pytest.mark.parametrize(
    "packet,message",
    [
        (Packet(), "no beat"),
        (Packet([0], [0x0F]), "bitmap beat: tkeep 0xf"),
        (Packet([1 << 64], [0xFF]), "bitmap beat"),
        (Packet([0, 0], [0xFF, 0]), "1 beats of bytes, expected those of 0 non-zeros"),
        (Packet([1], [0xFF]), "0 beats of bytes, expected those of 1 non-zeros"),
        (Packet([1, 5], [0xFF, 3]), "bytes beat: tkeep 0x3, expected 0x1"),
        (Packet([3, 5], [0xFF, 3]), "packed byte 1 is zero"),
        (Packet([1, 0x105], [0xFF, 1]), "zeros above"),
    ],
)
def test_malformed_packets(packet, message):
    with pytest.raises(ValueError, match=message):
        stream.decode_packet(packet, 8)
