# SPDX-License-Identifier: Apache-2.0
"""Programs: their words, their file, the data that goes with them."""

from dataclasses import fields, replace

import numpy as np
import pytest
from systemrdl import RDLCompiler

from models import lines
from models.config import load_config
from models.descriptor import Descriptor
from models.network import INPUT, Input, Network, Node
from models.program import (
    ENGINES,
    LAYER_REGISTERS,
    NO_WAITS,
    ActivationLoad,
    LayerStep,
    Part,
    Program,
    ResultTransfer,
    Wait,
    WeightLoad,
    decode,
    descriptor_of,
    layer_registers,
)
from models.stream import decode_packet, parameter_rows, weight_rows
from models.tiling import Cut, make_plan
from verif.shared.registers import REGISTERS

SIGNED = {"clamp_lo": 9, "clamp_hi": 9, "pad_top": 8, "pad_left": 8}


@pytest.fixture(scope="module")
def places():
    """By register of a layer its address and, by field, the lowest and highest bit, as the description has them."""
    compiler = RDLCompiler()
    compiler.compile_file(str(REGISTERS))
    registers = compiler.elaborate().top.registers()
    return {
        r.inst_name: (r.absolute_address, {f.inst_name: (f.low, f.high) for f in r.fields()})
        for r in registers
        if r.inst_name.startswith("LAYER_")
    }


def random_waits(rng):
    return tuple(Wait(int(rng.integers(1 << 15)), bool(rng.integers(2))) for _ in ENGINES)


def random_descriptor(rng, places):
    """Every field takes any value that its bits hold."""
    widths = [high - low + 1 for _, bits in places.values() for low, high in bits.values()]
    names = [name for bits in LAYER_REGISTERS.values() for name in bits]
    values = {name: int(rng.integers(1 << width)) for name, width in zip(names, widths, strict=True)}
    return Descriptor(
        **values | {name: values[name] - (values[name] >> bits - 1 << bits) for name, bits in SIGNED.items()}
    )


@pytest.fixture
def program(rng):
    """One convolution of two images, all engines' descriptors, without waits."""
    config = load_config("small")
    weights = rng.integers(-9, 10, (6, 3, 3, 3)).astype(np.int8)
    node = Node(
        "conv",
        "conv",
        INPUT,
        (3, 3),
        padding=(1, 1, 1, 1),
        weights=weights,
        weight_scale=np.ones(6),
        bias=rng.integers(-99, 100, 6).astype(np.int32),
        multiplier=np.full(6, 2**30, np.int32),
        shift=np.full(6, 35, np.int32),
    )
    images = rng.integers(0, 3, (4, 3, 10, 9), np.uint8)
    network = Network((node,), {INPUT: Input(images[0], 1.0)})
    layer = network.layers()["conv"]
    descriptor = make_plan(config, layer, Cut(lines.LineShape(7, 9), lines.LineShape(4, 9))).descriptor
    beats = np.concatenate([weight_rows(config, layer), parameter_rows(config, layer)])
    given, out = ((shape, block) for shape, block in ((3, (7, 9)), (6, (4, 9))))
    loads, steps, results, vectors = [], [], [], descriptor.vectors
    for image in range(2):
        source = Part(INPUT, image, 0, given[0], 0, 10, *given[1], base=100 * image, pitch=2)
        made = Part("conv", image, 0, out[0], 0, 10, *out[1], base=100 * image + 50, pitch=3)
        loads.append(ActivationLoad(NO_WAITS, source.base, 6, 63, 64 * image, 64 * image + 64, source))
        own = {"in_idx_base": source.base, "out_idx_base": made.base, "out_section": image, "wgt_base": 3}
        steps.append(LayerStep(NO_WAITS, replace(descriptor, **own), "conv", made, source, None, 0, vectors))
        results.append(ResultTransfer(NO_WAITS, made.base, 18, made))
    sets = WeightLoad(NO_WAITS, 3, vectors, False, 0, "conv"), WeightLoad(NO_WAITS, 0, 6, True, vectors, "conv")
    return Program("small", network, 2, sets, tuple(loads), tuple(steps), tuple(results), beats, {INPUT: images})


