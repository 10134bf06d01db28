# SPDX-License-Identifier: Apache-2.0
"""Named configurations: consistent with the RTL, and clear about mistakes."""

import re

import pytest

from models.config import CONFIG_FILE, Config, config_names, load_config

RTL = CONFIG_FILE.parent


def test_keys_are_the_top_level_parameters():
    text = (RTL / "sparsecore.sv").read_text()
    parameters = re.findall(r"^\s*parameter int unsigned (\w+)", text.split(") (")[0], re.MULTILINE)
    for name in config_names():
        assert load_config(name).parameters().keys() == set(parameters)


def test_accumulator_depth_is_the_package_constant():
    text = (RTL / "sparsecore_pkg.sv").read_text()
    assert re.search(r"parameter int unsigned AccDepth\s*=\s*(\d+)", text)[1] == str(Config.AccDepth)


def test_base_is_inherited():
    paper, larger = load_config("paper"), load_config("paper_wmem4")
    assert larger.WgtDepth == 4 * paper.WgtDepth
    assert larger.parameters() | {"WgtDepth": paper.WgtDepth} == paper.parameters()


def test_parameters_behind_the_name():
    paper, changed = load_config("paper"), load_config("paper,NumRegions=2,WgtQueueDepth=12")
    assert (changed.NumRegions, changed.WgtQueueDepth) == (2, 12)
    assert changed.parameters() | {"NumRegions": paper.NumRegions, "WgtQueueDepth": 6} == paper.parameters()


@pytest.mark.parametrize("name", ["paper,NumRegion=2", "paper,NumRegions", "paper,NumRegions=-2", "paper,,NumPe=4"])
def test_wrong_parameters_behind_the_name(name):
    with pytest.raises(ValueError, match=r"expected PARAMETER=number, PARAMETER one of ActBanks"):
        load_config(name)


@pytest.mark.parametrize(
    "text, message",
    [
        ("[other]\nbase = 'none'", "base 'none' is unknown"),
        ("[other]\nbase = 'small'\nNumPE = 3", "unknown keys .'NumPE'."),
        ("[other]\nbase = 'small'\nNumPe = 0", "NumPe = 0, expected a positive integer"),
        ("[other]\nbase = 'small'\nNumPe = true", "NumPe = True, expected a positive integer"),
        ("[other]\nNumPe = 4", "missing keys"),
        ("", "'other' is unknown, expected one of small"),
    ],
)
def test_mistakes_are_named(tmp_path, text, message):
    path = tmp_path / "configs.toml"
    path.write_text(CONFIG_FILE.read_text() + "\n" + text)
    with pytest.raises(ValueError, match=message):
        load_config("other", path)
