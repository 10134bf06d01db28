# SPDX-License-Identifier: Apache-2.0
"""All that the study computes, two layers at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import chain, groupby

from models import cycle_model
from models.config import Config
from models.study import scaling
from models.study.figure3_energy import Run
from models.study.scaling import Point
from models.systems import compare, published_networks, validate
from models.systems.compare import DENSE, Probe, Row, Traits
from models.systems.system import Result, Workload, run
from models.systems.validate import Check
from verif.host.benchmarks import BENCHMARKS, FIGURE_3, Benchmark
from verif.host.benchmarks import DENSE as DENSE_LAYER
from verif.host.cli.tradeoffs import VARIANTS
from verif.host.paper import measured
from verif.host.paper.measured import Measured

JOBS = 2
BENCHMARK_LAYERS = "benchmark layers"
# The others have neither pools nor a way of their own for groups of few channels.
CONVOLUTIONS = tuple(b for b in BENCHMARKS if b.kind == "conv" and b.groups == 1)
SCALED = ("128x28x28, 3x3x128, 2/4 at 0.4", "256x14x14, 3x3x256, 2/4 at 0.35")
KNOBS = ("64x56x56, 3x3x64, 2/4 at 0.45", "64x56x56, 1x1x256, 2/4 at 0.55")


def as_workload(benchmark: Benchmark, seed: int = 1) -> Workload:
    """The layer's non-zeros."""
    layer = benchmark.layer(seed)
    return Workload(
        name=benchmark.name,
        activations=layer.activations != 0,
        weights=layer.weights != 0,
        stride=benchmark.stride,
        padding=benchmark.padding,
        mode=benchmark.mode,
        out_density=float((layer.expected != 0).mean()),
    )


def _named(names: Sequence[str]) -> list[Workload]:
    return [as_workload(b) for b in BENCHMARKS if b.name in names]


@dataclass(frozen=True)
class Scope:
    """How much is computed: groups of layers; densities of the surfaces and their layer; models that are held against
    their papers; configurations with their layers; single changes of the core with theirs; runs of the sweep on the
    RTL; whether the cycle model predicts what the RTL ran."""

    groups: Mapping[str, Callable[[], list[Workload]]]
    weights: Sequence[float]
    activations: Sequence[float]
    probe: Probe = compare.probe
    models: Sequence[Callable[[], dict[str, float]]] = validate.MODELS
    sizes: Sequence[Config] = ()
    scaled: Callable[[], list[Workload]] = list
    changes: Sequence[str] = ()
    knobs: Callable[[], list[Workload]] = list
    swept: Callable[[], list[Measured]] = list
    predicts: bool = True


FULL = Scope(
    groups={
        BENCHMARK_LAYERS: lambda: [as_workload(b) for b in CONVOLUTIONS],
        **{name: partial(compare.network, name) for name in published_networks.NAMES},
    },
    weights=(1.0, 0.5, 0.25),
    activations=(1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1),
    sizes=scaling.sizes(),
    scaled=partial(_named, SCALED),
    changes=VARIANTS,
    knobs=partial(_named, KNOBS),
    swept=measured.SWEPT.read,
)


@dataclass(frozen=True)
class Swept:
    """A layer of the sweep on the RTL. predicted: its cycles by the cycle model, None where it was not asked."""

    mode: tuple[int, int]
    density: float
    result: Result
    predicted: int | None


@dataclass(frozen=True)
class Study:
    """What was found. surface: results by system, [weights][activations]; predicted: cycles by the cycle model of each
    layer's first run on the RTL, by name; swept: the layers of the sweep by mode and falling density."""

    scope: Scope
    checks: list[Check]
    traits: list[Traits]
    groups: dict[str, list[Row]]
    surface: dict[str, list[list[Result]]]
    sizes: list[Point]
    knobs: list[Point]
    runs: list[Measured]
    swept: list[Swept]
    predicted: dict[str, int]

    @property
    def first_runs(self) -> list[Measured]:
        """Of each layer."""
        return list({run.benchmark.name: run for run in reversed(self.runs)}.values())[::-1]

    @cached_property
    def figure3(self) -> list[Run]:
        """Sparse, dense mode, dense machine, the same with buffers for windows: the seed 1 of each."""

        def measured_run(benchmark: Benchmark) -> Measured:
            return next(r for r in self.runs if r.benchmark == benchmark)

        sparse, dense = measured_run(FIGURE_3), measured_run(DENSE_LAYER)
        dense_work = as_workload(DENSE_LAYER)
        return [
            Run("SparseCore, 2/4, half zero", sparse.result),
            Run("SparseCore, dense mode", dense.result),
            Run("Dense machine", run(DENSE, dense_work), dense=True),
            Run("Dense, with regions", run(replace(DENSE, buffered=True), dense_work), dense=True),
        ]

    @property
    def dense(self) -> Run:
        """The plain dense machine on the Figure 3 layer, whatever its zeros."""
        return self.figure3[2]

    def by_mode(self) -> dict[tuple[int, int], list[Swept]]:
        """The sweep's layers."""
        return {mode: list(own) for mode, own in groupby(self.swept, key=lambda one: one.mode)}


