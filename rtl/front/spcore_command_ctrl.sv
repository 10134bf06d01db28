// SPDX-License-Identifier: Apache-2.0
// Decides about the commands of the host and of programs: which start, which are refused; keeps errors, interrupts, resets.
//
// A command is a pulse of one cycle that the engine takes in that cycle, or it is refused and says so in ERROR. The rest of
// the core is reset by core_rst_no: with rst_ni, and for ResetCycles after it and after a soft reset.
// Engines are seen a cycle late, and count as busy from their start on until that shows.
// While a run is on the program's commands stand in the place of the host's, of which only flushes and soft_reset count.
`include "../common/spcore_assert.svh"

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
  output program_cmd_t  program_cmd_o,
  input  program_status_t program_status_i,
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
  logic wgt_busy_q, par_busy_q, prg_busy_q, act_busy_q, res_busy_q, layer_busy_q, wgt_discard_q, act_discard_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      wgt_busy_q    <= 1'b0;
      par_busy_q    <= 1'b0;
      prg_busy_q    <= 1'b0;
      act_busy_q    <= 1'b0;
      res_busy_q    <= 1'b0;
      layer_busy_q  <= 1'b0;
      wgt_discard_q <= 1'b0;
      act_discard_q <= 1'b0;
    end else begin
      wgt_busy_q    <= wgt_status_i.busy_weights | wgt_cmd_o.start_weights;
      par_busy_q    <= wgt_status_i.busy_params | wgt_cmd_o.start_params;
      prg_busy_q    <= wgt_status_i.busy_program | wgt_cmd_o.start_program;
      act_busy_q    <= act_status_i.busy | act_cmd_o.start;
      res_busy_q    <= res_status_i.busy | res_cmd_o.start;
      layer_busy_q  <= layer_status_i.busy | layer_cmd_o.push;
      wgt_discard_q <= wgt_status_i.discard & ~wgt_cmd_o.flush;
      act_discard_q <= act_status_i.discard & ~act_cmd_o.flush;
    end
  end

  logic running, stopping;   // a run is on; an error is ending it
  // What commands go with is the program's: a layer, and the rest. Registers of their own, for their many loads, which fall
  // a cycle behind `running`. What the host gives is looked at a cycle before a command, so it is too early in two cycles.
  logic program_layer_q, program_args_q, program_past_q;
  logic run_start;
  logic occupied;   // by a run

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      program_layer_q <= 1'b0;
      program_args_q  <= 1'b0;
      program_past_q  <= 1'b0;
    end else begin
      program_layer_q <= running;
      program_args_q  <= running | run_start;
      program_past_q  <= program_layer_q;
    end
  end

  assign occupied = running | program_layer_q | program_past_q;

  // ---- arguments: the host's, in a run the program's ----
  addr_t      wgt_base, wgt_count, par_base, par_count;
  logic [1:0] wgt_k_log2;
  logic [2:0] wgt_m_log2;
  act_cmd_t   act;
  res_cmd_t   res;

  descriptors_t next;   // of each engine of the program

  spcore_descriptors u_descriptors (
    .clk_i,
    .we_i         (program_status_i.we),
    .index_i      (program_status_i.index),
    .word_i       (program_status_i.word),
    .descriptors_o(next)
  );

  assign wgt_base   = program_args_q ? next.wgt_base : reg2hw_i.wgt_base;
  assign wgt_count  = program_args_q ? next.wgt_count : reg2hw_i.wgt_count;
  assign wgt_k_log2 = program_args_q ? next.wgt_k_log2 : reg2hw_i.wgt_k_log2;
  assign wgt_m_log2 = program_args_q ? next.wgt_m_log2 : reg2hw_i.wgt_m_log2;
  assign par_base   = program_args_q ? next.wgt_base : reg2hw_i.par_base;
  assign par_count  = program_args_q ? next.wgt_count : reg2hw_i.par_count;

  // They are looked at in the cycle before the command: the host writes them before it, a program keeps them ready.
  logic wgt_fits_q, par_fits_q, prg_fits_q, act_fits_q, res_fits_q, run_fits_q, mode_ok;
  logic [NumEngines-1:0] program_fits;
  typedef logic [19:0] end_t;   // the largest end of a program that a host can write

  // Entries [base, base + count) lie in a memory of that size, and there is at least one.
  function automatic logic fits(input addr_t base, input addr_t count, input addr_t size);
    return count != '0 && {1'b0, base} + {1'b0, count} <= {1'b0, size};
  endfunction

  always_comb begin
    unique case ({wgt_k_log2, wgt_m_log2})
      {2'd0, 3'd0}, {2'd0, 3'd1}, {2'd1, 3'd2}, {2'd2, 3'd3}, {2'd0, 3'd2}, {2'd1, 3'd3}, {2'd2, 3'd4}: mode_ok = 1'b1;
      default: mode_ok = 1'b0;
    endcase
  end

  // An engine without descriptors has its program anywhere.
  for (genvar e = 0; e < NumEngines; e++) begin : gen_program_fits
    assign program_fits[e] = reg2hw_i.run_count[e] == '0 ||
                             end_t'(reg2hw_i.run_base[e]) + end_t'(reg2hw_i.run_count[e]) * end_t'(DescriptorWords[e]) <=
                             end_t'(Cfg.PrgDepth);
  end

  always_ff @(posedge clk_i) begin
    wgt_fits_q <= mode_ok && fits(wgt_base, wgt_count, addr_t'(WgtSize));
    par_fits_q <= fits(par_base, par_count, addr_t'(Cfg.ParDepth));
    prg_fits_q <= fits(addr_t'(reg2hw_i.prg_base), addr_t'(reg2hw_i.prg_count), addr_t'(Cfg.PrgDepth));
    act_fits_q <= fits(act.idx_base, act.lines, addr_t'(IdxSize)) &&
                  act.base <= act.limit && act.limit <= addr_t'(ActSize) &&
                  act.line_pos != '0 && act.line_pos <= npos_t'(LinePos);
    res_fits_q <= fits(res.idx_base, res.lines, addr_t'(IdxSize));
    run_fits_q <= &program_fits && reg2hw_i.run_iterations != '0;
  end

  // ---- commands ----
  ctrl_t host, cmd;
  logic  [NumEngines-1:0] issue_q, issue;   // of the program
  logic  prepare_q, prepare;                // its next layer
  logic  wgt_free, act_free, res_free, run_free;
  logic  host_starts, busy_error;
  logic  [NumEngines-1:0] range_error;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      issue_q   <= '0;
      prepare_q <= 1'b0;
    end else begin
      issue_q   <= program_status_i.issue;
      prepare_q <= program_status_i.prepare;
    end
  end

  assign host        = soft_reset ? '0 : reg2hw_i.ctrl;
  assign host_starts = host.wgt_load | host.par_load | host.prg_load | host.act_load | host.layer_push | host.result_send;

  assign issue   = live & ~stopping ? issue_q : '0;
  assign prepare = live & ~stopping & prepare_q;

  always_comb begin
    cmd = host;
    if (running) begin
      cmd.wgt_load    = issue[EngWeights] & ~next.params;
      cmd.par_load    = issue[EngWeights] & next.params;
      cmd.prg_load    = 1'b0;
      cmd.act_load    = issue[EngActivations];
      cmd.layer_push  = prepare;
      cmd.result_send = issue[EngResults];
      cmd.run         = 1'b0;
    end else if (occupied) begin
      cmd           = '0;
      cmd.wgt_flush = host.wgt_flush;
      cmd.act_flush = host.act_flush;
    end
  end

  // A flush in the same write comes first. Of several loads of the weight stream in the same write the first starts; a run
  // does not start beside another command.
  assign wgt_free = live & ~wgt_busy_q & ~par_busy_q & ~prg_busy_q & (~wgt_discard_q | cmd.wgt_flush);
  assign act_free = live & ~act_busy_q & (~act_discard_q | cmd.act_flush);
  assign res_free = live & ~res_busy_q;
  assign run_free = wgt_free & act_free & res_free & ~layer_busy_q & ~host_starts;

  assign busy_error = (cmd.wgt_load & ~wgt_free) | (cmd.par_load & (~wgt_free | wgt_cmd_o.start_weights)) |
                      (cmd.prg_load & (~wgt_free | wgt_cmd_o.start_weights | wgt_cmd_o.start_params)) |
                      (cmd.act_load & ~act_free) | (cmd.result_send & ~res_free) |
                      (cmd.layer_push & ~(live & layer_status_i.ready)) | (cmd.run & ~run_free) |
                      (occupied & (host_starts | host.run));

  always_comb begin
    range_error = '0;
    range_error[EngWeights]     = (cmd.wgt_load & wgt_free & ~wgt_fits_q) |
                                  (cmd.par_load & wgt_free & ~wgt_cmd_o.start_weights & ~par_fits_q) |
                                  (cmd.prg_load & wgt_free & ~wgt_cmd_o.start_weights & ~wgt_cmd_o.start_params & ~prg_fits_q);
    range_error[EngActivations] = cmd.act_load & act_free & ~act_fits_q;
    range_error[EngResults]     = cmd.result_send & res_free & ~res_fits_q;
  end

  always_comb begin
    wgt_cmd_o.start_weights = cmd.wgt_load & wgt_free & wgt_fits_q;
    wgt_cmd_o.start_params  = cmd.par_load & wgt_free & par_fits_q & ~wgt_cmd_o.start_weights;
    wgt_cmd_o.start_program = cmd.prg_load & wgt_free & prg_fits_q & ~wgt_cmd_o.start_weights & ~wgt_cmd_o.start_params;
    wgt_cmd_o.flush         = cmd.wgt_flush & live;
    wgt_cmd_o.cancel         = stopping;
    wgt_cmd_o.k_log2        = wgt_k_log2;
    wgt_cmd_o.m_log2        = wgt_m_log2;
    // Of the load that starts, if one does; those of a program's are the same for both.
    if (program_args_q || (reg2hw_i.ctrl.wgt_load && wgt_fits_q)) begin
      wgt_cmd_o.base  = wgt_base;
      wgt_cmd_o.count = wgt_count;
    end else if (reg2hw_i.ctrl.par_load && par_fits_q) begin
      wgt_cmd_o.base  = par_base;
      wgt_cmd_o.count = par_count;
    end else begin
      wgt_cmd_o.base  = addr_t'(reg2hw_i.prg_base);
      wgt_cmd_o.count = addr_t'(reg2hw_i.prg_count);
    end
  end

  always_comb begin
    act.start    = cmd.act_load & act_free & act_fits_q;
    act.flush    = cmd.act_flush & live;
    act.cancel    = stopping;
    act.idx_base = program_args_q ? next.act_idx_base : reg2hw_i.act_idx_base;
    act.lines    = program_args_q ? next.act_lines : reg2hw_i.act_lines;
    act.base     = program_args_q ? next.act_base : reg2hw_i.act_base;
    act.limit    = program_args_q ? next.act_limit : reg2hw_i.act_limit;
    act.line_pos = program_args_q ? next.act_line_pos : reg2hw_i.act_line_pos;
    res.start    = cmd.result_send & res_free & res_fits_q;
    res.idx_base = program_args_q ? next.res_idx_base : reg2hw_i.res_idx_base;
    res.lines    = program_args_q ? next.res_lines : reg2hw_i.res_lines;
  end

  assign act_cmd_o   = act;
  assign res_cmd_o   = res;
  assign layer_cmd_o = '{
    push:   cmd.layer_push & live,
    in_run: running,
    issue:  issue[EngLayers],
    cancel: stopping,
    layer:  program_layer_q ? next.layer : reg2hw_i.layer
  };
  assign pe_select_o = reg2hw_i.pe_select;

  // ---- runs ----
  logic [NumEngines-1:0] retire, engine_error;
  logic                  run_done;
  run_error_t            run_error;

  assign run_start = cmd.run & run_free & run_fits_q;

  spcore_run_ctrl u_run_ctrl (
    .clk_i, .rst_ni,
    .clear_i   (soft_reset),
    .start_i   (run_start),
    .running_o (running),
    .stopping_o(stopping),
    .busy_i    (wgt_busy_q | par_busy_q | act_busy_q | layer_busy_q | res_busy_q),
    .retire_i  (retire),
    .error_i   (engine_error),
    .program_i (program_status_i),
    .retire_o  (program_cmd_o.retire),
    .done_o    (run_done),
    .error_o   (run_error)
  );

  assign program_cmd_o.start      = run_start;
  assign program_cmd_o.issue      = running & ~stopping;
  assign program_cmd_o.base       = reg2hw_i.run_base;
  assign program_cmd_o.count      = reg2hw_i.run_count;
  assign program_cmd_o.iterations = reg2hw_i.run_iterations;

  always_comb begin
    retire                       = '0;
    retire[EngWeights]           = wgt_status_i.done_weights | wgt_status_i.done_params;
    retire[EngActivations]       = act_status_i.done;
    retire[EngLayers]            = layer_status_i.done & ~layer_status_i.refused;
    retire[EngResults]           = res_status_i.done;
    engine_error                 = range_error;
    engine_error[EngWeights]     = range_error[EngWeights] | (wgt_status_i.err != '0);
    engine_error[EngActivations] = range_error[EngActivations] | (act_status_i.err != '0);
    engine_error[EngLayers]      = layer_status_i.refused | layer_status_i.overflow;
  end

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
      command_range: range_error != '0 || (cmd.run & run_free & ~run_fits_q)
    };
    hw2reg_o.intr = '{
      wgt_done:    wgt_status_i.done_weights & live & ~running,
      par_done:    wgt_status_i.done_params & live & ~running,
      act_done:    act_status_i.done & live & ~running,
      layer_done:  layer_status_i.done & live & ~running,
      result_done: res_status_i.done & live & ~running,
      error:       hw2reg_o.error != '0,
      prg_done:    wgt_status_i.done_program & live,
      run_done:    run_done & live
    };
    hw2reg_o.status = '{
      wgt_busy:    wgt_busy_q,
      par_busy:    par_busy_q,
      act_busy:    act_busy_q,
      layer_busy:  layer_status_i.busy,
      result_busy: res_busy_q,
      wgt_discard: wgt_discard_q,
      act_discard: act_discard_q,
      prg_busy:    prg_busy_q,
      queue_level: layer_status_i.level,
      run_busy:    running
    };
    hw2reg_o.wgt_err_info     = wgt_status_i.err_info;
    hw2reg_o.act_err_info     = act_status_i.err_info;
    hw2reg_o.descriptor_error = refused_code_q;
    hw2reg_o.act_end          = act_status_i.used_end;
    hw2reg_o.run_error        = run_error;
    hw2reg_o.counters         = counters_i;
    hw2reg_o.pe_counters      = pe_counters_i;
  end

  // What the program issues is taken or out of range.
  `SPCORE_ASSERT(!(running && prepare && !program_layer_q), "a run's layer comes before it is chosen")
  `SPCORE_ASSERT(!(running && busy_error && !host_starts && !host.run), "a program's command met an engine at work")

endmodule
