# SPDX-License-Identifier: Apache-2.0
"""What the cycle model says of layers that ran on the core: the error of each, held to the model's bounds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models import cycle_model, work
from models.cycle_model import Cycles
from models.layer import Layer
from models.systems.tables import markdown
from models.tiling import Plan
from verif.host.layers import LayerResult
from verif.shared.paths import ROOT

FILE = ROOT / "docs" / "study" / "cycle_model.json"
COMMAND = "make cyclemodel UPDATE=1"
CONFIGS = ("small", "small,NumPe=8,NumRegions=4", "medium", "medium,NumPe=32", "medium,NumLanes=16", "paper")
HEADER = "| layer | tile, splits | core | model | error |\n|---|---|---:|---:|---:|"


@dataclass(frozen=True)
class Judged:
    """A layer's prediction beside what the core counted."""

    name: str
    plan: Plan
    model: Cycles
    core: LayerResult

    @property
    def error(self) -> float:
        """Predicted cycles over the core's, less 1."""
        return self.model.cycles / self.core.cycles - 1

    @property
    def missed(self) -> bool:
        """Beyond what a layer of so many cycles may be off."""
        return abs(self.error) > cycle_model.bound(self.core.cycles)

    def __str__(self) -> str:
        tile, splits = self.plan.cut.tile, self.plan.cut.splits
        shape = f"{tile.line_h}x{tile.line_w}, {splits}"
        return f"| {self.name} | {shape} | {self.core.cycles:,} | {self.model.cycles:,} | {self.error:+.2%} |"


def judge(layers: Mapping[str, tuple[Layer, Plan]], results: Sequence[LayerResult]) -> list[Judged]:
    """Each layer, by name, with its result; products and busy PE-cycles have to be the core's."""
    found = []
    for (name, (layer, plan)), core in zip(layers.items(), results, strict=True):
        model = cycle_model.predict(plan, work.measure(plan.descriptor, layer))
        assert model.macs == core.counters["MACS"], name
        assert model.busy == core.counters["BUSY"], name
        found.append(Judged(name, plan, model, core))
    return found


def table(judged: Sequence[Judged]) -> str:
    """All layers, and the errors of those that have the same bound."""
    cycles = {"": [(one.core.cycles, one.model.cycles) for one in judged]}
    return "\n".join([HEADER, *map(str, judged), "", summary(cycles)])


def summary(found: Mapping[str, Sequence[tuple[int, int]]]) -> str:
    """The errors of layers that have the same bound, by configuration; from the core's cycles and the model's."""
    columns = [f"> {least:,} cycles (asked {bound:.0%})" for least, bound in cycle_model.BOUNDS] + ["others"]
    rows = []
    for name, layers in found.items():
        cells = []
        for bound in (*(bound for _, bound in cycle_model.BOUNDS), float("inf")):
            errors = [abs(model / core - 1) for core, model in layers if cycle_model.bound(core) == bound]
            missed = sum(error > bound for error in errors)
            cells.append(
                f"{len(errors)}: worst {max(errors):.2%}, median {np.median(errors):.2%}"
                + (f", **{missed} missed**" if missed else "")
                if errors
                else "none"
            )
        rows.append((name, *cells))
    return markdown(("configuration", *columns), rows)


def record(config: str, seed: int, judged: Sequence[Judged], path: Path = FILE) -> None:
    """Keep the core's cycles and the model's of a configuration's layers, in the place of those before."""
    layers = [
        {
            "layer": one.name,
            "tile": [one.plan.cut.tile.line_h, one.plan.cut.tile.line_w],
            "splits": one.plan.cut.splits,
            "core": one.core.cycles,
            "model": one.model.cycles,
        }
        for one in judged
    ]
    kept = load(path) if path.exists() else {}
    kept[config] = {"seed": seed, "layers": layers}
    texts = []
    for name in filter(kept.get, CONFIGS):
        lines = ",\n".join(f"  {json.dumps(layer)}" for layer in kept[name]["layers"])
        texts.append(f' {json.dumps(name)}: {{"seed": {kept[name]["seed"]}, "layers": [\n{lines}\n ]}}')
    joined = ",\n".join(texts)
    path.write_text(f'{{"command": "{COMMAND}", "configurations": {{\n{joined}\n}}}}\n')


def load(path: Path = FILE) -> dict[str, dict[str, Any]]:
    """Of each configuration its seed and layers, as `record` keeps them."""
    found: dict[str, dict[str, Any]] = json.loads(path.read_text())["configurations"]
    return found


def cycles(path: Path = FILE) -> dict[str, list[tuple[int, int]]]:
    """What was kept, as `summary` takes it."""
    return {name: [(layer["core"], layer["model"]) for layer in found["layers"]] for name, found in load(path).items()}


def missed(path: Path = FILE) -> str:
    """Of what was kept, the layers beyond what they may be off."""
    rows = []
    for name, found in load(path).items():
        for layer in found["layers"]:
            core, model = layer["core"], layer["model"]
            if abs(error := model / core - 1) > cycle_model.bound(core):
                rows.append((name, layer["layer"], f"{core:,}", f"{model:,}", f"{error:+.2%}"))
    return markdown(("configuration", "layer", "core", "model", "error"), rows, 2)
