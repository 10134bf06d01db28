// SPDX-License-Identifier: Apache-2.0
// Counters of a PE (docs/architecture.md section 8): cycles in each state, and products of two non-zero operands.
// Cleared by the reset as well, in the cycle after it.

module spcore_pe_counters
  import sparsecore_pkg::*;
#(
  parameter int unsigned CountW = 5
) (
  input  logic              clk_i,
  input  logic              rst_ni,
  input  logic              clear_i,
  input  logic              count_i,    // state and products of the next cycle
  input  pe_state_e         state_i,
  input  logic [CountW-1:0] macs_i,
  output pe_counters_t      counters_o
);

  logic clear_q, count_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      clear_q <= 1'b1;
      count_q <= 1'b0;
    end else begin
      clear_q <= clear_i;
      count_q <= count_i;
    end
  end

  // Each counter has an enable, that is a clock gate, and its upper part another: of those of states one counts at a time, and
  // upper parts stand still most of the time.
  localparam int unsigned LowW = 8;

  logic [NumPeStates-1:0][31:0] states_q;
  logic [31:0]                  macs_q;
  logic [LowW:0]                macs_low;

  assign macs_low = {1'b0, macs_q[LowW-1:0]} + (LowW + 1)'(macs_i);

  always_ff @(posedge clk_i) begin
    if (clear_q) begin
      states_q <= '0;
      macs_q   <= '0;
    end else if (count_q) begin
      if (macs_i != '0)   macs_q[LowW-1:0] <= macs_low[LowW-1:0];
      if (macs_low[LowW]) macs_q[31:LowW]  <= macs_q[31:LowW] + 1'b1;
      for (int unsigned s = 0; s < NumPeStates; s++) begin
        if (32'(state_i) == s) begin
          states_q[s][LowW-1:0] <= states_q[s][LowW-1:0] + 1'b1;
          if (&states_q[s][LowW-1:0]) states_q[s][31:LowW] <= states_q[s][31:LowW] + 1'b1;
        end
      end
    end
  end

  assign counters_o = '{
    busy:          states_q[PeBusy],
    no_weight:     states_q[PeNoWeight],
    no_activation: states_q[PeNoActivation],
    drain:         states_q[PeDrain],
    no_unit:       states_q[PeNoUnit],
    macs:          macs_q
  };

  if (CountW > LowW) begin : gen_check_count
    $error("%m: CountW = %0d, expected at most %0d", CountW, LowW);
  end

endmodule
