// SPDX-License-Identifier: Apache-2.0
// Takes a load from the weight stream into the Weight Memory, the Parameter Memory or the Program Memory.
//
// A beat is checked as it arrives and written a cycle later, so a faulty beat and those after it leave no trace. A fault
// ends the load, and so does cancel: the stream is then swallowed until a flush. Of several faults of one beat the first in
// this order counts: index order, index range or parameter range, early TLAST, late TLAST.
// A start is given to an idle loader, or together with a flush; command_ctrl sees to that and to the range of the load.
module spcore_weight_loader
  import sparsecore_pkg::*;
  import spcore_front_pkg::*;
#(
  parameter int unsigned NumLanes = 16,
  localparam int unsigned VectorW = NumLanes * $bits(weight_lane_t),
  localparam int unsigned TdataW  = 8 * (((VectorW > 72 ? VectorW : 72) + 7) / 8)
) (
  input  logic                         clk_i,
  input  logic                         rst_ni,

  input  wgt_cmd_t                     cmd_i,
  output wgt_status_t                  status_o,

  input  logic [TdataW-1:0]            s_axis_tdata,
  input  logic                         s_axis_tvalid,
  output logic                         s_axis_tready,
  input  logic                         s_axis_tlast,

  output logic                         wgt_we_o,
  output addr_t                        wgt_waddr_o,
  output weight_lane_t [NumLanes-1:0]  wgt_wdata_o,
  output logic                         par_we_o,
  output addr_t                        par_waddr_o,
  output param_t                       par_wdata_o,
  output logic                         prg_we_o,
  output prg_addr_t                    prg_waddr_o,
  output prg_word_t                    prg_wdata_o
);

  if (!is_num_lanes(NumLanes)) begin : gen_check_lanes
    $error("%m: NumLanes = %0d, expected a power of two from 4 to 64", NumLanes);
  end

  localparam int unsigned ParamW = 70;   // bits of a parameter's beat
  localparam int unsigned DataW  = VectorW > ParamW ? VectorW : ParamW;

  typedef enum logic [2:0] {StIdle, StWeights, StParams, StProgram, StDiscard} state_e;

  state_e     state_q, state_d;
  addr_t      addr_q, beat_q, left_q, err_info_q;
  logic [1:0] k_log2_q;
  logic [2:0] m_log2_q;
  logic       start, loading, accept, is_last;
  wgt_err_t   err_d, err_q;

  assign start         = cmd_i.start_weights | cmd_i.start_params | cmd_i.start_program;
  assign loading       = state_q == StWeights || state_q == StParams || state_q == StProgram;
  assign s_axis_tready = state_q != StIdle;
  assign accept        = s_axis_tvalid && loading;
  assign is_last       = left_q == addr_t'(1);

  // ---- checks of a beat ----
  weight_lane_t [NumLanes-1:0] lanes;
  logic                        bad_range, bad_order, bad_param;

  assign lanes = s_axis_tdata[VectorW-1:0];

  always_comb begin
    bad_range = 1'b0;
    bad_order = 1'b0;
    if (state_q == StWeights) begin
      for (int unsigned l = 0; l < NumLanes; l++) begin
        if ((lanes[l].index >> m_log2_q) != '0) bad_range = 1'b1;
      end
      for (int unsigned l = 1; l < NumLanes; l++) begin
        // Lane l continues the group of lane l-1 unless it is the first of k.
        if (((2'(l) & ~(2'b11 << k_log2_q)) != '0) && lanes[l].index <= lanes[l-1].index) bad_order = 1'b1;
      end
    end
  end

  logic [5:0] shift;
  assign shift     = s_axis_tdata[69:64];
  assign bad_param = shift == 6'd0 || shift == 6'd63 || s_axis_tdata[63];

  always_comb begin
    err_d = '0;
    if (accept) begin
      if (state_q == StWeights && bad_order)      err_d.index_order = 1'b1;
      else if (state_q == StWeights && bad_range) err_d.index_range = 1'b1;
      else if (state_q == StParams && bad_param)  err_d.par_range   = 1'b1;
      else if (s_axis_tlast && !is_last)          err_d.tlast_early = 1'b1;
      else if (!s_axis_tlast && is_last)          err_d.tlast_late  = 1'b1;
    end
  end

  // ---- state ----
  always_comb begin
    state_d = state_q;
    unique case (state_q)
      StWeights, StParams, StProgram: begin
        if (err_d != '0 || cmd_i.cancel) state_d = StDiscard;
        else if (accept && is_last) state_d = StIdle;
      end
      StDiscard: if (cmd_i.flush) state_d = StIdle;
      default: ;
    endcase
    if (cmd_i.start_weights) state_d = StWeights;
    if (cmd_i.start_params)  state_d = StParams;
    if (cmd_i.start_program) state_d = StProgram;
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      state_q    <= StIdle;
      addr_q     <= '0;
      beat_q     <= '0;
      left_q     <= '0;
      k_log2_q   <= '0;
      m_log2_q   <= '0;
      err_q      <= '0;
      err_info_q <= '0;
    end else begin
      state_q <= state_d;
      err_q   <= err_d;
      if (start || accept) begin
        addr_q <= start ? cmd_i.base : addr_q + 1'b1;
        left_q <= start ? cmd_i.count : left_q - 1'b1;
      end
      if (start) begin
        k_log2_q <= cmd_i.k_log2;
        m_log2_q <= cmd_i.m_log2;
      end
      if (!loading)    beat_q <= '0;
      else if (accept) beat_q <= beat_q + 1'b1;
      if (err_d != '0) err_info_q <= beat_q;
      else if (cmd_i.flush) err_info_q <= '0;
    end
  end

  // ---- write stage ----
  logic              wgt_we_q, par_we_q, prg_we_q, done_q;
  addr_t             waddr_q;
  logic [DataW-1:0]  data_q;   // the beat as it came

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      wgt_we_q <= 1'b0;
      par_we_q <= 1'b0;
      prg_we_q <= 1'b0;
      done_q   <= 1'b0;
    end else begin
      wgt_we_q <= accept && err_d == '0 && state_q == StWeights;
      par_we_q <= accept && err_d == '0 && state_q == StParams;
      prg_we_q <= accept && err_d == '0 && state_q == StProgram;
      done_q   <= accept && err_d == '0 && is_last;
    end
  end

  always_ff @(posedge clk_i) begin
    if (accept) begin
      waddr_q <= addr_q;
      data_q  <= s_axis_tdata[DataW-1:0];
    end
  end

  assign status_o = '{
    busy_weights: state_q == StWeights,
    busy_params:  state_q == StParams,
    busy_program: state_q == StProgram,
    discard:      state_q == StDiscard,
    done_weights: done_q & wgt_we_q,
    done_params:  done_q & par_we_q,
    done_program: done_q & prg_we_q,
    err:          err_q,
    err_info:     err_info_q
  };
  assign wgt_we_o    = wgt_we_q;
  assign wgt_waddr_o = waddr_q;
  assign wgt_wdata_o = data_q[VectorW-1:0];
  assign par_we_o    = par_we_q;
  assign par_waddr_o = waddr_q;
  assign par_wdata_o = '{shift: data_q[69:64], multiplier: data_q[62:32], bias: data_q[31:0]};
  assign prg_we_o    = prg_we_q;
  assign prg_waddr_o = prg_addr_t'(waddr_q);
  assign prg_wdata_o = data_q[$bits(prg_word_t)-1:0];

endmodule
