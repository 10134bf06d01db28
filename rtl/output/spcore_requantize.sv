// SPDX-License-Identifier: Apache-2.0
// Requantises accumulators of one output channel, a lane for each position:
//   clamp(((acc + bias) * multiplier + (1 << (shift-1))) >> shift, clamp_lo, clamp_hi)
// with acc + bias exact (33 bits), a 64-bit product and an arithmetic shift; multiplier 0..2^31-1, shift 1..62.
// The rounding is that of TOSA's apply_scale_32 with single rounding. With a residual, whose multiplier and shift are the
// layer's, both are brought to 1/256 of a step and added before the clamp (docs/numbers.md section 3); a channel's shift
// is at least 9 then, else its results are undefined. Eight pipeline stages, which move on together with run_i.

module spcore_requantize
  import sparsecore_pkg::*;
  import spcore_output_pkg::*;
#(
  parameter int unsigned SpLanes = 32   // a multiple of 4
) (
  input  logic                         clk_i,
  input  logic                         rst_ni,
  input  layer_t                       layer_i,
  input  logic                         run_i,

  input  logic                         valid_i,
  input  logic [SpLanes-1:0][AccW-1:0] acc_i,
  input  param_t                       par_i,
  input  line_tag_t                    tag_i,
  input  logic [SpLanes-1:0][7:0]      residual_i,   // three cycles of run_i after valid_i

  output logic                         valid_o,
  output logic [SpLanes-1:0][7:0]      data_o,
  output line_tag_t                    tag_o
);

  localparam int unsigned Latency = 8;
  localparam int unsigned Group   = 4;

  logic      [32:0]      triple_q;   // constant while a layer runs
  logic      [Latency:1] valid_q;
  line_tag_t [Latency:1] tag_q;

  for (genvar g = 0; g < SpLanes / Group; g++) begin : gen_lanes
    spcore_requantize_lanes #(
      .NumLanes(Group)
    ) u_lanes (
      .clk_i, .rst_ni, .layer_i, .run_i, .valid_i,
      .acc_i(acc_i[g*Group+:Group]), .par_i, .triple_i(triple_q), .residual_i(residual_i[g*Group+:Group]),
      .data_o(data_o[g*Group+:Group])
    );
  end

  always_ff @(posedge clk_i) triple_q <= 33'(layer_i.res_multiplier) + 33'({layer_i.res_multiplier, 1'b0});

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni)    valid_q <= '0;
    else if (run_i) valid_q <= {valid_q[Latency-1:1], valid_i};
  end

  always_ff @(posedge clk_i) begin
    if (run_i) begin
      if (valid_i) tag_q[1] <= tag_i;
      for (int unsigned i = 1; i < Latency; i++) if (valid_q[i]) tag_q[i+1] <= tag_q[i];
    end
  end

  assign valid_o = valid_q[Latency];
  assign tag_o   = tag_q[Latency];

endmodule
