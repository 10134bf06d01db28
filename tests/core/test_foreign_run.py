# SPDX-License-Identifier: Apache-2.0
"""Networks that others have made, on the core: `make foreign` prints the table and leaves it in build/foreign.md."""

import numpy as np
import pytest

from models.compiler import Compiler
from models.compiler.play import play
from models.config import load_config
from models.importer.passes import bring
from models.importer.runtime import distance
from tests.importer.foreign import FOLDER, NAMES, images
from tests.importer.quantiser import quantise
from verif.host.core import build_core
from verif.host.programs import run_programs
from verif.host.report.layer_figures import figures
from verif.shared.paths import BUILD

CONFIG, BATCH = "small", 1
CALIBRATION, RUN, JUDGED = 32, 2, 200  # images: for scales; on the core; of which the classes are compared as well
HEADER = (
    "| network | file | layers | cycles an image | predicted | utilisation | over dense | from ONNX Runtime "
    "| same class | s |\n|---|---|---:|---:|---:|---:|---:|---:|---:|---:|"
)


def imported(name, form, directory):
    """A network's file, float or quantised by ONNX Runtime, as integers."""
    path, calibration = FOLDER / f"{name}.onnx", images(CALIBRATION, 2)[0]
    if form != "float":
        path, source = directory / f"{name}-{form}.onnx", path
        quantise(source, path, form, [{"images": image[None]} for image in calibration[:8]])
    return bring(path, calibration)


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    directory = tmp_path_factory.mktemp("foreign")
    return {(name, form): imported(name, form, directory) for form in ("float", "qdq") for name in NAMES}


def test_foreign_networks(networks):
    """Every line and result is the integer network's, as the simulation compares; the classes are ONNX Runtime's."""
    config, inputs, many = load_config(CONFIG), images(RUN, 4)[0], images(JUDGED, 3)[0]
    programs = [
        Compiler(found.network, config, BATCH, found.examples).compile().with_images(found.prepare(inputs))
        for found in networks.values()
    ]
    directory = BUILD / "program" / f"foreign-{CONFIG}"
    runs = run_programs(build_core(CONFIG), CONFIG, programs, directory, "make foreign", config.NumPe)
    rows = [HEADER]
    for ((name, form), found), program, (report, sent) in zip(networks.items(), programs, runs, strict=True):
        seen = figures(program, config, play(program, config), report)
        (classes,), (wanted,) = found.finish(sent).values(), found.original(inputs).values()
        apart, same = distance(classes, wanted), classes.argmax(1) == wanted.argmax(1)
        (model,), (judge,) = found.run(many).values(), found.original(many).values()
        alike = model.argmax(1) == judge.argmax(1)
        rows.append(
            f"| {name} | {form} | {len(seen.rows)} | {report.cycles / RUN:,.0f} | {seen.forecast / RUN:,.0f} "
            f"| {seen.utilisation():.1%} | {seen.over_dense:.2f}x | {apart:.2%} | {alike.sum()} of {JUDGED} "
            f"| {report.seconds:.0f} |"
        )
        np.testing.assert_array_equal(classes, *found.run(inputs).values())
        assert same.all() and alike.mean() >= 0.99 and apart < 0.1, name
    table = "\n".join(rows)
    (BUILD / "foreign.md").write_text(f"{table}\n")
    print(f"\n{table}")
