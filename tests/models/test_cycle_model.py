# SPDX-License-Identifier: Apache-2.0
import dataclasses
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from models import cycle_model, km, masks, planner, tiling, work
from models.config import load_config
from models.cycles import slots, state
from models.layer import Layer
from models.lines import LineShape, default_shape
from models.tiling import Cut

ROOT = Path(__file__).resolve().parents[2]
RTL = ROOT / "rtl"


def make(rng, chw=(16, 14, 14), krs=(32, 3, 3), k=2, m=4, skip=True, density=0.4, stride=(1, 1)):
    channels = krs[0]
    magnitudes = rng.integers(1, 9, (channels, chw[0], *krs[1:])).astype(np.int8)
    return Layer(
        activations=masks.activations(masks.clustered(chw, density, rng), rng, False),
        weights=km.project(magnitudes, k, m, 0),
        bias=np.zeros(channels, np.int32),
        multiplier=np.ones(channels, np.int32),
        shift=np.ones(channels, np.int32),
        stride=stride,
        padding=(1, 1, 1, 1),
        k=k,
        m=m,
        skip=skip,
    )


def predict(config, layer, cut):
    plan = tiling.make_plan(config, layer, cut)
    measured = work.measure(plan.descriptor, layer)
    return measured, cycle_model.predict(plan, measured)


