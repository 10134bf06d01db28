# SPDX-License-Identifier: Apache-2.0
"""Compiled programs: what they compute in any order that their waits allow, and what the compiler refuses."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from models import networks
from models.compiler import Compiler, compile_network
from models.compiler.compile import Stretch, between, orders
from models.compiler.cuts import dense_words, words_of
from models.compiler.dataflow import read
from models.compiler.engine_times import BEGIN
from models.compiler.load_order import Load, load_order
from models.compiler.parts import Way
from models.compiler.place import Need, Packed, Sets, pack
from models.compiler.predict import actual
from models.compiler.program_tables import layers_table, memory_map
from models.compiler.strips import Planner, Strips
from models.config import load_config
from models.lines import LineShape
from models.network import INPUT, taken
from models.networks.builder import Builder, images_of
from models.program import ENGINES, LAYERS, OPEN, Program, Wait
from models.program_check import check
from tests import program_interpreter as interpreter

SMALL = load_config("small")
RESULTS = ENGINES.index("results")


def run(network, config, batch, rng, iterations=2, orders=2):
    """Compile on some images, check, run on others."""
    some = images_of(network, 4, rng)
    calibration = {name: np.concatenate([some[name], example]) for name, example in network.example.items()}
    program = compile_network(network, config, batch, calibration)
    program = program.with_images(images_of(network, iterations * batch, rng))
    check(program, config)
    for _ in range(orders):
        interpreter.run(program, config, rng)
    return program


@pytest.mark.parametrize("batch", [1, 2, 3])
@pytest.mark.parametrize("name", ["tiny", "tiny_branches"])
def test_results_are_the_networks(name, batch, rng):
    program = run(networks.build(name), SMALL, batch, rng)
    found = {(result.part.tensor, result.part.image) for result in program.results}
    assert found == {(name, image) for name in program.network.outputs for image in range(batch)}


def test_file_of_a_compiled_program(tmp_path, rng):
    network = networks.build("tiny")
    program = run(network, SMALL, 1, rng)
    program.save(tmp_path / "p.npz")
    loaded = Program.load(tmp_path / "p.npz")
    check(loaded, SMALL)
    interpreter.run(loaded, SMALL, rng)


@pytest.mark.parametrize("vectors", [144, 160, 287])
def test_weights_that_do_not_fit_at_once(rng, vectors):
    """Layers in parts that append, down to a chunk each."""
    config = replace(SMALL, WgtBanks=1, WgtDepth=vectors, ParDepth=16)
    program = run(networks.build("tiny"), config, 2, rng)
    assert any(step.descriptor.out_append for step in program.layers)


def test_results_of_parts_go_when_they_are_there(rng):
    """Each with the part that makes it, which later parts need not wait for; the next iteration's first part does."""
    build = Builder((4, 8, 8), rng)
    build.conv("wide", INPUT, 96, 3, density=0.5)
    program = run(build.network(), replace(SMALL, WgtBanks=1, WgtDepth=110), 1, rng)
    assert len(program.results) == len(program.layers) > 2
    for number, transfer in enumerate(program.results):
        assert transfer.part == program.layers[number].part
        assert transfer.waits[LAYERS] == Wait(number + 1)
    first, *others = (step.waits[RESULTS] for step in program.layers)
    assert first == Wait(len(program.results), True)
    assert all(not wait.count or wait.previous for wait in others)


