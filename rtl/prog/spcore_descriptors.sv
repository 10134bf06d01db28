// SPDX-License-Identifier: Apache-2.0
// The descriptors that the sequencers have fetched, an engine's next one each, as what their bits say: words in, fields out.
// A field that nobody reads has no register.
module spcore_descriptors
  import sparsecore_pkg::*;
  import spcore_front_pkg::*;
(
  input  logic                        clk_i,
  input  logic      [NumEngines-1:0]  we_i,      // at most one
  input  descriptor_index_t           index_i,   // of the word, from 1 on
  input  prg_word_t                   word_i,
  output descriptors_t                descriptors_o
);

  // Not all bits of a word are fields.
  // verilator lint_off UNUSEDSIGNAL
  prg_word_t                  weights_q, results_q;
  prg_word_t [2:1]            lines_q;
  // verilator lint_on UNUSEDSIGNAL
  prg_word_t [LayerWords-1:1] layer_q;

  always_ff @(posedge clk_i) begin
    if (we_i[EngWeights]) weights_q <= word_i;
    if (we_i[EngResults]) results_q <= word_i;
    for (int unsigned i = 1; i <= 2; i++) begin
      if (we_i[EngActivations] && index_i == descriptor_index_t'(i)) lines_q[i] <= word_i;
    end
    for (int unsigned i = 1; i < LayerWords; i++) begin
      if (we_i[EngLayers] && index_i == descriptor_index_t'(i)) layer_q[i] <= word_i;
    end
  end

  assign descriptors_o = '{
    wgt_base:     weights_q[23:0],
    params:       weights_q[31],
    wgt_count:    weights_q[55:32],
    wgt_k_log2:   weights_q[57:56],
    wgt_m_log2:   weights_q[62:60],
    act_idx_base: lines_q[1][23:0],
    act_line_pos: lines_q[1][30:24],
    act_lines:    lines_q[1][55:32],
    act_base:     lines_q[2][23:0],
    act_limit:    lines_q[2][55:32],
    res_idx_base: results_q[23:0],
    res_lines:    results_q[55:32],
    layer:        layer_of(layer_q)
  };

endmodule
