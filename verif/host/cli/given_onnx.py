# SPDX-License-Identifier: Apache-2.0
"""`make compile`: what an ONNX network is on the core, without a simulator; `make network ONNX=`: it runs there."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from rich.console import Console

from models.compiler import Compiler, program_tables
from models.compiler.what_if import trials
from models.config import load_config
from models.importer import explain, passes
from models.importer.passes import Imported, Inputs
from models.importer.runtime import Tensors, distance
from models.network import count_of, taken
from verif.host.cli.network_run import check_check, run_compiled, write_report
from verif.host.cli.output_file import check_target, save_arrays
from verif.host.cli.phase import phase
from verif.host.report import changes, layer_table, network_page
from verif.host.report.layer_figures import figures
from verif.host.runner.build import check_simulator
from verif.host.runner.run import default_seed
from verif.shared.paths import BUILD, ROOT

_CYCLES = "cycles"  # in OUT, beside the outputs
_COMPILED = 4  # calibration images that the compiler sees
_AGREEING = 64  # on which classes are compared
_TRIALS_S = 60  # seconds in which other modes, memories and batches are tried


def inputs_of(path: str, what: str) -> Inputs:
    """The array in an NPY file, or those in an NPZ file by their names. Raises ValueError, which names the file."""
    try:
        found = np.load(path, allow_pickle=False)
        if isinstance(found, np.ndarray):
            return found
        with found:
            return dict(found)
    except FileNotFoundError:
        raise ValueError(f"{what}: {path}: no such file") from None
    except (OSError, EOFError, BadZipFile, ValueError):
        raise ValueError(f"{what}: {path}: no NPY or NPZ file, or one that is cut short") from None


def compile(  # the command's name
    onnx: str,
    calib: str = "",
    mode: str = "auto",
    prune: bool = False,
    until: str = "",
    config: str = "paper",
    batch: int = 1,
) -> None:
    """Explain the network in the file ONNX: its layers, what the host does, its program on CONFIG."""
    console = Console(highlight=False)

    def say(text: str) -> None:
        console.print(text, markup=False, soft_wrap=True)

    if not onnx:
        raise ValueError("ONNX is empty, expected a network: make compile ONNX=model.onnx")
    configuration = load_config(config)
    calibration = inputs_of(calib, "CALIB") if calib else None
    with phase(console, f"reading {onnx}"):
        imported = passes.bring(onnx, calibration, mode, prune, until, "CALIB")
    images = imported.examples
    say(explain.layers_table(imported, imported.network.run(images)))
    for line in (network := explain.summary(imported)):
        say(line)
    if calibration is not None and not until:
        given = passes.by_name(imported.graph, calibration, "CALIB")
        some = {name: array[:_AGREEING] for name, array in given.items()}
        for line in judged(imported, some, imported.run(some)):
            say(line)
    if until:
        return
    with phase(console, f"compiling for {config}"):
        compiler = Compiler(imported.network, configuration, batch, few := taken(images, slice(_COMPILED)))
        program = compiler.compile()
        timeline = compiler.time(program)
    program = program.with_images(taken(images, np.arange(batch) % count_of(images)))
    found = figures(program, configuration, timeline)
    say(layer_table.table(found))
    for line in layer_table.summary(found):
        say(line)
    say(f"predicted: {timeline.per_image:,.0f} cycles an image in batches of {batch}")
    for line in (cut := changes.cuts(program, configuration)):
        say(f"cut: {line}")
    with phase(console, "compiling with other modes, memories and batches") as tell:
        others = trials(imported.network, configuration, batch)
        changed = changes.changes(others, few, timeline.per_image, _TRIALS_S, tell)
    say(changed)
    path = BUILD / "compile" / f"{Path(onnx).stem}-{config}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    program.save(path)
    path.with_suffix(".md").write_text(program_tables.memory_map(program) + "\n")
    more = [
        network_page.section(
            "What was cut, and why", network_page.bullets(cut), program_tables.layers_table(program, timeline)
        ),
        network_page.section(
            "What a change would bring", "Predicted by compiling again; nothing was retrained.", changed
        ),
    ]
    network_page.write(path.with_suffix(".html"), Path(onnx).stem, found, [], network, more)
    names = {"program": ".npz", "memory map": ".md", "report": ".html"}
    say(", ".join(f"{name}: {path.with_suffix(suffix).relative_to(ROOT)}" for name, suffix in names.items()))


def judged(imported: Imported, inputs: Inputs, found: Tensors) -> list[str]:
    """Of each output a line on how far it is from ONNX Runtime's, and how often its largest number is the same one."""
    wanted, lines = imported.original(inputs), []
    for name, value in found.items():
        text = f"output {name}: {100 * distance(value, wanted[name]):.2f} % from ONNX Runtime's"
        if value.dtype.kind == "f" and value.ndim == 2 and value.shape[1] > 1:
            same = int((value.argmax(1) == wanted[name].argmax(1)).sum())
            text += f"; the largest is ONNX Runtime's for {same} of {len(value)} inputs"
        lines.append(text)
    return lines


