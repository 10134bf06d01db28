# SPDX-License-Identifier: Apache-2.0
"""The pages of docs/ against the tree."""

import re

import pytest

from verif.shared.paths import ROOT

FOLDERS = sorted(path.name for path in (ROOT / "rtl").iterdir() if path.is_dir())
LIMIT = 120


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_page_lists_the_modules_of_its_folder(folder):
    page = (ROOT / "docs" / "rtl" / f"{folder}.md").read_text()
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    listed = [name for row in rows for name in re.findall(r"`(spcore_\w+)`", row)]
    assert sorted(listed) == sorted(path.stem for path in (ROOT / "rtl" / folder).glob("*.sv"))


def test_every_page_is_reached_from_the_overview():
    overview = (ROOT / "docs" / "rtl" / "README.md").read_text()
    assert [folder for folder in FOLDERS if f"({folder}.md)" not in overview] == []


def test_links_lead_somewhere():
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in pages
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
        if "://" not in target and not (page.parent / target).exists()
    ]
    assert broken == []


def test_text_is_wrapped():
    long = []
    for page in (ROOT / "docs").rglob("*.md"):
        if page.name == "registers.md":  # generated
            continue
        code = False
        for number, line in enumerate(page.read_text().splitlines(), 1):
            code ^= line.startswith("```")
            if len(line) > LIMIT and not code and not line.startswith("|"):
                long.append(f"{page.relative_to(ROOT)}:{number}")
    assert long == []
