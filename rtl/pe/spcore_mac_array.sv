// SPDX-License-Identifier: Apache-2.0
// The multipliers and accumulators of a PE: one activation times the L weights of a vector, each product added to the
// accumulator that it belongs to. A maximum layer keeps the larger of product and accumulator; its weights are 0 or 1, and to
// an int8 activation 128 is added, so that products are 0 to 255.
//
// Four lanes, a quad, share 16 accumulator banks. The channel within the quad is (lane%4 / k)*m + index; how many
// positions lie side by side in a row of the banks depends on the ratio m/k: 4, 2 or 1 for a ratio of 1, 2 or 4, and
// then position p is in row p/4, p/2 or p, in the banks {p%4, channel}, {p%2, channel} or channel.
//
// An emission is registered, then multiplied while the accumulators are read, then added; the rows that are handed over
// go the same way.
//
// Wordwise multiplies at once, weights and products being whole words, which a simulator need not cut out of wider ones: the
// same for every operand, by the test of booth_mul. It is what a Verilator build with SPCORE_FAST_SIM gets.

`include "../common/spcore_assert.svh"

module spcore_mac_array
  import sparsecore_pkg::*;
  import spcore_pe_pkg::*;
#(
  parameter int unsigned NumLanes = 16,
`ifdef SPCORE_FAST_SIM
  parameter bit          Wordwise = 1'b1,
`else
  parameter bit          Wordwise = 1'b0,
`endif
  localparam int unsigned NumBanks = 4 * NumLanes,
  localparam int unsigned CountW   = $clog2(NumLanes + 1)
) (
  input  logic                          clk_i,
  input  logic                          rst_ni,

  input  layer_t   [1:0]                layer_i,
  input  derived_t [1:0]                derived_i,

  // emissions; one position not in two cycles running (its accumulators are still being added to)
  input  logic                          load_i,     // from this one on they are of this vector
  input  weight_lane_t [NumLanes-1:0]   vector_i,
  input  logic                          valid_i,
  input  ctx_t                          ctx_i,      // of the unit
  input  pos_t                          pos_i,
  input  logic [7:0]                    act_i,

  // a row to hand over and clear, in a cycle without an emission; its values follow two cycles later
  input  logic                          clear_i,
  input  logic [AccAddrW-1:0]           row_i,
  output logic [NumBanks-1:0][AccW-1:0] data_o,

  output logic [CountW-1:0]             macs_o      // products of two non-zero operands, two cycles after their emission
);

  localparam int unsigned QuadBanks = 16;
  localparam int unsigned WeightW   = Wordwise ? AccW : 8;
  localparam int unsigned ProductW  = Wordwise ? AccW : 16;

  // ---- the emission ----

  logic signed [NumLanes-1:0][WeightW-1:0] weight_q;
  logic [NumLanes-1:0][3:0] channel_q;    // within the quad
  logic [NumLanes-1:0]      nonzero_q;    // the lane's weight is not zero
  logic                     fire_q;       // some product may be non-zero
  logic                     clear_q;
  logic [AccAddrW-1:0]      row_q;
  logic [3:0]               bank_high_q;
  logic signed [8:0]        act, act_q;
  logic                     act_signed, maximum, maximum_q;
  ratio_e                   ratio;
  logic [1:0]               k_log2;
  logic [2:0]               m_log2;

  // Field by field: to select a whole struct by its index takes a simulator long.
  assign act_signed = ctx_i ? layer_i[1].act_signed : layer_i[0].act_signed;
  assign maximum    = ctx_i ? layer_i[1].maximum    : layer_i[0].maximum;
  assign k_log2     = ctx_i ? layer_i[1].k_log2     : layer_i[0].k_log2;
  assign m_log2     = ctx_i ? layer_i[1].m_log2     : layer_i[0].m_log2;
  assign ratio      = ctx_i ? derived_i[1].ratio    : derived_i[0].ratio;
  assign act        = {act_signed & ~maximum & act_i[7], act_i[7] ^ (act_signed & maximum), act_i[6:0]};

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      fire_q  <= 1'b0;
      clear_q <= 1'b0;
    end else begin
      fire_q  <= valid_i & (act != '0);
      clear_q <= clear_i;
    end
  end

  always_ff @(posedge clk_i) begin
    if (load_i) begin
      for (int unsigned l = 0; l < NumLanes; l++) begin
        weight_q[l]  <= WeightW'($signed(vector_i[l].value));
        nonzero_q[l] <= vector_i[l].value != '0;
        channel_q[l] <= vector_i[l].index | 4'(({2'b00, l[1:0]} >> k_log2) << m_log2);
      end
    end
    if (valid_i) begin
      act_q     <= act;
      maximum_q <= maximum;
    end
    if (clear_i) row_q <= row_i;
    if (valid_i) begin
      unique case (ratio)
        RatioOne: begin
          bank_high_q <= {pos_i[1:0], 2'b00};
          row_q       <= AccAddrW'(pos_i >> 2);
        end
        RatioTwo: begin
          bank_high_q <= {pos_i[0], 3'b000};
          row_q       <= AccAddrW'(pos_i >> 1);
        end
        default: begin
          bank_high_q <= '0;
          row_q       <= AccAddrW'(pos_i);
        end
      endcase
    end
  end

  // ---- products and quads ----

  logic [NumLanes-1:0][3:0]                 bank;
  logic signed [NumLanes-1:0][ProductW-1:0] product;

  assign bank = channel_q | {NumLanes{bank_high_q}};

  for (genvar l = 0; l < NumLanes; l++) begin : gen_lane
    if (Wordwise) begin : gen_word
      assign product[l] = ProductW'(act_q) * weight_q[l];
    end else begin : gen_digits
      spcore_booth_mul u_mul (
        .act_i(act_q), .weight_i(weight_q[l]), .product_o(product[l])
      );
    end
  end

  spcore_accumulators #(
    .NumQuads(NumLanes / 4), .NumBanks(QuadBanks), .NumRows(AccDepth), .Width(AccW), .ProductW(ProductW)
  ) u_accumulators (
    .clk_i, .maximum_i(maximum_q),
    .row_i(row_q), .add_i(fire_q), .en_i(nonzero_q), .bank_i(bank), .product_i(product), .clear_i(clear_q), .data_o
  );

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) macs_o <= '0;
    else         macs_o <= fire_q ? CountW'($countones(nonzero_q)) : '0;
  end

  if (!is_num_lanes(NumLanes)) begin : gen_check_lanes
    $error("%m: NumLanes = %0d, expected a power of two from 4 to 64", NumLanes);
  end

`ifndef SYNTHESIS
  // The products of two lanes of a quad that stand for one channel would meet in one bank.
  logic loaded_q, meet;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) loaded_q <= 1'b0;
    else         loaded_q <= load_i;
  end
  always_comb begin
    meet = 1'b0;
    for (int unsigned l = 0; l < NumLanes; l++) begin
      for (int unsigned n = l & ~32'd3; n < l; n++) begin
        meet |= loaded_q && nonzero_q[l] && nonzero_q[n] && channel_q[l] == channel_q[n];
      end
    end
  end
`endif

  `SPCORE_ASSERT(!(valid_i && clear_i), "an emission while the accumulators are handed over")
  `SPCORE_ASSERT(!meet, "two lanes stand for one channel, expected indices that ascend within a group")

endmodule
