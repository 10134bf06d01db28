# SPDX-License-Identifier: Apache-2.0
"""What `make synth` refuses: each rule on a small module that breaks it, and one that breaks none."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from verif.host.synth import ratchet
from verif.host.synth.flow import Flow, Measured
from verif.host.synth.hierarchy import Unit, elaborate
from verif.host.synth.library import DEFAULT_LIBERTY, Library
from verif.host.synth.memories import WRAPPERS, memory_of
from verif.host.synth.report import labels
from verif.host.synth.rules import faults
from verif.host.synth.timing import PORT_FO4
from verif.shared.paths import RTL

HDL = Path(__file__).parent / "hdl"

pytestmark = pytest.mark.skipif(
    shutil.which("sta") is None or not DEFAULT_LIBERTY.exists(),
    reason="needs OpenSTA and a cell library: Debian's opensta and qflow-tech-osu018",
)


@pytest.fixture(scope="module")
def library() -> Library:
    return Library(DEFAULT_LIBERTY)


def _sources(module: str) -> list[Path]:
    wrappers = [RTL / "mem" / f"{name}.sv" for name in WRAPPERS]
    below = [HDL / "child.sv"] if module == "parent" else []
    return wrappers if module in WRAPPERS else [*wrappers, *below, HDL / f"{module}.sv"]


def _measure(
    module: str, library: Library, parameters: dict[str, int] | None = None
) -> tuple[Unit, dict[str, Measured]]:
    unit = elaborate(module, _sources(module), parameters or {})
    return unit, Flow(library, jobs=1, sources=_sources).measure(unit.tree())


def _faults(module: str, library: Library) -> list[str]:
    unit, measured = _measure(module, library)
    return faults(measured[unit.key])


def test_library_measures(library: Library) -> None:
    """FO4 of the library's smallest inverter, and a NAND2 as the unit of area."""
    assert library.nand2.name == "NAND2X1"
    assert library.fo4_ps == pytest.approx(99.2, abs=0.5)


def test_clean_passes(library: Library) -> None:
    """A module with memories of two kinds passes, and its memories are no arrays."""
    unit, measured = _measure("clean", library)
    assert faults(measured[unit.key]) == []
    assert sorted(str(memory_of(m)) for m in unit.memories.values()) == ["32x32 1r1w", "8x32 1r1w"]
    assert measured[unit.key].flip_flops == 72


def test_long_path_fails(library: Library) -> None:
    """A path over the limit fails with its length, from where and to where."""
    (fault,) = _faults("long_path", library)
    assert fault.startswith("register to register") and "from a_q[" in fault and "to y_o[" in fault


def test_array_fails(library: Library) -> None:
    """An array over the limit outside the wrappers fails; one at the limit is flip-flops."""
    unit, measured = _measure("big_array", library)
    (fault,) = faults(measured[unit.key])
    assert "array too_large of 8 x 33 bits with 1 read and 1 write ports" in fault
    assert measured[unit.key].flip_flops == 256 + 33


def test_latch_fails(library: Library) -> None:
    """A latch fails."""
    (fault,) = _faults("latch", library)
    assert fault.endswith(": latch")


def test_through_fails(library: Library) -> None:
    """A path from an input to an output fails, with its ends."""
    (fault,) = _faults("through", library)
    assert fault.startswith("path from input ready_i to output ready_o")


def test_wide_net_fails(library: Library) -> None:
    """A large net driven by a gate fails; by a register, of a static port, or as a clock enable, it does not."""
    (fault,) = _faults("wide_net", library)
    assert fault.startswith("net by_gate with 72 loads")


def test_path_through_units(library: Library) -> None:
    """A path that starts in one unit and ends in another counts whole."""
    unit, measured = _measure("parent", library)
    child = measured["child"].paths
    path = measured[unit.key].paths["register to register"]
    assert path["from"].startswith("u_first/y_o") and path["to"].startswith("u_second/a_i")
    ends = child["register to output"]["fo4"] + child["input to register"]["fo4"] - 2 * PORT_FO4
    assert path["fo4"] > ends + 5  # the sum that stands between them


@pytest.mark.parametrize("module", WRAPPERS)
def test_wrapper_has_its_ports(module: str, library: Library) -> None:
    """The body of a wrapper is one array with the shape and the ports of its kind."""
    unit = elaborate(module, _sources(module), {"NumWords": 64, "DataWidth": 32})
    (array,) = _measure(module, library, {"NumWords": 64, "DataWidth": 32})[1][unit.key].arrays
    memory = memory_of(unit)
    assert [array[name] for name in ("words", "width", "reads", "writes")] == [64, 32, memory.reads, memory.writes]


def test_ratchet_refuses_growth(library: Library, tmp_path: Path) -> None:
    """More than 3 % of growth fails, as does a unit that the ratchet does not know; less passes."""
    unit, measured = _measure("clean", library)
    now = ratchet.figures({labels(unit)[key]: result for key, result in measured.items()})
    file = tmp_path / "ratchet.json"
    assert ratchet.read("small", file) == {}
    ratchet.write("small", now, file)
    assert ratchet.grown(now, ratchet.read("small", file)) == []
    area = now["clean"]["area_ge"]
    less = {"clean": now["clean"] | {"area_ge": area / 1.02}}
    assert ratchet.grown(now, less) == []
    (fault,) = ratchet.grown(now, {"clean": now["clean"] | {"area_ge": area / 1.04}})
    assert "4.0 % more" in fault
    (fault,) = ratchet.grown(now, {"other": now["clean"]})
    assert "not in the ratchet" in fault
