// SPDX-License-Identifier: Apache-2.0
// From the PEs' accumulators to output lines in the Activation and Index Memories (docs/architecture.md section 7,
// steps 7 to 10).
//
//   PEs > a drain_node for each group > staging slots (NumStage for each of NumSp) > streaming processors > line_writer
//
// For each streaming processor one PE drains at a time, as drain_arbiter chooses. Its rows are permuted on their way into
// the slot, so that a streaming processor can read many positions of a channel in a cycle (spcore_output_pkg).

`include "../common/spcore_assert.svh"

module spcore_output_stage
  import sparsecore_pkg::*;
  import spcore_output_pkg::*;
#(
  parameter int unsigned NumPe    = 64,
  parameter int unsigned NumLanes = 16,
  parameter int unsigned NumSp    = 2,
  parameter int unsigned SpLanes  = 32,
  parameter int unsigned NumStage = 4,
  localparam int unsigned NumBanks = 4 * NumLanes
) (
  input  logic                                        clk_i,
  input  logic                                        rst_ni,
  input  layer_t   [1:0]                              layer_i,
  input  derived_t [1:0]                              derived_i,
  input  logic     [1:0]                              start_i,        // of a layer, by context
  input  logic                                        restart_i,      // no other one is open
  input  job_t                                        oldest_job_i,   // open one
  input  ctx_t                                        oldest_i,       // open layer

  input  drain_req_t  [NumPe-1:0]                     drain_req_i,
  output logic        [NumPe-1:0]                     drain_gnt_o,
  input  drain_row_t  [NumPe-1:0]                     drain_row_i,
  input  logic [NumPe-1:0][NumBanks-1:0][AccW-1:0]    drain_data_i,

  output logic        [NumSp-1:0]                     par_re_o,
  output addr_t       [NumSp-1:0]                     par_addr_o,
  input  param_t      [NumSp-1:0]                     par_i,

  // residual lines
  output line_read_req_t [NumSp-1:0]                  lr_req_o,
  input  line_read_rsp_t [NumSp-1:0]                  lr_rsp_i,

  output logic                                        lw_valid_o,
  input  logic                                        lw_ready_i,
  output line_write_t                                 lw_line_o,

  output logic        [NumSp-1:0]                     job_done_o,     // pulse: the job's last line is written, or its slot is kept
  output job_t        [NumSp-1:0]                     job_done_id_o,
  output ctx_t                                        line_ctx_o,     // of that job, and of the line written
  output logic        [1:0]                           overflow_o,     // pulse, by context: a line does not fit the output section
  output logic                                        line_written_o, // this cycle
  output npos_t                                       line_bytes_o    // of that line
);

  localparam int unsigned GroupPes  = group_pes(NumPe);
  localparam int unsigned NumGroups = (NumPe + GroupPes - 1) / GroupPes;

  // ---- which PEs into which slots ----

  logic       [NumGroups-1:0]                             node_en;
  logic       [NumGroups-1:0][GroupPes-1:0]               node_sel;
  drain_row_t [NumGroups-1:0]                             node_row;
  logic       [NumGroups-1:0][NumBanks-1:0][AccW-1:0]     node_data;
  logic       [NumSp-1:0][NumGroups-1:0]                  group;
  logic       [NumSp-1:0][NumStage-1:0]                   slot, info_we, slot_full, slot_take, slot_free, slot_read;
  logic       [NumSp-1:0]                                 add, complete, kept;
  job_t       [NumSp-1:0]                                 kept_job;
  ctx_t                                                   kept_ctx;
  slot_info_t                                             info;

  spcore_drain_arbiter #(
    .NumPe(NumPe), .NumLanes(NumLanes), .NumSp(NumSp), .NumStage(NumStage)
  ) u_drain_arbiter (
    .clk_i, .rst_ni, .start_i, .restart_i, .layer_i, .derived_i, .oldest_job_i, .oldest_i,
    .req_i(drain_req_i), .gnt_o(drain_gnt_o),
    .node_en_o(node_en), .node_sel_o(node_sel),
    .group_o(group), .slot_o(slot), .add_o(add), .complete_o(complete), .kept_o(kept), .kept_job_o(kept_job),
    .kept_ctx_o(kept_ctx),
    .info_we_o(info_we), .info_o(info), .slot_free_i(slot_free)
  );

  // ---- their rows, up to a node for each group ----

  for (genvar g = 0; g < NumGroups; g++) begin : gen_node
    localparam int unsigned First = g * GroupPes;
    localparam int unsigned NumIn = NumPe - First < GroupPes ? NumPe - First : GroupPes;

    spcore_drain_node #(
      .NumIn(NumIn), .NumBanks(NumBanks)
    ) u_node (
      .clk_i, .rst_ni, .en_i(node_en[g]), .sel_i(node_sel[g][NumIn-1:0]),
      .row_i(drain_row_i[First+:NumIn]), .data_i(drain_data_i[First+:NumIn]),
      .row_o(node_row[g]), .data_o(node_data[g])
    );

`ifndef SYNTHESIS
    logic [NumIn-1:0] sends;
    always_comb for (int unsigned i = 0; i < NumIn; i++) sends[i] = drain_row_i[First+i].valid;