def test_layer_registers_are_those_of_the_description(places):
    """Same registers, in the same order at consecutive addresses, and the same lowest bits of the fields."""
    assert list(places) == list(LAYER_REGISTERS)
    assert [address for address, _ in places.values()] == list(range(0x080, 0x0F8, 4))
    assert [[low for low, _ in bits.values()] for _, bits in places.values()] == [
        list(bits.values()) for bits in LAYER_REGISTERS.values()
    ]
    assert sorted(name for bits in LAYER_REGISTERS.values() for name in bits) == sorted(
        field.name for field in fields(Descriptor)
    )


def test_registers_of_random_descriptors(rng, places):
    for _ in range(20):
        descriptor = random_descriptor(rng, places)
        registers = layer_registers(descriptor)
        assert all(0 <= value < 1 << 32 for value in registers)
        assert descriptor_of(registers) == descriptor


def test_words_hold_every_descriptor(rng, places, program):
    """What is encoded is decoded, whatever the values; engines follow each other."""
    top = (1 << 24) - 1
    weights = [
        replace(
            program.weights[0],
            waits=random_waits(rng),
            base=int(rng.integers(top)),
            count=int(rng.integers(top)),
            parameters=bool(n % 2),
            k_log2=n % 3,
            m_log2=n % 5,
        )
        for n in range(9)
    ]
    loads = [
        replace(
            program.activations[0],
            waits=random_waits(rng),
            **{name: int(rng.integers(top)) for name in ("idx_base", "lines", "base", "limit")},
            line_pos=int(rng.integers(1, 65)),
        )
        for _ in range(5)
    ]
    layers = [
        replace(program.layers[0], waits=random_waits(rng), descriptor=random_descriptor(rng, places)) for _ in range(4)
    ]
    results = [
        replace(program.results[0], waits=random_waits(rng), idx_base=int(rng.integers(top)), lines=top)
        for _ in range(3)
    ]
    made = replace(program, weights=weights, activations=loads, layers=layers, results=results)
    words, registers = made.encode()
    assert words.dtype == np.uint64 and len(words) == 9 * 2 + 5 * 3 + 4 * 16 + 3 * 2
    assert registers == {
        "RUN_WGT_BASE": 0,
        "RUN_WGT_COUNT": 9,
        "RUN_ACT_BASE": 18,
        "RUN_ACT_COUNT": 5,
        "RUN_LAYER_BASE": 33,
        "RUN_LAYER_COUNT": 4,
        "RUN_RES_BASE": 97,
        "RUN_RES_COUNT": 3,
        "RUN_ITERATIONS": 2,
    }
    for steps, found in zip(made.engines, decode(words, registers), strict=True):
        for step, (waits, values) in zip(steps, found, strict=True):
            assert waits == step.waits
            source = step.descriptor if isinstance(step, LayerStep) else step
            assert values == {name: getattr(source, name) for name in values}


def test_fixed_words(program):
    """The layout, spelt out."""
    waits = Wait(1), Wait(2, True), Wait(3), Wait(0x7FFF, True)
    load = replace(program.weights[0], waits=waits, base=0x123456, count=0xABCDEF, k_log2=2, m_log2=4)
    assert load.words() == [0xFFFF_0003_8002_0001, 0x42AB_CDEF_0012_3456]
    assert replace(load, parameters=True, k_log2=0, m_log2=0).words()[1] == 0x00AB_CDEF_8012_3456
    activations = replace(program.activations[0], idx_base=1, lines=2, line_pos=64, base=3, limit=4)
    assert activations.words() == [0, 0x0000_0002_4000_0001, 0x0000_0004_0000_0003]
    assert replace(program.results[0], idx_base=5, lines=6).words() == [0, 0x0000_0006_0000_0005]


