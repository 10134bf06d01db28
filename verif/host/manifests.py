# SPDX-License-Identifier: Apache-2.0
"""The core for other projects: the RTL files that FuseSoC and Bender are told of, and the generated ones among them."""

from __future__ import annotations

import re
from pathlib import Path

from verif.host.core import TOP
from verif.host.runner.sources import sources_of
from verif.shared.paths import ROOT, RTL
from verif.shared.registers import REGISTERS, generated_sources

MANIFESTS = (ROOT / "sparsecore.core", ROOT / "Bender.yml")
GENERATED = RTL / "csr" / "generated"

_LIST = re.compile(r"(?:^ *- rtl/\S+\.sv\n)+", re.MULTILINE)
_HEADER = f"""\
// SPDX-License-Identifier: Apache-2.0
// From {REGISTERS.relative_to(ROOT)} by `make docs`.
"""


def rtl_files() -> list[Path]:
    """The SystemVerilog files of the core as they lie in the tree: packages, dependencies first, then modules by path.

    The order of modules is free, so that the list changes only with the files.
    """
    generated = generated_sources()
    files = [GENERATED / file.name if file in generated else file for file in sources_of(TOP)]
    packages = [file for file in files if file.stem.endswith("_pkg")]
    return packages + sorted(set(files) - set(packages))


def published() -> dict[Path, str]:
    """What each manifest and each generated file in the tree ought to say.

    Raises:
        ValueError: a manifest does not have exactly one list of .sv files, one a line.
    """
    texts = {GENERATED / file.name: _HEADER + file.read_text() for file in generated_sources()}
    names = [str(file.relative_to(ROOT)) for file in rtl_files()]
    for manifest in MANIFESTS:
        text = manifest.read_text()
        lists = _LIST.findall(text)
        if len(lists) != 1:
            raise ValueError(f"{manifest.name}: {len(lists)} lists of .sv files, expected one")
        indent = lists[0].partition("-")[0]
        texts[manifest] = text.replace(lists[0], "".join(f"{indent}- {name}\n" for name in names))
    return texts


def publish() -> list[Path]:
    """Write what has changed of `published`; the files written."""
    changed = [(path, text) for path, text in published().items() if not path.exists() or path.read_text() != text]
    GENERATED.mkdir(exist_ok=True)
    for path, text in changed:
        path.write_text(text)
    return [path for path, _ in changed]
