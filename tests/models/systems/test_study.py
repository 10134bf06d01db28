# SPDX-License-Identifier: Apache-2.0
"""The models against their papers, what their counts say of them, and docs/study.md against both."""

from types import SimpleNamespace

import pytest

from models.lines import LineShape
from models.systems import compare, published_networks, tables, validate
from models.tiling import Cut
from verif.host import model_errors
from verif.host.paper import measured
from verif.host.paper.page import PAGE, marks, put


def shown(name):
    """The table of docs/study.md."""
    begin, end = marks(name)
    return PAGE.read_text().split(begin)[1].split(end)[0].strip("\n") + "\n"


def test_models_meet_their_papers_as_far_as_the_page_says():
    checks = validate.checks({key: value for model in validate.MODELS for key, value in model().items()})
    missed = [
        f"{c.figure.key}: {c.found:.3g}, published {c.figure.value}" for c in checks if abs(c.error) > c.figure.limit
    ]
    assert missed == []
    assert shown("validation") == tables.validation(checks)


def test_large_errors_are_explained():
    assert [f.key for f in validate.figures() if f.limit > 0.1 and not f.why] == []
    assert all(f.source for f in validate.figures())


def test_columns_of_table_1_follow_from_counts():
    found = compare.traits()
    skips = {t.system.name: {o for o in tables.OPERANDS if t.skips(o)} for t in found}
    gates = {t.system.name: {o for o in tables.OPERANDS if t.gates(o)} for t in found}
    both = {"weights", "activations"}
    assert skips == {
        "Dense": set(),
        "Eyeriss": set(),
        "Cnvlutin": {"activations"},
        "Cambricon-X": {"weights"},
        "SCNN": both,
        "SparseCore": both,
    }
    assert gates == {name: {"activations"} if name == "Eyeriss" else set() for name in skips}
    assert shown("traits") == tables.traits(found)


@pytest.mark.parametrize(
    "network,macs", [("AlexNet", 666e6), ("VGG-16", 15.3e9), ("ResNet-18", 1.81e9), ("GoogLeNet", 1.6e9)]
)
def test_networks_have_the_known_number_of_multiplications(network, macs):
    shapes = published_networks.shapes(network)
    found = 0
    for s in shapes:
        out = (s.plane + 2 * s.padding - s.kernel) // s.stride + 1
        found += out * out * s.out_channels * s.channels // s.groups * s.kernel**2 * s.count
    assert found == pytest.approx(macs, rel=0.03)
    assert published_networks.source(network)
    assert all(0 < s.weights <= 1 and 0 < s.inputs <= 1 and 0 < s.outputs <= 1 for s in shapes)


def test_masks_have_the_densities_asked_for():
    shape = published_networks.shapes("VGG-16")[7]
    for free, density in ((False, 0.25), (True, 0.32)):
        work = published_networks.workload(shape, free=free)
        assert work.weights.mean() == pytest.approx(density, abs=0.005)
        assert work.activations.mean() == pytest.approx(0.64, abs=0.01)
    assert shape.mode == (1, 4)


def test_the_rtls_cycles_are_kept():
    found = measured.mean_cycles(measured.FIGURES.read())
    assert found["64x64x64, 3x3x128, 2/4, half zero"] > 70_000
    assert len(found) >= 10


def test_the_cycle_models_errors_are_those_that_were_kept():
    kept = model_errors.cycles()
    assert [name for name in model_errors.CONFIGS if name in kept] == list(kept)
    assert all(len(layers) == 40 for layers in kept.values())
    assert shown("cycle_model") == model_errors.summary(kept)
    assert shown("cycle_model_missed") == model_errors.missed()


def test_a_configuration_that_runs_again_takes_the_place_of_its_layers(tmp_path):
    path, first = tmp_path / "cycle_model.json", model_errors.CONFIGS[0]

    def judged(core, model):
        plan = SimpleNamespace(cut=Cut(LineShape(1, 8), LineShape(2, 4), 1))
        return [model_errors.Judged("layer", plan, SimpleNamespace(cycles=model), SimpleNamespace(cycles=core))]

    for config, core in (("paper", 30_000), (first, 6_000), (first, 7_000)):
        model_errors.record(config, 1, judged(core, core + 1_000), path)
    kept = model_errors.cycles(path)
    assert list(kept.items()) == [(first, [(7_000, 8_000)]), ("paper", [(30_000, 31_000)])]
    (row,) = (line for line in model_errors.summary(kept).splitlines() if line.startswith(f"| {first} "))
    assert model_errors.missed(path).splitlines()[2:] == [
        f"| {first} | layer | 7,000 | 8,000 | +14.29% |",
        "| paper | layer | 30,000 | 31,000 | +3.33% |",
    ]
    assert row == f"| {first} | none | 1: worst 14.29%, median 14.29%, **1 missed** | none |"


def test_a_page_without_the_place_for_a_table_is_named():
    begin, end = marks("totals")
    assert put(f"a\n{begin}\nold\n{end}b\n", "totals", "| new |\n") == f"a\n{begin}\n| new |\n\n{end}b\n"
    with pytest.raises(ValueError, match="no line <!-- other"):
        put("text", "other", "")
