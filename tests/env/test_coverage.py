# SPDX-License-Identifier: Apache-2.0
"""The coverage's classification of layers, counted by hand, and the bins' arithmetic."""

from dataclasses import replace

import numpy as np
import pytest
import yaml
from cocotb_coverage.coverage import coverage_db

from models import work
from models.lines import LineShape
from models.tiling import Cut, make_plan
from tests.env.feeding import CONFIG, Feeder
from verif.shared.stimulus import make_layer, make_pool
from verif.sim.coverage.bins import Ranges, cross, point
from verif.sim.coverage.engines import ProgramCoverage
from verif.sim.coverage.geometry import GeometryCoverage, plane_label
from verif.sim.coverage.sparsity import SparsityCoverage, density_label, runs, window_counts
from verif.sim.env.run_monitor import OpenTogether, WrittenBeside


@pytest.fixture(autouse=True)
def empty_database():
    coverage_db.clear()
    yield
    coverage_db.clear()


def taken(layer, cut):
    """The reference model's record of a layer."""
    feeder = Feeder()
    feeder.run(layer, make_plan(CONFIG, layer, cut))
    return feeder.layers[-1]


def hits(cover):
    return {label: n for label, n in cover.detailed_coverage.items() if n}


def test_bins_count_and_refuse():
    cover = point("group.one", ["a", "b"])
    cover.hit("a")
    cover.hit("a", 3)
    assert cover.detailed_coverage == {"a": 4, "b": 0} and cover.coverage == 1
    assert coverage_db["group"].coverage == 1 and coverage_db["group"].size == 2
    assert point("group.one", ["a", "b"]) is cover
    with pytest.raises(KeyError, match="'c' is not a bin"):
        cover.hit("c")


def test_export_holds_the_hits(tmp_path):
    point("group.one", cross("ab", "cd")).hit("a/d", 2)
    coverage_db.export_to_yaml(str(tmp_path / "functional.yml"))
    found = yaml.safe_load((tmp_path / "functional.yml").read_text())
    assert found["group.one"]["bins:_hits"] == {"a/c": 0, "a/d": 2, "b/c": 0, "b/d": 0}


def test_ranges():
    ranges = Ranges(0, 1, 2, 8, last=9)
    assert ranges.labels == ["0", "1", "2-7", "8-9"]
    assert [ranges(v) for v in (0, 1, 2, 7, 8, 9)] == ["0", "1", "2-7", "2-7", "8-9", "8-9"]
    assert Ranges(1, 5).labels == ["1-4", "5+"]
    assert ranges.count(np.array([0, 7, 2, 9])) == {"0": 1, "2-7": 2, "8-9": 1}


def test_runs():
    ones, zeros = runs(np.array([[1, 1, 0, 1], [0, 0, 0, 0]], bool))
    assert sorted(ones) == [1, 2] and sorted(zeros) == [1, 4]


def test_density_labels():
    for density, label in {0.0: "empty", 0.05: "under 10 %", 0.5: "50-70 %", 0.95: "over 90 %", 1.0: "full"}.items():
        assert density_label(np.arange(100) < 100 * density) == label


@pytest.mark.parametrize("cut", [Cut(LineShape(2, 9), LineShape(2, 3)), Cut(LineShape(1, 9), LineShape(5, 5), 3)])
def test_window_counts_by_brute_force(cut):
    rng = np.random.default_rng(1)
    layer = make_layer(rng, (3, 8, 9), 5, (2, 3), stride=(2, 1), padding=(1, 2, 0, 3), density=0.2)
    done = taken(layer, cut)
    d = done.descriptor
    mask = layer.activations != 0
    counts, size = window_counts(mask, done)
    padded, inside = work.pad_plane(d, mask), work.pad_plane(d, np.ones_like(mask[:1]))
    for ty in range(d.tiles_y):
        for tx in range(d.tiles_x):
            rows = min(d.tile_h, d.out_h - ty * d.tile_h)
            columns = min(d.tile_w, d.out_w - tx * d.tile_w)
            y, x = ty * d.tile_h * 2, tx * d.tile_w
            window = np.s_[:, y : y + (rows - 1) * 2 + 2, x : x + columns - 1 + 3]
            assert (counts[ty * d.tiles_x + tx] == padded[window].sum((1, 2))).all()
            assert size[ty * d.tiles_x + tx] == inside[window].sum()


def test_patterns_per_group():
    rng = np.random.default_rng(1)
    layer = make_layer(rng, (2, 3, 3), 8, (1, 1))
    layer.weights[:] = 0
    layer.weights[[1, 3, 4, 5], 0, 0, 0] = 7  # channel 0: group 0 uses indices 1 and 3, group 1 uses 0 and 1
    done = taken(layer, Cut(LineShape(3, 3), LineShape(3, 3)))
    cover = SparsityCoverage(CONFIG.NumLanes)
    cover.sample(done)
    assert hits(cover.mode) == {"2/4": 1}
    # Channel 1 has no weight: both groups are filled with zeros at indices 0 and 1.
    assert hits(cover.pattern(2, 4)) == {"group 0/(1, 3)": 1, "group 0/(0, 1)": 1, "group 1/(0, 1)": 2}
    assert hits(cover.filled[2, 4]) == {"0": 2, "2": 2}
    assert "sparsity.pattern_4_16_4_lanes" not in coverage_db  # no such layer has run
    assert len(cover.pattern(4, 16).detailed_coverage) == 1820