def test_ways_of_cutting_and_the_search_among_them(rng):
    """Parts of equal length, or each half of what is left; what is chosen layer by layer beats each way alone."""
    build = Builder((4, 8, 8), rng)
    x = build.conv("wide", INPUT, 96, 3, density=0.5)
    build.conv("deep", x, 40, 1, density=0.5)
    config = replace(SMALL, WgtBanks=1, WgtDepth=400)  # 36 vectors of a chunk of "wide", 96 of one of "deep"
    network = build.network()
    compiler = Compiler(network, config, 1, network.example)
    chunks = {way: compiler._parts(way)["wide", 0].sizes for way in (Way(1), Way(4), Way(4, True), Way(1, True))}
    of_equal, of_taper = chunks[Way(4)], chunks[Way(1, True)]
    assert all(sum(sizes) == 96 for sizes in chunks.values())
    assert max(chunks[Way(4)]) // 8 == max(chunks[Way(4, True)]) // 8 == 400 // 4 // 36
    assert max(of_equal) - min(of_equal) <= 8
    assert all(size == 8 * -(-sum(of_taper[n:]) // 16) for n, size in enumerate(of_taper))
    best = compiler.time(compiler.compile()).per_image
    for way in (Way(1), Way(2), Way(3), Way(4), Way(1, True), Way(3, True)):
        alone = compiler._attempt(compiler._parts(way), (Stretch(0, 2, 1),))
        assert alone is None or best <= alone.cycles


def waits_for_the_one_before(program):
    """By number of a layer, but for the first, whether it may not be open beside the one before it."""
    waits = [step.waits[LAYERS] for step in program.layers]
    return {n: wait.count == n and not wait.previous for n, wait in enumerate(waits) if n}


def test_neighbours_wait_for_each_other_only_if_they_must(rng):
    """Images take turns, so that in a batch neighbours are independent and, with ample memory, lie apart; of one image
    those wait that read what the one before makes."""
    network = networks.build("tiny")
    assert not any(waits_for_the_one_before(run(network, SMALL, 3, rng)).values())
    program = run(network, SMALL, 1, rng)
    for number, waits in waits_for_the_one_before(program).items():
        step, before = program.layers[number], program.layers[number - 1]
        reads = [part.tensor for part in (step.source, step.residual) if part is not None]
        assert waits == (before.part.tensor in reads), (step.node, before.node)


def test_parts_append_side_by_side(rng):
    """Parts of one tensor wait for each other neither for its section nor for anything else."""
    config = replace(SMALL, WgtBanks=1, WgtDepth=320, ParDepth=32)
    program = run(networks.build("tiny"), config, 1, rng)
    found = [
        waits
        for number, waits in waits_for_the_one_before(program).items()
        if program.layers[number].descriptor.out_append
        and program.layers[number].node == program.layers[number - 1].node
    ]
    assert found and not any(found)


def test_places_that_are_kept_apart_and_that_cannot_be():
    needs = [Need(4, 0, 1, apart=1), Need(4, 1, 2), Need(4, 2, 3)]
    apart, close = (pack(needs, 3, memory) for memory in (8, 7))
    assert apart == Packed([0, 4, 0], 0) and close == Packed([0, 0, 0], 1)
    assert pack(needs, 3, 3) is None


def test_places_are_found_in_another_order():
    """The largest first, and in order, leave no room for the last, which then comes first."""
    needs = [Need(2, 1, 4), Need(2, 0, 2), Need(3, 2, 5), Need(2, 1, 2)]
    assert pack(needs, 8, 6) == Packed([4, 0, 0, 2], 0)
    assert pack(needs, 8, 5) is None


def test_a_load_passes_one_that_waits_if_it_is_done_by_then():
    """The second waits for three layers. The third may begin behind the first and does not hold it up; not so if it
    takes longer, or waits for a layer that uses the second."""
    layers, beats = [100] * 6, 200 - BEGIN[0]
    first, waits = Load(50, -5, 0), Load(10, 3, 4)
    fast, slow, later = Load(beats, 1, 4), Load(beats + 1, 1, 4), Load(1, 5, 5)
    for passing, expected in ((fast, [0, 2, 1]), (slow, [0, 1, 2]), (later, [0, 1, 2])):
        assert list(load_order([first, waits, passing], layers)) == expected


def test_loads_pass_and_results_stay_the_networks(rng):
    """An average pool's parameters fill the Parameter Memory, so they wait for the last layer; the weights behind them
    need not."""
    build = Builder((8, 12, 12), rng, count=3)
    made = build.conv("conv", INPUT, 64, 3, density=0.5)
    build.conv("fc", build.average("mean", made), 32, 1)
    program = run(build.network(), replace(SMALL, ParDepth=64), 2, rng)
    loads = [(load.node, load.parameters) for load in program.weights]
    assert loads.index(("fc", False)) < loads.index(("mean", True))


def test_the_order_of_calibration_images_does_not_matter(rng):
    """A layer's cycles are those of the image that is nearest to all of them."""
    network = networks.build("tiny")
    some = images_of(network, 5, rng)
    some[INPUT][0] = 0
    programs = [compile_network(network, SMALL, 1, {INPUT: images}) for images in (some[INPUT], some[INPUT][::-1])]
    assert programs[0].layers == programs[1].layers


def test_sets_of_weights_take_turns_at_the_ends():
    """Of two that fill the memory one can be loaded while the other is used; what is left is for a third."""
    sets = Sets(100)
    assert [sets.place(name, 45, step) for step, name in enumerate("abcd")] == [(0, 1), (55, 1), (0, 1), (55, 1)]
    assert sets.place("d", 45, 4) == (55, False) and sets.place("e", 10, 5) == (45, True)
    assert sets.place("c", 45, 6) == (0, False)
    assert sets.place("f", 55, 7) == (45, True)  # in place of "d" and "e"
    assert [sets.place(name, 1, 8)[1] for name in "ced"] == [False, True, True]


def test_stretches_between_two():
    """A third one, cut where one tensor is read by later layers, its groups larger than the first's."""
    graph = read(networks.build("tiny"))
    two = Stretch(0, 3, 1), Stretch(3, len(graph.layers), 8)
    three = list(between(graph, two, 8, set()))
    assert {stretches[1].group for stretches in three} == {2, 4}
    for stretches in three:
        assert [stretch.group for stretch in stretches] == sorted(stretch.group for stretch in stretches)
        ends = [stretch.first for stretch in stretches], [stretch.last for stretch in stretches]
        assert ends[0] == [0, *ends[1][:-1]] and ends[1][-1] == len(graph.layers)
    assert not list(between(graph, (Stretch(0, len(graph.layers), 8),), 8, set()))


def test_images_follow_each_other_with_a_lag():
    """Of a group each image so many layers behind the one before, the later ones first; then the next group."""
    turns = [(layer, *images) for layer, images in Stretch(2, 5, 2, lag=2).turns(4)]
    first = [(2, 0), (3, 0), (2, 1), (4, 0), (3, 1), (4, 1)]
    assert turns == first + [(layer, image + 2) for layer, image in first]
    together = [(layer, [*images]) for layer, images in Stretch(2, 4, 2).turns(4)]
    assert together == [(2, [0, 1]), (3, [0, 1]), (2, [2, 3]), (3, [2, 3])]


def test_an_image_begins_before_the_one_before_has_ended(rng):
    """Where memory is too small for images that take turns; the less there is of it the later."""
    begins = []
    for depth in (24, 14):
        program = run(networks.build("tiny"), replace(SMALL, IdxDepth=depth), 3, rng)
        order = [step.part.image for step in program.layers]
        begins.append(order.index(1))
        assert order[: begins[-1]].count(0) < order.count(0), "image 0 has not ended"
    assert 1 < begins[0] < begins[1]


def test_an_input_comes_in_few_beats(rng):
    """Of a single image its load is waited for: blocks of 64 positions, where rows would leave lines half empty."""
    build = Builder((1, 16, 40), rng)
    build.conv("first", INPUT, 8, 1)
    program = compile_network(build.network(), SMALL, 1, build.network().example)
    assert program.activations[0].lines == 10


def test_parts_along_c(rng):
    """A chunk whose weights exceed the memory runs in parts that keep their sums, one image after the other."""
    for batch, depth in ((1, 100), (2, 60), (2, 13)):
        program = run(networks.build("tiny"), replace(SMALL, WgtBanks=1, WgtDepth=depth, PrgDepth=4096), batch, rng)
        keeps = [step for step in program.layers if step.descriptor.keep_slot]
        assert keeps and {step.descriptor.residual for step in keeps} == {0}
        assert sum(step.descriptor.continue_slot for step in program.layers) == len(keeps)
        for step, following in pairwise(program.layers):
            if step.descriptor.keep_slot:
                assert following.part == step.part and following.source.first == step.source.last
        assert any(step.descriptor.residual and step.descriptor.continue_slot for step in program.layers)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"IdxDepth": 4}, r"network does not fit: \d+ lines of .* the Index Memory holds at most 32"),
        ({"ActDepth": 12}, r"network does not fit: \d+ words of .* the Activation Memory holds at most 96"),
        ({"WgtBanks": 1, "WgtDepth": 8}, r"\d+ weight vectors of one chunk, .* 8, less than the 9 of a channel"),
        (
            {"WgtBanks": 1, "WgtDepth": 20, "NumStage": 1, "NumSp": 1},
            r"in parts along C its \d+ tiles are more than the 1 ",
        ),
        ({"ParDepth": 4}, r": 8 output channels of one chunk, the Parameter Memory holds at most 4"),
    ],
)
def test_memories_too_small(sizes, message):
    network = networks.build("tiny")
    with pytest.raises(ValueError, match=message):
        compile_network(network, replace(SMALL, **sizes), 1, network.example)


