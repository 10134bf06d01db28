// SPDX-License-Identifier: Apache-2.0
// Counts to 5, where it must not be: for the test of the design's assertions.
`include "../../../rtl/common/spcore_assert.svh"

module bounded_count (
  input logic clk_i,
  input logic rst_ni
);

  logic [2:0] count_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) count_q <= '0;
    else         count_q <= count_q + 1'b1;
  end

  `SPCORE_ASSERT(count_q < 3'd5, $sformatf("count is %0d, expected less than 5", count_q))

endmodule
