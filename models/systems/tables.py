# SPDX-License-Identifier: Apache-2.0
"""The comparison as Markdown, and as rows of CSV."""

from collections.abc import Iterable, Mapping, Sequence

from models.systems.compare import DENSE, SPARSECORE, SYSTEMS, Row, Traits, sums
from models.systems.system import Result
from models.systems.validate import Check

OPERANDS = ("weights", "activations")
PLACES = (
    "weights",
    "local weights",
    "activations",
    "local activations",
    "regions",
    "index",
    "sums",
    "shared sums",
    "staging",
    "outputs",
)
_MICRO = 1e6  # pJ in a uJ
_MEGA = 8e6  # bits in a MB


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]], text: int = 1) -> str:
    """A table whose first ``text`` columns are text, the others figures."""
    rule = ["---"] * text + ["---:"] * (len(header) - text)
    return "".join(f"| {' | '.join(cells)} |\n" for cells in ([*header], rule, *rows))


def validation(checks: Iterable[Check]) -> str:
    """Published figures beside the models' own."""
    return markdown(
        ("system", "figure", "source", "published", "model", "error", "why"),
        (
            (
                c.figure.system,
                c.figure.what,
                c.figure.source,
                f"{c.figure.value:g}",
                f"{c.found:.3g}",
                f"{100 * c.error:+.0f} %",
                c.figure.why or "-",
            )
            for c in checks
        ),
        3,
    )


def _yes(by_operand: Mapping[str, bool]) -> str:
    return " and ".join(operand for operand, holds in by_operand.items() if holds) or "-"


def traits(found: Iterable[Traits]) -> str:
    """The columns of the paper's Table 1, with the counts that they follow from."""

    def shares(values: Mapping[str, float]) -> str:
        return " / ".join(f"{values[operand]:.2f}" for operand in OPERANDS)

    return markdown(
        (
            "system",
            "gates",
            "skips",
            "compresses",
            "stays longest",
            "cycles",
            "multiplied",
            "fetched",
            "outside",
            "moves",
        ),
        (
            (
                t.system.name,
                *(_yes({o: test(o) for o in OPERANDS}) for test in (t.gates, t.skips, t.compresses)),
                t.dataflow[0],
                *(shares(values) for values in (t.cycles, t.multiplications, t.fetched, t.stored)),
                " / ".join(f"{t.moves[name]:.1f}" for name in (*OPERANDS, "sums")),
            )
            for t in found
        ),
        5,
    )


def totals(groups: Mapping[str, list[Row]]) -> str:
    """Whole groups of layers by system."""
    cells = []
    for group, rows in groups.items():
        by_name = sums(rows)
        dense = by_name[DENSE.name]
        for name, r in by_name.items():
            cells.append(
                (
                    group,
                    name,
                    f"{r.cycles:,}",
                    f"{dense.cycles / r.cycles:.2f}x",
                    f"{100 * r.utilization:.0f} %",
                    f"{r.shared_bits / _MEGA:,.1f}",
                    f"{sum(r.outside.values()) / _MEGA:,.1f}",
                    f"{r.total_energy / _MICRO:,.0f}",
                    f"{dense.total_energy / r.total_energy:.2f}x",
                    f"{r.outside_energy / _MICRO:,.0f}",
                )
            )
    header = ("layers", "system", "cycles", "over dense", "utilisation", "shared MB", "outside MB", "uJ on chip")
    return markdown((*header, "less than dense", "uJ outside"), cells, 2)


def by_layer(rows: list[Row], rtl: Mapping[str, int]) -> str:
    """Cycles of each layer by system, and where there is one the RTL's own count; the fewest in bold."""
    cells = []
    for name, results in _layers(rows).items():
        fewest = min(r.cycles for r in results.values())
        marked = (f"**{r.cycles:,}**" if r.cycles == fewest else f"{r.cycles:,}" for r in results.values())
        cells.append((name, *marked, f"{rtl[name]:,}" if name in rtl else "-"))
    return markdown(("layer", *(s.name for s in SYSTEMS), "SparseCore, RTL"), cells)


