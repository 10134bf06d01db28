# SPDX-License-Identifier: Apache-2.0
"""The layers that the project is measured on, with the figures asked of each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from models.config import Config
from models.layer import Layer
from models.planner import choose_plan
from models.tiling import Plan, make_plan
from verif.shared.stimulus import make_layer, make_pool, with_residual

CALIBRATIONS = 3  # inputs that a layer is cut for: two plans may differ by less than one does between inputs
CALIBRATION = 1000  # added to the seed: a layer is cut for data of the same kind, not for what is then run
FIGURE_3_DENSE_CYCLES = 294_912  # 64x64 positions x 64x3x3 weights x 128 channels over 64x16 multipliers


@dataclass(frozen=True)
class Benchmark:
    """A layer, and what is asked of it; None where nothing is.

    kind: as of a `Layer`; groups: of a convolution; padding: on all sides; residual: one is added, half of it zero;
    utilization: at least this; tail_apart: of the PE-cycles in which there was a unit; speedup: at least this over the
    dense mode of the same layer; cycles: at most this.
    """

    name: str
    shape: tuple[int, int, int]
    out_channels: int
    kernel: int = 3
    stride: int = 1
    padding: int = 1
    mode: tuple[int, int] = (2, 4)
    mask: str = "bernoulli"
    density: float = 0.5
    skip: bool = True
    kind: str = "conv"
    groups: int = 1
    residual: bool = False
    utilization: float | None = None
    tail_apart: bool = False
    speedup: float | None = None
    cycles: int | None = None
    config: str = "paper"

    def layer(self, seed: int) -> Layer:
        """The layer, from a seed; no group of weights is short of k."""
        rng, kernel = np.random.default_rng(seed), (self.kernel, self.kernel)
        options: dict[str, Any] = {
            "mask": self.mask,
            "density": self.density,
            "stride": (self.stride, self.stride),
            "padding": (self.padding,) * 4,
            "skip": self.skip,
        }
        if self.kind != "conv":
            return make_pool(rng, self.kind, self.shape, kernel, **options)
        layer = make_layer(
            rng, self.shape, self.out_channels, kernel, mode=self.mode, groups=self.groups, zero_weights=0, **options
        )
        return with_residual(rng, layer) if self.residual else layer

    def smaller(self, factor: int) -> Benchmark:
        """The layer with rows, columns and channels divided by ``factor``; nothing is asked of it."""
        c, h, w = (size // factor for size in self.shape)
        k = self.out_channels // factor
        return replace(
            self,
            name=f"{c}x{h}x{w}, 3x3x{k}, {self.name.split(', ', 2)[2]}",
            shape=(c, h, w),
            out_channels=k,
            utilization=None,
            speedup=None,
            cycles=None,
        )


_F3: dict[str, Any] = {"shape": (64, 64, 64), "out_channels": 128}
_1X1: dict[str, Any] = {"kernel": 1, "padding": 0, "mask": "clustered"}
FIGURE_3 = Benchmark("64x64x64, 3x3x128, 2/4, half zero", **_F3, utilization=0.95, speedup=3.8)
DENSE = Benchmark(
    "64x64x64, 3x3x128, dense mode, density 1.0",
    **_F3,
    mode=(1, 1),
    mask="full",
    skip=False,
    cycles=int(1.03 * FIGURE_3_DENSE_CYCLES),
)
BENCHMARKS = (
    DENSE,  # first: the others' speed-up is over its cycles
    FIGURE_3,
    Benchmark("same, clustered masks", **_F3, mask="clustered", utilization=0.93),
    Benchmark("same, 1/4", **_F3, mode=(1, 4), speedup=6.8),
    Benchmark("64x56x56, 3x3x64, 2/4 at 0.45", (64, 56, 56), 64, mask="clustered", density=0.45, utilization=0.78),
    Benchmark("128x28x28, 3x3x128, 2/4 at 0.4", (128, 28, 28), 128, mask="clustered", density=0.4, utilization=0.78),
    Benchmark("256x14x14, 3x3x256, 2/4 at 0.35", (256, 14, 14), 256, mask="clustered", density=0.35, utilization=0.74),
    Benchmark("128x56x56, 3x3/2x128, 2/4 at 0.5", (128, 56, 56), 128, stride=2, mask="clustered"),
    Benchmark("64x56x56, 1x1x64, 2/4 at 0.55", (64, 56, 56), 64, density=0.55, **_1X1, utilization=0.66),
    Benchmark("64x56x56, 1x1x256, 2/4 at 0.55", (64, 56, 56), 256, density=0.55, **_1X1, utilization=0.82),
    Benchmark("1024x14x14, 1x1x512, 2/4 at 0.33", (1024, 14, 14), 512, density=0.33, **_1X1, utilization=0.82),
    Benchmark("64x56x56, 1x1/2x128, 2/4 at 0.5", (64, 56, 56), 128, stride=2, **_1X1, utilization=0.5, tail_apart=True),
    Benchmark("3x224x224, 7x7/2x64, dense weights, density 1.0", (3, 224, 224), 64, 7, 2, 3, (1, 1), mask="full"),
    Benchmark(
        "64x112x112, 3x3/2 max pool at 0.6",
        (64, 112, 112),
        64,
        stride=2,
        mode=(1, 1),
        mask="clustered",
        density=0.6,
        kind="max_pool",
        cycles=18_000,
    ),
    Benchmark("512x14x14, 3x3 depthwise at 0.5", (512, 14, 14), 512, mode=(1, 1), mask="clustered", groups=512),
    Benchmark(
        "512x7x7, 3x3x512, 2/4 at 0.3",
        (512, 7, 7),
        512,
        mask="clustered",
        density=0.3,
        utilization=0.72,
        config="paper_wmem4",
    ),
    Benchmark(
        "512x7x7, 1x1x2048, 2/4 at 0.33",
        (512, 7, 7),
        2048,
        density=0.33,
        **_1X1,
        utilization=0.82,
        config="paper_wmem4",
    ),
    Benchmark(
        "1024x14x14, 1x1/2x2048, 2/4 at 0.33",
        (1024, 14, 14),
        2048,
        stride=2,
        density=0.33,
        **_1X1,
        utilization=0.75,
        config="paper_wmem4",
    ),
)
# The Figure 3 layer by mode of the weights and density of the activations; nothing is asked of one alone.
SWEEP_MODES = ((1, 1), (2, 4), (1, 4), (2, 8), (4, 16))
SWEEP_DENSITIES = (1.0, 0.8, 0.65, 0.5, 0.35, 0.2, 0.1)
SWEEP = tuple(
    Benchmark(f"64x64x64, 3x3x128, {mode[0]}/{mode[1]} at {density}", **_F3, mode=mode, density=density)
    for mode in SWEEP_MODES
    for density in SWEEP_DENSITIES
)


def calibrated(configuration: Config, benchmark: Benchmark, seed: int, **mode: Any) -> Plan:
    """The plan for data of CALIBRATIONS seeds, none of them near ``seed``; mode: fields of the layer to replace.

    Raises ValueError when the layer fits in no way.
    """
    count = 1 if benchmark.mask == "full" else CALIBRATIONS
    layers = (benchmark.layer(seed + CALIBRATION + n) for n in range(count))
    return choose_plan(configuration, *(replace(layer, **mode) for layer in layers))


def planned(configuration: Config, benchmark: Benchmark, seed: int, count: int = 1) -> list[tuple[Layer, Plan]]:
    """The layers of ``count`` seeds, cut as calibration data were.

    Raises ValueError when the layer fits in no way.
    """
    plan = calibrated(configuration, benchmark, seed)
    seeds = [seed] if benchmark.mask == "full" else range(seed, seed + count)  # full: cycles depend on no data
    return [(layer, _cut_like(plan, layer)) for layer in map(benchmark.layer, seeds)]


def planned_dense(configuration: Config, benchmark: Benchmark, seed: int) -> tuple[Layer, Plan]:
    """The layer in dense mode, cut as calibration data were. Raises ValueError when it fits in no way."""
    mode: dict[str, Any] = {"k": 1, "m": 1, "skip": False}
    layer = replace(benchmark.layer(seed), **mode)
    return layer, _cut_like(calibrated(configuration, benchmark, seed, **mode), layer)


def _cut_like(plan: Plan, layer: Layer) -> Plan:
    return replace(make_plan(plan.config, layer, plan.cut), predicted=plan.predicted)
