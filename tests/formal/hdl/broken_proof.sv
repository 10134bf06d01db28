// SPDX-License-Identifier: Apache-2.0
// A counter that wraps at Last, with a claim that does not hold in general: shows that a proof can fail.
module broken_proof #(
  parameter int unsigned Last  = 5,
  parameter int unsigned Claim = 5    // it never goes past this
) (
  input logic clk_i,
  input logic step_i
);

  logic [2:0] count_q = '0;

  always_ff @(posedge clk_i) begin
    if (step_i) count_q <= count_q == 3'(Last) ? '0 : count_q + 3'd1;
  end

  always_ff @(posedge clk_i) begin
    bounded : assert (count_q <= 3'(Claim));
    there   : cover (count_q == 3'(Claim));
  end

endmodule
