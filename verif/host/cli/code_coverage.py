# SPDX-License-Identifier: Apache-2.0
"""Code coverage: Verilator's .dat files merged and counted per source file."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from verif.host.runner.tools import tool_env, verilator_home
from verif.shared.paths import ROOT, RTL

KINDS = ("line", "branch", "expr", "toggle")
_RECORD = re.compile(r"^C '(.*)' (\d+)$")


@dataclass
class FileCoverage:
    """Points of one source file: hits summed over instances, parameter sets and runs."""

    hits: dict[str, Counter[tuple[str, str, str]]] = field(default_factory=lambda: defaultdict(Counter))

    def ratio(self, kind: str) -> tuple[int, int]:
        """(points hit, points) of one kind."""
        points = self.hits[kind]
        return sum(count > 0 for count in points.values()), len(points)

    def missed_lines(self) -> list[int]:
        """Lines with a line or branch point that no run reached."""
        points = [item for kind in ("line", "branch") for item in self.hits[kind].items()]
        return sorted({int(line) for (line, _, _), count in points if not count})


def read_coverage(files: Sequence[Path]) -> dict[str, FileCoverage]:
    """Coverage of the hand-written RTL by path, from Verilator coverage `files`."""
    result: dict[str, FileCoverage] = defaultdict(FileCoverage)
    for file in files:
        for record in file.read_text().splitlines():
            if not (match := _RECORD.match(record)):
                continue
            point = dict(item.split("\x02", 1) for item in match[1].split("\x01") if "\x02" in item)
            source = Path(point["f"])
            kind = point.get("page", point.get("t", "")).removeprefix("v_").split("/")[0]
            if RTL in source.parents and kind in KINDS:
                key = (point["l"], point.get("n", ""), point.get("o", ""))
                result[str(source.relative_to(ROOT))].hits[kind][key] += int(match[2])
    return dict(sorted(result.items()))


def write_lcov_report(files: Sequence[Path], out: Path) -> Path | None:
    """Merge `files` into merged.dat and merged.info; the genhtml report's index where genhtml exists.

    Raises:
        RuntimeError: verilator_coverage or genhtml failed.
    """
    tool = str(verilator_home() / "bin" / "verilator_coverage")
    info = out / "merged.info"
    inputs = [str(file) for file in files]
    commands = [
        [tool, "--write", str(out / "merged.dat"), *inputs],
        [tool, "--write-info", str(info), str(out / "merged.dat")],
    ]
    if shutil.which("genhtml"):
        commands.append(
            ["genhtml", "-q", "--ignore-errors", "source", "--prefix", str(ROOT), "-o", str(out / "code"), str(info)]
        )
    for command in commands:
        done = subprocess.run(command, env=tool_env(), capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{Path(command[0]).name} failed:\n{done.stdout}{done.stderr}")
    return out / "code" / "index.html" if shutil.which("genhtml") else None