@pytest.mark.parametrize("depth", [150, 110])
def test_memory_that_is_barely_enough(depth, rng):
    """Sections have little more than what calibration saw."""
    run(networks.build("tiny_branches"), replace(SMALL, ActDepth=depth), 2, rng, orders=1)


def test_sections_have_room_for_other_inputs(rng):
    """Also in the smallest memory that is enough."""
    build = Builder((8, 48, 48), rng, 2)
    x = build.conv("first", INPUT, 16, 1, density=0.5)
    x = build.conv("second", x, 16, 1, density=0.5, residual=x)
    build.conv("third", x, 4, 1, density=0.5)
    network = build.network()
    calibration, small, large = images_of(network, 1, rng), 680, 760
    program = compile_network(network, replace(SMALL, ActDepth=large), 1, calibration)
    while large - small > 8:
        depth = (small + large) // 2
        try:
            program, large = compile_network(network, replace(SMALL, ActDepth=depth), 1, calibration), depth
        except ValueError as error:
            assert "does not fit" in str(error)
            small = depth
    tensors = program.network.run(calibration)
    for step in program.layers:
        tensor, d = tensors[step.part.tensor][:, :, step.part.top : step.part.bottom], step.descriptor
        enough = min(dense_words(tensor.shape[1:], d.tile), int(1.04 * words_of(tensor, d.tile)))
        assert d.out_act_limit - d.out_act_base >= enough, step.node


