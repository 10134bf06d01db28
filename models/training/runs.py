# SPDX-License-Identifier: Apache-2.0
"""The runs of Figure 1: which networks are trained, pruned and measured, in what order, and the driver that does it.

A *stage* takes a network to one sparsity; its record is one line of a JSON-lines file, its weights are a file.
A stage with a record is not run again, unless one that is still to do starts from its weights and they are gone.
"""

from __future__ import annotations

import json
import os
import platform
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from fractions import Fraction
from functools import cache
from multiprocessing import active_children, get_context
from pathlib import Path

import numpy as np
import torch
from torch import nn

from models.densities import table
from models.network import INPUT, Network
from models.training import data, finetune, fit, networks, permute, quantise, schedules, sensitivity
from models.training.pruning import WHOLE, attach, finalise

SPARSITIES = tuple(Fraction(n, 8) for n in (2, 4, 5, 6, 7))
BOTH = (Fraction(1, 2), Fraction(3, 4))  # what groups of four can express and prune
AXES = {"output": 0, "input": 1, "whole": WHOLE}
WHOLE_STEPS = 16  # of unstructured pruning: a sixteenth of a layer a removal
LONGER = 2  # times the epochs of the iterative path: "longer", and the dense network beside it
JOBS = 2


@dataclass(frozen=True)
class Study:
    """What all stages have in common. epochs: of the dense training; retraining: epochs for a quarter of the weights
    removed; rates: of the dense training and of retraining; images: for training, the first of the data set's;
    fine_tuning: epochs with rounding, where quantisation loses more than `finetune.LOST`."""

    data: str = "fashion-mnist"
    network: str = "resnet18"
    width: int = 8
    images: int = 60_000
    seeds: tuple[int, ...] = (1, 2, 3)
    epochs: float = 6
    retraining: float = 1
    rates: tuple[float, float] = (0.1, 0.05)
    methods: tuple[str, ...] = ("iterative", "longer", "one-shot", "sr-ste", "dense", "per-layer", "permuted")
    fine_tuning: float = 0.5


QUICK = Study(images=20_000, seeds=(1,))


def title(study: Study) -> str:
    """What was trained, in a line."""
    seeds = f"{len(study.seeds)} seeds" if len(study.seeds) > 1 else "1 seed"
    return f"{study.network}, width {study.width}, {study.data}, {study.images:,} images, {seeds}"


@dataclass(frozen=True)
class Stage:
    """A network of one seed at one sparsity: how it is reached and from which stage's weights (none: from scratch).

    before: the sparsity it starts from; axis: of the groups of m; modes of "per-layer" come from the dense network.
    """

    name: str
    seed: int
    method: str
    axis: str
    m: int
    sparsity: Fraction
    parent: str | None
    before: Fraction

    def epochs(self, study: Study) -> float:
        """Epochs that it trains."""
        if self.parent is None:
            return study.epochs
        longer = LONGER if self.method in ("longer", "dense") else 1
        return longer * study.retraining * float(4 * (self.sparsity - self.before))


def _trained(seed: int) -> str:
    return f"seed {seed}: dense"


def _path(seed: int, axis: str, m: int) -> list[Stage]:
    """The paper's iterative pruning, through every sparsity that groups of m can express."""
    found, parent, before = [], _trained(seed), Fraction(0)
    for sparsity in SPARSITIES:
        if (sparsity * m).denominator == 1 and sparsity < 1:
            label = "unstructured" if axis == "whole" else f"{axis} {(1 - sparsity) * m}/{m}"
            name = f"seed {seed}: {label} iterative at {float(100 * sparsity):g} %"
            found.append(Stage(name, seed, "iterative", axis, m, sparsity, parent, before))
            parent, before = name, sparsity
    return found


def _direct(seed: int, method: str, m: int, sparsity: Fraction) -> Stage:
    """From the dense network to a sparsity, in as many epochs as the iterative path has (see LONGER)."""
    label = "" if method in ("dense", "per-layer") else f" {(1 - sparsity) * m}/{m}"
    name = f"seed {seed}: {method}{label} for {float(100 * sparsity):g} %"
    return Stage(name, seed, method, "output", m, sparsity, _trained(seed), Fraction(0))


def stages(study: Study) -> list[Stage]:
    """All stages, the most telling first."""
    found = []
    for seed in study.seeds:
        found.append(Stage(_trained(seed), seed, "dense", "output", 1, Fraction(0), None, Fraction(0)))
        for m in (4, 8, 16):
            found += _path(seed, "output", m)
    for seed in study.seeds:
        found += [_direct(seed, "longer", m, Fraction(3, 4)) for m in (4, 8, 16)]
        found.append(_direct(seed, "dense", 4, Fraction(3, 4)))
    for seed in study.seeds:
        found += _path(seed, "input", 4)
        found += [_direct(seed, "permuted", 4, sparsity) for sparsity in BOTH]
        found += [_direct(seed, method, 4, sparsity) for method in ("one-shot", "sr-ste") for sparsity in BOTH]
        found += [_direct(seed, "per-layer", 4, sparsity) for sparsity in (Fraction(1, 2), Fraction(5, 8))]
        found += _path(seed, "whole", WHOLE_STEPS)
    return [stage for stage in found if stage.parent is None or stage.method in study.methods]


