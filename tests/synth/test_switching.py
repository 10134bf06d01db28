# SPDX-License-Identifier: Apache-2.0
"""Energy from what switched: changes are counted in a window, and OpenSTA takes them for the cells that had them."""

import json
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from verif.host.synth import sta_power
from verif.host.synth.clock_gates import clocked, enables, open_cycles
from verif.host.synth.library import DEFAULT_LIBERTY, Library
from verif.host.synth.switching import changes_of, count, read_pins, sampled

CYCLES, PERIOD = 64, 10
# A register whose data change every second cycle, one whose data stand still, an inverter behind a memory.
NETLIST = """module \\\\unit-gates  (clk_i, d, y);
  input clk_i; input d; output y;
  INVX1 \\\\g0 (.A(d), .Y(n1));
  DFFPOSX1 \\\\q[0] (.CLK(clk_i), .D(n1), .Q(y));
  DFFPOSX1 \\\\still (.CLK(clk_i), .D(1'b0), .Q(n2));
endmodule
module \\\\part-gates  (clk_i, d, y, z);
  input clk_i; input d; output y; output z;
  \\\\unit-gates  \\\\u_unit (.clk_i(clk_i), .d(d), .y(y));
  \\\\memory-1  \\\\u_mem (.clk_i(clk_i), .we_i(y), .rdata_o(m));
  INVX1 \\\\g1 (.A(m), .Y(z));
endmodule
""".replace("\\\\", "\\")
BENCH = """module \\memory-1 (input clk_i, input we_i, output reg rdata_o);
  initial rdata_o = 0;
  always @(posedge clk_i) if (we_i) rdata_o <= ~rdata_o;
endmodule
module bench;
  reg clk = 0, d = 0;
  always #5 clk = ~clk;
  \\part-gates u_part (.clk_i(clk), .d(d), .y(), .z());
  integer i;
  initial begin
    $dumpfile("part.vcd"); $dumpvars(0, u_part);
    for (i = 0; i < 140; i = i + 1) begin @(negedge clk); if (i % 2) d = ~d; end
    $finish;
  end
endmodule
"""


@pytest.fixture(scope="module")
def part(tmp_path_factory, skip_without) -> Path:
    """The directory of a simulation of the netlist."""
    skip_without("gates")
    directory = tmp_path_factory.mktemp("part")
    (directory / "part.v").write_text(NETLIST)
    (directory / "bench.v").write_text("`timescale 1ns/1ns\n" + BENCH + NETLIST)
    cells = DEFAULT_LIBERTY.with_suffix(".v")
    subprocess.run(["iverilog", "-g2012", "-s", "bench", "-o", "a.out", "bench.v", cells], cwd=directory, check=True)
    subprocess.run(["vvp", "a.out"], cwd=directory, check=True, capture_output=True)
    return directory


def unit_ns(vcd: Path) -> int:
    """Steps of the file in a nanosecond."""
    scale = re.search(r"\$timescale\s+(\d+)(\w+)", vcd.read_text())
    return {"ns": 1, "ps": 1000}[scale[2]] // int(scale[1])


