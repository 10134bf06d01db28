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

  // Each counter has an enable, that is a clock gate: of those of states one counts at a time.
  always_ff @(posedge clk_i) begin
    if (clear_q) begin
      counters_o <= '0;
    end else if (count_q) begin
      if (macs_i != '0) counters_o.macs <= counters_o.macs + 32'(macs_i);
      case (state_i)
        PeBusy:         counters_o.busy          <= counters_o.busy + 1'b1;
        PeNoWeight:     counters_o.no_weight     <= counters_o.no_weight + 1'b1;
        PeNoActivation: counters_o.no_activation <= counters_o.no_activation + 1'b1;
        PeDrain:        counters_o.drain         <= counters_o.drain + 1'b1;
        PeNoUnit:       counters_o.no_unit       <= counters_o.no_unit + 1'b1;
        default: ;
      endcase
    end
  end

endmodule