`endif
    `SPCORE_ASSERT(sends == (node_sel[g][NumIn-1:0] & {NumIn{node_en[g]}}), "rows come while their drain is not told")
  end

  // ---- slots and streaming processors ----

  logic         [NumSp-1:0] run, line_valid, par_re;
  packed_line_t [NumSp-1:0] line;
  logic         [NumSp-1:0] line_done;
  job_t         [NumSp-1:0] line_job;
  ctx_t                     line_ctx;

  for (genvar p = 0; p < NumSp; p++) begin : gen_sp
    row_t [1:0]                    read_row;
    logic [NumBanks-1:0][AccW-1:0] words;

    spcore_staging_buffer #(
      .NumGroups(NumGroups), .NumStage(NumStage), .NumBanks(NumBanks)
    ) u_staging_buffer (
      .clk_i, .rst_ni,
      .group_i(group[p]), .slot_i(slot[p]), .add_i(add[p]), .complete_i(complete[p]),
      .row_i(node_row), .data_i(node_data),
      .full_o(slot_full[p]), .take_i(slot_take[p]),
      .read_i(slot_read[p] & {NumStage{run[p]}}), .read_row_i(read_row), .words_o(words)
    );

    spcore_streaming_processor #(
      .NumLanes(NumLanes), .SpLanes(SpLanes), .NumStage(NumStage)
    ) u_streaming_processor (
      .clk_i, .rst_ni, .oldest_i, .layer_i, .derived_i, .run_i(run[p]),
      .full_i(slot_full[p]), .info_we_i(info_we[p]), .info_i(info), .take_o(slot_take[p]), .free_o(slot_free[p]),
      .read_o(slot_read[p]), .read_row_o(read_row), .words_i(words),
      .par_re_o(par_re[p]), .par_addr_o(par_addr_o[p]), .par_i(par_i[p]),
      .lr_req_o(lr_req_o[p]), .lr_rsp_i(lr_rsp_i[p]),
      .line_valid_o(line_valid[p]), .line_o(line[p])
    );
  end

  assign par_re_o = par_re & run;

  spcore_line_writer #(
    .NumSp(NumSp)
  ) u_line_writer (
    .clk_i, .rst_ni, .layer_i, .start_i, .restart_i,
    .run_o(run), .line_valid_i(line_valid), .line_i(line),
    .lw_valid_o, .lw_ready_i, .lw_line_o,
    .job_done_o(line_done), .job_done_id_o(line_job), .line_ctx_o(line_ctx), .overflow_o, .line_written_o, .line_bytes_o
  );

  // ---- jobs end with their last line or, while no lines are written, with slots that are kept ----

  assign job_done_o = line_done | kept;
  assign line_ctx_o = kept != '0 ? kept_ctx : line_ctx;

  for (genvar p = 0; p < NumSp; p++) begin : gen_done
    assign job_done_id_o[p] = kept[p] ? kept_job[p] : line_job[p];
  end

  if (!is_num_lanes(NumLanes)) begin : gen_check_num_lanes
    $error("%m: NumLanes = %0d, expected a power of two from 4 to 64", NumLanes);
  end

endmodule
