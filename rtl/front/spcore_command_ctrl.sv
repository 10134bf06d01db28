// The host side of the core: the register block, the commands with their checks, errors, interrupts and resets.
//
// A command is a pulse of one cycle that the engine takes in that cycle, or it is refused and says so in ERROR. The rest of
// the core is reset by core_rst_no: with rst_ni, and for ResetCycles after it and after a soft reset.
module spcore_command_ctrl
  import sparsecore_pkg::*;
  import spcore_front_pkg::*;
#(
  parameter int unsigned NumPe       = 64,
  parameter int unsigned NumLanes    = 16,
  parameter int unsigned WgtBanks    = 8,
  parameter int unsigned WgtDepth    = 2730,
  parameter int unsigned ActBanks    = 8,
  parameter int unsigned ActDepth    = 24576,
  parameter int unsigned IdxBanks    = 8,
  parameter int unsigned IdxDepth    = 6144,
  parameter int unsigned ParDepth    = 2048,
  parameter int unsigned RegionPos   = 512,
  parameter int unsigned NumRegions  = 4,
  parameter int unsigned NumSp       = 2,
  parameter int unsigned SpLanes     = 32,
  parameter int unsigned NumStage    = 4,
  parameter int unsigned StreamBytes = 64
) (
  input  logic         clk_i,
  input  logic         rst_ni,
  output logic         core_rst_no,
  output logic         irq_o,

  input  logic [11:0]  s_axil_awaddr,
  input  logic [2:0]   s_axil_awprot,
  input  logic         s_axil_awvalid,
  output logic         s_axil_awready,
  input  logic [31:0]  s_axil_wdata,
  input  logic [3:0]   s_axil_wstrb,
  input  logic         s_axil_wvalid,
  output logic         s_axil_wready,
  output logic [1:0]   s_axil_bresp,
  output logic         s_axil_bvalid,
  input  logic         s_axil_bready,
  input  logic [11:0]  s_axil_araddr,
  input  logic [2:0]   s_axil_arprot,
  input  logic         s_axil_arvalid,
  output logic         s_axil_arready,
  output logic [31:0]  s_axil_rdata,
  output logic [1:0]   s_axil_rresp,
  output logic         s_axil_rvalid,
  input  logic         s_axil_rready,

  // weight_loader
  output logic         wgt_start_o,
  output logic         par_start_o,
  output addr_t        wgt_base_o,      // of the load that starts, weights or parameters
  output addr_t        wgt_count_o,
  output logic [1:0]   wgt_k_log2_o,
  output logic [2:0]   wgt_m_log2_o,
  output logic         wgt_flush_o,
  input  logic         wgt_busy_i,
  input  logic         par_busy_i,
  input  logic         wgt_discard_i,
  input  logic         wgt_done_i,
  input  logic         par_done_i,
  input  wgt_err_t     wgt_err_i,
  input  addr_t        wgt_err_info_i,

  // activation_loader
  output logic         act_start_o,
  output addr_t        act_idx_base_o,
  output addr_t        act_lines_o,
  output addr_t        act_base_o,
  output addr_t        act_limit_o,
  output npos_t        act_line_pos_o,
  output logic         act_flush_o,
  input  logic         act_busy_i,
  input  logic         act_discard_i,
  input  logic         act_done_i,
  input  act_err_t     act_err_i,
  input  addr_t        act_err_info_i,
  input  addr_t        act_end_i,

  // result_streamer
  output logic         res_start_o,
  output addr_t        res_idx_base_o,
  output addr_t        res_lines_o,
  input  logic         res_busy_i,
  input  logic         res_done_i,

  // Layers: valid for the one cycle of the command, whether ready or not.
  output logic         layer_valid_o,
  input  logic         layer_ready_i,
  output layer_t       layer_o,
  input  logic         layer_busy_i,
  input  logic         layer_done_i,         // pulse, also for a refused layer
  input  logic         desc_error_i,         // pulse
  input  logic [3:0]   desc_error_code_i,
  input  logic         out_overflow_i,       // pulse
  input  logic [7:0]   queue_level_i,

  input  counters_t    counters_i,
  output logic [15:0]  pe_select_o,
  input  pe_counters_t pe_counters_i         // of PE pe_select_o; 0 if there is none
);

  localparam int unsigned ResetCycles = 4;
  localparam int unsigned ResetW      = $clog2(ResetCycles + 1);

  localparam int unsigned WgtSize = WgtBanks * WgtDepth;
  localparam int unsigned ActSize = ActBanks * ActDepth;
  localparam int unsigned IdxSize = IdxBanks * IdxDepth;

  if (WgtSize >= 1 << AddrW || ActSize >= 1 << AddrW || IdxSize >= 1 << AddrW || ParDepth >= 1 << AddrW) begin : gen_check_sizes
    $error("%m: memory of 2^%0d entries or more: WgtBanks*WgtDepth = %0d, ActBanks*ActDepth = %0d, IdxBanks*IdxDepth = %0d, ParDepth = %0d",
           AddrW, WgtSize, ActSize, IdxSize, ParDepth);
  end

  sparsecore_regs_pkg::sparsecore__in_t  hw_in;
  sparsecore_regs_pkg::sparsecore__out_t hw_out;

  sparsecore_regs u_regs (
    .clk(clk_i), .arst_n(rst_ni),
    .s_axil_awready, .s_axil_awvalid, .s_axil_awaddr, .s_axil_awprot,
    .s_axil_wready, .s_axil_wvalid, .s_axil_wdata, .s_axil_wstrb,
    .s_axil_bready, .s_axil_bvalid, .s_axil_bresp,
    .s_axil_arready, .s_axil_arvalid, .s_axil_araddr, .s_axil_arprot,
    .s_axil_rready, .s_axil_rvalid, .s_axil_rdata, .s_axil_rresp,
    .hwif_in(hw_in), .hwif_out(hw_out)
  );

  assign irq_o = hw_out.INTR_STATE.intr;

  // ---------------------------------------------------------------------------------------------------------------
  // Reset
  // ---------------------------------------------------------------------------------------------------------------
  logic              soft_reset, core_rst_n_q, live;
  logic [ResetW-1:0] reset_left_q;

  assign soft_reset  = hw_out.CTRL.soft_reset.value;
  assign core_rst_no = rst_ni & core_rst_n_q;       // with rst_ni at once, even before the first clock edge
  assign live        = core_rst_n_q & ~soft_reset;  // the engines can take commands, and their events count

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      core_rst_n_q <= 1'b0;
      reset_left_q <= ResetW'(ResetCycles);
    end else if (soft_reset) begin
      core_rst_n_q <= 1'b0;
      reset_left_q <= ResetW'(ResetCycles);
    end else if (reset_left_q != '0) begin
      reset_left_q <= reset_left_q - 1'b1;
    end else begin
      core_rst_n_q <= 1'b1;
    end
  end

  // ---------------------------------------------------------------------------------------------------------------
  // Commands
  // ---------------------------------------------------------------------------------------------------------------
  // Entries [base, base + count) lie in a memory of that size, and there is at least one.
  function automatic logic fits(input addr_t base, input addr_t count, input addr_t size);
    return count != '0 && {1'b0, base} + {1'b0, count} <= {1'b0, size};
  endfunction

  logic wgt_cmd, par_cmd, act_cmd, res_cmd, push_cmd;
  logic wgt_free, act_free;
  logic wgt_fits, par_fits, act_fits, res_fits, mode_ok;
  logic busy_error, range_error;

  assign wgt_cmd  = hw_out.CTRL.wgt_load.value    & ~soft_reset;
  assign par_cmd  = hw_out.CTRL.par_load.value    & ~soft_reset;
  assign act_cmd  = hw_out.CTRL.act_load.value    & ~soft_reset;
  assign res_cmd  = hw_out.CTRL.result_send.value & ~soft_reset;
  assign push_cmd = hw_out.CTRL.layer_push.value  & ~soft_reset;

  assign wgt_flush_o = hw_out.CTRL.wgt_flush.value & live;
  assign act_flush_o = hw_out.CTRL.act_flush.value & live;

  // A flush in the same write comes first. Of a weight and a parameter load in the same write, the weight load starts.
  assign wgt_free = live & ~wgt_busy_i & ~par_busy_i & (~wgt_discard_i | wgt_flush_o);
  assign act_free = live & ~act_busy_i & (~act_discard_i | act_flush_o);

  always_comb begin
    unique case ({hw_out.WGT_MODE.k_log2.value, hw_out.WGT_MODE.m_log2.value})
      {2'd0, 3'd0}, {2'd0, 3'd1}, {2'd1, 3'd2}, {2'd2, 3'd3}, {2'd0, 3'd2}, {2'd1, 3'd3}, {2'd2, 3'd4}: mode_ok = 1'b1;
      default: mode_ok = 1'b0;
    endcase
  end

  assign wgt_fits = mode_ok && fits(hw_out.WGT_BASE.value.value, hw_out.WGT_COUNT.value.value, addr_t'(WgtSize));
  assign par_fits = fits(hw_out.PAR_BASE.value.value, hw_out.PAR_COUNT.value.value, addr_t'(ParDepth));
  assign act_fits = fits(act_idx_base_o, act_lines_o, addr_t'(IdxSize)) && act_base_o <= act_limit_o &&
                    act_limit_o <= addr_t'(ActSize) && act_line_pos_o != '0 && act_line_pos_o <= npos_t'(LinePos);
  assign res_fits = fits(res_idx_base_o, res_lines_o, addr_t'(IdxSize));

  assign wgt_start_o   = wgt_cmd & wgt_free & wgt_fits;
  assign par_start_o   = par_cmd & wgt_free & par_fits & ~wgt_start_o;
  assign act_start_o   = act_cmd & act_free & act_fits;
  assign res_start_o   = res_cmd & live & ~res_busy_i & res_fits;
  assign layer_valid_o = push_cmd & live;

  assign busy_error  = (wgt_cmd & ~wgt_free) | (par_cmd & (~wgt_free | wgt_start_o)) | (act_cmd & ~act_free) |
                       (res_cmd & (res_busy_i | ~live)) | (push_cmd & ~(live & layer_ready_i));
  assign range_error = (wgt_cmd & wgt_free & ~wgt_fits) | (par_cmd & wgt_free & ~wgt_start_o & ~par_fits) |
                       (act_cmd & act_free & ~act_fits) | (res_cmd & live & ~res_busy_i & ~res_fits);

  assign wgt_base_o     = wgt_start_o ? hw_out.WGT_BASE.value.value : hw_out.PAR_BASE.value.value;
  assign wgt_count_o    = wgt_start_o ? hw_out.WGT_COUNT.value.value : hw_out.PAR_COUNT.value.value;
  assign wgt_k_log2_o   = hw_out.WGT_MODE.k_log2.value;
  assign wgt_m_log2_o   = hw_out.WGT_MODE.m_log2.value;
  assign act_idx_base_o = hw_out.ACT_IDX_BASE.value.value;
  assign act_lines_o    = hw_out.ACT_LINES.value.value;
  assign act_base_o     = hw_out.ACT_BASE.value.value;
  assign act_limit_o    = hw_out.ACT_LIMIT.value.value;
  assign act_line_pos_o = hw_out.ACT_LINE_POS.value.value;
  assign res_idx_base_o = hw_out.RES_IDX_BASE.value.value;
  assign res_lines_o    = hw_out.RES_LINES.value.value;
  assign pe_select_o    = hw_out.PE_SELECT.value.value;

  always_comb begin
    layer_o.k_log2        = hw_out.LAYER_MODE.k_log2.value;
    layer_o.m_log2        = hw_out.LAYER_MODE.m_log2.value;
    layer_o.act_signed    = hw_out.LAYER_MODE.act_signed.value;
    layer_o.out_signed    = hw_out.LAYER_MODE.out_signed.value;
    layer_o.skip          = hw_out.LAYER_MODE.skip.value;
    layer_o.in_c          = hw_out.LAYER_IN_C.value.value;
    layer_o.in_h          = hw_out.LAYER_IN_H.value.value;
    layer_o.in_w          = hw_out.LAYER_IN_W.value.value;
    layer_o.out_k         = hw_out.LAYER_OUT_K.value.value;
    layer_o.out_h         = hw_out.LAYER_OUT_H.value.value;
    layer_o.out_w         = hw_out.LAYER_OUT_W.value.value;
    layer_o.kernel_r      = hw_out.LAYER_KERNEL.kernel_r.value;
    layer_o.kernel_s      = hw_out.LAYER_KERNEL.kernel_s.value;
    layer_o.stride_y2     = hw_out.LAYER_KERNEL.stride_y2.value;
    layer_o.stride_x2     = hw_out.LAYER_KERNEL.stride_x2.value;
    layer_o.pad_top       = hw_out.LAYER_KERNEL.pad_top.value;
    layer_o.pad_left      = hw_out.LAYER_KERNEL.pad_left.value;
    layer_o.line_h        = hw_out.LAYER_LINE.line_h.value;
    layer_o.line_w        = hw_out.LAYER_LINE.line_w.value;
    layer_o.lines_y       = hw_out.LAYER_LINES.lines_y.value;
    layer_o.lines_x       = hw_out.LAYER_LINES.lines_x.value;
    layer_o.tile_h        = hw_out.LAYER_TILE.tile_h.value;
    layer_o.tile_w        = hw_out.LAYER_TILE.tile_w.value;
    layer_o.tiles_y       = hw_out.LAYER_TILES.tiles_y.value;
    layer_o.tiles_x       = hw_out.LAYER_TILES.tiles_x.value;
    layer_o.chunks        = hw_out.LAYER_CHUNKS.chunks.value;
    layer_o.splits        = hw_out.LAYER_SPLIT.splits.value;
    layer_o.split_c       = hw_out.LAYER_SPLIT.split_c.value;
    layer_o.wgt_base      = hw_out.LAYER_WGT_BASE.value.value;
    layer_o.par_base      = hw_out.LAYER_PAR_BASE.value.value;
    layer_o.in_idx_base   = hw_out.LAYER_IN_IDX_BASE.value.value;
    layer_o.out_idx_base  = hw_out.LAYER_OUT_IDX_BASE.value.value;
    layer_o.out_act_base  = hw_out.LAYER_OUT_ACT_BASE.value.value;
    layer_o.out_act_limit = hw_out.LAYER_OUT_ACT_LIMIT.value.value;
    layer_o.clamp_lo      = hw_out.LAYER_CLAMP.lo.value;
    layer_o.clamp_hi      = hw_out.LAYER_CLAMP.hi.value;
  end

  // ---------------------------------------------------------------------------------------------------------------
  // Events: sticky bits live in the register block, a soft reset clears them
  // ---------------------------------------------------------------------------------------------------------------
  logic [3:0] desc_error_code_q;
  logic       any_error;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) desc_error_code_q <= '0;
    else if (soft_reset) desc_error_code_q <= '0;
    else if (desc_error_i) desc_error_code_q <= desc_error_code_i;
  end

  assign any_error = (live && (wgt_err_i != '0 || act_err_i != '0 || out_overflow_i || desc_error_i)) ||
                     busy_error || range_error;

  always_comb begin
    hw_in.INTR_STATE.wgt_done.next    = wgt_done_i & live;
    hw_in.INTR_STATE.par_done.next    = par_done_i & live;
    hw_in.INTR_STATE.act_done.next    = act_done_i & live;
    hw_in.INTR_STATE.layer_done.next  = layer_done_i & live;
    hw_in.INTR_STATE.result_done.next = res_done_i & live;
    hw_in.INTR_STATE.error.next       = any_error;
    hw_in.INTR_STATE.wgt_done.hwclr    = soft_reset;
    hw_in.INTR_STATE.par_done.hwclr    = soft_reset;
    hw_in.INTR_STATE.act_done.hwclr    = soft_reset;
    hw_in.INTR_STATE.layer_done.hwclr  = soft_reset;
    hw_in.INTR_STATE.result_done.hwclr = soft_reset;
    hw_in.INTR_STATE.error.hwclr       = soft_reset;

    hw_in.ERROR.wgt_tlast_early.next = wgt_err_i.tlast_early & live;
    hw_in.ERROR.wgt_tlast_late.next  = wgt_err_i.tlast_late & live;
    hw_in.ERROR.wgt_index_range.next = wgt_err_i.index_range & live;
    hw_in.ERROR.wgt_index_order.next = wgt_err_i.index_order & live;
    hw_in.ERROR.par_range.next       = wgt_err_i.par_range & live;
    hw_in.ERROR.act_tlast_early.next = act_err_i.tlast_early & live;
    hw_in.ERROR.act_tlast_late.next  = act_err_i.tlast_late & live;
    hw_in.ERROR.act_population.next  = act_err_i.population & live;
    hw_in.ERROR.act_bitmap.next      = act_err_i.bitmap & live;
    hw_in.ERROR.act_overflow.next    = act_err_i.overflow & live;
    hw_in.ERROR.out_overflow.next    = out_overflow_i & live;
    hw_in.ERROR.descriptor.next      = desc_error_i & live;
    hw_in.ERROR.command_busy.next    = busy_error;
    hw_in.ERROR.command_range.next   = range_error;
    hw_in.ERROR.wgt_tlast_early.hwclr = soft_reset;
    hw_in.ERROR.wgt_tlast_late.hwclr  = soft_reset;
    hw_in.ERROR.wgt_index_range.hwclr = soft_reset;
    hw_in.ERROR.wgt_index_order.hwclr = soft_reset;
    hw_in.ERROR.par_range.hwclr       = soft_reset;
    hw_in.ERROR.act_tlast_early.hwclr = soft_reset;
    hw_in.ERROR.act_tlast_late.hwclr  = soft_reset;
    hw_in.ERROR.act_population.hwclr  = soft_reset;
    hw_in.ERROR.act_bitmap.hwclr      = soft_reset;
    hw_in.ERROR.act_overflow.hwclr    = soft_reset;
    hw_in.ERROR.out_overflow.hwclr    = soft_reset;
    hw_in.ERROR.descriptor.hwclr      = soft_reset;
    hw_in.ERROR.command_busy.hwclr    = soft_reset;
    hw_in.ERROR.command_range.hwclr   = soft_reset;

    // What the host reads
    hw_in.ID.minor.next                   = 8'd0;
    hw_in.ID.major.next                   = 8'd1;
    hw_in.ID.signature.next               = 16'h5343;
    hw_in.CONFIG_ARRAY.num_pe.next        = 16'(NumPe);
    hw_in.CONFIG_ARRAY.num_lanes.next     = 16'(NumLanes);
    hw_in.CONFIG_REGION.region_pos.next   = 16'(RegionPos);
    hw_in.CONFIG_REGION.num_regions.next  = 8'(NumRegions);
    hw_in.CONFIG_REGION.stream_bytes.next = 8'(StreamBytes);
    hw_in.CONFIG_OUTPUT.num_sp.next       = 8'(NumSp);
    hw_in.CONFIG_OUTPUT.sp_lanes.next     = 8'(SpLanes);
    hw_in.CONFIG_OUTPUT.num_stage.next    = 8'(NumStage);
    hw_in.CONFIG_WGT.depth.next           = 24'(WgtDepth);
    hw_in.CONFIG_WGT.banks.next           = 8'(WgtBanks);
    hw_in.CONFIG_ACT.depth.next           = 24'(ActDepth);
    hw_in.CONFIG_ACT.banks.next           = 8'(ActBanks);
    hw_in.CONFIG_IDX.depth.next           = 24'(IdxDepth);
    hw_in.CONFIG_IDX.banks.next           = 8'(IdxBanks);
    hw_in.CONFIG_PAR.depth.next           = 24'(ParDepth);
    hw_in.CONFIG_PAR.banks.next           = 8'd1;

    hw_in.STATUS.wgt_busy.next            = wgt_busy_i;
    hw_in.STATUS.par_busy.next            = par_busy_i;
    hw_in.STATUS.act_busy.next            = act_busy_i;
    hw_in.STATUS.layer_busy.next          = layer_busy_i;
    hw_in.STATUS.result_busy.next         = res_busy_i;
    hw_in.STATUS.wgt_discard.next         = wgt_discard_i;
    hw_in.STATUS.act_discard.next         = act_discard_i;
    hw_in.STATUS.queue_level.next         = queue_level_i;
    hw_in.WGT_ERROR_INFO.value.next       = wgt_err_info_i;
    hw_in.ACT_ERROR_INFO.value.next       = act_err_info_i;
    hw_in.DESCRIPTOR_ERROR.code.next      = desc_error_code_q;
    hw_in.ACT_END.value.next              = act_end_i;

    hw_in.CYCLES.value.next               = counters_i.cycles;
    {hw_in.MACS_HI.value.next, hw_in.MACS_LO.value.next}                   = counters_i.macs;
    {hw_in.BUSY_HI.value.next, hw_in.BUSY_LO.value.next}                   = counters_i.busy;
    {hw_in.NO_WEIGHT_HI.value.next, hw_in.NO_WEIGHT_LO.value.next}         = counters_i.no_weight;
    {hw_in.NO_ACTIVATION_HI.value.next, hw_in.NO_ACTIVATION_LO.value.next} = counters_i.no_activation;
    {hw_in.DRAIN_HI.value.next, hw_in.DRAIN_LO.value.next}                 = counters_i.drain;
    {hw_in.NO_UNIT_HI.value.next, hw_in.NO_UNIT_LO.value.next}             = counters_i.no_unit;
    hw_in.WGT_READS.value.next            = counters_i.wgt_reads;
    hw_in.WGT_HITS.value.next             = counters_i.wgt_hits;
    hw_in.ACT_READS.value.next            = counters_i.act_reads;
    hw_in.ACT_HITS.value.next             = counters_i.act_hits;
    hw_in.IDX_READS.value.next            = counters_i.idx_reads;
    hw_in.IDX_HITS.value.next             = counters_i.idx_hits;
    hw_in.LINES_WRITTEN.value.next        = counters_i.lines_written;
    hw_in.BYTES_WRITTEN.value.next        = counters_i.bytes_written;
    hw_in.PE_BUSY.value.next              = pe_counters_i.busy;
    hw_in.PE_NO_WEIGHT.value.next         = pe_counters_i.no_weight;
    hw_in.PE_NO_ACTIVATION.value.next     = pe_counters_i.no_activation;
    hw_in.PE_DRAIN.value.next             = pe_counters_i.drain;
    hw_in.PE_NO_UNIT.value.next           = pe_counters_i.no_unit;
    hw_in.PE_MACS.value.next              = pe_counters_i.macs;
  end

endmodule
