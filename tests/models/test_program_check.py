# SPDX-License-Identifier: Apache-2.0
"""The checker of programs: good ones pass, and each that is spoilt in one place is refused."""

from dataclasses import replace

import pytest

from models import networks
from models.compiler import compile_network
from models.config import load_config
from models.network import taken
from models.program import ENGINES, NO_WAITS, Wait
from models.program_check import check, replay

# Little memory, so that everything is used several times.
CONFIG = replace(load_config("small"), WgtBanks=1, WgtDepth=160, ParDepth=20, ActDepth=40, IdxDepth=20)


@pytest.fixture(scope="module")
def program():
    network = networks.build("tiny")
    return compile_network(network, CONFIG, 2, network.example)


def with_step(program, engine, number, **changes):
    """The program with one descriptor changed."""
    steps = list(program.engines[ENGINES.index(engine)])
    steps[number] = replace(steps[number], **changes)
    return replace(program, **{engine: tuple(steps)})


def refused(program):
    """The message, or None for a program that passes."""
    try:
        check(program, CONFIG)
    except ValueError as error:
        return str(error)
    return None


def single_waits(program):
    """Every wait: engine, descriptor, engine waited for."""
    for engine, steps in zip(ENGINES, program.engines, strict=True):
        for number, step in enumerate(steps):
            for other, wait in enumerate(step.waits):
                if wait.count:
                    yield engine, number, other


def test_good_program(program):
    assert refused(program) is None
    assert len(list(single_waits(program))) > 60
    assert any(wait.previous for step in program.weights for wait in step.waits)


def test_every_wait_is_needed_or_implied(program):
    """Without one of its waits a program is refused, but where others say the same."""
    clocks = {(e.engine, e.iteration, e.number): e.clock for e in replay(program, 3)}
    refusals = 0
    for engine, number, other in single_waits(program):
        waits = list(program.engines[ENGINES.index(engine)][number].waits)
        waits[other] = Wait()
        mutant = with_step(program, engine, number, waits=tuple(waits))
        message = refused(mutant)
        same = all(clocks[e.engine, e.iteration, e.number] == e.clock for e in replay(mutant, 3))
        assert (message is None) == same, (engine, number, other, message)
        if message:
            refusals += 1
            assert "and no wait says that" in message or "where there is" in message
    assert refusals > 25


@pytest.mark.parametrize("engine", ENGINES)
def test_no_waits_at_all(program, engine):
    steps = tuple(replace(step, waits=NO_WAITS) for step in program.engines[ENGINES.index(engine)])
    assert refused(replace(program, **{engine: steps}))


def test_fewer_than_needed(program):
    """A wait for one descriptor fewer, where it is the last one that matters."""
    number, step = next((n, s) for n, s in enumerate(program.layers) if s.waits[0].count > 1)
    waits = (replace(step.waits[0], count=step.waits[0].count - 1), *step.waits[1:])
    message = refused(with_step(program, "layers", number, waits=waits))
    assert message and f"layers {number} ({step.node}, image {step.part.image})" in message


@pytest.mark.parametrize("shift", [-1, 1])
def test_shifted_weights(program, shift):
    """Loads and layers whose weights or parameters lie elsewhere than the others think, all of them."""
    for number, load in enumerate(program.weights):
        assert refused(with_step(program, "weights", number, base=load.base + shift)), number
    for number, step in enumerate(program.layers):
        for name in ("wgt_base", "par_base"):
            d = replace(step.descriptor, **{name: getattr(step.descriptor, name) + shift})
            message = refused(with_step(program, "layers", number, descriptor=d))
            assert message and f"layers {number} ({step.node}" in message, (number, name)


@pytest.mark.parametrize("shift", [-1, 1])
def test_shifted_lines(program, shift):
    """Tensors that are written or read elsewhere."""
    for number, load in enumerate(program.activations):
        moved = replace(load.part, base=load.part.base + shift)
        assert refused(with_step(program, "activations", number, idx_base=moved.base, part=moved)), number
        assert refused(with_step(program, "activations", number, idx_base=moved.base)), number
    for number, transfer in enumerate(program.results):
        moved = replace(transfer.part, base=transfer.part.base + shift)
        assert refused(with_step(program, "results", number, idx_base=moved.base, part=moved)), number
    for number, step in enumerate(program.layers):
        for name, field in (("part", "out_idx_base"), ("source", "in_idx_base"), ("residual", "res_idx_base")):
            part = getattr(step, name)
            if part is None:
                continue
            moved = replace(part, base=part.base + shift)
            d = replace(step.descriptor, **{field: moved.base})
            assert refused(with_step(program, "layers", number, descriptor=d, **{name: moved})), (number, name)


