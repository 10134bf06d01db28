// Takes a load from the weight stream into the Weight Memory or the Parameter Memory.
//
// A beat is checked as it arrives and written a cycle later, so a faulty beat and those after it leave no trace. A fault
// ends the load: the stream is then swallowed until flush_i. Of several faults of one beat the first in this order counts:
// index order, index range or parameter range, early TLAST, late TLAST.
// A start is given to an idle loader, or together with flush_i; command_ctrl sees to that and to the range of the load.
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

  // Commands: from entry base_i on, count_i (at least 1) beats; the k/m mode matters to weights only.
  input  logic                         wgt_start_i,
  input  logic                         par_start_i,
  input  addr_t                        base_i,
  input  addr_t                        count_i,
  input  logic [1:0]                   k_log2_i,
  input  logic [2:0]                   m_log2_i,
  input  logic                         flush_i,
  output logic                         wgt_busy_o,
  output logic                         par_busy_o,
  output logic                         discard_o,
  output logic                         wgt_done_o,   // pulse: the last beat is being written
  output logic                         par_done_o,
  output wgt_err_t                     err_o,        // pulse
  output addr_t                        err_info_o,   // number of the faulty beat, until flush_i

  input  logic [TdataW-1:0]            s_axis_tdata,
  input  logic                         s_axis_tvalid,
  output logic                         s_axis_tready,
  input  logic                         s_axis_tlast,

  output logic                         wgt_we_o,
  output addr_t                        wgt_waddr_o,
  output weight_lane_t [NumLanes-1:0]  wgt_wdata_o,
  output logic                         par_we_o,
  output addr_t                        par_waddr_o,
  output param_t                       par_wdata_o
);

  if (NumLanes == 0 || NumLanes % 4 != 0) begin : gen_check_lanes
    $error("%m: NumLanes = %0d, expected a multiple of 4", NumLanes);
  end

  typedef enum logic [1:0] {StIdle, StWeights, StParams, StDiscard} state_e;

  state_e     state_q, state_d;
  addr_t      addr_q, beat_q, last_q, err_info_q;
  logic [1:0] k_log2_q;
  logic [2:0] m_log2_q;
  logic       start, accept, is_last;
  wgt_err_t   err_d, err_q;

  assign start         = wgt_start_i | par_start_i;
  assign s_axis_tready = state_q != StIdle;
  assign accept        = s_axis_tvalid && s_axis_tready && state_q != StDiscard;
  assign is_last       = beat_q == last_q;

  // ---------------------------------------------------------------------------------------------------------------
  // Checks of a beat
  // ---------------------------------------------------------------------------------------------------------------
  weight_lane_t [NumLanes-1:0] lanes;
  logic                        bad_range, bad_order, bad_param;

  assign lanes = s_axis_tdata[VectorW-1:0];

  always_comb begin
    bad_range = 1'b0;
    bad_order = 1'b0;
    if (accept) begin
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

  // ---------------------------------------------------------------------------------------------------------------
  // State
  // ---------------------------------------------------------------------------------------------------------------
  always_comb begin
    state_d = state_q;
    unique case (state_q)
      StWeights, StParams: begin
        if (err_d != '0) state_d = StDiscard;
        else if (accept && is_last) state_d = StIdle;
      end
      StDiscard: if (flush_i) state_d = StIdle;
      default: ;
    endcase
    if (start) state_d = wgt_start_i ? StWeights : StParams;
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      state_q    <= StIdle;
      addr_q     <= '0;
      beat_q     <= '0;
      last_q     <= '0;
      k_log2_q   <= '0;
      m_log2_q   <= '0;
      err_q      <= '0;
      err_info_q <= '0;
    end else begin
      state_q <= state_d;
      err_q   <= err_d;
      if (start) begin
        addr_q   <= base_i;
        beat_q   <= '0;
        last_q   <= count_i - 1'b1;
        k_log2_q <= k_log2_i;
        m_log2_q <= m_log2_i;
      end else if (accept) begin
        addr_q <= addr_q + 1'b1;
        beat_q <= beat_q + 1'b1;
      end
      if (err_d != '0) err_info_q <= beat_q;
      else if (flush_i) err_info_q <= '0;
    end
  end

  // ---------------------------------------------------------------------------------------------------------------
  // Write stage
  // ---------------------------------------------------------------------------------------------------------------
  logic                        wgt_we_q, par_we_q, done_q;
  addr_t                       waddr_q;
  weight_lane_t [NumLanes-1:0] vector_q;
  param_t                      param_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      wgt_we_q <= 1'b0;
      par_we_q <= 1'b0;
      done_q   <= 1'b0;
    end else begin
      wgt_we_q <= accept && err_d == '0 && state_q == StWeights;
      par_we_q <= accept && err_d == '0 && state_q == StParams;
      done_q   <= accept && err_d == '0 && is_last;
    end
  end

  always_ff @(posedge clk_i) begin
    if (accept) begin
      waddr_q <= addr_q;
      if (state_q == StWeights) vector_q <= lanes;
      if (state_q == StParams) begin
        param_q.shift      <= shift;
        param_q.multiplier <= s_axis_tdata[62:32];
        param_q.bias       <= s_axis_tdata[31:0];
      end
    end
  end

  assign wgt_busy_o  = state_q == StWeights;
  assign par_busy_o  = state_q == StParams;
  assign discard_o   = state_q == StDiscard;
  assign wgt_done_o  = done_q & wgt_we_q;
  assign par_done_o  = done_q & par_we_q;
  assign err_o       = err_q;
  assign err_info_o  = err_info_q;
  assign wgt_we_o    = wgt_we_q;
  assign wgt_waddr_o = waddr_q;
  assign wgt_wdata_o = vector_q;
  assign par_we_o    = par_we_q;
  assign par_waddr_o = waddr_q;
  assign par_wdata_o = param_q;

endmodule
