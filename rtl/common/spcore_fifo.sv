// SPDX-License-Identifier: Apache-2.0
// First-in first-out buffer with valid/ready handshakes on both sides.
//
// Storage is registered, a word is visible at the output the cycle after it was accepted
// (no combinational path from input to output, in either direction), and the throughput is
// one word a cycle. clear_i empties the buffer at the next edge and wins over a push.

module spcore_fifo #(
  parameter int unsigned Width = 8,  // bits per word
  parameter int unsigned Depth = 4,  // words, at least 2
  localparam int unsigned LevelW = $clog2(Depth + 1)
) (
  input  logic              clk_i,
  input  logic              rst_ni,
  input  logic              clear_i,

  input  logic              valid_i,
  output logic              ready_o,
  input  logic [Width-1:0]  data_i,

  output logic              valid_o,
  input  logic              ready_i,
  output logic [Width-1:0]  data_o,

  output logic [LevelW-1:0] level_o   // words held
);

  localparam int unsigned PtrW = (Depth > 1) ? $clog2(Depth) : 1;
  localparam logic [PtrW-1:0] Last = PtrW'(Depth - 1);

  if (Depth < 2) begin : gen_check_depth
    $error("%m: Depth = %0d, expected at least 2", Depth);
  end
  if (Width < 1) begin : gen_check_width
    $error("%m: Width = %0d, expected at least 1", Width);
  end

  logic [PtrW-1:0]   rd_q, wr_q;
  logic [LevelW-1:0] level_q;
  logic              push, pop;

  assign ready_o = level_q != LevelW'(Depth);
  assign valid_o = level_q != '0;
  assign level_o = level_q;
  assign push    = valid_i & ready_o;
  assign pop     = valid_o & ready_i;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      rd_q    <= '0;
      wr_q    <= '0;
      level_q <= '0;
    end else if (clear_i) begin
      rd_q    <= '0;
      wr_q    <= '0;
      level_q <= '0;
    end else begin
      if (push) wr_q <= (wr_q == Last) ? '0 : wr_q + 1'b1;
      if (pop)  rd_q <= (rd_q == Last) ? '0 : rd_q + 1'b1;
      if (push != pop) level_q <= push ? level_q + 1'b1 : level_q - 1'b1;
    end
  end

  if (Width * Depth > 256) begin : gen_regfile
    spcore_regfile #(
      .NumWords (Depth),
      .DataWidth(Width)
    ) u_words (
      .clk_i,
      .we_i   (push),
      .waddr_i(wr_q),
      .wdata_i(data_i),
      .raddr_i(rd_q),
      .rdata_o(data_o)
    );
  end else begin : gen_flops
    logic [Width-1:0] mem_q [Depth];
    always_ff @(posedge clk_i) begin
      if (push) mem_q[wr_q] <= data_i;
    end
    assign data_o = mem_q[rd_q];
  end

endmodule
