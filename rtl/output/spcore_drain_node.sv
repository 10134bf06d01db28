// SPDX-License-Identifier: Apache-2.0
// A node of the drain network: the rows of the one PE among NumIn that is selected, a register later. The row's data are
// kept from cycle to cycle only while en_i is set.

module spcore_drain_node
  import sparsecore_pkg::*;
#(
  parameter int unsigned NumIn    = 8,
  parameter int unsigned NumBanks = 64
) (
  input  logic                                       clk_i,
  input  logic                                       rst_ni,
  input  logic                                       en_i,    // a selected PE may send
  input  logic       [NumIn-1:0]                     sel_i,   // at most one
  input  drain_row_t [NumIn-1:0]                     row_i,
  input  logic [NumIn-1:0][NumBanks-1:0][AccW-1:0]   data_i,
  output drain_row_t                                 row_o,
  output logic [NumBanks-1:0][AccW-1:0]              data_o
);

  function automatic drain_row_t chosen_row(input logic [NumIn-1:0] sel, input drain_row_t [NumIn-1:0] rows);
    chosen_row = '0;
    for (int unsigned i = 0; i < NumIn; i++) chosen_row |= {$bits(drain_row_t){sel[i]}} & rows[i];
  endfunction

  function automatic logic [NumBanks*AccW-1:0] chosen(
    input logic [NumIn-1:0] sel, input logic [NumIn-1:0][NumBanks-1:0][AccW-1:0] data
  );
    chosen = '0;
    for (int unsigned i = 0; i < NumIn; i++) chosen |= {(NumBanks * AccW) {sel[i]}} & data[i];
  endfunction

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni)   row_o <= '0;
    else if (en_i) row_o <= chosen_row(sel_i, row_i);
    else           row_o <= '0;
  end

  always_ff @(posedge clk_i) begin
    if (en_i) data_o <= chosen(sel_i, data_i);
  end

endmodule
