// SPDX-License-Identifier: Apache-2.0
// Assertions of the design, in simulation alone: Condition holds at every edge of clk_i out of reset. Not at time 0, when
// random initial values can look like an edge. Synthesis sees nothing of them, nor do the simulations that need speed.

`ifndef SPCORE_ASSERT_SVH
`define SPCORE_ASSERT_SVH

`ifdef SYNTHESIS
`define SPCORE_ASSERT(Condition, Message)
`else
`define SPCORE_ASSERT(Condition, Message) \
  always_ff @(posedge clk_i or negedge rst_ni) begin \
    if (!rst_ni) begin end \
    else if ($time != 0 && !(Condition)) $error("%m: %s", Message); \
  end
`endif

`endif