@pytest.mark.parametrize("name", ["small", "medium", "paper"])
@pytest.mark.parametrize("k,m,skip", [(1, 1, False), (2, 4, True), (1, 4, True)])
@pytest.mark.parametrize("splits", [1, 4, 16])
def test_every_cycle_has_its_place(name, k, m, skip, splits, rng):
    config = load_config(name)
    layer = make(rng, k=k, m=m, skip=skip)
    measured, found = predict(config, layer, Cut(default_shape(14, 14), LineShape(2, 14), splits))
    states = (found.busy, found.no_weight, found.no_activation, found.drain, found.no_unit)
    assert min(states) >= 0 and sum(states) == config.NumPe * found.cycles
    assert found.busy == measured.emissions.sum() * -(-32 * k // m // config.NumLanes)
    assert found.utilization == found.macs / (found.cycles * config.NumPe * config.NumLanes)
    assert found.macs <= found.busy * config.NumLanes
    assert found.cycles >= found.busy / config.NumPe
    drains = splits * sum(-(-measured.positions * m // (4 * k))) * -(-32 * k // m // config.NumLanes)
    assert found.drain >= drains
    # Every pass fetches one vector, and every line one entry, alone or with others.
    passes = np.count_nonzero(measured.emissions) * -(-32 * k // m // config.NumLanes)
    assert found.wgt_reads + found.wgt_hits == passes


def test_one_processing_element_by_hand(rng):
    """One unit on one PE without any stall: emissions, and a start and an end that do not grow with the work."""
    config = dataclasses.replace(load_config("small"), NumPe=1)
    for channels in (4, 64):
        layer = make(rng, (channels, 8, 8), (4, 3, 3), k=1, m=1, density=1.0)
        _, found = predict(config, layer, Cut(LineShape(8, 8), LineShape(8, 8)))
        assert found.busy == channels * (8 * 3 - 2) ** 2
        assert 0 < found.cycles - found.busy < 150
        assert found.no_weight <= 3  # until the first vector is there


def test_dense_baseline_is_near_its_ideal(rng):
    layer = make(rng, (8, 16, 16), (64, 3, 3), k=1, m=1, skip=False)
    config = load_config("medium")
    plan = planner.choose_plan(config, layer)
    found = cycle_model.predict(plan, work.measure(plan.descriptor, layer))
    ideal = 64 * 8 * 9 * 16 * 16 / (config.NumPe * config.NumLanes)
    assert ideal * 0.9 < found.cycles < ideal * 1.15  # padding is skipped


def test_weight_bandwidth_limits_short_passes(rng):
    """8 PEs with vectors of their own on one bank: one pass a cycle."""
    config = dataclasses.replace(load_config("small"), NumPe=8, WgtBanks=1, WgtDepth=8192)
    layer = make(rng, (64, 2, 2), (32, 3, 3), k=1, m=1, density=1.0)
    _, found = predict(config, layer, Cut(LineShape(2, 2), LineShape(1, 1)))
    reads = found.wgt_reads
    assert found.cycles >= reads and found.no_weight > 0.1 * 8 * found.cycles


def test_more_staging_never_hurts_much(rng):
    layer = make(rng, (64, 14, 14), (64, 3, 3))
    cycles = []
    for staging in (2, 4, 8):
        config = dataclasses.replace(load_config("paper"), NumStage=staging)
        cycles.append(predict(config, layer, Cut(default_shape(14, 14), LineShape(2, 14), 8))[1].cycles)
    assert cycles[1] <= 1.02 * cycles[0] and cycles[2] <= 1.02 * cycles[0]


@pytest.mark.parametrize("name", ["small", "medium"])
@pytest.mark.parametrize(
    "chw,krs,stride",
    [((3, 7, 7), (5, 3, 3), (2, 2)), ((20, 9, 70), (40, 1, 5), (1, 2)), ((1, 1, 1), (1, 1, 1), (1, 1))],
)
def test_planner_is_no_worse_than_the_obvious_cut(name, chw, krs, stride, rng):
    config = load_config(name)
    layer = make(rng, chw, krs, stride=stride)
    plan = planner.choose_plan(config, layer)
    chosen = cycle_model.predict(plan, work.measure(plan.descriptor, layer)).cycles
    obvious = tiling.tile_candidates(config, layer)[0]
    _, found = predict(config, layer, Cut(default_shape(*chw[1:]), obvious))
    assert chosen <= 1.1 * found.cycles


FIGURES = "cycles busy no_weight no_activation drain no_unit wgt_reads wgt_hits act_reads act_hits idx_reads idx_hits"
PINNED = [  # configuration, mode, skip, splits, whether it is a pool, FIGURES
    ("small", (2, 4), True, 1, False, [10970, 40948, 384, 1326, 1042, 180, 5752, 0, 2728, 12, 1638, 26]),
    ("medium", (1, 1), False, 4, False, [6787, 102400, 55, 798, 4283, 1056, 8064, 0, 2724, 16, 1660, 4]),
    ("paper", (1, 4), True, 2, False, [936, 10237, 251, 1804, 1155, 46457, 1266, 172, 446, 239, 188, 228]),
    ("paper", (2, 4), True, 1, False, [1152, 10237, 97, 649, 293, 62452, 1319, 119, 500, 185, 209, 207]),
    ("medium", (1, 1), True, 1, True, [757, 4815, 49, 711, 179, 6358, 80, 5, 431, 8, 152, 16]),
]


@pytest.mark.parametrize("name,mode,skip,splits,pool,figures", PINNED)
def test_predictions_stay(name, mode, skip, splits, pool, figures):
    """Figures as they were predicted before, whatever becomes of the model's form."""
    rng, config = np.random.default_rng(7), load_config(name)
    if pool:
        x = masks.activations(masks.clustered((24, 14, 14), 0.5, rng), rng, False)
        layer = Layer.pool("max_pool", x, (3, 3), stride=(2, 2), padding=(1, 1, 1, 1))
    else:
        layer = make(rng, k=mode[0], m=mode[1], skip=skip)
    _, found = predict(config, layer, Cut(default_shape(14, 14), LineShape(2, 7), splits))
    values = dataclasses.asdict(found)
    assert [values[figure] for figure in FIGURES.split()] == figures


PROGRAM = """
from models import cycle_model, tiling, work
from models.config import load_config
from models.layer import Layer
from models.lines import LineShape
import numpy as np
layer = Layer.pool("max_pool", np.ones((4, 8, 8), np.uint8), (2, 2), stride=(2, 2))
plan = tiling.make_plan(load_config("small"), layer, tiling.Cut(LineShape(8, 8), LineShape(4, 4)))
cycle_model.predict(plan, work.measure(plan.descriptor, layer))
"""


def test_the_model_is_compiled_once(rng):
    """Another process takes what this one has compiled."""
    predict(load_config("small"), make(rng), Cut(default_shape(14, 14), LineShape(2, 14)))
    found = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT,
        env=os.environ | {"NUMBA_DEBUG_CACHE": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert found.returncode == 0, found.stderr
    assert "data loaded from" in found.stdout and "data saved to" not in found.stdout, found.stdout


@pytest.mark.parametrize(
    "depth,module,parameter,more",
    [
        ("LINES", "line_fetch", "LineDepth", 0),
        ("WORDS", "line_fetch", "WordDepth", 0),
        ("ENTRIES", "line_walk", "IdxDepth", 0),
        ("PIECES", "region_loader", "PieceDepth", 0),
        ("SEGMENTS", "scanner", "FifoDepth", 1),
        ("HELD_LINES", "streaming_processor", "ResDepth", 0),
    ],
)
def test_queues_are_as_deep_as_in_the_rtl(depth, module, parameter, more):
    (path,) = RTL.glob(f"*/spcore_{module}.sv")
    found = re.search(rf"param\w* int unsigned {parameter}\s*=\s*(\d+)", path.read_text())
    assert getattr(state, depth) == int(found[1]) + more
    assert all(f".{parameter}(" not in path.read_text() for path in RTL.glob("*/*.sv")), "an instance has its own depth"


@pytest.mark.parametrize("words,lines", [(0, 10), (7, 10), (35, 10), (70, 10), (80, 10)])
def test_drawn_lengths_have_the_mean(words, lines):
    seed, found = 0, []
    for _ in range(20_000):
        found.append(slots.draw.py_func(seed, words, lines))
        seed = slots.following.py_func(seed)
    assert set(found) <= set(range(9))
    assert np.mean(found) == pytest.approx(words / lines, abs=0.05)
    assert len(set(found)) > 2 or words in (0, 8 * lines)


def residual_cycles(rng, config, channels, words):
    """Cycles of a layer of one product each output: it waits for its residual's lines, of 8 * ``words`` values."""
    shape = (channels, 8, 8)
    layer = dataclasses.replace(
        make(rng, (1, 8, 8), (channels, 1, 1), k=1, m=2, density=1.0),
        padding=(0, 0, 0, 0),
        shift=np.full(channels, 9, np.int32),
        residual=np.broadcast_to(np.arange(64).reshape(8, 8) < 8 * words, shape).astype(np.uint8),
        residual_multiplier=1,
        residual_shift=9,
    )
    return predict(config, layer, Cut(LineShape(8, 8), LineShape(8, 8)))[1].cycles


def test_residual_lines(rng):
    """A streaming processor has eight under way, each for twelve cycles; two of them share a read a cycle. Some cycles
    are lost between slots."""
    paper = dataclasses.replace(load_config("paper"), SpLanes=64)
    alone = dataclasses.replace(paper, NumSp=1)
    short, long = (residual_cycles(rng, alone, channels, 0) for channels in (1024, 2048))
    assert 1.5 * 1024 < long - short < 1.7 * 1024
    short, long = (residual_cycles(rng, paper, channels, 0) for channels in (1024, 2048))
    assert 1024 < long - short < 1.2 * 1024
    # Where lines have more words, reads wait for writes.
    few, all_of_them = (residual_cycles(rng, paper, 2048, words) for words in (1, 8))
    assert 1.05 * few < all_of_them < 1.5 * few


def test_planner_says_what_does_not_fit(rng):
    config = dataclasses.replace(load_config("small"), WgtDepth=2)
    with pytest.raises(ValueError, match="layer does not fit: 576 weight vectors, the Weight Memory holds at most 16"):
        planner.choose_plan(config, make(rng))


def test_a_core_beyond_the_models_places(rng):
    config = dataclasses.replace(load_config("small"), ActBanks=64)
    with pytest.raises(ValueError, match="ActBanks = 64: the cycle model has places for 63"):
        predict(config, make(rng), Cut(default_shape(14, 14), LineShape(2, 14)))
