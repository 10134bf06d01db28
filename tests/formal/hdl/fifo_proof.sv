// SPDX-License-Identifier: Apache-2.0
// spcore_fifo: words come out in the order in which they went in, none is lost or made up, and the level counts them.
// One word, of which the solver chooses when it goes in, is followed through the buffer.
module fifo_proof #(
  parameter int unsigned Width = 2,
  parameter int unsigned Depth = 3
) (
  input logic             clk_i,
  input logic             clear_i,
  input logic             valid_i,
  input logic [Width-1:0] data_i,
  input logic             ready_i,
  input logic             follow_i   // this word is the one
);

  localparam int unsigned LevelW = $clog2(Depth + 1);

  logic rst_n = 1'b0;
  always_ff @(posedge clk_i) rst_n <= 1'b1;

  logic              ready, valid, push, pop;
  logic [Width-1:0]  data;
  logic [LevelW-1:0] level;

  spcore_fifo #(
    .Width(Width),
    .Depth(Depth)
  ) u_fifo (
    .clk_i,
    .rst_ni (rst_n),
    .clear_i,
    .valid_i,
    .ready_o(ready),
    .data_i,
    .valid_o(valid),
    .ready_i,
    .data_o (data),
    .level_o(level)
  );

  assign push = valid_i & ready;
  assign pop  = valid & ready_i;

  logic [LevelW-1:0] count_q = '0;       // words inside
  logic [LevelW-1:0] ahead_q = '0;       // before the followed one, itself included; 0: none is followed
  logic [Width-1:0]  followed_q = '0;

  always_ff @(posedge clk_i) begin
    if (!rst_n || clear_i) begin
      count_q <= '0;
      ahead_q <= '0;
    end else begin
      count_q <= count_q + LevelW'(push) - LevelW'(pop);
      if (ahead_q != '0) begin
        ahead_q <= ahead_q - LevelW'(pop);
      end else if (push && follow_i) begin
        ahead_q    <= count_q + LevelW'(1) - LevelW'(pop);
        followed_q <= data_i;
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (rst_n) begin
      level_counts : assert (level == count_q);
      never_over   : assert (count_q <= LevelW'(Depth) && ahead_q <= count_q);
      valid_level  : assert (valid == (count_q != '0));
      ready_level  : assert (ready == (count_q != LevelW'(Depth)));
      in_order     : assert (ahead_q != LevelW'(1) || data == followed_q);
      full         : cover (count_q == LevelW'(Depth));
      came_out     : cover (ahead_q == LevelW'(1) && pop && followed_q == '1);
    end
  end

endmodule
