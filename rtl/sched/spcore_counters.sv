// SPDX-License-Identifier: Apache-2.0
// Performance counters (docs/architecture.md section 8): those of both layers that may be open, of which one's are shown, and
// a selected PE's.
module spcore_counters
  import sparsecore_pkg::*;
  import spcore_front_pkg::*;
#(
  parameter int unsigned NumPe    = 64,
  parameter int unsigned NumLanes = 16,
  parameter int unsigned WgtBanks = 8,
  parameter int unsigned ActBanks = 8,
  parameter int unsigned IdxBanks = 8,
  localparam int unsigned MacW    = $clog2(NumLanes + 1),
  localparam int unsigned HitW    = $clog2(NumPe + 1)
) (
  input  logic                        clk_i,
  input  logic                        rst_ni,
  input  logic [1:0]                  clear_i,      // by context: a layer starts
  input  logic                        count_i,      // a layer runs
  input  ctx_t                        oldest_i,     // of the layers that are open
  input  ctx_t                        shown_i,
  input  pe_state_e [NumPe-1:0]       pe_state_i,
  input  ctx_t [NumPe-1:0]            pe_ctx_i,     // of the unit, if there is one
  input  logic [NumPe-1:0][MacW-1:0]  pe_macs_i,
  input  logic [$clog2(WgtBanks+1)-1:0] wgt_reads_i,
  input  logic [HitW-1:0]             wgt_hits_i,
  input  logic [$clog2(ActBanks+1)-1:0] act_reads_i,
  input  logic [HitW-1:0]             act_hits_i,
  input  logic [$clog2(IdxBanks+1)-1:0] idx_reads_i,
  input  logic [HitW-1:0]             idx_hits_i,
  input  logic                        line_written_i,
  input  ctx_t                        line_ctx_i,
  input  npos_t                       line_bytes_i,
  output counters_t                   counters_o,   // a cycle late
  // the counters of one PE, two cycles after it is selected; 0 if there is none of that number
  input  logic [15:0]                 pe_select_i,
  input  pe_counters_t [NumPe-1:0]    pe_counters_i,
  output pe_counters_t                pe_counters_o
);

  counters_t [1:0] counters;

  for (genvar c = 0; c < 2; c++) begin : gen_layer
    spcore_layer_counters #(
      .NumPe(NumPe), .NumLanes(NumLanes), .WgtBanks(WgtBanks), .ActBanks(ActBanks), .IdxBanks(IdxBanks), .Context(1'(c))
    ) u_counters (
      .clk_i, .rst_ni, .clear_i(clear_i[c]), .count_i, .oldest_i,
      .pe_state_i, .pe_ctx_i, .pe_macs_i,
      .wgt_reads_i, .wgt_hits_i, .act_reads_i, .act_hits_i, .idx_reads_i, .idx_hits_i,
      .line_written_i, .line_ctx_i, .line_bytes_i, .counters_o(counters[c])
    );
  end

  always_ff @(posedge clk_i) counters_o <= counters[shown_i];

  // ---- one PE ----
  localparam int unsigned PeW = $clog2(NumPe);
  logic [PeW-1:0] pe_q;
  logic           pe_exists_q;
  always_ff @(posedge clk_i) begin
    pe_q          <= pe_select_i[PeW-1:0];
    pe_exists_q   <= pe_select_i < 16'(NumPe);
    pe_counters_o <= pe_exists_q ? pe_counters_i[pe_q] : '0;
  end

endmodule
