# SPDX-License-Identifier: Apache-2.0
"""The report of a small study: every table and picture has its place, and the data their values."""

import csv
import re
from dataclasses import replace

import numpy as np
import pytest

from models import energy, masks
from models.study import figure3_energy, scaling, silicon
from models.systems import published_networks, validate
from models.systems.compare import SYSTEMS
from models.systems.system import Workload
from verif.host.benchmarks import FIGURE_3, SWEEP
from verif.host.cli import paper
from verif.host.paper import measured, page, pictures, study, study_tables

# Of the sweep those of which something is asked, met and missed.
SWEPT = [f"64x64x64, 3x3x128, {layer}" for layer in ("1/1 at 1.0", "2/4 at 0.8", "2/4 at 0.5")]
SHAPE = published_networks.Shape("small", 8, 12, 3, 1, 1, 32, 1, 1, 0.5, 0.5, 0.5)


def few():
    return [published_networks.workload(replace(SHAPE, name=name)) for name in (FIGURE_3.name, "another")]


def probe(weights, activations):
    rng = np.random.default_rng(1)
    mode = published_networks.MODES[weights]
    mask = masks.bernoulli((8, 12, 12), activations, rng)
    return Workload("probe", mask, published_networks.structured((32, 8, 3, 3), mode, rng), padding=1, mode=mode)


SMALL = study.Scope(
    groups={study.BENCHMARK_LAYERS: few, "ResNet-18": few},
    weights=(1.0, 0.5),
    activations=(1.0, 0.8, 0.5),
    probe=probe,
    models=(validate.dense,),
    sizes=[scaling.sized(16, 16), scaling.sized(64, 8), scaling.sized(16, 16, 2)],
    scaled=few,
    changes=("NumRegions=2",),
    knobs=few,
    swept=lambda: [run for run in measured.SWEPT.read() if run.benchmark.name in SWEPT],
    predicts=False,
)


@pytest.fixture(scope="module")
def found():
    whole = study.compute(SMALL, lambda text: None)
    return replace(whole, runs=whole.runs[:2])  # what Figure 3 is made of


@pytest.fixture(scope="module")
def out(found, tmp_path_factory):
    directory = tmp_path_factory.mktemp("paper")
    paper.write(found, directory)
    return directory


def test_the_page_has_a_place_for_each_table_and_picture_and_no_other(found):
    text = page.PAGE.read_text()
    assert sorted(page.names(text)) == sorted(study_tables.everything(found))
    assert sorted(re.findall(r"\(study/(\w+)\.svg\)", text)) == sorted(pictures.PICTURES)


def test_the_report_is_one_file_with_all_tables_and_pictures(out):
    report = (out / "report.html").read_text()
    assert report.count("<svg") == len(pictures.PICTURES)
    assert not re.findall(r'(?:src|href)="(?!#)', report), "something outside the file"
    assert report.count("<table") >= len(list(out.glob("*.csv"))) - 1
    # Names in a picture are of that picture alone.
    ids = re.findall(r'\bid="([^"]+)"', report)
    assert len(ids) == len(set(ids))
    for name in set(re.findall(r'(?:href="#|url\(#)([^")]+)', report)):
        assert name in ids


def test_data_lie_beside_it(out, found):
    with open(out / "counts.csv") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4 * len(SYSTEMS)
    first = found.groups["ResNet-18"][0]
    row = next(r for r in rows if r["layers"] == "ResNet-18")
    assert (row["system"], int(row["cycles"])) == (first.system.name, first.result.cycles)
    with open(out / "figure_3.csv") as file:
        cells = {row[0]: row[1] for row in csv.reader(file)}
    assert cells["cycles"] == f"{found.runs[1].counters['CYCLES']:,}"


