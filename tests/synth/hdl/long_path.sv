// A product and a sum between two registers: longer than a cycle.
module long_path (
  input  logic        clk_i,
  input  logic [31:0] a_i,
  output logic [31:0] y_o
);

  logic [31:0] a_q;

  always_ff @(posedge clk_i) begin
    a_q <= a_i;
    y_o <= (a_q * a_q + a_q) * a_q;
  end

endmodule
