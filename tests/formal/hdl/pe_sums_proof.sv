// SPDX-License-Identifier: Apache-2.0
// spcore_pe_sums: the form for simulation has the same sums as the tree.
module pe_sums_proof
  import sparsecore_pkg::*;
#(
  parameter int unsigned NumPe   = 6,
  parameter int unsigned MacW    = 2,
  parameter bit          Context = 1'b0
) (
  input logic                       clk_i,
  input logic                       clear_i,
  input logic                       count_i,
  input ctx_t                       oldest_i,
  input pe_state_e [NumPe-1:0]      pe_state_i,
  input ctx_t [NumPe-1:0]           pe_ctx_i,
  input logic [NumPe-1:0][MacW-1:0] pe_macs_i
);

  localparam int unsigned CountW  = $clog2(NumPe + 1);
  localparam int unsigned MacSumW = MacW + $clog2(NumPe);

  // As in spcore_layer_counters.
  logic [3:1] count_q = '0;

  logic [1:0][4:0][CountW-1:0] states;
  logic [1:0][MacSumW-1:0]     macs;

  for (genvar form = 0; form < 2; form++) begin : gen_form
    spcore_pe_sums #(
      .NumPe(NumPe), .MacW(MacW), .Context(Context), .Rolled(form)
    ) u_sums (
      .clk_i, .count_i({count_q[2:1], count_i}), .oldest_i, .pe_state_i, .pe_ctx_i, .pe_macs_i,
      .states_o(states[form]), .macs_o(macs[form])
    );
  end

  logic started_q = 1'b0;

  always_ff @(posedge clk_i) begin
    count_q   <= clear_i ? '0 : {count_q[2:1], count_i};
    started_q <= 1'b1;
    if (started_q) same : assert (states[0] == states[1] && macs[0] == macs[1]);
    one_state : cover (started_q && states[0][PeDrain] == CountW'(NumPe) && macs[0] == MacSumW'(NumPe * (2 ** MacW - 1)));
    no_unit : cover (started_q && states[0][PeNoUnit] == CountW'(NumPe));
    both : cover (started_q && states[0][PeNoUnit] == CountW'(1) && states[0][PeBusy] == CountW'(NumPe - 2));
  end

endmodule
