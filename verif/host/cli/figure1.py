# SPDX-License-Identifier: Apache-2.0
"""`make figure1`: trains, prunes and measures networks, and draws accuracy against sparsity."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from verif.host.paper import accuracy
from verif.shared.paths import BUILD, ROOT

DOCS = ROOT / "docs" / "figure1"
CHECKPOINTS = ROOT / "models" / "checkpoints"
IMAGES = ROOT / "models" / "data" / "fashion_mnist.npz"


def figure1(full: bool = False) -> None:
    """Run what is still to do and draw the figure: of fewer images and one seed, or (--full) that of the docs."""
    from models.training import runs  # torch is optional

    console = Console(highlight=False)

    def report(text: str) -> None:
        console.print(text, markup=False, soft_wrap=True)

    work = BUILD / "figure1" / ("full" if full else "quick")
    target: Path = DOCS if full else work
    study = runs.Study() if full else runs.QUICK
    records = target / "runs.jsonl"
    runs.run(study, records, work / "weights", report)
    found = runs.read_records(records)
    accuracy.draw(found, target / "figure1.png", runs.title(study))
    (target / "table.md").write_text(accuracy.table(found))
    report(accuracy.table(found))
    report(f"{(target / 'figure1.png').relative_to(ROOT)}, table.md, densities.md and runs.jsonl beside it")
    for path in runs.save_checkpoints(study, work / "weights", CHECKPOINTS if full else work):
        report(f"{path.relative_to(ROOT)}")
    runs.save_test_images(study, work / "weights", IMAGES if full else work / IMAGES.name)
    (target / "densities.md").write_text(runs.densities(study, work / "weights"))