def test_sections_of_others(program):
    """A layer that writes over what it reads."""
    for number, step in enumerate(program.layers):
        writer = next(
            (
                other
                for other in reversed(program.layers[:number])
                if other.part.base == step.source.base and other.node != step.node
            ),
            None,
        )
        if writer is not None and writer.part.image == step.part.image:
            place = {"out_act_base": writer.descriptor.out_act_base, "out_act_limit": writer.descriptor.out_act_limit}
            assert refused(with_step(program, "layers", number, descriptor=replace(step.descriptor, **place))), number


def test_section_that_another_began(program):
    number = next(n for n, step in enumerate(program.layers) if step.descriptor.out_append)
    d = program.layers[number].descriptor
    message = refused(with_step(program, "layers", number, descriptor=replace(d, out_section=d.out_section % 31 + 1)))
    assert message and "appends to section" in message


def test_a_section_begun_anew_while_it_is_written(program):
    """Of two layers that are open together none may begin the other's section."""
    found = []
    for number in range(1, len(program.layers)):
        first, before = program.layers[number].descriptor, program.layers[number - 1].descriptor
        if not first.out_append and first.out_section != before.out_section:
            new = replace(first, out_section=before.out_section)
            message = refused(with_step(program, "layers", number, descriptor=new)) or ""
            words = f"begins section {before.out_section} anew, and no wait says that layers {number - 1}"
            found.append(words in message)
    assert any(found) and not all(found)  # others wait for the layer before, or have parts that append


def test_kept_slots():
    """Parts along C follow one another, on all channels in turn, and have no more jobs than there are slots."""
    config = replace(CONFIG, WgtDepth=60)
    network = networks.build("tiny")
    program = compile_network(network, config, 2, network.example)
    check(program, config)
    middle = next(n for n, step in enumerate(program.layers) if step.descriptor.continue_slot)
    first, step = program.layers[middle - 1], program.layers[middle]
    other = next(found for found in program.layers if found.node == step.node and found.part.image != step.part.image)
    spoilt = {
        "does not continue the slots": {"descriptor": replace(step.descriptor, continue_slot=0)},
        "begins with input channel": {"source": first.source},
        "keeps none of its outputs": {"part": other.part},
    }
    for words, change in spoilt.items():
        with pytest.raises(ValueError, match=words):
            check(with_step(program, "layers", middle, **change), config)
    with pytest.raises(ValueError, match="keeps none of its outputs"):
        lonely = replace(program.layers[0].descriptor, continue_slot=1)
        check(with_step(program, "layers", 0, descriptor=lonely), config)
    with pytest.raises(ValueError, match="slots that keep sums"):
        many = replace(first.descriptor, chunks=config.slots + 1)
        check(with_step(program, "layers", middle - 1, descriptor=many), config)


def test_beyond_a_memory(program):
    """A program for a larger memory."""
    for field in ("WgtDepth", "ParDepth", "IdxDepth", "ActDepth"):
        with pytest.raises(ValueError, match="the memory has"):
            check(program, replace(CONFIG, **{field: 4}))


def test_standstill_names_the_engines(program):
    """A load that waits for a layer that needs it."""
    waits = (Wait(), Wait(), Wait(len(program.layers)), Wait())
    message = refused(with_step(program, "weights", 0, waits=waits))
    last = len(program.layers)
    assert message and message.startswith("program: stands still: weights 0 of iteration 0 waits for")
    assert f"{last} of layers in iteration 0, of which 0 have retired" in message
    assert "layers 0 of iteration 0 waits for" in message


def test_standstill_over_iterations(program):
    """Waiting for more than the iteration before has."""
    waits = (Wait(), Wait(), Wait(len(program.layers) + 1, True), Wait())
    message = refused(with_step(program, "weights", 0, waits=waits))
    assert message and "weights 0 of iteration 1 waits for" in message


def test_one_iteration_suffices_for_one(program):
    """What goes wrong between iterations does not matter in a run of one."""
    spoilt = replace(
        program,
        weights=tuple(
            replace(step, waits=tuple(Wait() if wait.previous else wait for wait in step.waits))
            for step in program.weights
        ),
    )
    assert refused(spoilt)
    images = taken(program.network.example, [0, 0])
    assert refused(spoilt.with_images(images)) is None
