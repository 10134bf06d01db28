# SPDX-License-Identifier: Apache-2.0
"""Each model at its own paper's size against that paper's figures (published.toml)."""

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from models.systems import published_networks
from models.systems.cambricon_x import CambriconX
from models.systems.cnvlutin import Cnvlutin
from models.systems.dense import Dense
from models.systems.eyeriss import Eyeriss
from models.systems.published_networks import Shape
from models.systems.scnn import Dcnn, Scnn
from models.systems.system import Result, System, Workload, run

FILE = Path(__file__).with_name("published.toml")
EYERISS_HZ, EYERISS_BATCH, EYERISS_WORD = 200e6, 4, 16
CNVLUTIN_DENSITY = 0.56
_SWEEP = (1.0, 0.85, 0.7, 0.1)


@dataclass(frozen=True)
class Figure:
    """A published figure: its name here, whose, what, its value, the error allowed, where from, why it is missed."""

    key: str
    system: str
    what: str
    value: float
    limit: float
    source: str
    why: str


def figures() -> list[Figure]:
    """All of published.toml."""
    return [Figure(**entry) for entry in tomllib.loads(FILE.read_text())["figure"]]


def _free(network: str) -> list[Workload]:
    """Layers with the published densities, weights without structure."""
    return [published_networks.workload(shape, free=True) for shape in published_networks.shapes(network)]


def _modules() -> list[Shape]:
    """GoogLeNet as SCNN counts it: the convolutions of the inception modules."""
    return [shape for shape in published_networks.shapes("GoogLeNet") if shape.name[0].isdigit()]


def _cycles(system: System, works: list[Workload]) -> int:
    return sum(run(system, work).cycles for work in works)


def _dcnn(works: list[Workload]) -> int:
    return sum(Dcnn().cycles(part) * work.count for work in works for part in work.parts())


def dense() -> dict[str, float]:
    """Another simulator's layer."""
    full = Workload("probe", np.ones((64, 10, 10), bool), np.ones((64, 64, 3, 3), bool))
    return {"dense_scalesim": run(Dense(), full).cycles}


def eyeriss() -> dict[str, float]:
    """168 PEs of 16 bits, AlexNet."""
    chip, works = Eyeriss(rows=12, columns=14, value_bits=EYERISS_WORD), _free("AlexNet")
    results = [run(chip, work) for work in works]
    cycles, macs = sum(result.cycles for result in results), sum(work.macs for work in works)
    outside = sum(r.outside["activations"] + r.outside["weights"] / EYERISS_BATCH for r in results)
    return {
        "eyeriss_active": macs / cycles / (chip.rows * chip.columns),
        "eyeriss_frames": EYERISS_HZ / cycles,
        "eyeriss_dram": outside / EYERISS_WORD / macs,
    }


def cnvlutin() -> dict[str, float]:
    """16 units against DaDianNao at one density of all layers but the first."""
    found = []
    for network in ("AlexNet", "GoogLeNet", "VGG-16"):
        first, *others = published_networks.shapes(network)
        works = [published_networks.workload(first)] + [
            published_networks.workload(s, density=CNVLUTIN_DENSITY) for s in others
        ]
        found.append(_cycles(Cnvlutin(units=16, skip=False), works) / _cycles(Cnvlutin(units=16), works))
    return {"cnvlutin_alexnet": found[0], "cnvlutin_mean": float(np.mean(found)), "cnvlutin_least": min(found)}


# Fully connected layers: inputs, outputs, weights kept (Han et al., tables 4 and 5).
_CONNECTED = {
    "AlexNet": ((9216, 4096, 0.09), (4096, 4096, 0.09), (4096, 1000, 0.25)),
    "VGG-16": ((25088, 4096, 0.04), (4096, 4096, 0.04), (4096, 1000, 0.23)),
}


def cambricon_x() -> dict[str, float]:
    """16 PEs of 16 multipliers against DianNao's 16x16."""
    found, rng = [], np.random.default_rng(0)
    for network, connected in _CONNECTED.items():
        works = _free(network)
        for inputs, outputs, density in connected:
            weights = rng.random((outputs, inputs, 1, 1), np.float32) < density
            works.append(Workload("connected", np.ones((inputs, 1, 1), bool), weights))
        found.append(_cycles(CambriconX(pes=16, skip=False), works) / _cycles(CambriconX(pes=16), works))
    return {"cambricon_x": float(np.mean(found))}


def _utilization(results: list[Result]) -> float:
    """Multiplications over multiplier-cycles: SCNN's counts products that fall outside the plane."""
    return sum(r.multiplications for r in results) / sum(r.cycles * r.multipliers for r in results)


def scnn() -> dict[str, float]:
    """64 PEs of 4x4 against DCNN of the same tiles; the densities' sweep with independent masks."""
    modules = [published_networks.workload(shape, free=True) for shape in _modules()]
    found = {
        "scnn_utilization": _utilization([run(Scnn(), work) for work in modules]),
        "scnn_utilization_4": _utilization([run(Scnn(grid=2, f=16, i=16), work) for work in modules]),
        "scnn_googlenet": _dcnn(modules) / _cycles(Scnn(), modules),
    }
    for key, network in (("scnn_alexnet", "AlexNet"), ("scnn_vgg", "VGG-16")):
        works = _free(network)
        found[key] = _dcnn(works) / _cycles(Scnn(), works)
    speeds = []
    for density in _SWEEP:
        works = [
            published_networks.workload(replace(shape, weights=density), density=density, clustered=False, free=True)
            for shape in _modules()
        ]
        speeds.append(_dcnn(works) / _cycles(Scnn(), works))
    # Cycles are nearly a power of the density: interpolated by logarithms.
    even = float(np.exp(np.interp(0, np.log(speeds), np.log(_SWEEP))))
    return found | {"scnn_dense": speeds[0], "scnn_sparse": speeds[-1], "scnn_even": even}


MODELS: tuple[Callable[[], dict[str, float]], ...] = (dense, eyeriss, cnvlutin, cambricon_x, scnn)


@dataclass(frozen=True)
class Check:
    """A published figure and what the model makes of it."""

    figure: Figure
    found: float

    @property
    def error(self) -> float:
        return self.found / self.figure.value - 1


def checks(found: Mapping[str, float]) -> list[Check]:
    """Published figures with the models' own, in the order of the file, as far as there are any."""
    return [Check(figure, found[figure.key]) for figure in figures() if figure.key in found]
