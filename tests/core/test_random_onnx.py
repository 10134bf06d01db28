# SPDX-License-Identifier: Apache-2.0
"""Random ONNX graphs from the file to the core's results, some in one simulation; a failure shrinks."""

import numpy as np
from hypothesis import given, seed
from hypothesis import strategies as st

from models.compiler import Compiler
from models.config import load_config
from models.importer.passes import bring
from models.network import taken
from tests.importer.test_random_graphs import graphs, model_of, random
from verif.host.core import build_core
from verif.host.programs import run_programs
from verif.host.runner.run import default_seed, rerun_test
from verif.shared.paths import BUILD

CONFIG = "small"
ITERATIONS = 2


def compiled(drawn):
    """What a graph is on the core, its inputs and its program; None for one that is refused, or that does not fit."""
    inputs = drawn.images()
    try:
        found = bring(model_of(drawn), inputs)
        program = Compiler(found.network, load_config(CONFIG), 1, found.examples).compile()
    except ValueError as error:
        assert "\n" not in str(error)
        return None
    some = taken(inputs, slice(ITERATIONS))
    return found, some, program.with_images(found.prepare(some))


@seed(default_seed())
@random(2)
@given(st.lists(graphs(), min_size=4, max_size=8))
def test_random_graphs_on_the_core(drawn):
    """Every line and every result is the integer network's, as the simulation compares."""
    whole = [one for one in map(compiled, drawn) if one]
    if not whole:
        return
    config, rerun = load_config(CONFIG), rerun_test("tests/core/test_random_onnx.py", default_seed())
    directory = BUILD / "program" / f"random-{CONFIG}"
    runs = run_programs(build_core(CONFIG), CONFIG, [one[2] for one in whole], directory, rerun, config.NumPe)
    for (found, inputs, _), (_, sent) in zip(whole, runs, strict=True):
        given_, wanted = found.finish(sent | found.prepare(inputs)), found.run(inputs)
        for name, value in wanted.items():
            np.testing.assert_array_equal(given_[name], value)
