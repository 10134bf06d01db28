# SPDX-License-Identifier: Apache-2.0
"""The models' counts against loops that follow each machine step by step, on layers small enough for it."""

from dataclasses import asdict, replace
from math import ceil

import numpy as np
import pytest

from models import cycle_model, energy, reference
from models.systems import published_networks, sparsecore
from models.systems.cambricon_x import CambriconX
from models.systems.cnvlutin import Cnvlutin
from models.systems.compare import SYSTEMS
from models.systems.dense import Dense
from models.systems.eyeriss import Eyeriss, run_length_pairs
from models.systems.scnn import QUEUE, STEPS, STREAMS, Dcnn, Scnn
from models.systems.sparsecore import SparseCore
from models.systems.system import Workload, run
from verif.host.benchmarks import FIGURE_3, FIGURE_3_DENSE_CYCLES
from verif.host.paper.study import as_workload


@pytest.fixture
def work(rng):
    return make(rng)


def make(rng, channels=24, plane=11, kernel=3, stride=1, padding=1, out=20, groups=1):
    size = (out, channels // groups, kernel, kernel)
    return Workload(
        name="layer",
        activations=rng.random((channels, plane, plane)) < 0.5,
        weights=rng.random(size) < 0.4,
        stride=stride,
        padding=padding,
        groups=groups,
    )


def windows(work):
    """bool (C, R, S) that each output position sees."""
    (ho, wo), (r, s), n = work.out_size, work.weights.shape[2:], work.stride
    return [work.padded[:, y * n : y * n + r, x * n : x * n + s] for y in range(ho) for x in range(wo)]


@pytest.mark.parametrize("stride,groups", [(1, 1), (2, 1), (1, 2)])
def test_useful_products_are_those_of_the_convolution(rng, stride, groups):
    work = make(rng, stride=stride, groups=groups)
    products = 0
    for part in work.parts():
        acc = reference.convolve(
            part.activations.astype(np.uint8), part.weights.astype(np.int8), (stride,) * 2, (part.padding,) * 4
        )
        products += int(acc.sum())
    assert work.useful == products
    for system in SYSTEMS[:-1]:
        result = run(system, work)
        assert result.useful == products
        assert result.multiplications >= products
        assert 0 < result.utilization <= 1


def test_dense_array_takes_the_figure_3_layer_without_an_idle_multiplier():
    work = as_workload(FIGURE_3)
    result = run(Dense(), work)
    assert result.cycles == FIGURE_3_DENSE_CYCLES == work.macs // 1024
    assert result.multiplications == work.macs
    # One vector of 16 weights for 64 positions; an activation for every product of a lane.
    assert result.moved["weights"] == work.macs / 64
    assert result.moved["activations"] == work.macs / 16


@pytest.mark.parametrize("density", [0.0, 0.01, 0.5, 1.0])
def test_run_length_pairs(rng, density):
    mask = rng.random(997) < density
    pairs, run_length = 0, 0
    for value in mask:
        if value or run_length == 31:  # a pair holds a run and the value behind it, which a longer run makes a zero
            pairs, run_length = pairs + 1, 0
        else:
            run_length += 1
    assert run_length_pairs(mask) == pairs + (run_length > 0)


def test_eyeriss_uses_the_pes_that_its_paper_says():
    chip = Eyeriss(rows=12, columns=14)
    parts = [next(published_networks.workload(shape).parts()) for shape in published_networks.shapes("AlexNet")]
    found = [chip.mapping(part).active for part in parts]
    # Strips of 13.75 rows on average where the paper counts the PEs of a whole strip of 14: 154.
    assert found == pytest.approx([11 * 13.75, 135, 156, 156, 156])


def test_cnvlutin_waits_for_the_slowest_lane_of_each_window(rng):
    work = make(rng, channels=40, out=70)
    cycles = 0
    for window in windows(work):
        lanes = [0] * 16
        bricks = [window[z : z + 16, i, j].sum() for i in range(3) for j in range(3) for z in (0, 16, 32)]
        for number, brick in enumerate(bricks):
            lanes[number % 16] += max(1, int(brick))
        cycles += max(lanes)
    assert run(Cnvlutin(), work).cycles == 2 * cycles  # two sets of 64 filters
    assert run(Cnvlutin(skip=False), work).cycles == 2 * len(windows(work)) * 27


def test_cambricon_x_waits_for_the_pe_with_most_weights(rng):
    work = make(rng, channels=40)
    steps = 0
    for first in (0, 16):
        rows = work.weights[first : first + 16].transpose(0, 2, 3, 1).reshape(-1, 360)
        for segment in (rows[:, :256], rows[:, 256:]):
            steps += max(1, max(ceil(count / 16) for count in segment.sum(1)))
    assert run(CambriconX(pes=16), work).cycles == steps * work.positions
    dense = run(CambriconX(pes=16, skip=False), work)
    assert dense.cycles == 2 * 27 * work.positions
    assert dense.multiplications == work.macs


def scnn_by_hand(work, tiles, grid):
    """Cycles without conflicts, and products, PE by PE and group by group."""
    n, p = work.stride, work.padding
    cycles = products = 0
    for first in range(0, len(work.weights), tiles.group):
        slowest = 0
        for ty in range(grid):
            for tx in range(grid):
                taken = 0
                for c, plane in enumerate(work.activations):
                    y, x = np.nonzero(plane[ty * tiles.height :][: tiles.height, tx * tiles.width :][:, : tiles.width])
                    _, r, s = np.nonzero(work.weights[first : first + tiles.group, c])
                    for phase in np.ndindex(n, n):
                        a = sum(
                            ((i + ty * tiles.height + p) % n, (j + tx * tiles.width + p) % n) == phase
                            for i, j in zip(y, x, strict=True)
                        )
                        w = sum((i % n, j % n) == phase for i, j in zip(r, s, strict=True))
                        taken += ceil(a / 4) * ceil(w / 4)
                        products += a * w
                slowest = max(slowest, taken)
        cycles += slowest
    return cycles, products


@pytest.mark.parametrize("stride", [1, 2])
def test_scnn_multiplies_all_pairs_of_a_channel_and_waits_at_groups(rng, stride, monkeypatch):
    monkeypatch.setattr(Scnn, "stall", lambda *_: 1.0)
    work = make(rng, channels=6, stride=stride)
    chip = Scnn(grid=2)
    # Fewer banks than the paper's would need several groups.
    tiles = replace(chip.tiles(work), group=6)
    monkeypatch.setattr(Scnn, "tiles", lambda *_: tiles)
    result = run(chip, work)
    assert (result.cycles, result.multiplications) == scnn_by_hand(work, tiles, 2)
    assert result.multiplications >= work.useful


def test_scnn_sums_of_a_group_fit_the_banks(rng):
    chip = Scnn()
    tiles = chip.tiles(make(rng, plane=56, out=64))
    assert tiles.sums == (9, 9)
    assert tiles.group == 1024 // 81
    with pytest.raises(ValueError, match="sums fit the banks"):
        chip.tiles(make(rng, channels=1, plane=300, out=1))


def test_scnn_stalls_when_products_meet_in_one_bank(rng, monkeypatch):
    work = make(rng)
    chip = Scnn()
    tiles = chip.tiles(work)
    monkeypatch.setattr(Scnn, "_stream", lambda *_: np.zeros((STEPS, 16), np.int64))
    # 16 products a step for one bank, of which the queue holds some in the end.
    assert chip.stall(work, tiles) == pytest.approx(16, abs=16 / STEPS + QUEUE / STEPS)
    monkeypatch.setattr(Scnn, "_stream", lambda *_: np.tile(np.arange(16), (STEPS, 1)))
    assert chip.stall(work, tiles) == 1
    assert STREAMS > 1


def test_dcnn_pads_its_tiles(rng):
    work = make(rng, channels=32, plane=14, out=10)
    assert Dcnn().cycles(work) == 2 * 2 * 10 * 9 * 2


def test_sparsecore_is_the_cycle_and_energy_model(rng):
    work = published_networks.workload(published_networks.Shape("small", 16, 12, 3, 1, 1, 32, 1, 1, 0.5, 0.5, 0.5))
    result = run(SparseCore(), work)
    layer = sparsecore.as_layer(work)
    plan, measured = sparsecore._plan(sparsecore.load_config("paper"), layer)
    predicted = cycle_model.predict(plan, measured)
    assert result.cycles == predicted.cycles
    assert result.useful == predicted.macs == work.useful
    spent = sum(energy.actions(plan, measured, asdict(predicted)).energy().values())
    assert result.total_energy == pytest.approx(spent + result.energy["outputs"])


def test_a_layer_beyond_the_memories_is_cut(rng):
    shape = published_networks.Shape("large", 32, 24, 3, 1, 1, 64, 1, 1, 0.5, 0.5, 0.5)
    work = published_networks.workload(shape)
    fits, cut = run(SparseCore(config="medium"), work), run(SparseCore(config="medium,ActDepth=128,WgtDepth=50"), work)
    # Strips read their halo twice and have a tail each; parts of the output channels read all inputs again.
    assert fits.cycles < cut.cycles < 1.6 * fits.cycles
    assert cut.useful == fits.useful
    assert cut.outside == fits.outside


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system.name)
def test_energy_is_the_sum_of_places_and_grows_with_the_count(system):
    work = published_networks.workload(published_networks.Shape("small", 16, 12, 3, 1, 1, 32, 1, 1, 0.5, 0.5, 0.5))
    once, thrice = run(system, work), run(system, replace(work, count=3))
    assert once.total_energy == pytest.approx(sum(once.energy.values()))
    assert thrice.cycles == 3 * once.cycles
    assert thrice.total_energy == pytest.approx(3 * once.total_energy)
    assert thrice.utilization == pytest.approx(once.utilization)
    assert once.multipliers == 1024
