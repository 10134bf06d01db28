# SPDX-License-Identifier: Apache-2.0
"""`make network` without a network: the trained and pruned one that is in the tree, from test images to classes."""

from __future__ import annotations

import shlex

import numpy as np
from rich.console import Console

from models.compiler import Compiler
from models.config import load_config
from models.network import INPUT, Network
from verif.host.cli.network_run import check_check, run_compiled, write_report
from verif.host.cli.phase import phase
from verif.host.runner.build import check_simulator
from verif.host.runner.run import default_seed
from verif.shared.paths import ROOT

NAME = "resnet18-2of4"
_NETWORK = ROOT / "models" / "checkpoints" / f"{NAME}.npz"
_IMAGES = ROOT / "models" / "data" / "fashion_mnist.npz"


def run_trained(images: int, batch: int, config: str, sim: str, check: str) -> None:
    """Run the first test images through the trained network, in one run of the core; see `network`."""
    console = Console(highlight=False)
    check_check(check)
    check_simulator(sim)
    configuration, network = load_config(config), Network.load(_NETWORK)
    with np.load(_IMAGES) as data:
        if not 1 <= images <= len(data["labels"]):
            raise ValueError(f"IMAGES: {images}, expected 1 to {len(data['labels'])}")
        if batch < 1 or images % batch:
            raise ValueError(f"BATCH: {batch}, expected a divisor of the number of images, {images}")
        given, labels, floats = (data[name][:images] for name in ("images", "labels", NAME))
        inputs, calibration = {INPUT: given}, {INPUT: data["calibration"]}
    with phase(console, f"compiling {NAME} for {config}, batches of {batch}"):
        program = Compiler(network, configuration, batch, calibration).compile().with_images(inputs)
    variables = {"IMAGES": images, "BATCH": batch, "CONFIG": config, "SIM": sim, "CHECK": check}
    again = ["make", "network", *(f"{name}={value}" for name, value in variables.items()), f"SEED={default_seed()}"]
    figures, sent = run_compiled(console, NAME, program, config, sim, check, shlex.join(again))
    found = {
        "float": floats,
        "int8": network.classify(inputs),
        "RTL": sent[network.outputs[0]].reshape(images, -1).argmax(1),
    }
    shares = ", ".join(f"{name} {(classes == labels).mean():.1%}" for name, classes in found.items())
    accuracy = [
        f"accuracy over {images} test images of Fashion-MNIST: {shares}",
        f"classes of the RTL are the int8 model's for {(found['RTL'] == found['int8']).sum()} of {images} images, the "
        f"float network's for {(found['RTL'] == found['float']).sum()}",
    ]
    for line in accuracy:
        console.print(line, markup=False, soft_wrap=True)
    kept = "pruned to 2 of 4 weights along the output depth, quantised to 8 bits"
    write_report(console, NAME, figures, accuracy, [f"ResNet-18 of width 8, trained on Fashion-MNIST, {kept}"])
