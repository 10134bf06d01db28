// SPDX-License-Identifier: Apache-2.0
// Performance counters of one layer, whose context is Context (docs/architecture.md section 8).
//
// A layer has the cycles and memory accesses of the time in which it is the oldest of those that are open. States and products
// of a PE belong to the layer of its unit, a state without a unit to the oldest layer. So of a layer that is alone the five
// totals add up to NumPe x cycles; of layers that overlap they do together.
//
// The PEs' states and MACs are summed in three stages (spcore_pe_sums), so that totals follow by three cycles, what a carry
// makes above bit 32 by two more; layer_setup tells the end of a layer later than that.
module spcore_layer_counters
  import sparsecore_pkg::*;
  import spcore_front_pkg::*;
#(
  parameter int unsigned NumPe    = 64,
  parameter int unsigned NumLanes = 16,
  parameter int unsigned WgtBanks = 8,
  parameter int unsigned ActBanks = 8,
  parameter int unsigned IdxBanks = 8,
  parameter bit          Context  = 1'b0,
  localparam int unsigned MacW    = $clog2(NumLanes + 1),
  localparam int unsigned HitW    = $clog2(NumPe + 1)
) (
  input  logic                        clk_i,
  input  logic                        rst_ni,
  input  logic                        clear_i,      // the layer starts
  input  logic                        count_i,      // a layer runs
  input  ctx_t                        oldest_i,     // of the layers that are open
  input  pe_state_e [NumPe-1:0]       pe_state_i,
  input  ctx_t [NumPe-1:0]            pe_ctx_i,     // of the unit, if there is one
  input  logic [NumPe-1:0][MacW-1:0]  pe_macs_i,
  input  logic [$clog2(WgtBanks+1)-1:0] wgt_reads_i,
  input  logic [HitW-1:0]             wgt_hits_i,
  input  logic [$clog2(ActBanks+1)-1:0] act_reads_i,
  input  logic [HitW-1:0]             act_hits_i,
  input  logic [$clog2(IdxBanks+1)-1:0] idx_reads_i,
  input  logic [HitW-1:0]             idx_hits_i,
  input  logic                        line_written_i,
  input  ctx_t                        line_ctx_i,
  input  npos_t                       line_bytes_i,
  output counters_t                   counters_o
);

  localparam int unsigned MacSumW   = MacW + $clog2(NumPe);

  // ---- what is counted, by stage ----
  logic       clear_q;
  logic [3:1] count_q;
  ctx_t       oldest_q;        // a cycle late, for its loads
  logic       own;             // cycles are the layer's
  logic [3:1] own_q;

  assign own = oldest_q == Context;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      clear_q  <= 1'b1;
      count_q  <= '0;
      own_q    <= '0;
      oldest_q <= '0;
    end else begin
      clear_q  <= clear_i;
      count_q  <= clear_i ? '0 : {count_q[2:1], count_i};
      own_q    <= {own_q[2:1], own};
      oldest_q <= oldest_i;
    end
  end

  // ---- sums over all PEs ----
  logic [NumPeStates-1:0][HitW-1:0] states_q;
  logic [MacSumW-1:0]               macs_q;

  spcore_pe_sums #(
    .NumPe(NumPe), .MacW(MacW), .Context(Context)
  ) u_pe_sums (
    .clk_i, .count_i({count_q[2:1], count_i}), .oldest_i(oldest_q), .pe_state_i, .pe_ctx_i, .pe_macs_i,
    .states_o(states_q), .macs_o(macs_q)
  );

  // ---- totals: a carry out of the lower 32 bits counts in the cycle after ----
  logic [15:0]                cycles_lo_q, cycles_hi_q;
  logic                       cycles_wrap_q;   // the lower half is all ones: counting by one needs no carry through all bits
  logic [31:0]                  macs_lo_q;
  logic [15:0]                  macs_hi_q, macs_top_q;
  logic [NumPeStates-1:0][31:0] states_lo_q;
  logic [NumPeStates-1:0][15:0] states_hi_q;
  logic [NumPeStates-1:0]       states_carry_q;
  logic                         macs_carry_q, macs_carry_hi_q;

  always_ff @(posedge clk_i) begin
    if (clear_q) begin
      cycles_lo_q    <= '0;
      cycles_hi_q    <= '0;
      cycles_wrap_q  <= 1'b0;
      states_lo_q    <= '0;
      states_hi_q    <= '0;
      states_carry_q <= '0;
      macs_lo_q      <= '0;
      macs_hi_q      <= '0;
      macs_top_q     <= '0;
      macs_carry_q   <= 1'b0;
      macs_carry_hi_q <= 1'b0;
    end else begin
      if (count_q[3] && own_q[3]) begin
        cycles_lo_q   <= cycles_lo_q + 16'd1;
        cycles_wrap_q <= cycles_lo_q == 16'hfffe;
        if (cycles_wrap_q) cycles_hi_q <= cycles_hi_q + 16'd1;
      end
      {macs_carry_q, macs_lo_q} <= 33'(macs_lo_q) + 33'(macs_q);
      for (int unsigned s = 0; s < NumPeStates; s++) begin
        {states_carry_q[s], states_lo_q[s]} <= 33'(states_lo_q[s]) + 33'(states_q[s]);
      end
      {macs_carry_hi_q, macs_hi_q} <= 17'(macs_hi_q) + 17'(macs_carry_q);
      macs_top_q <= macs_top_q + 16'(macs_carry_hi_q);
      for (int unsigned s = 0; s < NumPeStates; s++) begin
        if (states_carry_q[s]) states_hi_q[s] <= states_hi_q[s] + 16'd1;
      end
    end
  end

  // ---- memories and lines: counted as they come, a cycle late ----
  logic [$clog2(WgtBanks+1)-1:0] wgt_reads_q;
  logic [$clog2(ActBanks+1)-1:0] act_reads_q;
  logic [$clog2(IdxBanks+1)-1:0] idx_reads_q;
  logic [HitW-1:0]               wgt_hits_q, act_hits_q, idx_hits_q;
  logic                          line_written_q;
  npos_t                         line_bytes_q;
  logic [31:0] wgt_reads_sum_q, wgt_hits_sum_q, act_reads_sum_q, act_hits_sum_q, idx_reads_sum_q, idx_hits_sum_q;
  logic [31:0] bytes_sum_q;
  logic [15:0] lines_lo_q, lines_hi_q;
  logic        lines_wrap_q;

  always_ff @(posedge clk_i) begin
    wgt_reads_q    <= count_i && own ? wgt_reads_i : '0;
    wgt_hits_q     <= count_i && own ? wgt_hits_i : '0;
    act_reads_q    <= count_i && own ? act_reads_i : '0;
    act_hits_q     <= count_i && own ? act_hits_i : '0;
    idx_reads_q    <= count_i && own ? idx_reads_i : '0;
    idx_hits_q     <= count_i && own ? idx_hits_i : '0;
    line_written_q <= count_i && line_written_i && line_ctx_i == Context;
    line_bytes_q   <= count_i && line_written_i && line_ctx_i == Context ? line_bytes_i : '0;
    if (clear_q) begin
      wgt_reads_sum_q <= '0;
      wgt_hits_sum_q  <= '0;
      act_reads_sum_q <= '0;
      act_hits_sum_q  <= '0;
      idx_reads_sum_q <= '0;
      idx_hits_sum_q  <= '0;
      lines_lo_q      <= '0;
      lines_hi_q      <= '0;
      lines_wrap_q    <= 1'b0;
      bytes_sum_q     <= '0;
    end else begin
      wgt_reads_sum_q <= wgt_reads_sum_q + 32'(wgt_reads_q);
      wgt_hits_sum_q  <= wgt_hits_sum_q + 32'(wgt_hits_q);
      act_reads_sum_q <= act_reads_sum_q + 32'(act_reads_q);
      act_hits_sum_q  <= act_hits_sum_q + 32'(act_hits_q);
      idx_reads_sum_q <= idx_reads_sum_q + 32'(idx_reads_q);
      idx_hits_sum_q  <= idx_hits_sum_q + 32'(idx_hits_q);
      bytes_sum_q     <= bytes_sum_q + 32'(line_bytes_q);
      if (line_written_q) begin
        lines_lo_q   <= lines_lo_q + 16'd1;
        lines_wrap_q <= lines_lo_q == 16'hfffe;
        if (lines_wrap_q) lines_hi_q <= lines_hi_q + 16'd1;
      end
    end
  end

  assign counters_o = '{
    cycles:        {cycles_hi_q, cycles_lo_q},
    macs:          {macs_top_q, macs_hi_q, macs_lo_q},
    busy:          {states_hi_q[PeBusy], states_lo_q[PeBusy]},
    no_weight:     {states_hi_q[PeNoWeight], states_lo_q[PeNoWeight]},
    no_activation: {states_hi_q[PeNoActivation], states_lo_q[PeNoActivation]},
    drain:         {states_hi_q[PeDrain], states_lo_q[PeDrain]},
    no_unit:       {states_hi_q[PeNoUnit], states_lo_q[PeNoUnit]},
    wgt_reads:     wgt_reads_sum_q,
    wgt_hits:      wgt_hits_sum_q,
    act_reads:     act_reads_sum_q,
    act_hits:      act_hits_sum_q,
    idx_reads:     idx_reads_sum_q,
    idx_hits:      idx_hits_sum_q,
    lines_written: {lines_hi_q, lines_lo_q},
    bytes_written: bytes_sum_q
  };

endmodule
