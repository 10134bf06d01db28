# SPDX-License-Identifier: Apache-2.0
"""docs/study.md: tables put into it, and the page as one HTML file with the pictures in it."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping

import markdown
from jinja2 import Environment

from verif.shared.paths import ROOT

PAGE = ROOT / "docs" / "study.md"
PICTURES = ROOT / "docs" / "study"
COMMAND = "make paper UPDATE=1"

MANY = 5  # columns of a table that a phone's width does not hold
WIDE = 12  # columns beyond which cells are not wrapped: no window holds them anyway
_IMAGE = re.compile(r'<img alt="([^"]*)" src="(?:study/)?(\w+)\.svg" ?/?>')
_HTML = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; color: #1b1b1b; max-width: 70rem; margin: 0 auto; padding: 0 1rem 4rem; }
h1, h2, h3 { line-height: 1.2; margin-top: 2rem; }
p, li { max-width: 46rem; }
nav ul { columns: 18rem; padding-left: 1.2rem; }
.wide { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-size: 0.85rem; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid #ddd; padding: 0.25rem 0.6rem; vertical-align: top; min-width: 3rem; }
th { text-align: left; border-bottom: 2px solid #888; }
table.many { min-width: 56rem; }
table.long td { white-space: nowrap; }
td:first-child { min-width: 8rem; }
tbody tr:hover { background: #f3f6fa; }
code { background: #f2f2f2; padding: 0 0.2em; }
figure { margin: 1.5rem 0; overflow-x: auto; }
figure svg { width: 100%; height: auto; min-width: 36rem; }
figcaption { font-size: 0.9rem; color: #555; }
</style>
</head>
<body>
<nav>{{ contents }}</nav>
{{ body }}
</body>
</html>
"""


def marks(name: str) -> tuple[str, str]:
    """The lines of the page between which a table stands."""
    return f"<!-- {name}: by {COMMAND} -->\n", "<!-- end -->\n"


def names(text: str) -> list[str]:
    """Tables that a page has places for."""
    return re.findall(rf"^<!-- (\w+): by {COMMAND} -->$", text, re.MULTILINE)


def put(text: str, name: str, table: str) -> str:
    """The page with its table ``name`` replaced. Raises ValueError when the page has no place for it."""
    begin, end = marks(name)
    if begin not in text:
        raise ValueError(f"{PAGE.name}: no line {begin.strip()}")
    before, rest = text.split(begin)
    return f"{before}{begin}\n{table}\n{end}{rest.split(end, 1)[1]}"


def filled(text: str, tables: Mapping[str, str]) -> str:
    """The page with all tables."""
    for name, table in tables.items():
        text = put(text, name, table)
    return text


def as_csv(table: str) -> str:
    """The cells of a Markdown table, without its rule and its stars."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    for number, line in enumerate(table.splitlines()):
        if number != 1:
            writer.writerow(cell.strip().strip("*") for cell in line.strip().strip("|").split(" | "))
    return out.getvalue()


def _boxed(match: re.Match[str]) -> str:
    """A table in a box that scrolls; one of many columns does not shrink with the window."""
    table = match[0]
    columns = table.count("<th") - table.count("<thead")
    kinds = " ".join(kind for kind, most in (("many", MANY), ("long", WIDE)) if columns > most)
    table = table.replace("<table>", f'<table class="{kinds}">' if kinds else "<table>")
    return f'<div class="wide">{table}</div>'


def html(text: str, pictures: Mapping[str, str]) -> str:
    """The page as one HTML file: pictures in it, wide tables in boxes that scroll. Links to other pages become text."""
    converter = markdown.Markdown(extensions=["tables", "toc"], output_format="html")
    body = converter.convert(re.sub(r"(?<!!)\[([^\]]+)\]\([^)#]+\)", r"\1", text))
    body = re.sub(r"<table>.*?</table>", _boxed, body, flags=re.DOTALL)

    def picture(match: re.Match[str]) -> str:
        caption, name = match.groups()
        svg = pictures[name]
        # Names within a picture are its own only in a file of its own.
        svg = svg[svg.index("<svg") :]
        svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", svg)
        return f'<figure role="img" aria-label="{caption}">{svg}<figcaption>{caption}</figcaption></figure>'

    title = re.search(r"^# (.+)$", text, re.MULTILINE)
    return (
        Environment(autoescape=False)
        .from_string(_HTML)
        .render(title=title[1] if title else PAGE.stem, contents=converter.toc, body=_IMAGE.sub(picture, body))
    )
