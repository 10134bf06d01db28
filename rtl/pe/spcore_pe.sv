// SPDX-License-Identifier: Apache-2.0
// A processing element: takes work units, fetches their activations and weights, and computes their accumulators, which
// it hands over when a unit is complete.
//
//   line_fetch > region_loader > pass_generator > scanner > mac_array
//                                       weight_queue ^
//
// While a unit computes, the next one's lines and regions are loaded.

module spcore_pe
  import sparsecore_pkg::*;
  import spcore_pe_pkg::*;
#(
  parameter int unsigned NumLanes      = 16,
  parameter int unsigned RegionPos     = 512,  // positions of a region buffer
  parameter int unsigned NumRegions    = 4,
  parameter int unsigned WgtQueueDepth = 6,    // weight vectors prefetched
  localparam int unsigned NumBanks     = 4 * NumLanes,
  localparam int unsigned CountW       = $clog2(NumLanes + 1)
) (
  input  logic                          clk_i,
  input  logic                          rst_ni,

  input  layer_t   [1:0]                layer_i,
  input  derived_t [1:0]                derived_i,
  input  pos_tab_write_t                pos_tab_i,
  input  mask_tab_write_t               mask_tab_i,

  input  logic                          unit_valid_i,
  output logic                          unit_ready_o,
  input  unit_t                         unit_i,
  output logic                          free_o,       // no unit anywhere in the PE

  // memories
  output mem_req_t                      wgt_req_o,
  input  mem_rsp_t                      wgt_rsp_i,
  input  weight_lane_t [NumLanes-1:0]   wgt_rdata_i,
  output mem_req_t                      act_req_o,
  input  mem_rsp_t                      act_rsp_i,
  input  logic [63:0]                   act_rdata_i,
  output mem_req_t                      idx_req_o,
  input  mem_rsp_t                      idx_rsp_i,
  input  index_entry_t                  idx_rdata_i,

  // drain: after the grant the rows follow, one a cycle, each with its values
  output drain_req_t                    drain_req_o,
  input  logic                          drain_gnt_i,
  output drain_row_t                    drain_row_o,
  output logic [NumBanks-1:0][AccW-1:0] drain_data_o,

  // what happened in the cycle before, and counters of it
  output pe_state_e                     state_o,
  output ctx_t                          ctx_o,        // of the unit; undefined without one
  output logic [CountW-1:0]             macs_o,       // two non-zero operands
  input  pe_counting_t                  counting_i,
  output pe_counters_t                  counters_o
);

  // ---- activations: lines to regions to segments ----

  logic                 queue_ready, fetch_ready;
  logic                 line_valid, line_ready;
  fetched_line_t        line;
  pos_t                 line_rank;
  logic [7:0][7:0]      line_bytes;
  logic                 starving, no_units;

  spcore_line_fetch u_line_fetch (
    .clk_i, .rst_ni, .layer_i, .derived_i,
    .starving_i(starving),
    .unit_valid_i(unit_valid_i & queue_ready), .unit_ready_o(fetch_ready), .unit_i,
    .idx_req_o, .idx_rsp_i, .idx_rdata_i,
    .act_req_o, .act_rsp_i, .act_rdata_i,
    .line_valid_o(line_valid), .line_ready_i(line_ready), .line_o(line),
    .line_rank_i(line_rank), .line_bytes_o(line_bytes)
  );

  logic          region_valid, region_ready, region_done;
  region_step_t  release_region;
  region_t       region;
  addr_t         region_wgt_addr;
  bitmap_write_t bitmap_write;
  bitmap_read_t  bitmap_read;
  bitmap_rsp_t   bitmap_rsp;
  logic          byte_read;
  region_buf_t   byte_buf;
  region_off_t   byte_off;
  logic [7:0]    act_byte;

  spcore_region_loader #(
    .RegionPos(RegionPos), .NumRegions(NumRegions)
  ) u_region_loader (
    .clk_i, .rst_ni, .layer_i, .derived_i, .idle_i(no_units),
    .line_valid_i(line_valid), .line_ready_o(line_ready), .line_i(line),
    .line_rank_o(line_rank), .line_bytes_i(line_bytes),
    .region_valid_o(region_valid), .region_ready_i(region_ready), .region_o(region),
    .region_wgt_addr_o(region_wgt_addr), .region_done_i(region_done),
    .bitmap_write_o(bitmap_write), .bitmap_read_o(bitmap_read), .bitmap_rsp_i(bitmap_rsp),
    .byte_read_i(byte_read), .byte_buf_i(byte_buf), .byte_off_i(byte_off), .byte_o(act_byte),
    .release_i(release_region)
  );

  logic     wgt_addr_valid, wgt_addr_ready;
  addr_t    wgt_addr;
  logic     segment_valid, segment_ready;
  segment_t segment;

  spcore_pass_generator #(
    .RegionPos(RegionPos), .NumRegions(NumRegions)
  ) u_pass_generator (
    .clk_i, .rst_ni, .layer_i, .derived_i, .idle_i(no_units), .mask_tab_i,
    .region_valid_i(region_valid), .region_ready_o(region_ready), .region_i(region),
    .region_wgt_addr_i(region_wgt_addr), .region_done_o(region_done),
    .bitmap_write_i(bitmap_write), .bitmap_read_i(bitmap_read), .bitmap_rsp_o(bitmap_rsp),
    .wgt_valid_o(wgt_addr_valid), .wgt_ready_i(wgt_addr_ready), .wgt_addr_o(wgt_addr),
    .segment_valid_o(segment_valid), .segment_ready_i(segment_ready), .segment_o(segment)
  );

  // ---- weights ----

  logic                        emit_load, no_weight;
  wgt_level_t                  vectors;
  weight_lane_t [NumLanes-1:0] vector;

  spcore_weight_queue #(
    .NumLanes(NumLanes), .Depth(WgtQueueDepth)
  ) u_weight_queue (
    .clk_i, .rst_ni,
    .addr_valid_i(wgt_addr_valid), .addr_ready_o(wgt_addr_ready), .addr_i(wgt_addr),
    .req_o(wgt_req_o), .rsp_i(wgt_rsp_i), .rdata_i(wgt_rdata_i),
    .waiting_i(no_weight),
    .level_o(vectors), .ready_i(emit_load), .vector_o(vector)
  );

  // ---- compute ----

  logic emit_valid, emit_end, unblock;
  ctx_t emit_ctx;
  pos_t emit_pos;
  logic busy, no_segment, blocked;

  spcore_scanner #(
    .RegionPos(RegionPos), .NumRegions(NumRegions)
  ) u_scanner (
    .clk_i, .rst_ni, .derived_i, .idle_i(no_units), .pos_tab_i,
    .segment_valid_i(segment_valid), .segment_ready_o(segment_ready), .segment_i(segment),
    .wgt_level_i(vectors),
    .byte_read_o(byte_read), .byte_buf_o(byte_buf), .byte_off_o(byte_off), .release_o(release_region),
    .emit_load_o(emit_load), .emit_valid_o(emit_valid), .emit_ctx_o(emit_ctx), .emit_pos_o(emit_pos), .emit_end_o(emit_end),
    .unblock_i(unblock),
    .busy_o(busy), .no_weight_o(no_weight), .starving_o(no_segment), .blocked_o(blocked)
  );

  logic                clear;
  logic [AccAddrW-1:0] clear_row;

  spcore_mac_array #(
    .NumLanes(NumLanes)
  ) u_mac_array (
    .clk_i, .rst_ni, .layer_i, .derived_i,
    .load_i(emit_load), .vector_i(vector),
    .valid_i(emit_valid), .ctx_i(emit_ctx), .pos_i(emit_pos), .act_i(act_byte),
    .clear_i(clear), .row_i(clear_row), .data_o(drain_data_o),
    .macs_o
  );

  drain_info_t         oldest;     // unit
  logic                ask, unit_done, clearing;
  logic [AccAddrW-1:0] last_row;

  spcore_drain_ctrl u_drain_ctrl (
    .clk_i, .rst_ni, .layer_i, .derived_i, .unit_i(oldest), .end_i(emit_end),
    .req_o(ask), .last_row_o(last_row), .gnt_i(drain_gnt_i), .row_o(drain_row_o),
    .clear_o(clear), .clear_row_o(clear_row),
    .unblock_o(unblock), .done_o(unit_done), .clearing_o(clearing)
  );

  always_comb begin
    drain_req_o       = 'x;
    drain_req_o.valid = ask;
    if (ask) begin
      drain_req_o.unit     = oldest;
      drain_req_o.last_row = last_row;
    end
  end

  // ---- state and counters ----

  logic      unit_in;
  pe_state_e state;

  assign unit_ready_o = fetch_ready & queue_ready;
  assign unit_in      = unit_valid_i & unit_ready_o;
  assign free_o       = no_units & ~clearing;
  assign starving     = no_segment & ~blocked;

  spcore_unit_queue u_unit_queue (
    .clk_i, .rst_ni,
    .push_i(unit_in), .ready_o(queue_ready), .unit_i,
    .pop_i(unit_done), .empty_o(no_units), .oldest_o(oldest)
  );

  always_comb begin
    if      (busy)          state = PeBusy;
    else if (no_units)      state = PeNoUnit;
    else if (blocked)       state = PeDrain;
    else if (no_weight)     state = PeNoWeight;
    else                    state = PeNoActivation;
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) state_o <= PeNoUnit;
    else         state_o <= state;
  end

  always_ff @(posedge clk_i) ctx_o <= oldest.ctx;

  spcore_pe_counters #(
    .CountW(CountW)
  ) u_counters (
    .clk_i, .rst_ni, .state_i(state_o), .macs_i(macs_o), .count_i(counting_i.count), .clear_i(counting_i.clear),
    .counters_o
  );

endmodule