def run_onnx(
    onnx: str,
    inputs: str,
    calib: str,
    out: str,
    mode: str,
    prune: bool,
    batch: int,
    until: str,
    config: str,
    sim: str,
    check: str,
) -> None:
    """Run the network in the file ONNX on the inputs in INPUT, in one run of the core; see `network`."""
    console = Console(highlight=False)
    check_check(check)
    check_simulator(sim)
    configuration = load_config(config)
    if not inputs:
        raise ValueError("INPUT is empty, expected inputs: make network ONNX=model.onnx INPUT=x.npy")
    if out:
        check_target(out, "INPUT", inputs)
    given = inputs_of(inputs, "INPUT")
    with phase(console, f"reading {onnx}"):
        calibration, what = (inputs_of(calib, "CALIB"), "CALIB") if calib else (given, "INPUT")
        imported = passes.bring(onnx, calibration, mode, prune, until, what)
    if out and _CYCLES in imported.outputs:
        raise ValueError(f"{onnx}: an output is called {_CYCLES!r}, as the cycles in OUT are; expected another name")
    images = imported.prepare(given, "INPUT")
    count = count_of(images)
    if batch < 1 or count % batch:
        raise ValueError(f"BATCH: {batch}, expected a divisor of the number of inputs, {count}")
    for line in (notes := explain.summary(imported)):
        console.print(line, markup=False, soft_wrap=True)
    with phase(console, f"compiling for {config}, batches of {batch}"):
        program = Compiler(imported.network, configuration, batch, taken(imported.examples, slice(_COMPILED))).compile()
        program = program.with_images(images)
    given_variables = {
        "ONNX": onnx,
        "INPUT": inputs,
        "CALIB": calib,
        "OUT": out,
        "MODE": mode,
        "PRUNE": "1" if prune else "",
        "BATCH": batch,
        "UNTIL": until,
        "CONFIG": config,
        "SIM": sim,
        "CHECK": check,
        "SEED": default_seed(),
    }
    again = ["make", "network", *(f"{name}={value}" for name, value in given_variables.items() if value != "")]
    name = Path(onnx).stem
    found, sent = run_compiled(console, name, program, config, sim, check, shlex.join(again))
    outputs = imported.finish(sent | images)
    for line in (judgement := judged(imported, given, outputs)):
        console.print(line, markup=False, soft_wrap=True)
    write_report(console, name, found, judgement, notes)
    if out:
        tensors = imported.tensors(sent | images) if check == "all" else {}
        arrays = {_CYCLES: np.array(found.cycles / count), **tensors, **outputs}
        save_arrays(arrays, out, BUILD / "network" / f"out-{os.getpid()}.npz")
        console.print(f"outputs: {out}", markup=False, soft_wrap=True)
