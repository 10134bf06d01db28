// Two of another unit with a sum between them.
module parent (
  input  logic        clk_i,
  input  logic [15:0] a_i,
  output logic [15:0] y_o
);

  logic [15:0] first, second;

  child u_first (
    .clk_i,
    .a_i(a_i),
    .y_o(first)
  );

  child u_second (
    .clk_i,
    .a_i(first + 16'd3),
    .y_o(second)
  );

  assign y_o = second;

endmodule