def test_energy_by_item_adds_up_and_each_cost_moves_the_gain_its_way(found):
    sparse, mode, dense, buffered = found.figure3
    for technology in energy.TECHNOLOGIES:
        assert figure3_energy.total(sparse, technology) < figure3_energy.total(mode, technology)
        assert figure3_energy.total(buffered, technology) < figure3_energy.total(dense, technology)
        moved = figure3_energy.sensitivity(dense, sparse, technology)
        assert set(moved) == set(figure3_energy.COSTS)
        now = figure3_energy.gain(dense, sparse, technology)
        assert all(min(half, twice) <= now <= max(half, twice) for half, twice in moved.values())
        # The core clocks more flip-flops for a product; the dense machine switches gates for four times the products.
        assert moved["flip_flop"][1] < now < moved["gate"][1]
    places = figure3_energy.energy(sparse, energy.N45)
    assert {"wires", "decoding", "clock", "sums", "weights"} <= set(places)
    assert all(value > 0 for value in places.values())


def test_what_a_miss_is_made_of_adds_up_to_it(found):
    missed = [one for one in study_tables.judgements(found) if one.missed]
    assert missed, "nothing is missed: the page need not explain it"
    rows = {row[0]: row[1:] for row in csv.reader(page.as_csv(study_tables.excess(found)).splitlines())}
    for place, one in enumerate(missed):
        core = figure3_energy.total(figure3_energy.Run("core", one.layer.result), one.technology)
        dense = figure3_energy.total(found.dense, one.technology)
        assert one.found == pytest.approx(dense / core)
        assert float(rows["all"][place]) == pytest.approx((core - dense / one.asked) / 1e6, abs=0.06)
        items = [float(cells[place]) for item, cells in rows.items() if item not in ("uJ", "all")]
        assert sum(items) == pytest.approx(float(rows["all"][place]), abs=0.06 * len(items))


def test_break_even_is_between_the_densities_where_the_gain_passes_one():
    assert figure3_energy.break_even((1.0, 0.8, 0.5), (0.5, 0.9, 1.1)) == pytest.approx(0.65)
    assert figure3_energy.break_even((1.0, 0.5), (1.2, 2.0)) is None
    assert figure3_energy.break_even((1.0, 0.5), (0.2, 0.8)) is None


def test_area_of_other_sizes_starts_from_the_synthesised_one():
    base = silicon.load_config(silicon.BASE)
    assert silicon.logic_ge(base) == pytest.approx(sum(u.count * u.area_ge for u in silicon.units()))
    areas = [silicon.area_mm2(scaling.sized(pes, 16), energy.N45) for pes in (16, 64, 256)]
    assert areas == sorted(areas) and areas[1] == pytest.approx(silicon.area_mm2(base, energy.N45), rel=0.01)
    assert silicon.logic_ge(scaling.sized(64, 16, 2)) > silicon.logic_ge(base)
    unknown = {u.kind for u in silicon.units()} - set(silicon.KNOWN)
    assert not unknown, "units of which it is not said what they grow with or when they work"


def test_a_treemap_fills_its_box_in_proportion():
    places = pictures.treemap({"a": 4.0, "b": 2.0, "c": 1.0, "d": 1.0}, (0, 0, 2, 1))
    areas = {name: width * height for name, (_, _, width, height) in places.items()}
    assert areas == pytest.approx({"a": 1.0, "b": 0.5, "c": 0.25, "d": 0.25})


def test_kept_runs_are_read_back(tmp_path, found):
    run = found.runs[1]
    record = replace(measured.FIGURES, path=tmp_path / "rtl.json")
    record.write([(run.benchmark, run.seed, run.plan, run.counters)])
    (again,) = record.read()
    assert again == run


def test_the_sweep_is_of_all_modes_and_densities_and_has_the_figure_3_layer_in_it(found):
    runs = measured.SWEPT.read()
    assert [run.benchmark for run in runs] == list(SWEEP)
    (same,) = (r for r in runs if (r.benchmark.mode, r.benchmark.density) == (FIGURE_3.mode, FIGURE_3.density))
    assert (same.seed, same.counters) == (found.runs[1].seed, found.runs[1].counters)