@pytest.mark.parametrize("sizes", [{"IdxDepth": 40}, {"ActDepth": 170}], ids=["index", "words"])
def test_tensors_too_large_run_in_strips(sizes, rng):
    """A chain with strides and uneven padding, of which only strips exist between its ends; another input behind it."""
    build = Builder((2, 90, 8), rng, 2)
    x = build.conv("first", INPUT, 12, 3, mode=(1, 1), density=0.7)
    x = build.conv("second", x, 12, (5, 3), padding=(2, 1, 1, 1), density=0.7)
    x = build.max_pool("pool", x, 3, stride=(2, 2), padding=(1, 1, 1, 1))
    x = build.conv("last", build.conv("mid", x, 8, 3, stride=(2, 1), density=0.5), 4, 1)
    build.conv("end", x, 4, 1, residual=build.input("other", build.tensors[x].shape[1:]))
    program = run(build.network(), replace(SMALL, PrgDepth=4096, **sizes), 2, rng)
    for name in ("first", "second", "pool"):
        assert len({step.part.top for step in program.layers if step.node == name}) > 1
    assert any(step.descriptor.out_append and step.part.top for step in program.layers)


def test_strips_calculate_little_twice(rng):
    """Chains are joined where the tensor between them leaves room for thin strips alone."""
    build = Builder((1, 64, 8), rng, 2)
    x = build.conv("first", INPUT, 16, 3, padding=(1, 1, 1, 1))
    x = build.conv("second", x, 8, 3, padding=(1, 1, 1, 1))
    build.conv("end", build.max_pool("pool", x, 2, stride=(2, 2)), 4, 1)
    graph = read(build.network())
    cycles = {"first": 100, "second": 800, "pool": 10, "end": 30}
    blocks = dict.fromkeys((INPUT, *cycles), LineShape(1, 8))
    memories = {"IdxBanks": 1, "ActBanks": 1, "ActDepth": 1}
    strips = Planner(graph, replace(SMALL, IdxDepth=2200, **memories), {}, blocks, cycles)
    assert strips.plan() == Strips()
    strips = Planner(graph, replace(SMALL, IdxDepth=880, **memories), {}, blocks, cycles)
    fitting = [(found.chains, found.of("second")) for found, fits in strips.candidates() if fits]
    (chains, many), (longer, few), *_ = fitting
    assert chains == [["first", "second"], ["pool", "end"]] and longer == [["first", "second", "pool", "end"]]
    assert many > 2 * few and strips.plan().of("second") == few


def keeps_to_its_waits(program, times):
    """Descriptors follow each other, and those of the last iteration what they wait for."""
    last = times.iterations - 1
    for engine, (steps, spans) in enumerate(zip(program.engines, times.spans, strict=True)):
        assert len(spans) == times.iterations * len(steps)
        assert all(begin < end for begin, end in spans) and all(a[1] <= b[1] for a, b in pairwise(spans))
        assert all(a[1] <= b[0] for a, b in zip(spans, spans[OPEN[engine] :], strict=False))
        for number, step in enumerate(steps):
            for other, wait in enumerate(step.waits):
                if wait.count:
                    at = (last - wait.previous) * len(program.engines[other]) + wait.count - 1
                    assert times.spans[other][at][1] <= spans[last * len(steps) + number][0], (engine, number, other)


