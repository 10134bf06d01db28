# SPDX-License-Identifier: Apache-2.0
"""`make program`: a network of known shapes, compiled, on the simulated core in one run."""

from __future__ import annotations

import shlex

import numpy as np
from rich.console import Console

from models.compiler import compile_network
from models.config import load_config
from models.networks import known
from models.networks.builder import images_of
from verif.host.cli.network_run import CHECKS, check_check, model_line, run_compiled, write_report
from verif.host.cli.phase import phase
from verif.host.runner.build import check_simulator
from verif.host.runner.run import default_seed

CALIBRATION = 2**31  # seeds of the images that cuts are chosen from, apart from those that run
CALIBRATION_IMAGES = 4  # the most that any of them needs is what sections are made for


def program(net: str, batch: int = 1, config: str = "paper", sim: str = "verilator", check: str = "lines") -> None:
    """Compile the network NET for batches of BATCH images and run one on CONFIG: every line that the core writes and
    every result is compared. CHECK=all reads every tensor out after its layer as well, which takes longer."""
    console, seed = Console(highlight=False), default_seed()
    if not net:
        raise ValueError(f"NET is empty, expected one of {', '.join(known.NAMES)}: make program NET=resnet18")
    check_check(check)
    configuration, network = load_config(config), known.build(net, seed)
    check_simulator(sim)
    with phase(console, f"compiling {net} for {config}, a batch of {batch}"):
        calibration = images_of(network, CALIBRATION_IMAGES, np.random.default_rng(seed + CALIBRATION))
        compiled = compile_network(network, configuration, batch, calibration)
        compiled = compiled.with_images(images_of(network, batch, np.random.default_rng(seed)))
    again = ["make", "program", f"NET={net}", f"BATCH={batch}", f"CONFIG={config}", f"SIM={sim}", f"SEED={seed}"]
    if check != CHECKS[0]:
        again.append(f"CHECK={check}")
    found, _ = run_compiled(console, net, compiled, config, sim, check, shlex.join(again))
    model = model_line(found)
    console.print(model, markup=False, soft_wrap=True)
    write_report(console, net, found, [], [f"{net}: known shapes, random weights and images", model])
