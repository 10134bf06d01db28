// A queue of one word and a memory of each kind: nothing to complain of.
module clean (
  input  logic        clk_i,
  input  logic        rst_ni,
  input  logic        valid_i,
  output logic        ready_o,
  input  logic [31:0] data_i,
  output logic        valid_o,
  input  logic        ready_i,
  output logic [31:0] data_o
);

  logic [31:0] data_q, first, second;
  logic [4:0]  at_q;
  logic        two_q, valid_q;

  assign ready_o = ~two_q;

  spcore_mem_1r1w #(
    .NumWords (32),
    .DataWidth(32)
  ) u_memory (
    .clk_i,
    .we_i   (valid_q),
    .waddr_i(at_q),
    .wdata_i(data_q),
    .re_i   (valid_q),
    .raddr_i(~at_q),
    .rdata_o(first)
  );

  spcore_regfile #(
    .NumWords (8),
    .DataWidth(32),
    .NumRead  (1)
  ) u_table (
    .clk_i,
    .we_i   (valid_q),
    .waddr_i(at_q[2:0]),
    .wdata_i(first),
    .raddr_i(at_q[4:2]),
    .rdata_o(second)
  );

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      two_q   <= 1'b0;
      valid_q <= 1'b0;
      valid_o <= 1'b0;
      at_q    <= '0;
    end else begin
      two_q   <= valid_i & ~ready_i;
      valid_q <= valid_i & ~two_q;
      valid_o <= valid_q;
      at_q    <= at_q + 1'b1;
    end
  end

  always_ff @(posedge clk_i) begin
    data_q <= data_i;
    data_o <= second;
  end

endmodule
