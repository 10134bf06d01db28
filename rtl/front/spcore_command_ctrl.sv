// SPDX-License-Identifier: Apache-2.0
// Decides about the host's commands: which start, which are refused; keeps errors, interrupts and resets.
//
// A command is a pulse of one cycle that the engine takes in that cycle, or it is refused and says so in ERROR. The rest of
// the core is reset by core_rst_no: with rst_ni, and for ResetCycles after it and after a soft reset.
// Engines are seen a cycle late, and count as busy from their start on until that shows.
module spcore_command_ctrl
  import sparsecore_pkg::*;
  import spcore_front_pkg::*;
#(
  parameter config_t Cfg = '0
) (
  input  logic          clk_i,
  input  logic          rst_ni,
  output logic          core_rst_no,
  input  reg2hw_t       reg2hw_i,
  output hw2reg_t       hw2reg_o,
  output wgt_cmd_t      wgt_cmd_o,
  input  wgt_status_t   wgt_status_i,
  output act_cmd_t      act_cmd_o,
  input  act_status_t   act_status_i,
  output res_cmd_t      res_cmd_o,
  input  res_status_t   res_status_i,
  output layer_cmd_t    layer_cmd_o,
  input  layer_status_t layer_status_i,
  input  counters_t     counters_i,
  output logic [15:0]   pe_select_o,
  input  pe_counters_t  pe_counters_i
);

  localparam int unsigned ResetCycles = 4;
  localparam int unsigned ResetW      = $clog2(ResetCycles + 1);

  localparam int unsigned WgtSize = Cfg.WgtBanks * Cfg.WgtDepth;
  localparam int unsigned ActSize = Cfg.ActBanks * Cfg.ActDepth;
  localparam int unsigned IdxSize = Cfg.IdxBanks * Cfg.IdxDepth;

  // ---- reset ----
  logic              soft_reset, core_rst_n_q, live;
  logic [ResetW-1:0] reset_left_q;

  assign soft_reset  = reg2hw_i.soft_reset;
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

  // ---- what the engines do ----
  logic wgt_busy_q, par_busy_q, act_busy_q, res_busy_q, wgt_discard_q, act_discard_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      wgt_busy_q    <= 1'b0;
      par_busy_q    <= 1'b0;
      act_busy_q    <= 1'b0;
      res_busy_q    <= 1'b0;
      wgt_discard_q <= 1'b0;
      act_discard_q <= 1'b0;
    end else begin
      wgt_busy_q    <= wgt_status_i.busy_weights | wgt_cmd_o.start_weights;
      par_busy_q    <= wgt_status_i.busy_params | wgt_cmd_o.start_params;
      act_busy_q    <= act_status_i.busy | act_cmd_o.start;
      res_busy_q    <= res_status_i.busy | res_cmd_o.start;
      wgt_discard_q <= wgt_status_i.discard & ~wgt_cmd_o.flush;
      act_discard_q <= act_status_i.discard & ~act_cmd_o.flush;
    end
  end

  // ---- arguments: looked at in the cycle before, they are written before the command ----
  logic wgt_fits_q, par_fits_q, act_fits_q, res_fits_q, mode_ok;

  // Entries [base, base + count) lie in a memory of that size, and there is at least one.
  function automatic logic fits(input addr_t base, input addr_t count, input addr_t size);
    return count != '0 && {1'b0, base} + {1'b0, count} <= {1'b0, size};
  endfunction

  always_comb begin
    unique case ({reg2hw_i.wgt_k_log2, reg2hw_i.wgt_m_log2})
      {2'd0, 3'd0}, {2'd0, 3'd1}, {2'd1, 3'd2}, {2'd2, 3'd3}, {2'd0, 3'd2}, {2'd1, 3'd3}, {2'd2, 3'd4}: mode_ok = 1'b1;
      default: mode_ok = 1'b0;
    endcase
  end

  always_ff @(posedge clk_i) begin
    wgt_fits_q <= mode_ok && fits(reg2hw_i.wgt_base, reg2hw_i.wgt_count, addr_t'(WgtSize));
    par_fits_q <= fits(reg2hw_i.par_base, reg2hw_i.par_count, addr_t'(Cfg.ParDepth));
    act_fits_q <= fits(reg2hw_i.act_idx_base, reg2hw_i.act_lines, addr_t'(IdxSize)) &&
                  reg2hw_i.act_base <= reg2hw_i.act_limit && reg2hw_i.act_limit <= addr_t'(ActSize) &&
                  reg2hw_i.act_line_pos != '0 && reg2hw_i.act_line_pos <= npos_t'(LinePos);
    res_fits_q <= fits(reg2hw_i.res_idx_base, reg2hw_i.res_lines, addr_t'(IdxSize));
  end

  // ---- commands ----
  ctrl_t cmd;
  logic  wgt_free, act_free, res_free;
  logic  busy_error, range_error;

  assign cmd = soft_reset ? '0 : reg2hw_i.ctrl;

  // A flush in the same write comes first. Of a weight and a parameter load in the same write, the weight load starts.
  assign wgt_free = live & ~wgt_busy_q & ~par_busy_q & (~wgt_discard_q | cmd.wgt_flush);
  assign act_free = live & ~act_busy_q & (~act_discard_q | cmd.act_flush);
  assign res_free = live & ~res_busy_q;

  assign busy_error  = (cmd.wgt_load & ~wgt_free) | (cmd.par_load & (~wgt_free | wgt_cmd_o.start_weights)) |
                       (cmd.act_load & ~act_free) | (cmd.result_send & ~res_free) |
                       (cmd.layer_push & ~(live & layer_status_i.ready));
  assign range_error = (cmd.wgt_load & wgt_free & ~wgt_fits_q) |
                       (cmd.par_load & wgt_free & ~wgt_cmd_o.start_weights & ~par_fits_q) |
                       (cmd.act_load & act_free & ~act_fits_q) | (cmd.result_send & res_free & ~res_fits_q);

  always_comb begin
    wgt_cmd_o.start_weights = cmd.wgt_load & wgt_free & wgt_fits_q;
    wgt_cmd_o.start_params  = cmd.par_load & wgt_free & par_fits_q & ~wgt_cmd_o.start_weights;
    wgt_cmd_o.flush         = cmd.wgt_flush & live;
    wgt_cmd_o.base          = wgt_cmd_o.start_weights ? reg2hw_i.wgt_base : reg2hw_i.par_base;
    wgt_cmd_o.count         = wgt_cmd_o.start_weights ? reg2hw_i.wgt_count : reg2hw_i.par_count;
    wgt_cmd_o.k_log2        = reg2hw_i.wgt_k_log2;
    wgt_cmd_o.m_log2        = reg2hw_i.wgt_m_log2;
  end

  assign act_cmd_o = '{
    start:    cmd.act_load & act_free & act_fits_q,
    flush:    cmd.act_flush & live,
    idx_base: reg2hw_i.act_idx_base,
    lines:    reg2hw_i.act_lines,
    base:     reg2hw_i.act_base,
    limit:    reg2hw_i.act_limit,
    line_pos: reg2hw_i.act_line_pos
  };

  assign res_cmd_o   = '{start: cmd.result_send & res_free & res_fits_q, idx_base: reg2hw_i.res_idx_base, lines: reg2hw_i.res_lines};
  assign layer_cmd_o = '{push: cmd.layer_push & live, layer: reg2hw_i.layer};
  assign pe_select_o = reg2hw_i.pe_select;

  // ---- what the host sees ----
  logic [4:0] refused_code_q;
  wgt_err_t   wgt_err;
  act_err_t   act_err;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni)                     refused_code_q <= '0;
    else if (soft_reset)             refused_code_q <= '0;
    else if (layer_status_i.refused) refused_code_q <= layer_status_i.refused_code;
  end

  assign wgt_err = live ? wgt_status_i.err : '0;
  assign act_err = live ? act_status_i.err : '0;

  always_comb begin
    hw2reg_o.clear = soft_reset;
    hw2reg_o.error = '{
      wgt:           wgt_err,
      act:           act_err,
      out_overflow:  layer_status_i.overflow & live,
      descriptor:    layer_status_i.refused & live,
      command_busy:  busy_error,
      command_range: range_error
    };
    hw2reg_o.intr = '{
      wgt_done:    wgt_status_i.done_weights & live,
      par_done:    wgt_status_i.done_params & live,
      act_done:    act_status_i.done & live,
      layer_done:  layer_status_i.done & live,
      result_done: res_status_i.done & live,
      error:       hw2reg_o.error != '0
    };
    hw2reg_o.status = '{
      wgt_busy:    wgt_busy_q,
      par_busy:    par_busy_q,
      act_busy:    act_busy_q,
      layer_busy:  layer_status_i.busy,
      result_busy: res_busy_q,
      wgt_discard: wgt_discard_q,
      act_discard: act_discard_q,
      queue_level: layer_status_i.level
    };
    hw2reg_o.wgt_err_info     = wgt_status_i.err_info;
    hw2reg_o.act_err_info     = act_status_i.err_info;
    hw2reg_o.descriptor_error = refused_code_q;
    hw2reg_o.act_end          = act_status_i.used_end;
    hw2reg_o.counters         = counters_i;
    hw2reg_o.pe_counters      = pe_counters_i;
  end

endmodule
