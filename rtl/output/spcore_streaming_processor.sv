// SPDX-License-Identifier: Apache-2.0
// A streaming processor: takes full staging slots and makes compressed output lines of them.
//
//   slot_reader > requantize > line_compressor
//   residual_fetch > line_expander > requantize, in layers with a residual
//
// SpLanes positions a cycle. All stages move on together, while line_writer has room for a line (run_i); residual lines
// are read ahead of them. They work on one layer at a time, so its descriptor stands still while there are values in them.

module spcore_streaming_processor
  import sparsecore_pkg::*;
  import spcore_output_pkg::*;
#(
  parameter int unsigned NumLanes = 16,
  parameter int unsigned SpLanes  = 32,
  parameter int unsigned NumStage = 4,
  parameter int unsigned ResDepth = 8,   // residual lines asked for or held
  localparam int unsigned NumBanks = 4 * NumLanes
) (
  input  logic                                        clk_i,
  input  logic                                        rst_ni,
  input  ctx_t                                        oldest_i,   // of the layers that are open
  input  layer_t   [1:0]                              layer_i,
  input  derived_t [1:0]                              derived_i,
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

  output line_read_req_t                              lr_req_o,
  input  line_read_rsp_t                              lr_rsp_i,

  output logic                                        line_valid_o,
  output packed_line_t                                line_o
);

  logic                         acc_valid, data_valid;
  logic [SpLanes-1:0][AccW-1:0] acc;
  logic [SpLanes-1:0][7:0]      data;
  param_t                       par;
  line_tag_t                    acc_tag, data_tag;
  logic                         res_idle, res_start, bitmap_take, bytes_take;
  dim_t                         res_channel;
  addr_t                        res_addr;
  bitmap_t                      res_bitmap;
  line_bytes_t                  res_bytes;
  logic [SpLanes-1:0][7:0]      residual;

  // ---- the layer that is worked on ----
  ctx_t     ctx;
  layer_t   layer_q;
  derived_t derived_q;

  // Of its fields those that are needed here.
  always_ff @(posedge clk_i) begin
    layer_q <= '{
      residual:       layer_i[ctx].residual,
      res_signed:     layer_i[ctx].res_signed,
      res_multiplier: layer_i[ctx].res_multiplier,
      res_shift:      layer_i[ctx].res_shift,
      res_pitch:      layer_i[ctx].res_pitch,
      out_k:          layer_i[ctx].out_k,
      out_pitch:      layer_i[ctx].out_pitch,
      par_base:       layer_i[ctx].par_base,
      clamp_lo:       layer_i[ctx].clamp_lo,
      clamp_hi:       layer_i[ctx].clamp_hi,
      default:        '0
    };
    derived_q <= '{ratio: derived_i[ctx].ratio, chunk_k: derived_i[ctx].chunk_k, default: '0};
  end

  spcore_slot_reader #(
    .NumLanes(NumLanes), .SpLanes(SpLanes), .NumStage(NumStage)
  ) u_slot_reader (
    .clk_i, .rst_ni, .oldest_i, .ctx_o(ctx), .layer_i(layer_q), .derived_i(derived_q), .run_i,
    .full_i, .info_we_i, .info_i, .take_o, .free_o, .read_o, .read_row_o, .words_i,
    .par_re_o, .par_addr_o, .par_i,
    .res_idle_i(res_idle), .res_start_o(res_start), .res_channel_o(res_channel), .res_addr_o(res_addr),
    .res_line_i(lr_rsp_i.rvalid),
    .valid_o(acc_valid), .acc_o(acc), .par_o(par), .tag_o(acc_tag)
  );

  spcore_residual_fetch #(
    .Depth(ResDepth)
  ) u_residual_fetch (
    .clk_i, .rst_ni, .layer_i(layer_q), .derived_i(derived_q),
    .start_i(res_start), .channel_i(res_channel), .idx_addr_i(res_addr), .idle_o(res_idle),
    .lr_req_o, .lr_rsp_i,
    .bitmap_o(res_bitmap), .bitmap_pop_i(run_i & bitmap_take),
    .bytes_o(res_bytes), .bytes_pop_i(run_i & bytes_take)
  );

  spcore_line_expander #(
    .SpLanes(SpLanes)
  ) u_line_expander (
    .clk_i, .rst_ni, .run_i,
    .valid_i(acc_valid & layer_q.residual), .line_end_i(acc_tag.line_end),
    .bitmap_i(res_bitmap), .bitmap_take_o(bitmap_take), .bytes_i(res_bytes), .bytes_take_o(bytes_take),
    .data_o(residual)
  );

  spcore_requantize #(
    .SpLanes(SpLanes)
  ) u_requantize (
    .clk_i, .rst_ni, .layer_i(layer_q), .run_i,
    .valid_i(acc_valid), .acc_i(acc), .par_i(par), .tag_i(acc_tag), .residual_i(residual),
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