def energy(rows: list[Row]) -> str:
    """Energy on chip of layers together by place, in uJ."""
    cells = []
    for name, result in sums(rows).items():
        places = result.energy
        shown = ("arithmetic", "requantisation", *PLACES)
        cells.append(
            (
                name,
                *(f"{places[place] / _MICRO:,.1f}" if place in places else "-" for place in shown),
                f"{result.total_energy / _MICRO:,.1f}",
            )
        )
    return markdown(("system", "arithmetic", "requantisation", *PLACES, "all"), cells)


def losses(groups: Mapping[str, list[Row]]) -> str:
    """On how many layers another system takes fewer cycles, or less energy on chip, than SparseCore; the worst."""
    cells = []
    for group, rows in groups.items():
        by_layer = _layers(rows)
        for system in SYSTEMS:
            if system == SPARSECORE:
                continue
            cycles = {n: r[SPARSECORE.name].cycles / r[system.name].cycles for n, r in by_layer.items()}
            spent = {n: r[SPARSECORE.name].total_energy / r[system.name].total_energy for n, r in by_layer.items()}
            cells.append((group, system.name, *_beaten(cycles), *_beaten(spent)))
    return markdown(("layers", "system", "faster on", "most", "where", "less energy on", "most", "where"), cells, 2)


def _beaten(ratios: Mapping[str, float]) -> tuple[str, str, str]:
    """How many ratios are above 1, the largest, and whose."""
    worst = max(ratios, key=lambda name: ratios[name])
    count = sum(ratio > 1 for ratio in ratios.values())
    return f"{count} of {len(ratios)}", *((f"{ratios[worst]:.2f}x", worst) if count else ("-", "-"))


def _layers(rows: list[Row]) -> dict[str, dict[str, Result]]:
    """Results by layer and system."""
    found: dict[str, dict[str, Result]] = {}
    for row in rows:
        found.setdefault(row.work.name, {})[row.system.name] = row.result
    return found


def speeds(found: Mapping[str, list[list[Result]]]) -> dict[str, list[list[float]]]:
    """Speed-up over dense by system, [weights][activations], of results in that order."""
    dense = found[DENSE.name]
    return {
        name: [[d.cycles / r.cycles for d, r in zip(*both, strict=True)] for both in zip(dense, lines, strict=True)]
        for name, lines in found.items()
    }


def surfaces(found: Mapping[str, list[list[Result]]], weights: Sequence[float], activations: Sequence[float]) -> str:
    """Speed-up over dense by system and densities."""
    rows = [
        (name, f"{w:.2f}", *(f"{speed:.2f}x" for speed in line))
        for name, lines in speeds(found).items()
        for w, line in zip(weights, lines, strict=True)
    ]
    return markdown(("system", "weights", *(f"{a:.1f}" for a in activations)), rows)


def csv_header() -> list[str]:
    counts = ["cycles", "utilisation", "multiplications", "useful"]
    outside = ["outside weights bits", "outside activations bits", "on chip pJ", "outside pJ"]
    return ["layers", "layer", "count", "system", *counts, *(f"{place} accesses" for place in PLACES), *outside]


def csv_row(row: Row) -> list[str | int | float]:
    """One layer on one system, as often as the network has it."""
    r = row.result
    accesses = [r.accesses[place].count if place in r.accesses else 0.0 for place in PLACES]
    return [
        row.group,
        row.work.name,
        row.work.count,
        row.system.name,
        r.cycles,
        round(r.utilization, 4),
        r.multiplications,
        r.useful,
        *(round(count) for count in accesses),
        *(round(r.outside[name]) for name in OPERANDS),
        round(r.total_energy),
        round(r.outside_energy),
    ]