@cache
def _data(study: Study) -> data.Data:
    return data.SETS[study.data]().first(study.images)


def _network(study: Study) -> nn.Module:
    inputs = _data(study).train[0].shape[1]
    return networks.NETWORKS[study.network](inputs, study.width).to(memory_format=torch.channels_last)


def weights_file(directory: Path, stage: str) -> Path:
    """Where a stage's weights are."""
    return directory / (stage.replace(": ", "-").replace(" ", "-").replace("/", "of").replace("%", "percent") + ".pt")


def load_model(study: Study, directory: Path, stage: str) -> nn.Module:
    """The network of a stage that has run, in float."""
    model = _network(study)
    model.load_state_dict(torch.load(weights_file(directory, stage), weights_only=True))
    return model


def integer_network(study: Study, model: nn.Module) -> Network:
    """The network quantised, calibrated on the first training images."""
    return quantise.quantise(model, _data(study).train[0][: quantise.CALIBRATION], fit.images_of)


CHECKPOINTS = {
    "resnet18-dense": "seed 1: dense",
    "resnet18-2of4": "seed 1: output 2/4 iterative at 50 %",
    "resnet18-1of4": "seed 1: output 1/4 iterative at 75 %",
    "resnet18-4of16": "seed 1: output 4/16 iterative at 75 %",
}


def save_checkpoints(study: Study, weights: Path, directory: Path) -> list[Path]:
    """Write the integer networks that the project runs, of those stages whose weights are there; returns the files."""
    directory.mkdir(parents=True, exist_ok=True)
    found = []
    for name, stage in CHECKPOINTS.items():
        if weights_file(weights, stage).exists():
            found.append(directory / f"{name}.npz")
            integer_network(study, load_model(study, weights, stage)).save(found[-1])
    return found


TEST_IMAGES, CALIBRATION_IMAGES = 200, 4


def save_test_images(study: Study, weights: Path, file: Path) -> None:
    """Write the first test images and their labels, some training images as "calibration", and by name of CHECKPOINTS
    the test images' classes in float of those stages whose weights are there: what `make network` runs."""
    images, labels = (part[:TEST_IMAGES] for part in _data(study).test)
    arrays = {"images": images.numpy(), "labels": labels.numpy().astype(np.uint8)}
    arrays["calibration"] = _data(study).train[0][:CALIBRATION_IMAGES].numpy()
    for name, stage in CHECKPOINTS.items():
        if weights_file(weights, stage).exists():
            model = load_model(study, weights, stage).eval()
            with torch.no_grad():
                arrays[name] = model(fit.images_of(images)).argmax(1).numpy().astype(np.uint8)
    np.savez_compressed(file, **arrays)


DENSITY_IMAGES = 200


def densities(study: Study, weights: Path) -> str:
    """Activation densities of the integer networks of CHECKPOINTS, on the first test images, as Markdown."""
    images, parts = _data(study).test[0][:DENSITY_IMAGES].numpy(), []
    for name, stage in CHECKPOINTS.items():
        if weights_file(weights, stage).exists():
            network = integer_network(study, load_model(study, weights, stage))
            parts.append(f"## {name} ({stage})\n\n{table(network, {INPUT: images})}")
    return "\n".join(parts)


def _pruned(stage: Stage, model: nn.Module, images: data.Data):
    """Masks of the model as the stage starts, and its schedule; None for the dense network."""
    if stage.method == "dense":
        return None, None
    if stage.method == "per-layer":
        table = sensitivity.assign(sensitivity.analyse(model, images.train), float(stage.sparsity))
        return attach(model, layers=table), schedules.iterative
    masks = attach(model, stage.m, stage.m, AXES[stage.axis], sr_ste=stage.method == "sr-ste", core=False)
    masks.aim(int((1 - stage.before) * stage.m))
    masks.finish()
    masks.aim(int((1 - stage.sparsity) * stage.m))
    return masks, schedules.iterative if stage.method in ("iterative", "longer", "permuted") else schedules.one_shot


def _quantised(study: Study, model: nn.Module, images: data.Data, accuracy: float, seed: int) -> dict:
    """Accuracy in integers, after a fine-tuning where it is needed; "calibrated": what it was without."""
    test = {INPUT: images.test[0].numpy()}, images.test[1].numpy()
    found = integer_network(study, model).accuracy(*test)
    if accuracy - found <= finetune.LOST:
        return {"int8": found}
    steps = fit.steps_of(len(images.train[0]), study.fine_tuning)
    tuned = finetune.fine_tune(model, images.train, steps, seed, flip=study.data != "mnist")
    return {"int8": integer_network(study, tuned).accuracy(*test), "calibrated": found}


