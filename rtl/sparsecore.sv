// SPDX-License-Identifier: Apache-2.0
// SparseCore: an accelerator for structurally sparse CNNs. The core's top level; docs/architecture.md describes it.
//
// Bus ports carry AMBA's names instead of direction suffixes.
module sparsecore
  import sparsecore_pkg::*;
  import spcore_front_pkg::*;
#(
  parameter int unsigned NumPe         = 64,
  parameter int unsigned NumLanes      = 16,
  parameter int unsigned WgtBanks      = 8,
  parameter int unsigned WgtDepth      = 2730,   // weight vectors per bank
  parameter int unsigned ActBanks      = 16,
  parameter int unsigned ActDepth      = 12288,  // words per bank
  parameter int unsigned IdxBanks      = 8,
  parameter int unsigned IdxDepth      = 6144,   // index entries per bank
  parameter int unsigned ParDepth      = 2048,   // output channels
  parameter int unsigned PrgDepth      = 4096,   // words of programs
  parameter int unsigned RegionPos     = 512,    // positions of a region buffer
  parameter int unsigned NumRegions    = 4,      // region buffers of a PE
  parameter int unsigned WgtQueueDepth = 6,      // weight vectors that a PE prefetches
  parameter int unsigned NumSp         = 2,      // streaming processors
  parameter int unsigned SpLanes       = 32,     // positions of a streaming processor per cycle
  parameter int unsigned NumStage      = 6,      // staging slots of a streaming processor
  parameter int unsigned QueueDepth    = 4,      // layer descriptors that wait
  parameter int unsigned StreamBytes   = 64,     // activation and result streams
  localparam int unsigned VectorW      = NumLanes * $bits(weight_lane_t),
  localparam int unsigned WgtTdataW    = 8 * (((VectorW > 72 ? VectorW : 72) + 7) / 8)
) (
  input  logic                     clk_i,
  input  logic                     rst_ni,
  output logic                     irq_o,

  input  logic [11:0]              s_axil_awaddr,
  input  logic [2:0]               s_axil_awprot,
  input  logic                     s_axil_awvalid,
  output logic                     s_axil_awready,
  input  logic [31:0]              s_axil_wdata,
  input  logic [3:0]               s_axil_wstrb,
  input  logic                     s_axil_wvalid,
  output logic                     s_axil_wready,
  output logic [1:0]               s_axil_bresp,
  output logic                     s_axil_bvalid,
  input  logic                     s_axil_bready,
  input  logic [11:0]              s_axil_araddr,
  input  logic [2:0]               s_axil_arprot,
  input  logic                     s_axil_arvalid,
  output logic                     s_axil_arready,
  output logic [31:0]              s_axil_rdata,
  output logic [1:0]               s_axil_rresp,
  output logic                     s_axil_rvalid,
  input  logic                     s_axil_rready,

  input  logic [WgtTdataW-1:0]     s_axis_wgt_tdata,
  input  logic                     s_axis_wgt_tvalid,
  output logic                     s_axis_wgt_tready,
  input  logic                     s_axis_wgt_tlast,

  input  logic [8*StreamBytes-1:0] s_axis_act_tdata,
  input  logic [StreamBytes-1:0]   s_axis_act_tkeep,
  input  logic                     s_axis_act_tvalid,
  output logic                     s_axis_act_tready,
  input  logic                     s_axis_act_tlast,

  output logic [8*StreamBytes-1:0] m_axis_res_tdata,
  output logic [StreamBytes-1:0]   m_axis_res_tkeep,
  output logic                     m_axis_res_tvalid,
  input  logic                     m_axis_res_tready,
  output logic                     m_axis_res_tlast,

  // Occupancy trace: pe_state_e of every PE.
  output logic [3*NumPe-1:0]       pe_state_o
);

  localparam int unsigned NumBanks   = 4 * NumLanes;
  localparam int unsigned MacW       = $clog2(NumLanes + 1);
  localparam int unsigned HitW       = $clog2(NumPe + 1);

  localparam config_t Cfg = '{
    NumPe: NumPe, NumLanes: NumLanes, WgtBanks: WgtBanks, WgtDepth: WgtDepth, ActBanks: ActBanks, ActDepth: ActDepth,
    IdxBanks: IdxBanks, IdxDepth: IdxDepth, ParDepth: ParDepth, PrgDepth: PrgDepth, RegionPos: RegionPos,
    NumRegions: NumRegions, WgtQueueDepth: WgtQueueDepth, NumSp: NumSp, SpLanes: SpLanes, NumStage: NumStage,
    QueueDepth: QueueDepth, StreamBytes: StreamBytes
  };

  // Everything but the register block is reset by a soft reset as well.
  logic core_rst_n;

  // ---- layers: queue, setup, scheduler ----
  layer_cmd_t    layer_cmd;
  layer_status_t layer_status;
  layer_t   [1:0]  layer;      // by context
  derived_t [1:0]  derived;
  pos_tab_write_t  pos_tab;
  mask_tab_write_t mask_tab;
  logic     [1:0]  prepare, start, overflow;
  logic            restart, running, all_done;
  ctx_t            oldest, shown;

  spcore_layer_setup #(
    .NumLanes(NumLanes), .WgtVectors(WgtBanks * WgtDepth), .ActWords(ActBanks * ActDepth),
    .IdxEntries(IdxBanks * IdxDepth), .ParEntries(ParDepth), .RegionPos(RegionPos),
    .NumSlots(NumSp * NumStage), .QueueDepth(QueueDepth)
  ) u_layer_setup (
    .clk_i, .rst_ni(core_rst_n),
    .cmd_i(layer_cmd), .status_o(layer_status), .overflow_i(overflow),
    .layer_o(layer), .derived_o(derived), .pos_tab_o(pos_tab), .mask_tab_o(mask_tab),
    .prepare_o(prepare), .start_o(start), .restart_o(restart), .shown_o(shown), .all_done_i(all_done)
  );

  unit_t [(NumPe+UnitGroup-1)/UnitGroup-1:0] unit;   // for a group of PEs
  logic [NumPe-1:0] unit_valid, unit_ready, pe_free;
  logic [NumSp-1:0] job_done;
  job_t [NumSp-1:0] job_done_id;
  job_t             oldest_job;
  ctx_t             line_ctx;

  spcore_scheduler #(.NumPe(NumPe), .NumSp(NumSp)) u_scheduler (
    .clk_i, .rst_ni(core_rst_n), .prepare_i(prepare), .start_i(start), .layer_i(layer), .derived_i(derived),
    .unit_o(unit), .unit_valid_o(unit_valid), .unit_ready_i(unit_ready), .pe_free_i(pe_free),
    .job_done_i(job_done), .job_done_id_i(job_done_id), .job_done_ctx_i(line_ctx), .oldest_job_o(oldest_job),
    .oldest_o(oldest), .running_o(running), .all_done_o(all_done)
  );

  // ---- memories ----
  mem_req_t     [NumPe-1:0]               wgt_req, act_req, idx_req;
  mem_rsp_t     [NumPe-1:0]               wgt_rsp, act_rsp, idx_rsp;
  weight_lane_t [NumPe-1:0][NumLanes-1:0] wgt_rdata;
  logic         [NumPe-1:0][63:0]         act_rdata;
  index_entry_t [NumPe-1:0]               idx_rdata;
  logic [$clog2(WgtBanks+1)-1:0]          wgt_reads;
  logic [$clog2(ActBanks+1)-1:0]          act_reads;
  logic [$clog2(IdxBanks+1)-1:0]          idx_reads;
  logic [HitW-1:0]                        wgt_hits, act_hits, idx_hits;

  logic                                   wgt_we;
  addr_t                                  wgt_waddr;
  weight_lane_t [NumLanes-1:0]            wgt_wdata;

  spcore_weight_store #(.NumReq(NumPe), .NumLanes(NumLanes), .Banks(WgtBanks), .Depth(WgtDepth)) u_weight_store (
    .clk_i, .rst_ni(core_rst_n), .start_i(restart),
    .req_i(wgt_req), .rsp_o(wgt_rsp), .vector_o(wgt_rdata),
    .we_i(wgt_we), .waddr_i(wgt_waddr), .wvector_i(wgt_wdata),
    .reads_o(wgt_reads), .hits_o(wgt_hits)
  );

  // Lines are written by the output stage (0) and the activation loader (1).
  logic        [1:0] lw_valid, lw_ready;
  line_write_t [1:0] lw_line;
  // They are read by the streaming processors and, last, the result streamer.
  line_read_req_t [NumSp:0] lr_req;
  line_read_rsp_t [NumSp:0] lr_rsp;

  spcore_activation_store #(
    .NumReq(NumPe), .ActBanks(ActBanks), .ActDepth(ActDepth), .IdxBanks(IdxBanks), .IdxDepth(IdxDepth),
    .NumRead(NumSp + 1)
  ) u_activation_store (
    .clk_i, .rst_ni(core_rst_n), .start_i(restart),
    .act_req_i(act_req), .act_rsp_o(act_rsp), .act_rdata_o(act_rdata),
    .idx_req_i(idx_req), .idx_rsp_o(idx_rsp), .idx_rdata_o(idx_rdata),
    .lw_valid_i(lw_valid), .lw_ready_o(lw_ready), .lw_line_i(lw_line),
    .lr_req_i(lr_req), .lr_rsp_o(lr_rsp),
    .act_reads_o(act_reads), .act_hits_o(act_hits),
    .idx_reads_o(idx_reads), .idx_hits_o(idx_hits)
  );

  logic               par_we;
  addr_t              par_waddr;
  param_t             par_wdata;
  logic   [NumSp-1:0] par_re;
  addr_t  [NumSp-1:0] par_raddr;
  param_t [NumSp-1:0] par_rdata;

  spcore_param_mem #(.Depth(ParDepth), .NumRead(NumSp)) u_parameter_memory (
    .clk_i,
    .we_i(par_we), .waddr_i(par_waddr), .wdata_i(par_wdata),
    .re_i(par_re), .raddr_i(par_raddr), .rdata_o(par_rdata)
  );

  // ---- PEs ----
  drain_req_t  [NumPe-1:0]                         drain_req;
  logic        [NumPe-1:0]                         drain_gnt;
  drain_row_t  [NumPe-1:0]                         drain_row;
  logic        [NumPe-1:0][NumBanks-1:0][AccW-1:0] drain_data;
  pe_state_e   [NumPe-1:0]                         pe_state;
  ctx_t        [NumPe-1:0]                         pe_ctx;
  logic        [NumPe-1:0][MacW-1:0]               pe_macs;
  pe_counting_t                                    pe_counting;
  pe_counters_t [NumPe-1:0]                        pe_counters;

  assign pe_counting = '{clear: restart, count: running};

  for (genvar i = 0; i < NumPe; i++) begin : gen_pe
    spcore_pe #(
      .NumLanes(NumLanes), .RegionPos(RegionPos), .NumRegions(NumRegions), .WgtQueueDepth(WgtQueueDepth)
    ) u_pe (
      .clk_i, .rst_ni(core_rst_n), .layer_i(layer), .derived_i(derived),
      .pos_tab_i(pos_tab), .mask_tab_i(mask_tab),
      .unit_valid_i(unit_valid[i]), .unit_ready_o(unit_ready[i]), .unit_i(unit[i/UnitGroup]), .free_o(pe_free[i]),
      .wgt_req_o(wgt_req[i]), .wgt_rsp_i(wgt_rsp[i]), .wgt_rdata_i(wgt_rdata[i]),
      .act_req_o(act_req[i]), .act_rsp_i(act_rsp[i]), .act_rdata_i(act_rdata[i]),
      .idx_req_o(idx_req[i]), .idx_rsp_i(idx_rsp[i]), .idx_rdata_i(idx_rdata[i]),
      .drain_req_o(drain_req[i]), .drain_gnt_i(drain_gnt[i]), .drain_row_o(drain_row[i]),
      .drain_data_o(drain_data[i]),
      .state_o(pe_state[i]), .ctx_o(pe_ctx[i]), .macs_o(pe_macs[i]),
      .counting_i(pe_counting), .counters_o(pe_counters[i])
    );
  end

  assign pe_state_o = pe_state;

  // ---- output stage ----
  logic  line_written;
  npos_t line_bytes;

  spcore_output_stage #(
    .NumPe(NumPe), .NumLanes(NumLanes), .NumSp(NumSp), .SpLanes(SpLanes), .NumStage(NumStage)
  ) u_output_stage (
    .clk_i, .rst_ni(core_rst_n), .layer_i(layer), .derived_i(derived), .start_i(start), .restart_i(restart),
    .oldest_job_i(oldest_job), .oldest_i(oldest),
    .drain_req_i(drain_req), .drain_gnt_o(drain_gnt), .drain_row_i(drain_row), .drain_data_i(drain_data),
    .par_re_o(par_re), .par_addr_o(par_raddr), .par_i(par_rdata),
    .lr_req_o(lr_req[NumSp-1:0]), .lr_rsp_i(lr_rsp[NumSp-1:0]),
    .lw_valid_o(lw_valid[0]), .lw_ready_i(lw_ready[0]), .lw_line_o(lw_line[0]),
    .job_done_o(job_done), .job_done_id_o(job_done_id), .line_ctx_o(line_ctx), .overflow_o(overflow),
    .line_written_o(line_written), .line_bytes_o(line_bytes)
  );

  // ---- counters ----
  counters_t    counters;
  logic [15:0]  pe_select;
  pe_counters_t pe_selected;

  spcore_counters #(
    .NumPe(NumPe), .NumLanes(NumLanes), .WgtBanks(WgtBanks), .ActBanks(ActBanks), .IdxBanks(IdxBanks)
  ) u_counters (
    .clk_i, .rst_ni(core_rst_n), .clear_i(start), .count_i(running), .oldest_i(oldest), .shown_i(shown),
    .pe_state_i(pe_state), .pe_ctx_i(pe_ctx), .pe_macs_i(pe_macs),
    .wgt_reads_i(wgt_reads), .wgt_hits_i(wgt_hits),
    .act_reads_i(act_reads), .act_hits_i(act_hits),
    .idx_reads_i(idx_reads), .idx_hits_i(idx_hits),
    .line_written_i(line_written), .line_ctx_i(line_ctx), .line_bytes_i(line_bytes),
    .counters_o(counters),
    .pe_select_i(pe_select), .pe_counters_i(pe_counters), .pe_counters_o(pe_selected)
  );

  // ---- host side ----
  wgt_cmd_t    wgt_cmd;
  wgt_status_t wgt_status;
  act_cmd_t    act_cmd;
  act_status_t act_status;
  res_cmd_t    res_cmd;
  res_status_t res_status;
  program_cmd_t    program_cmd;
  program_status_t program_status;
  logic            prg_we;
  prg_addr_t       prg_waddr;
  prg_word_t       prg_wdata;

  spcore_host #(.Cfg(Cfg)) u_host (
    .clk_i, .rst_ni, .core_rst_no(core_rst_n), .irq_o,
    .s_axil_awaddr, .s_axil_awprot, .s_axil_awvalid, .s_axil_awready,
    .s_axil_wdata, .s_axil_wstrb, .s_axil_wvalid, .s_axil_wready,
    .s_axil_bresp, .s_axil_bvalid, .s_axil_bready,
    .s_axil_araddr, .s_axil_arprot, .s_axil_arvalid, .s_axil_arready,
    .s_axil_rdata, .s_axil_rresp, .s_axil_rvalid, .s_axil_rready,
    .wgt_cmd_o(wgt_cmd), .wgt_status_i(wgt_status),
    .act_cmd_o(act_cmd), .act_status_i(act_status),
    .res_cmd_o(res_cmd), .res_status_i(res_status),
    .layer_cmd_o(layer_cmd), .layer_status_i(layer_status),
    .program_cmd_o(program_cmd), .program_status_i(program_status),
    .counters_i(counters), .pe_select_o(pe_select), .pe_counters_i(pe_selected)
  );

  spcore_program #(.PrgDepth(PrgDepth)) u_program (
    .clk_i, .rst_ni(core_rst_n), .cmd_i(program_cmd), .status_o(program_status),
    .we_i(prg_we), .waddr_i(prg_waddr), .wdata_i(prg_wdata)
  );

  spcore_weight_loader #(.NumLanes(NumLanes)) u_weight_loader (
    .clk_i, .rst_ni(core_rst_n), .cmd_i(wgt_cmd), .status_o(wgt_status),
    .s_axis_tdata(s_axis_wgt_tdata), .s_axis_tvalid(s_axis_wgt_tvalid), .s_axis_tready(s_axis_wgt_tready),
    .s_axis_tlast(s_axis_wgt_tlast),
    .wgt_we_o(wgt_we), .wgt_waddr_o(wgt_waddr), .wgt_wdata_o(wgt_wdata),
    .par_we_o(par_we), .par_waddr_o(par_waddr), .par_wdata_o(par_wdata),
    .prg_we_o(prg_we), .prg_waddr_o(prg_waddr), .prg_wdata_o(prg_wdata)
  );

  spcore_activation_loader #(.StreamBytes(StreamBytes)) u_activation_loader (
    .clk_i, .rst_ni(core_rst_n), .cmd_i(act_cmd), .status_o(act_status),
    .s_axis_tdata(s_axis_act_tdata), .s_axis_tkeep(s_axis_act_tkeep), .s_axis_tvalid(s_axis_act_tvalid),
    .s_axis_tready(s_axis_act_tready), .s_axis_tlast(s_axis_act_tlast),
    .lw_valid_o(lw_valid[1]), .lw_ready_i(lw_ready[1]), .lw_line_o(lw_line[1])
  );

  spcore_result_streamer #(.StreamBytes(StreamBytes)) u_result_streamer (
    .clk_i, .rst_ni(core_rst_n), .cmd_i(res_cmd), .status_o(res_status),
    .lr_req_o(lr_req[NumSp]), .lr_rsp_i(lr_rsp[NumSp]),
    .m_axis_tdata(m_axis_res_tdata), .m_axis_tkeep(m_axis_res_tkeep), .m_axis_tvalid(m_axis_res_tvalid),
    .m_axis_tready(m_axis_res_tready), .m_axis_tlast(m_axis_res_tlast)
  );

  // ---- what can be built; units check the same of what they are given ----
  if (NumPe < 2 || NumPe > 1024 || (NumPe & (NumPe - 1)) != 0) begin : gen_check_num_pe
    $error("%m: NumPe = %0d, expected a power of two from 2 to 1024", NumPe);
  end
  if (!is_num_lanes(NumLanes)) begin : gen_check_num_lanes
    $error("%m: NumLanes = %0d, expected a power of two from 4 to 64", NumLanes);
  end
  if (!is_region_pos(RegionPos)) begin : gen_check_region_pos
    $error("%m: RegionPos = %0d, expected a power of two from 64 to %0d", RegionPos, 1 << RegionW);
  end
  if (WgtBanks * WgtDepth >= 1 << AddrW || ActBanks * ActDepth >= 1 << AddrW || IdxBanks * IdxDepth >= 1 << AddrW ||
      ParDepth >= 1 << AddrW) begin : gen_check_sizes
    $error("%m: memory of 2^%0d entries or more: WgtBanks*WgtDepth = %0d, ActBanks*ActDepth = %0d, IdxBanks*IdxDepth = %0d, ParDepth = %0d",
           AddrW, WgtBanks * WgtDepth, ActBanks * ActDepth, IdxBanks * IdxDepth, ParDepth);
  end

endmodule
