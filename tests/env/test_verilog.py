# SPDX-License-Identifier: Apache-2.0
"""The generated Verilog: which modules it has and what they are called."""

import re
import shutil
import subprocess

import pytest

from models.config import load_config
from verif.host.core import TOP
from verif.host.runner.sources import sources_of
from verif.host.runner.verilog import generate_verilog

DESIGN = """
package shapes_pkg;
  typedef struct packed {logic [3:0] low; logic [63:0] high;} shape_t;
endpackage

module leaf #(parameter int unsigned Width = 4, parameter bit [71:0] Reset = 0, parameter int Unused = 0) (
  input logic clk_i, input logic [Width-1:0] data_i, output logic [Width-1:0] data_o
);
  always_ff @(posedge clk_i) data_o <= data_i ^ Reset[Width-1:0];
endmodule

module box import shapes_pkg::*; #(parameter shape_t Shape = '0) (input logic clk_i, output logic [7:0] data_o);
  leaf #(.Width(8)) u_leaf (.clk_i, .data_i({4'd0, Shape.low}), .data_o);
endmodule

module pair #(parameter int unsigned Id = 0) (input logic clk_i, input logic [7:0] data_i, output logic [7:0] data_o);
  for (genvar i = 0; i < 2; i++) begin : gen_leaf
    leaf #(.Width(4), .Unused(Id)) u_leaf (.clk_i, .data_i(data_i[4*i+:4]), .data_o(data_o[4*i+:4]));
  end
endmodule

module chip #(parameter int unsigned Pairs = 1) (
  input logic clk_i, input logic [7:0] data_i, output logic [Pairs+2:0][7:0] data_o
);
  for (genvar i = 0; i < Pairs; i++) begin : gen_pair
    pair #(.Id(i)) u_pair (.clk_i, .data_i, .data_o(data_o[i]));
  end
  leaf #(.Width(8), .Reset('1)) u_leaf (.clk_i, .data_i, .data_o(data_o[Pairs]));
  box u_box (.clk_i, .data_o(data_o[Pairs+1]));
  box #(.Shape(68'd1 << 64)) u_other_box (.clk_i, .data_o(data_o[Pairs+2]));
endmodule
"""


def modules_of(text):
    """Module name -> how often each module is instantiated in it."""
    found = re.findall(r"^module (\w+)\(.*?^endmodule", text, re.MULTILINE | re.DOTALL)
    bodies = dict(zip(found, re.findall(r"^module .*?^endmodule", text, re.MULTILINE | re.DOTALL), strict=True))
    return {
        name: {other: n for other in found if (n := len(re.findall(rf"^  {other} ", body, re.MULTILINE)))}
        for name, body in bodies.items()
    }


def test_equal_instances_share_a_module(tmp_path):
    source, out = tmp_path / "chip.sv", tmp_path / "chip.v"
    source.write_text(DESIGN)
    generate_verilog("chip", [source], {"Pairs": 3}, out)
    inverting_leaf, wide_leaf = "leaf_Width8", "leaf_Width8_2"
    assert modules_of(out.read_text()) == {
        "chip": {"pair": 3, inverting_leaf: 1, "box": 1, "box_2": 1},
        "pair": {"leaf_Width4": 2},
        "box": {wide_leaf: 1},
        "box_2": {wide_leaf: 1},
        "leaf_Width4": {},
        wide_leaf: {},
        inverting_leaf: {},
    }
    if shutil.which("iverilog"):
        subprocess.run(["iverilog", "-o", tmp_path / "chip.vvp", out], check=True)


def test_the_core_has_one_pe(tmp_path):
    config = load_config("small")
    generate_verilog(TOP, sources_of(TOP), config.parameters(), tmp_path / "core.v")
    modules = modules_of((tmp_path / "core.v").read_text())
    (pe,) = [name for name in modules if re.match("spcore_pe(?!_?[a-z])", name)]
    assert modules[TOP][pe] == config.parameters()["NumPe"]


def test_a_message_for_what_cannot_be_read(tmp_path):
    (tmp_path / "chip.sv").write_text("module chip; nothing u_nothing (); endmodule")
    with pytest.raises(RuntimeError, match=r"Verilog generation of chip failed:\n(.*\n)*.*unknown module 'nothing'"):
        generate_verilog("chip", [tmp_path / "chip.sv"], {}, tmp_path / "chip.v")