def run_stage(study: Study, stage: Stage, directory: Path) -> dict:
    """Train one stage, write its weights and return its record."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    started, images = time.monotonic(), _data(study)
    seed = zlib.crc32(stage.name.encode())
    torch.manual_seed(seed)
    model = _network(study) if stage.parent is None else load_model(study, directory, stage.parent)
    magnitude = None
    if stage.method == "permuted":
        magnitude = permute.permute(model, int((1 - stage.sparsity) * stage.m), stage.m)
    masks, schedule = _pruned(stage, model, images)
    steps = fit.steps_of(len(images.train[0]), stage.epochs(study))
    before = schedule(masks, steps) if masks else lambda step: None
    rate = study.rates[stage.parent is not None]
    try:
        loss = fit.fit(model, images.train, steps, rate, seed, before, flip=study.data != "mnist")
    except RuntimeError as error:
        raise RuntimeError(f"{stage.name}: {error}") from None
    found = {"sparsity": float(stage.sparsity), "kept": 1 - masks.sparsity if masks else 1.0}
    modes = {name: f"{k}/{m}" for name, (k, m) in masks.modes.items()} if stage.method == "per-layer" else None
    finalise(model)
    directory.mkdir(parents=True, exist_ok=True)
    torch.save(model.state_dict(), weights_file(directory, stage.name))
    accuracy = fit.accuracy(model, images.test)
    return {
        "stage": stage.name,
        "seed": stage.seed,
        "method": stage.method,
        "axis": stage.axis,
        "m": stage.m,
        **found,
        "modes": modes,
        "trained": stage.parent is None,
        "magnitude": magnitude,
        "float": accuracy,
        **_quantised(study, model, images, accuracy, seed),
        "loss": loss,
        "epochs": stage.epochs(study),
        "seconds": round(time.monotonic() - started),
        "study": asdict(study),
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__},
    }


def read_records(path: Path) -> list[dict]:
    """The records of a file, in the order in which the stages ended; none when there is no file."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _to_do(plan: list[Stage], done: set[str], directory: Path) -> list[Stage]:
    """The stages without a record, and those whose lost weights they start from."""
    by_name, needed = {stage.name: stage for stage in plan}, set()
    for stage in plan:
        if stage.name in done:
            continue
        needed.add(stage.name)
        parent = stage.parent
        while parent is not None and not weights_file(directory, parent).exists():
            needed.add(parent)
            parent = by_name[parent].parent
    return [stage for stage in plan if stage.name in needed]


def run(study: Study, records: Path, directory: Path, report: Callable[[str], None], jobs: int = JOBS) -> None:
    """Run what is still to do, ``jobs`` stages at a time, and append a record as each ends.

    records: the JSON-lines file; directory: takes the weights; report: is told of each stage that ends, and of the time
    that is left. Raises what a stage raises; the others that are running are ended.
    """
    plan = stages(study)
    done = {record["stage"] for record in read_records(records)}
    waiting = _to_do(plan, done, directory)
    redo = {stage.name for stage in waiting}
    total, cost = sum(stage.epochs(study) for stage in waiting), 0.0
    report(
        f"{len(plan) - len(waiting)} of {len(plan)} stages done, {total:g} epochs of {study.images:,} images to train"
    )
    started = time.monotonic()
    running: dict[Future, Stage] = {}
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # of the workers: each has a core
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool, _ending_workers():
        while waiting or running:
            for stage in _ready(waiting, redo)[: jobs - len(running)]:
                waiting.remove(stage)
                running[pool.submit(run_stage, study, stage, directory)] = stage
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                stage = running.pop(future)
                _record(future, stage, done, records)
                redo.discard(stage.name)
                cost += stage.epochs(study)
                left = (time.monotonic() - started) * (total / cost - 1)
                report(_line(future.result(), len(plan) - len(waiting) - len(running), len(plan), left))


@contextmanager
def _ending_workers() -> Iterator[None]:
    """What ends the run, an interrupt too, ends the stages that are running: the pool would wait for them."""
    try:
        yield
    except BaseException:
        for worker in active_children():
            worker.terminate()
        raise


def _ready(waiting: Iterable[Stage], redo: set[str]) -> list[Stage]:
    return [stage for stage in waiting if stage.parent not in redo]


def _record(future: Future, stage: Stage, done: set[str], records: Path) -> None:
    """Append the record of a stage that has none yet."""
    record = future.result()
    if stage.name not in done:
        records.parent.mkdir(parents=True, exist_ok=True)
        with records.open("a") as file:
            file.write(json.dumps(record) + "\n")


def _line(record: dict, number: int, total: int, left: float) -> str:
    time_left = f"{left / 60:.0f} min left" if left else "done"
    return (
        f"{number}/{total} {record['stage']}: float {100 * record['float']:.2f} %, int8 {100 * record['int8']:.2f} %, "
        f"{record['seconds']} s; {time_left}"
    )
