// SPDX-License-Identifier: Apache-2.0
// A streaming processor: takes full staging slots and makes compressed output lines of them.
//
//   slot_reader > requantize > line_compressor
//
// SpLanes positions a cycle. All stages move on together, while line_writer has room for a line (run_i). A residual add
// belongs into requantize, a pooling stage between it and line_compressor.

module spcore_streaming_processor
  import sparsecore_pkg::*;
  import spcore_output_pkg::*;
#(
  parameter int unsigned NumLanes = 16,
  parameter int unsigned SpLanes  = 32,
  parameter int unsigned NumStage = 4,
  localparam int unsigned NumBanks = 4 * NumLanes
) (
  input  logic                                        clk_i,
  input  logic                                        rst_ni,
  input  layer_t                                      layer_i,
  input  derived_t                                    derived_i,
  input  logic                                        run_i,

  input  logic       [NumStage-1:0]                   full_i,
  input  logic       [NumStage-1:0]                   info_we_i,
  input  slot_info_t                                  info_i,
  output logic       [NumStage-1:0]                   take_o,
  output logic       [NumStage-1:0]                   free_o,
  // reads, to be done while run_i is set
  output logic       [NumStage-1:0]                   read_o,
  output row_t       [1:0]                            read_row_o,
  input  logic [NumBanks-1:0][AccW-1:0]               words_i,

  output logic                                        par_re_o,
  output addr_t                                       par_addr_o,
  input  param_t                                      par_i,

  output logic                                        line_valid_o,
  output packed_line_t                                line_o
);

  logic                         acc_valid, data_valid;
  logic [SpLanes-1:0][AccW-1:0] acc;
  logic [SpLanes-1:0][7:0]      data;
  param_t                       par;
  line_tag_t                    acc_tag, data_tag;

  spcore_slot_reader #(
    .NumLanes(NumLanes), .SpLanes(SpLanes), .NumStage(NumStage)
  ) u_slot_reader (
    .clk_i, .rst_ni, .layer_i, .derived_i, .run_i,
    .full_i, .info_we_i, .info_i, .take_o, .free_o, .read_o, .read_row_o, .words_i,
    .par_re_o, .par_addr_o, .par_i,
    .valid_o(acc_valid), .acc_o(acc), .par_o(par), .tag_o(acc_tag)
  );

  spcore_requantize #(
    .SpLanes(SpLanes)
  ) u_requantize (
    .clk_i, .rst_ni, .clamp_lo_i(layer_i.clamp_lo), .clamp_hi_i(layer_i.clamp_hi), .run_i,
    .valid_i(acc_valid), .acc_i(acc), .par_i(par), .tag_i(acc_tag),
    .valid_o(data_valid), .data_o(data), .tag_o(data_tag)
  );

  spcore_line_compressor #(
    .SpLanes(SpLanes)
  ) u_line_compressor (
    .clk_i, .rst_ni, .run_i,
    .valid_i(data_valid), .data_i(data), .tag_i(data_tag),
    .valid_o(line_valid_o), .line_o
  );

endmodule
