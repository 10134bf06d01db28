# SPDX-License-Identifier: Apache-2.0
"""The core for other projects: FuseSoC's and Bender's files are up to date, and what they list elaborates."""

import re
import shutil
import subprocess
import sys
import tomllib

import pytest
import yaml

from models.config import load_config
from verif.host import manifests
from verif.host.core import TOP
from verif.host.runner.sources import sources_of
from verif.host.runner.tools import tool_env
from verif.shared.paths import ROOT
from verif.shared.registers import write_documentation

CORE, BENDER = manifests.MANIFESTS
SMALL = load_config("small").parameters()


def core_file():
    return yaml.safe_load(CORE.read_text().removeprefix("CAPI=2:\n"))


def section(page, command):
    """The block of commands of a page that has ``command``."""
    (block,) = [block for block in re.findall(r"^```\w*\n(.*?)^```$", page, re.M | re.S) if command in block]
    return block


def test_files_are_up_to_date():
    stale = [path for path, text in manifests.published().items() if not path.exists() or path.read_text() != text]
    assert [str(path.relative_to(ROOT)) for path in stale] == [], "run `make docs`"


def test_register_page_is_up_to_date(tmp_path):
    write_documentation(tmp_path / "html", tmp_path / "registers.md")
    page = (ROOT / "docs" / "registers.md").read_text()
    assert page == (tmp_path / "registers.md").read_text(), "run `make docs`"


def test_lists_have_every_source_once_and_packages_first():
    files = manifests.rtl_files()
    assert sorted(file.name for file in files) == sorted(file.name for file in sources_of(TOP))
    packages = [file.stem.endswith("_pkg") for file in files]
    assert packages == sorted(packages, reverse=True)
    for manifest in manifests.MANIFESTS:
        listed = re.findall(r"^ *- (\S+\.sv)$", manifest.read_text(), re.M)
        assert [ROOT / name for name in listed] == files, f"{manifest.name}: run `make docs`"


def test_a_list_that_lacks_a_file_is_mended(tmp_path, monkeypatch):
    stale = tmp_path / "Bender.yml"
    stale.write_text(re.sub(r"^ *- rtl/pe/spcore_scanner.sv\n", "", BENDER.read_text(), flags=re.M))
    assert stale.read_text() != BENDER.read_text()
    monkeypatch.setattr(manifests, "MANIFESTS", (stale,))
    assert manifests.published()[stale] == BENDER.read_text()


def test_a_manifest_without_a_list_is_named(tmp_path, monkeypatch):
    empty = tmp_path / "Bender.yml"
    empty.write_text("sources: []\n")
    monkeypatch.setattr(manifests, "MANIFESTS", (empty,))
    with pytest.raises(ValueError, match=r"Bender\.yml: 0 lists of \.sv files, expected one"):
        manifests.published()


def test_fusesoc_lints_the_core_as_the_readme_says(tmp_path):
    clone = tmp_path / "sparsecore"
    clone.mkdir()
    shutil.copy(CORE, clone)
    shutil.copytree(ROOT / "rtl", clone / "rtl")
    commands = ["sh", "-e", "-c", section((ROOT / "README.md").read_text(), "fusesoc run")]
    env = tool_env() | {f"XDG_{place}_HOME": str(tmp_path / place) for place in ("CACHE", "CONFIG", "DATA")}
    done = subprocess.run(commands, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Warning" not in done.stdout + done.stderr
    (arguments,) = (tmp_path / "build").rglob("*.vc")
    assert "-GNumPe=4\n" in arguments.read_text()


def test_fusesoc_parameters_are_those_of_the_core():
    core = core_file()
    assert sorted(core["parameters"]) == sorted(SMALL)
    assert sorted(core["targets"]["lint"]["parameters"]) == sorted(SMALL)


def test_what_bender_lists_elaborates():
    """As `bender script` would hand it over: include directories, then the files in their order."""
    (group,) = yaml.safe_load(BENDER.read_text())["sources"]
    command = [sys.executable, "-m", "verif.host.cli.slang", "--top", TOP, "--timescale", "1ns/1ps"]
    command += [f"-G{name}={value}" for name, value in SMALL.items()]
    command += [f"+incdir+{name}" for name in group["include_dirs"]]
    done = subprocess.run([*command, *group["files"]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_versions_agree():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert core_file()["name"] == f"::{project['name']}:{project['version']}"
    assert yaml.safe_load(BENDER.read_text())["package"]["name"] == project["name"]
    assert (citation["version"], citation["license"]) == (project["version"], project["license"])


def test_workflow_runs_what_ci_runs():
    (job,) = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())["jobs"].values()
    assert job["container"] == "debian:12"
    assert [step["run"] for step in job["steps"] if "run" in step] == [".ci/run"]