@pytest.mark.parametrize(
    ("engine", "changes"),
    [
        ("weights", {"base": 1 << 24}),
        ("weights", {"count": -1}),
        ("results", {"lines": 1 << 24}),
        ("layers", {"waits": (Wait(1 << 15), Wait(), Wait(), Wait())}),
    ],
)
def test_values_too_large_for_their_fields(program, engine, changes):
    first, *rest = getattr(program, engine)
    made = replace(program, **{engine: (replace(first, **changes), *rest)})
    with pytest.raises(ValueError, match="does not fit into"):
        made.encode()


def test_data_of_the_engines(program):
    """Weight beats, input and result packets are those of the streams' formats, by image and iteration."""
    config, layer = load_config("small"), program.network.layers()["conv"]
    bytes_ = config.StreamBytes
    assert np.array_equal(program.beats[: len(weight_rows(config, layer))], weight_rows(config, layer))
    parameters = program.weight_beats(program.weights[1])
    assert [beat & 0xFFFFFFFF for beat in parameters] == [bias & 0xFFFFFFFF for bias in layer.bias.tolist()]
    outputs = program.network.run(program.images)["conv"]
    for iteration in range(program.iterations):
        for load, transfer in zip(program.activations, program.results, strict=True):
            number = 2 * iteration + load.part.image
            for packets, tensor, block in (
                (program.input_packets(load, iteration, bytes_), program.images[INPUT][number], load.part.block),
                (program.result_packets(transfer, iteration, bytes_), outputs[number], transfer.part.block),
            ):
                expected = lines.compress(tensor, block)
                assert [decode_packet(packet, bytes_)[0] for packet in packets] == expected.bitmaps.ravel().tolist()
                assert b"".join(decode_packet(packet, bytes_)[1] for packet in packets) == expected.data.tobytes()


def test_part_of_a_tensor(rng):
    """Channels and rows of a tensor, in blocks from its first row on, and their index entries."""
    tensor = rng.integers(0, 2, (6, 11, 5), np.uint8)
    part = Part("t", 0, 2, 5, 3, 10, 2, 4, base=40, pitch=20)
    cut = tensor[2:5, 3:10]
    assert np.array_equal(lines.decompress(part.lines(tensor), part.block, cut.shape, np.uint8), cut)
    assert part.entries(5).tolist() == [list(range(base, base + 8)) for base in (40, 60, 80)]


def test_file_keeps_everything(tmp_path, program):
    path = tmp_path / "program.npz"
    waits = (replace(program.layers[0], waits=(Wait(2), Wait(1), Wait(0), Wait(1, True)), predicted=9),)
    program = replace(program, layers=waits + program.layers[1:])
    program.save(path)
    found = Program.load(path)
    for field in fields(Program):
        value = getattr(program, field.name)
        if field.name == "images":
            assert list(found.images) == [INPUT] and np.array_equal(found.images[INPUT], value[INPUT])
        elif isinstance(value, np.ndarray):
            assert np.array_equal(getattr(found, field.name), value)
        elif field.name != "network":
            assert getattr(found, field.name) == value
    assert np.array_equal(found.tensors(1)["conv"], program.tensors(1)["conv"])
    assert found.encode()[1] == program.encode()[1] and np.array_equal(found.encode()[0], program.encode()[0])


def test_files_that_are_no_programs(tmp_path, program):
    path = tmp_path / "other.npz"
    program.network.save(path)
    with pytest.raises(ValueError, match=r"other\.npz: no program of this project"):
        Program.load(path)
    with pytest.raises(ValueError, match="no such file"):
        Program.load(tmp_path / "none.npz")


def test_other_images(program, rng):
    images = rng.integers(0, 9, (2, 3, 10, 9), np.uint8)
    assert program.with_images({INPUT: images}).iterations == 1
    for wrong in (images[:1], images[:, :2], images.astype(np.int16), images[:0]):
        with pytest.raises(ValueError, match="^images of input: .* a multiple of the batch, 2"):
            program.with_images({INPUT: wrong})
    for wrong in ({}, {"x": images}, {INPUT: images, "x": images}):
        with pytest.raises(ValueError, match="^images: of .*, expected of input$"):
            program.with_images(wrong)