def test_empty_windows_in_a_row():
    rng = np.random.default_rng(1)
    layer = make_layer(rng, (6, 3, 3), 4, (1, 1), mask="full")
    layer.activations[[0, 1, 2, 5]] = 0
    cover = SparsityCoverage(CONFIG.NumLanes)
    cover.sample(taken(layer, Cut(LineShape(3, 3), LineShape(3, 3))))
    assert hits(cover.window) == {"empty": 4, "full": 2}
    assert hits(cover.empty_windows) == {"2-3": 1, "1": 1}
    assert hits(cover.last_empty) == {"empty": 1}
    assert hits(cover.density) == {"30-50 %": 1}
    assert hits(cover.channel_density) == {"empty": 4, "full": 2}
    assert hits(cover.population) == {"0": 4, "9-15": 2}


def test_geometry_of_a_layer():
    rng = np.random.default_rng(1)
    layer = make_layer(rng, (5, 7, 9), 9, (3, 2), stride=(2, 1), padding=(1, 0, 2, 3), signed=True, clamp=(-128, 127))
    cover = GeometryCoverage(CONFIG.slots, CONFIG.RegionPos)
    cover.sample(taken(layer, Cut(LineShape(1, 9), LineShape(2, 6), 2)))
    expected = {
        "kernel": "3x2",
        "stride": "2x1",
        "plane": "narrower than a line",
        "line": "one row",
        "tile": "2-15",
        "regions": "whole",
        "splits": "2",
        "uneven": "smaller",
        "chunks": "2",
        "padded_k": "padded",
        "channels": "2-7",
        "formats": "int8/int8",
        "skip": "on",
        "operations": "convolution/int8/one group",
        "kernel_stride": "unequal/2x1",
        "stride_pad": "2x1/uneven",
        "mode_splits": "2/4/split",
        "mode_plane": "2/4/narrower than a line",
        "mode_format": "2/4/int8/int8",
    }
    for name, label in expected.items():
        assert hits(getattr(cover, name)) == {label: 1}, name
    assert hits(cover.edge) == {"both": 1} or layer.out_shape[1] % 2 == 0
    assert {side: next(iter(hits(p))) for side, p in cover.pads.items()} == {
        "top": "1",
        "bottom": "0",
        "left": "2",
        "right": "3",
    }


@pytest.mark.parametrize(
    "kind, channels, signed, label",
    [
        ("max_pool", 8, False, "max pool/uint8/several"),
        ("max_pool", 9, True, "max pool/int8/fewer channels in the last"),
        ("average_pool", 3, True, "sum pool/int8/one group"),
    ],
)
def test_operations(kind, channels, signed, label):
    """Four lanes: a group of a pool has four channels."""
    layer = make_pool(np.random.default_rng(1), kind, (channels, 4, 5), (2, 2), signed=signed)
    cover = GeometryCoverage(CONFIG.slots, CONFIG.RegionPos)
    cover.sample(taken(layer, Cut(LineShape(4, 5), LineShape(3, 4), 3)))
    assert hits(cover.operations) == {label: 1}
    assert hits(cover.uneven) == {"no channel" if channels == 9 else "as large": 1}


def test_slots():
    """All four slots of the small configuration, or fewer; a layer that has nothing to do with them is not counted."""
    layer = make_layer(np.random.default_rng(1), (2, 4, 3), 8, (1, 1))
    whole, one = (taken(layer, Cut(LineShape(1, 3), LineShape(rows, 3))) for rows in (1, 4))
    cover = GeometryCoverage(CONFIG.slots, CONFIG.RegionPos)
    for done, keep, go_on in ((whole, 1, 0), (one, 1, 1), (one, 0, 1), (one, 0, 0)):
        descriptor = replace(done.descriptor, keep_slot=keep, continue_slot=go_on)
        cover.sample(replace(done, descriptor=descriptor))
    few = "fewer jobs than slots"
    assert hits(cover.slots) == {f"continued/kept/{few}": 1, f"continued/written/{few}": 1, "begun/kept/all slots": 1}


def test_plane_labels():
    sizes = {(1, 1): "1x1", (1, 5): "one row", (5, 1): "one column", (5, 5): "narrower than a line"}
    sizes |= {(2, 64): "64 wide", (2, 65): "wider than a line"}
    assert {size: plane_label(*size) for size in sizes} == sizes


def test_two_layers_open():
    layer = make_layer(np.random.default_rng(1), (2, 3, 3), 8, (1, 1))
    cover, d = ProgramCoverage(CONFIG.RegionPos), taken(layer, Cut(LineShape(3, 3), LineShape(3, 3))).descriptor
    part = replace(d, out_append=1)
    cover.sighting(OpenTogether(d, part))
    cover.sighting(WrittenBeside(replace(d, residual=1), replace(part, out_section=7, maximum=1)))
    cover.sighting(OpenTogether(replace(d, tap_shared=1), replace(d, groups=2)))
    assert hits(cover.open) == {"convolution/convolution": 1, "sum/groups": 1}
    assert hits(cover.open_sections) == {"one section": 1, "two sections": 1}
    cover.sighting(OpenTogether(d, replace(d, kernel_r=2)))
    assert hits(cover.open_regions) == {"half/half": 2, "half/whole": 1}
    assert hits(cover.beside) == {"two sections": 1}