def test_predictions(rng):
    """On the calibration's image the cycles are those predicted, but that tensors lie in other banks now; the timeline
    follows from them and the waits."""
    network = networks.build("tiny")
    compiler = Compiler(network, SMALL, 2, network.example)
    program = compiler.compile().with_images(taken(network.example, [0, 0]))
    for step, found in zip(program.layers, actual(program, SMALL), strict=True):
        assert found.cycles == pytest.approx(step.predicted, rel=0.005)
        assert found.tail == pytest.approx(step.tail, abs=0.005 * step.predicted)
    times = compiler.time(program, 3)
    keeps_to_its_waits(program, times)
    assert times.cycles == max(spans[-1][1] for spans in times.spans) and times.per_image * 6 == times.cycles
    table, places = layers_table(program, times), memory_map(program)
    assert all(f"| {node.name} |" in table and f"| {node.name} | 1 |" in places for node in network.nodes)


def inputs_that_meet(rng, *outputs):
    """Two inputs that are added, one that is read late as part of a concatenation, and one that nothing reads."""
    build = Builder((2, 10, 10), rng, 2)
    for name, shape in (("other", (4, 10, 10)), ("late", (3, 5, 5)), ("unread", (1, 3, 3))):
        build.input(name, shape)
    first = build.conv("first", INPUT, 8, 3, density=0.6)
    second = build.conv("second", "other", 8, 3, density=0.6, residual=first)
    pool = build.max_pool("pool", second, 2, stride=(2, 2))
    both = build.concat("both", pool, "late")
    build.conv("last", build.conv("third", both, 8, 3, density=0.5), 4, 1)
    return build.network(*outputs)


@pytest.mark.parametrize("outputs", [(), ("both",)], ids=["inside", "result"])
@pytest.mark.parametrize("batch", [1, 2, 3])
def test_several_inputs(batch, outputs, rng):
    """Each image of each input is loaded once, in the order in which layers read them, and read when it is there."""
    network = inputs_that_meet(rng, *outputs)
    program = run(network, SMALL, batch, rng)
    loaded = [(load.part.tensor, load.part.image) for load in program.activations]
    assert sorted(loaded) == sorted((name, n) for name in (INPUT, "other", "late") for n in range(batch))
    names = list(dict.fromkeys(name for name, _ in loaded))
    assert names == [INPUT, "other", "late"]
    waits = {step.node: step.waits[1] for step in program.layers if step.part.image == 0}
    for node, name in (("first", INPUT), ("second", "other")):
        assert waits[node].count == 1 + loaded.index((name, 0)) and not waits[node].previous
    # As a result the concatenation is made by layers alone.
    copies = [step.node for step in program.layers if step.node == "late for both 1"]
    assert len(copies) == (batch if outputs else 0)
    places = memory_map(program)
    assert all(f"| {name} | {n} |" in places for name, n in loaded) and "unread" not in places


def test_several_inputs_in_little_memory(rng):
    """Places are used again, by inputs too; the file keeps all of it."""
    network = inputs_that_meet(rng)
    program = run(network, replace(SMALL, ActDepth=40, IdxDepth=16, WgtDepth=200), 2, rng)
    assert any(load.waits[LAYERS].count for load in program.activations)


def test_an_input_that_is_read_late_is_not_in_the_way(rng):
    """Images may take turns in groups up to where it is read, in others from there on."""
    found = list(orders(read(inputs_that_meet(rng)), 2, set()))
    assert (Stretch(0, 3, 1), Stretch(3, 5, 2)) in found
    assert (Stretch(0, 1, 1), Stretch(1, 5, 2)) in found


def test_file_with_several_inputs(tmp_path, rng):
    program = run(inputs_that_meet(rng), SMALL, 1, rng)
    program.save(tmp_path / "p.npz")
    loaded = Program.load(tmp_path / "p.npz")
    assert list(loaded.images) == list(program.images) == [INPUT, "other", "late", "unread"]
    interpreter.run(loaded, SMALL, rng)
    with pytest.raises(ValueError, match="^images: 1 of input, 2 of other, 1 of late, 1 of unread, expected as many"):
        program.with_images(taken(program.images, [0]) | {"other": program.images["other"][:2]})


def test_plans_follow_from_calibration_alone(rng):
    """Other images to run change nothing but the images."""
    network = networks.build("tiny")
    calibration = images_of(network, 2, rng)
    one, other = (
        compile_network(network, SMALL, 1, calibration).with_images(images_of(network, 1, rng)) for _ in range(2)
    )
    assert one.engines == other.engines
