// A parity before and after its registers.
module child (
  input  logic        clk_i,
  input  logic [15:0] a_i,
  output logic [15:0] y_o
);

  logic [15:0] a_q;

  always_ff @(posedge clk_i) begin
    for (int unsigned i = 0; i < 16; i++) a_q[i] <= ^a_i ^ a_q[i];
  end

  assign y_o = a_q ^ {16{^a_q}};

endmodule
