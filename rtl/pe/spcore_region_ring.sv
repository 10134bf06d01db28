// SPDX-License-Identifier: Apache-2.0
// Where the next region lies. Buffers are used in turn, each whole or as two half regions, and are counted in halves: a
// half region takes the next half, a whole one the next two of one buffer, so that a half may be left out before it.
// All who follow the regions of a PE have such a pointer, and none tells another one where it is. It starts over in an
// idle PE, so that a layer's cycles do not depend on the one before it.
module spcore_region_ring
  import spcore_pe_pkg::*;
#(
  parameter int unsigned NumRegions = 4   // 2 to 4
) (
  input  logic          clk_i,
  input  logic          rst_ni,
  input  logic          clear_i,
  input  logic          half_i,     // the region is a half one
  output region_buf_t   buffer_o,   // its first half
  output region_step_t  step_o,     // halves that it takes, with the one left out
  input  logic          next_i      // the region is done with
);

  if (NumRegions < 2 || NumRegions > MaxRegions) begin : gen_check_regions
    $error("%m: NumRegions = %0d, expected 2 to %0d", NumRegions, MaxRegions);
  end

  localparam int unsigned PairW = $bits(region_buf_t) - 1;
  localparam logic [PairW-1:0] LastPair = PairW'(NumRegions - 1);

  logic [PairW-1:0] pair_q, pair;   // whole buffers
  logic             odd_q, low;

  assign low = half_i && !odd_q;    // of its buffer one half is left
  assign pair = !odd_q || half_i ? pair_q : pair_q == LastPair ? '0 : pair_q + PairW'(1);

  assign buffer_o = {pair, odd_q && half_i};
  assign step_o   = {!half_i, odd_q || half_i};

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      pair_q <= '0;
      odd_q  <= 1'b0;
    end else if (clear_i) begin
      pair_q <= '0;
      odd_q  <= 1'b0;
    end else if (next_i) begin
      odd_q <= low;
      if (!low) pair_q <= pair == LastPair ? '0 : pair + PairW'(1);
    end
  end

endmodule
