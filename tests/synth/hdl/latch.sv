// A latch.
module latch (
  input  logic clk_i,
  input  logic en_i,
  input  logic d_i,
  output logic q_o
);

  logic held;

  always_latch begin
    if (en_i) held = d_i;
  end

  always_ff @(posedge clk_i) q_o <= held;

endmodule
