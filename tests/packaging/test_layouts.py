# SPDX-License-Identifier: Apache-2.0
"""Layouts for wave viewers: each signal is in the design, as wide as they say, whatever the configuration."""

import re
import shlex

import pytest
from pyslang.driver import Driver

from models.config import config_names, load_config
from verif.host.core import TOP
from verif.host.runner.sources import sources_of
from verif.shared.paths import ROOT

LAYOUTS = {"core": TOP, "pe": "spcore_pe"}
SIGNAL = re.compile(r"^(?:\+\{[^}]*\} )?(\w+\.[\w.\[\]]+?)(?:\[(\d+):0\])?$", re.MULTILINE)


def signals(text):
    """(name, width) of each signal of a GTKWave save file."""
    return [(name, int(high or 0) + 1) for name, high in SIGNAL.findall(text)]


def elaborated(top, config):
    """The instances under ``top``; names and widths in a dump are those of the design."""
    sizes = load_config(config).parameters()
    wanted = sizes if top == TOP else {name: sizes[name] for name in ("NumLanes", "RegionPos", "NumRegions")}
    overrides = [f"-G{name}={value}" for name, value in wanted.items()]
    driver = Driver()
    driver.addStandardArgs()
    assert driver.parseCommandLine(shlex.join(["slang", "--top", top, *overrides, *map(str, sources_of(top))]))
    assert driver.processOptions()
    assert driver.parseAllSources()
    return driver.createCompilation()


@pytest.mark.parametrize("config", config_names())
@pytest.mark.parametrize("layout", LAYOUTS)
def test_signals_are_in_the_design(layout, config):
    compilation = elaborated(LAYOUTS[layout], config)
    root = compilation.getRoot()
    wrong = {}
    found = signals((ROOT / "verif" / "waves" / f"{layout}.gtkw").read_text())
    for name, width in found:
        symbol = root.lookupName(name)
        if symbol is None or symbol.type.bitWidth != width:
            wrong[name] = "not there" if symbol is None else f"{symbol.type.bitWidth} bits, expected {width}"
    assert len(found) > 20
    assert wrong == {}


def test_states_have_their_names():
    text = (ROOT / "rtl" / "sparsecore_pkg.sv").read_text()
    (enum,) = re.findall(r"typedef enum logic \[2:0\] \{([^}]*)\} pe_state_e;", text)
    states = {value: name.lower() for name, value in re.findall(r"Pe(\w+)\s*=\s*3'd(\d)", enum)}
    lines = (ROOT / "verif" / "waves" / "pe_state.txt").read_text().splitlines()
    assert {line[0]: line[2:].replace(" ", "") for line in lines} == states


def test_lines_that_are_no_signals():
    text = "[*] x.y\n@28\n^1 verif/waves/x.txt\n-a.b\n+{PE 1} t.gen_p[1].u.s_o[2:0]\nt.a\n*-16.0 0\n"
    assert signals(text) == [("t.gen_p[1].u.s_o", 3), ("t.a", 1)]
