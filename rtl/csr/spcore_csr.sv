// SPDX-License-Identifier: Apache-2.0
// The register block with its fields as structs: what the host asks for goes out, what it reads comes in.
//
// Nothing is decided here; the map itself is rtl/csr/sparsecore.rdl.
module spcore_csr
  import sparsecore_pkg::*;
  import spcore_front_pkg::*;
#(
  parameter config_t Cfg = '0
) (
  input  logic         clk_i,
  input  logic         rst_ni,
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

  output reg2hw_t      reg2hw_o,
  input  hw2reg_t      hw2reg_i
);

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

  // ---- what the host asks for ----
  assign reg2hw_o.ctrl = '{
    wgt_load:    hw_out.CTRL.wgt_load.value,
    par_load:    hw_out.CTRL.par_load.value,
    act_load:    hw_out.CTRL.act_load.value,
    layer_push:  hw_out.CTRL.layer_push.value,
    result_send: hw_out.CTRL.result_send.value,
    wgt_flush:   hw_out.CTRL.wgt_flush.value,
    act_flush:   hw_out.CTRL.act_flush.value,
    prg_load:    hw_out.CTRL.prg_load.value,
    run:         hw_out.CTRL.run.value
  };
  assign reg2hw_o.soft_reset   = hw_out.CTRL.soft_reset.value;
  assign reg2hw_o.wgt_base     = hw_out.WGT_BASE.value.value;
  assign reg2hw_o.wgt_count    = hw_out.WGT_COUNT.value.value;
  assign reg2hw_o.wgt_k_log2   = hw_out.WGT_MODE.k_log2.value;
  assign reg2hw_o.wgt_m_log2   = hw_out.WGT_MODE.m_log2.value;
  assign reg2hw_o.par_base     = hw_out.PAR_BASE.value.value;
  assign reg2hw_o.par_count    = hw_out.PAR_COUNT.value.value;
  assign reg2hw_o.act_idx_base = hw_out.ACT_IDX_BASE.value.value;
  assign reg2hw_o.act_lines    = hw_out.ACT_LINES.value.value;
  assign reg2hw_o.act_base     = hw_out.ACT_BASE.value.value;
  assign reg2hw_o.act_limit    = hw_out.ACT_LIMIT.value.value;
  assign reg2hw_o.act_line_pos = hw_out.ACT_LINE_POS.value.value;
  assign reg2hw_o.res_idx_base = hw_out.RES_IDX_BASE.value.value;
  assign reg2hw_o.res_lines    = hw_out.RES_LINES.value.value;
  assign reg2hw_o.prg_base     = hw_out.PRG_BASE.value.value;
  assign reg2hw_o.prg_count    = hw_out.PRG_COUNT.value.value;
  assign reg2hw_o.pe_select    = hw_out.PE_SELECT.value.value;

  assign reg2hw_o.layer = '{
    k_log2:        hw_out.LAYER_MODE.k_log2.value,
    m_log2:        hw_out.LAYER_MODE.m_log2.value,
    act_signed:    hw_out.LAYER_MODE.act_signed.value,
    out_signed:    hw_out.LAYER_MODE.out_signed.value,
    skip:          hw_out.LAYER_MODE.skip.value,
    maximum:       hw_out.LAYER_MODE.maximum.value,
    tap_shared:    hw_out.LAYER_MODE.tap_shared.value,
    residual:      hw_out.LAYER_MODE.residual.value,
    res_signed:    hw_out.LAYER_MODE.res_signed.value,
    out_append:    hw_out.LAYER_MODE.out_append.value,
    out_section:   hw_out.LAYER_MODE.out_section.value,
    keep_slot:     hw_out.LAYER_MODE.keep_slot.value,
    continue_slot: hw_out.LAYER_MODE.continue_slot.value,
    in_c:          hw_out.LAYER_IN_C.value.value,
    in_h:          hw_out.LAYER_IN_H.value.value,
    in_w:          hw_out.LAYER_IN_W.value.value,
    out_k:         hw_out.LAYER_OUT_K.value.value,
    out_h:         hw_out.LAYER_OUT_H.value.value,
    out_w:         hw_out.LAYER_OUT_W.value.value,
    kernel_r:      hw_out.LAYER_KERNEL.kernel_r.value,
    kernel_s:      hw_out.LAYER_KERNEL.kernel_s.value,
    stride_y:      hw_out.LAYER_KERNEL.stride_y.value,
    stride_x:      hw_out.LAYER_KERNEL.stride_x.value,
    pad_top:       hw_out.LAYER_PAD.pad_top.value,
    pad_left:      hw_out.LAYER_PAD.pad_left.value,
    line_h:        hw_out.LAYER_LINE.line_h.value,
    line_w:        hw_out.LAYER_LINE.line_w.value,
    lines_y:       hw_out.LAYER_LINES.lines_y.value,
    lines_x:       hw_out.LAYER_LINES.lines_x.value,
    tile_h:        hw_out.LAYER_TILE.tile_h.value,
    tile_w:        hw_out.LAYER_TILE.tile_w.value,
    tiles_y:       hw_out.LAYER_TILES.tiles_y.value,
    tiles_x:       hw_out.LAYER_TILES.tiles_x.value,
    chunks:        hw_out.LAYER_CHUNKS.chunks.value,
    splits:        hw_out.LAYER_SPLIT.splits.value,
    split_c:       hw_out.LAYER_SPLIT.split_c.value,
    groups:        hw_out.LAYER_GROUPS.groups.value,
    group_c:       hw_out.LAYER_GROUP.group_c.value,
    group_chunks:  hw_out.LAYER_GROUP.group_chunks.value,
    wgt_base:      hw_out.LAYER_WGT_BASE.value.value,
    par_base:      hw_out.LAYER_PAR_BASE.value.value,
    in_idx_base:   hw_out.LAYER_IN_IDX_BASE.value.value,
    out_idx_base:  hw_out.LAYER_OUT_IDX_BASE.value.value,
    in_pitch:      hw_out.LAYER_IN_PITCH.value.value,
    out_pitch:     hw_out.LAYER_OUT_PITCH.value.value,
    out_act_base:  hw_out.LAYER_OUT_ACT_BASE.value.value,
    out_act_limit: hw_out.LAYER_OUT_ACT_LIMIT.value.value,
    clamp_lo:      hw_out.LAYER_CLAMP.lo.value,
    clamp_hi:      hw_out.LAYER_CLAMP.hi.value,
    res_idx_base:   hw_out.LAYER_RES_IDX_BASE.value.value,
    res_pitch:      hw_out.LAYER_RES_PITCH.value.value,
    res_multiplier: hw_out.LAYER_RES_MULTIPLIER.value.value,
    res_shift:      hw_out.LAYER_RES_SHIFT.value.value
  };

  // In the order of the engines, the first in the lowest bits.
  assign reg2hw_o.run_base = {
    hw_out.RUN_RES_BASE.value.value, hw_out.RUN_LAYER_BASE.value.value,
    hw_out.RUN_ACT_BASE.value.value, hw_out.RUN_WGT_BASE.value.value
  };
  assign reg2hw_o.run_count = {
    hw_out.RUN_RES_COUNT.value.value, hw_out.RUN_LAYER_COUNT.value.value,
    hw_out.RUN_ACT_COUNT.value.value, hw_out.RUN_WGT_COUNT.value.value
  };
  assign reg2hw_o.run_iterations = hw_out.RUN_ITERATIONS.value.value;

  // ---- what the host reads ----
  always_comb begin
    // Sticky bits live in the register block; a soft reset clears them.
    hw_in.INTR_STATE.wgt_done.next     = hw2reg_i.intr.wgt_done;
    hw_in.INTR_STATE.par_done.next     = hw2reg_i.intr.par_done;
    hw_in.INTR_STATE.act_done.next     = hw2reg_i.intr.act_done;
    hw_in.INTR_STATE.layer_done.next   = hw2reg_i.intr.layer_done;
    hw_in.INTR_STATE.result_done.next  = hw2reg_i.intr.result_done;
    hw_in.INTR_STATE.error.next        = hw2reg_i.intr.error;
    hw_in.INTR_STATE.prg_done.next     = hw2reg_i.intr.prg_done;
    hw_in.INTR_STATE.run_done.next     = hw2reg_i.intr.run_done;
    hw_in.INTR_STATE.wgt_done.hwclr    = hw2reg_i.clear;
    hw_in.INTR_STATE.par_done.hwclr    = hw2reg_i.clear;
    hw_in.INTR_STATE.act_done.hwclr    = hw2reg_i.clear;
    hw_in.INTR_STATE.layer_done.hwclr  = hw2reg_i.clear;
    hw_in.INTR_STATE.result_done.hwclr = hw2reg_i.clear;
    hw_in.INTR_STATE.error.hwclr       = hw2reg_i.clear;
    hw_in.INTR_STATE.prg_done.hwclr    = hw2reg_i.clear;
    hw_in.INTR_STATE.run_done.hwclr    = hw2reg_i.clear;

    hw_in.ERROR.wgt_tlast_early.next  = hw2reg_i.error.wgt.tlast_early;
    hw_in.ERROR.wgt_tlast_late.next   = hw2reg_i.error.wgt.tlast_late;
    hw_in.ERROR.wgt_index_range.next  = hw2reg_i.error.wgt.index_range;
    hw_in.ERROR.wgt_index_order.next  = hw2reg_i.error.wgt.index_order;
    hw_in.ERROR.par_range.next        = hw2reg_i.error.wgt.par_range;
    hw_in.ERROR.act_tlast_early.next  = hw2reg_i.error.act.tlast_early;
    hw_in.ERROR.act_tlast_late.next   = hw2reg_i.error.act.tlast_late;
    hw_in.ERROR.act_population.next   = hw2reg_i.error.act.population;
    hw_in.ERROR.act_bitmap.next       = hw2reg_i.error.act.bitmap;
    hw_in.ERROR.act_overflow.next     = hw2reg_i.error.act.overflow;
    hw_in.ERROR.out_overflow.next     = hw2reg_i.error.out_overflow;
    hw_in.ERROR.descriptor.next       = hw2reg_i.error.descriptor;
    hw_in.ERROR.command_busy.next     = hw2reg_i.error.command_busy;
    hw_in.ERROR.command_range.next    = hw2reg_i.error.command_range;
    hw_in.ERROR.wgt_tlast_early.hwclr = hw2reg_i.clear;
    hw_in.ERROR.wgt_tlast_late.hwclr  = hw2reg_i.clear;
    hw_in.ERROR.wgt_index_range.hwclr = hw2reg_i.clear;
    hw_in.ERROR.wgt_index_order.hwclr = hw2reg_i.clear;
    hw_in.ERROR.par_range.hwclr       = hw2reg_i.clear;
    hw_in.ERROR.act_tlast_early.hwclr = hw2reg_i.clear;
    hw_in.ERROR.act_tlast_late.hwclr  = hw2reg_i.clear;
    hw_in.ERROR.act_population.hwclr  = hw2reg_i.clear;
    hw_in.ERROR.act_bitmap.hwclr      = hw2reg_i.clear;
    hw_in.ERROR.act_overflow.hwclr    = hw2reg_i.clear;
    hw_in.ERROR.out_overflow.hwclr    = hw2reg_i.clear;
    hw_in.ERROR.descriptor.hwclr      = hw2reg_i.clear;
    hw_in.ERROR.command_busy.hwclr    = hw2reg_i.clear;
    hw_in.ERROR.command_range.hwclr   = hw2reg_i.clear;

    hw_in.CONFIG_ARRAY.num_pe.next        = 16'(Cfg.NumPe);
    hw_in.CONFIG_ARRAY.num_lanes.next     = 16'(Cfg.NumLanes);
    hw_in.CONFIG_REGION.region_pos.next   = 16'(Cfg.RegionPos);
    hw_in.CONFIG_REGION.num_regions.next  = 8'(Cfg.NumRegions);
    hw_in.CONFIG_REGION.stream_bytes.next = 8'(Cfg.StreamBytes);
    hw_in.CONFIG_OUTPUT.num_sp.next       = 8'(Cfg.NumSp);
    hw_in.CONFIG_OUTPUT.sp_lanes.next     = 8'(Cfg.SpLanes);
    hw_in.CONFIG_OUTPUT.num_stage.next    = 8'(Cfg.NumStage);
    hw_in.CONFIG_WGT.depth.next           = 24'(Cfg.WgtDepth);
    hw_in.CONFIG_WGT.banks.next           = 8'(Cfg.WgtBanks);
    hw_in.CONFIG_ACT.depth.next           = 24'(Cfg.ActDepth);
    hw_in.CONFIG_ACT.banks.next           = 8'(Cfg.ActBanks);
    hw_in.CONFIG_IDX.depth.next           = 24'(Cfg.IdxDepth);
    hw_in.CONFIG_IDX.banks.next           = 8'(Cfg.IdxBanks);
    hw_in.CONFIG_PAR.depth.next           = 24'(Cfg.ParDepth);
    hw_in.CONFIG_PAR.banks.next           = 8'd1;
    hw_in.CONFIG_PRG.depth.next           = 24'(Cfg.PrgDepth);
    hw_in.CONFIG_PRG.banks.next           = 8'd1;

    hw_in.STATUS.wgt_busy.next       = hw2reg_i.status.wgt_busy;
    hw_in.STATUS.par_busy.next       = hw2reg_i.status.par_busy;
    hw_in.STATUS.act_busy.next       = hw2reg_i.status.act_busy;
    hw_in.STATUS.layer_busy.next     = hw2reg_i.status.layer_busy;
    hw_in.STATUS.result_busy.next    = hw2reg_i.status.result_busy;
    hw_in.STATUS.wgt_discard.next    = hw2reg_i.status.wgt_discard;
    hw_in.STATUS.act_discard.next    = hw2reg_i.status.act_discard;
    hw_in.STATUS.prg_busy.next       = hw2reg_i.status.prg_busy;
    hw_in.STATUS.queue_level.next    = hw2reg_i.status.queue_level;
    hw_in.STATUS.run_busy.next       = hw2reg_i.status.run_busy;
    hw_in.WGT_ERROR_INFO.value.next  = hw2reg_i.wgt_err_info;
    hw_in.ACT_ERROR_INFO.value.next  = hw2reg_i.act_err_info;
    hw_in.DESCRIPTOR_ERROR.code.next = hw2reg_i.descriptor_error;
    hw_in.ACT_END.value.next         = hw2reg_i.act_end;

    hw_in.RUN_ERROR.engine.next            = hw2reg_i.run_error.engine;
    hw_in.RUN_ERROR.descriptor.next        = hw2reg_i.run_error.descriptor;
    hw_in.RUN_ERROR.failed.next            = hw2reg_i.run_error.failed;
    hw_in.RUN_ERROR_ITERATION.value.next   = hw2reg_i.run_error.iteration;

    hw_in.CYCLES.value.next          = hw2reg_i.counters.cycles;
    {hw_in.MACS_HI.value.next, hw_in.MACS_LO.value.next}                   = hw2reg_i.counters.macs;
    {hw_in.BUSY_HI.value.next, hw_in.BUSY_LO.value.next}                   = hw2reg_i.counters.busy;
    {hw_in.NO_WEIGHT_HI.value.next, hw_in.NO_WEIGHT_LO.value.next}         = hw2reg_i.counters.no_weight;
    {hw_in.NO_ACTIVATION_HI.value.next, hw_in.NO_ACTIVATION_LO.value.next} = hw2reg_i.counters.no_activation;
    {hw_in.DRAIN_HI.value.next, hw_in.DRAIN_LO.value.next}                 = hw2reg_i.counters.drain;
    {hw_in.NO_UNIT_HI.value.next, hw_in.NO_UNIT_LO.value.next}             = hw2reg_i.counters.no_unit;
    hw_in.WGT_READS.value.next        = hw2reg_i.counters.wgt_reads;
    hw_in.WGT_HITS.value.next         = hw2reg_i.counters.wgt_hits;
    hw_in.ACT_READS.value.next        = hw2reg_i.counters.act_reads;
    hw_in.ACT_HITS.value.next         = hw2reg_i.counters.act_hits;
    hw_in.IDX_READS.value.next        = hw2reg_i.counters.idx_reads;
    hw_in.IDX_HITS.value.next         = hw2reg_i.counters.idx_hits;
    hw_in.LINES_WRITTEN.value.next    = hw2reg_i.counters.lines_written;
    hw_in.BYTES_WRITTEN.value.next    = hw2reg_i.counters.bytes_written;
    hw_in.PE_BUSY.value.next          = hw2reg_i.pe_counters.busy;
    hw_in.PE_NO_WEIGHT.value.next     = hw2reg_i.pe_counters.no_weight;
    hw_in.PE_NO_ACTIVATION.value.next = hw2reg_i.pe_counters.no_activation;
    hw_in.PE_DRAIN.value.next         = hw2reg_i.pe_counters.drain;
    hw_in.PE_NO_UNIT.value.next       = hw2reg_i.pe_counters.no_unit;
    hw_in.PE_MACS.value.next          = hw2reg_i.pe_counters.macs;
  end

endmodule