def test_changes_and_energy(part: Path) -> None:
    vcd = part / "part.vcd"
    step, pins = unit_ns(vcd) * PERIOD, read_pins(vcd, ("bench", "u_part"))
    edges = [time for time, _ in sampled(vcd, pins.scalars["clk_i"], [pins.scalars["d"]])]
    assert edges[1] - edges[0] == step
    found = count(vcd, set(pins.scalars.values()), edges[8], edges[8] + CYCLES * step)
    switching = {path: found[code] for path, code in pins.scalars.items()}
    assert switching["u_unit/q[0]/CLK"].changes == 2 * CYCLES
    assert switching["u_unit/g0/A"].changes == switching["u_unit/q[0]/Q"].changes == CYCLES // 2
    assert switching["u_unit/g0/A"].duty == pytest.approx(0.5, abs=0.05)
    assert switching["u_unit/still/Q"].changes == 0
    assert 0 < switching["g1/A"].changes < CYCLES

    library = Library(DEFAULT_LIBERTY)
    gates, registers = {"u_unit/q[0]": "u_unit/gate7.0"}, {pins.scalars["u_unit/q[0]/Q"]: "u_unit/q[0]"}
    changes = changes_of(vcd, registers, edges[8], edges[8] + CYCLES * step)
    opened = open_cycles(gates, ((time, registers[code]) for time, code in changes))
    assert opened == {"u_unit/gate7.0": CYCLES // 2}
    clocks = clocked(["u_unit/q[0]", "u_unit/still"], gates, opened, CYCLES)
    assert clocks == {"u_unit/q[0]": CYCLES // 2 + CYCLES, "u_unit/still": CYCLES}  # its data and the gate; no enable
    spent = sta_power.spent(part / "part.v", "part-gates", ["memory-1"], switching, CYCLES, clocks, library)
    unit, top = spent["u_unit"], spent[""]
    assert (unit.flip_flops, top.flip_flops) == (2, 0)
    assert unit.clocked == sum(clocks.values())
    # A register's clock pin takes the mean of the table's two energies at each edge, 0.0069 and 0.107 pJ.
    at_pin = library.cells["DFFPOSX1"].inputs["CLK"] / 1000 * sta_power.voltage(library) ** 2
    assert unit.clock / (2 * CYCLES) == pytest.approx(0.114 + at_pin, rel=0.03)
    # An inverter without a load: 0.0236 and 0.0092 pJ; and the net to the one behind it is what a change charges.
    assert unit.gates / (CYCLES // 2) == pytest.approx(0.0164, rel=0.3)
    assert top.gates == pytest.approx(0.0164 * switching["g1/A"].changes, rel=0.3)
    load = library.cells["DFFPOSX1"].inputs["D"] / 1000 * sta_power.voltage(library) ** 2 / 2
    assert unit.nets == pytest.approx(load * (CYCLES // 2), rel=0.05)
    assert unit.changes == CYCLES // 2
    assert unit.registers > 0 and top.clock == top.registers == 0


def test_flip_flops_with_an_enable_share_clock_gates(tmp_path) -> None:
    def flip_flop(kind: str, q: int, **pins: int) -> dict:
        return {"type": kind, "connections": {"C": [1], "D": [2], "Q": [q]} | {pin: [bit] for pin, bit in pins.items()}}

    cells = {f"held{n}": flip_flop("$_DFFE_PP_", 100 + n, E=7) for n in range(40)}
    cells |= {"free": flip_flop("$_DFF_P_", 200), "alone": flip_flop("$_DFFE_PN0P_", 201, E=8, R=9)}
    names = {
        "held_q": {"hide_name": 0, "bits": [100 + n for n in range(40)]},
        "free_q": {"hide_name": 0, "bits": [200]},
        "alone_q": {"hide_name": 0, "bits": [201]},
    }
    unit = {"attributes": {}, "cells": cells, "netnames": names}
    (tmp_path / "generic.json").write_text(json.dumps({"modules": {"unit": unit}}))
    found = enables(tmp_path / "generic.json")
    assert found.keys() == {*(f"held_q[{n}]" for n in range(40)), "alone_q"}
    gates = Counter(found.values())
    assert sorted(gates.values()) == [1, 8, 32]


def test_without_opensta_it_says_so(part: Path, monkeypatch) -> None:
    library = Library(DEFAULT_LIBERTY)
    library.fo4_ps  # noqa: B018 (measured before OpenSTA is gone)
    monkeypatch.setattr(shutil, "which", lambda tool: None)
    with pytest.raises(RuntimeError, match="^OpenSTA is not installed: install Debian's opensta$"):
        sta_power.spent(part / "part.v", "part-gates", ["memory-1"], {}, CYCLES, {}, library)
