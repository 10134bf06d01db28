# SPDX-License-Identifier: Apache-2.0
"""`make coverage`: functional and code coverage of all tests, merged, as text and HTML."""

from __future__ import annotations

import shutil
from pathlib import Path

import jinja2
import typer
from rich.console import Console
from rich.table import Column, Table

from verif.host.cli.code_coverage import KINDS, FileCoverage, read_coverage, write_lcov_report
from verif.host.cli.functional_coverage import CoverPoint, merge_functional
from verif.host.cli.phase import phase
from verif.host.cli.pytest_run import pytest_run, selection, session
from verif.host.runner.run import COVERAGE, FULL
from verif.shared.paths import BUILD, ROOT
from verif.shared.variables import FUNCTIONAL_COVERAGE

OUT = BUILD / "coverage"
SIMULATING = ("tests/blocks", "tests/core", "tests/env", "tests/kit")  # folders with tests that simulate

_PAGE = jinja2.Template(
    """<!DOCTYPE html><html><head><meta charset="utf-8"><title>SparseCore coverage</title><style>
body{font-family:sans-serif;margin:2em} table{border-collapse:collapse;margin-bottom:2em}
td,th{border:1px solid #ccc;padding:.2em .6em;text-align:left} td.n{text-align:right}
</style></head><body><h1>SparseCore coverage</h1>
<h2>Code</h2>{% if lcov %}<p><a href="{{ lcov }}">Annotated sources</a></p>{% endif %}
<table><tr><th>file</th>{% for kind in kinds %}<th>{{ kind }}</th>{% endfor %}<th>lines not reached</th></tr>
{% for name, file in code.items() %}<tr><td>{{ name }}</td>{% for kind in kinds %}
<td class="n">{{ percent(*file.ratio(kind)) }}</td>{% endfor %}
<td>{{ file.missed_lines()|join(' ') }}</td></tr>{% endfor %}</table>
<h2>Functional</h2><table><tr><th>cover point</th><th>covered</th><th>bins</th><th></th><th>missing</th></tr>
{% for name, point in functional.items() %}<tr><td>{{ name }}</td><td class="n">{{ point.covered }}</td>
<td class="n">{{ point.bins|length }}</td><td class="n">{{ percent(point.covered, point.bins|length) }}</td>
<td>{{ point.missing|join(', ')|e }}</td></tr>{% endfor %}</table></body></html>
"""
)


def _percent(hit: int, total: int) -> str:
    return f"{100 * hit / total:.1f} % ({hit}/{total})" if total else "-"


def _code_table(code: dict[str, FileCoverage]) -> Table:
    table = Table(Column("file", no_wrap=True), *KINDS, title="Code coverage")
    for name, file in code.items():
        table.add_row(name, *(_percent(*file.ratio(kind)) for kind in KINDS))
    sums = [[sum(file.ratio(kind)[i] for file in code.values()) for i in (0, 1)] for kind in KINDS]
    table.add_row("total", *(_percent(*pair) for pair in sums), style="bold")
    return table


def _functional_table(functional: dict[str, CoverPoint]) -> Table:
    table = Table("cover point", "covered", "missing (first few)", title="Functional coverage")
    for name, point in functional.items():
        table.add_row(name, _percent(point.covered, len(point.bins)), ", ".join(point.missing[:6]))
    covered = sum(point.covered for point in functional.values())
    table.add_row("total", _percent(covered, sum(len(point.bins) for point in functional.values())), "", style="bold")
    return table


def coverage(test: str = "") -> None:
    """Run TEST (default: everything that simulates) with coverage on, then merge and report."""
    chosen = selection(test) if test else SIMULATING
    with session("make coverage"):
        shutil.rmtree(OUT, ignore_errors=True)
        OUT.mkdir(parents=True)
        code_of_tests = pytest_run(["-n", "2", *chosen], {COVERAGE: "1", FULL: "1"})
    dats = sorted((OUT / "runs").rglob("coverage.dat"))
    exports = sorted((OUT / "runs").rglob(FUNCTIONAL_COVERAGE))
    if not dats:
        raise RuntimeError(f"test {test!r} produced no coverage: nothing was simulated")
    with phase(Console(highlight=False), f"merging {len(dats)} code and {len(exports)} functional databases"):
        code, functional = read_coverage(dats), merge_functional(exports)
        lcov = write_lcov_report(dats, OUT)
    _report(code, functional, lcov)
    raise typer.Exit(code_of_tests)


def _report(code: dict[str, FileCoverage], functional: dict[str, CoverPoint], lcov: Path | None) -> None:
    """Print the tables and write the same as coverage.txt and index.html."""
    with (OUT / "coverage.txt").open("w") as text:
        for console in (Console(highlight=False), Console(file=text, width=160)):
            console.print(_code_table(code))
            console.print(_functional_table(functional))
            if lcov is None:
                console.print("no annotated sources: genhtml (Debian package lcov) is not installed")
    page = OUT / "index.html"
    page.write_text(
        _PAGE.render(
            code=code,
            functional=functional,
            kinds=KINDS,
            percent=_percent,
            lcov=lcov.relative_to(OUT) if lcov else None,
        )
    )
    Console(highlight=False).print(f"{(OUT / 'coverage.txt').relative_to(ROOT)}, {page.relative_to(ROOT)}")