def _rows(task: tuple[str, Workload]) -> list[Row]:
    group, work = task
    return compare.layers(group, [work])


def _at(task: tuple[Probe, float, float]) -> list[Result]:
    probe, weights, activations = task
    work = probe(weights, activations)
    return [run(system, work) for system in compare.SYSTEMS]


def _point(task: tuple[Config, Workload]) -> Point:
    return scaling.measure(*task)


def _predicted(run: Measured) -> int:
    return cycle_model.predict(run.plan, run.work).cycles


def _swept(task: tuple[Measured, bool]) -> Swept:
    run, predicts = task
    predicted = _predicted(run) if predicts else None
    return Swept(run.benchmark.mode, run.benchmark.density, run.result, predicted)


def _model(model: Callable[[], dict[str, float]]) -> dict[str, float]:
    return model()


def _tasks(scope: Scope) -> Iterator[tuple[str, Workload]]:
    for group, works in scope.groups.items():
        for work in works():
            yield group, work


def compute(scope: Scope, tell: Callable[[str], None]) -> Study:
    """Run every model; ``tell`` hears how far it is."""
    with ProcessPoolExecutor(JOBS) as pool:
        # Longest first, and all handed in at once: both processes are busy to the end.
        found_of = [pool.submit(_model, model) for model in reversed(scope.models)]
        traits_of = pool.submit(compare.traits, scope.probe)
        rows_of = [(f"{group}: {work.name}", pool.submit(_rows, (group, work))) for group, work in _tasks(scope)]
        points = [(w, a) for w in scope.weights for a in scope.activations]
        surface_of = [(f"density {w:g} x {a:g}", pool.submit(_at, (scope.probe, w, a))) for w, a in points]
        sizes_of = [
            (f"{config.name}: {work.name}", pool.submit(_point, (config, work)))
            for work in scope.scaled()
            for config in scope.sizes
        ]
        configs = [scaling.sized(64, 16), *map(scaling.changed, scope.changes)] if scope.changes else []
        knobs_of = [
            (f"{config.name}: {work.name}", pool.submit(_point, (config, work)))
            for work in scope.knobs()
            for config in configs
        ]
        swept_of = [(run.benchmark.name, pool.submit(_swept, (run, scope.predicts))) for run in scope.swept()]
        groups: dict[str, list[Row]] = {}
        for name, rows in rows_of:
            tell(name)
            for row in rows.result():
                groups.setdefault(row.group, []).append(row)
        by_system: dict[str, list[list[Result]]] = {s.name: [[] for _ in scope.weights] for s in compare.SYSTEMS}
        for (w, _), (name, results) in zip(points, surface_of, strict=True):
            tell(name)
            for system, result in zip(compare.SYSTEMS, results.result(), strict=True):
                by_system[system.name][scope.weights.index(w)].append(result)
        sizes: list[Point] = []
        knobs: list[Point] = []
        for kept, futures in ((sizes, sizes_of), (knobs, knobs_of)):
            for name, point in futures:
                tell(name)
                kept.append(point.result())
        swept: list[Swept] = []
        for name, one in swept_of:
            tell(name)
            swept.append(one.result())
        figures = dict(chain.from_iterable(found.result().items() for found in found_of))
        found = Study(
            scope=scope,
            checks=validate.checks(figures),
            traits=traits_of.result(),
            groups=groups,
            surface=by_system,
            sizes=sizes,
            knobs=knobs,
            runs=measured.FIGURES.read(),
            swept=swept,
            predicted={},
        )
        if scope.predicts:
            names = [run.benchmark.name for run in found.first_runs]
            found.predicted.update(zip(names, pool.map(_predicted, found.first_runs), strict=True))
        return found
