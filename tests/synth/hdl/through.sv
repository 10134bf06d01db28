// An output that follows an input in the same cycle.
module through (
  input  logic clk_i,
  input  logic valid_i,
  input  logic ready_i,
  output logic ready_o,
  output logic valid_o
);

  assign ready_o = ready_i | ~valid_o;

  always_ff @(posedge clk_i) begin
    if (ready_o) valid_o <= valid_i;
  end

endmodule
