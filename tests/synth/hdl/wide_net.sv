// A choice of 72 bits by a gate, by a register and by ports that stand still, and an enable of as many flip-flops.
module wide_net (
  input  logic        clk_i,
  input  logic        rst_ni,
  input  logic        sel_i,
  input  logic        en_i,
  input  logic [71:0] a_i,
  output logic [71:0] gate_o,
  output logic [71:0] register_o,
  output logic [71:0] static_o,
  output logic        core_rst_no,
  output logic [71:0] tree_o,
  output logic [71:0] enable_o
);

  logic [71:0] a_q, b_q;
  logic        sel_q, en_q, by_gate;

  assign by_gate     = sel_q & en_q;
  assign core_rst_no = rst_ni & en_q;

  always_ff @(posedge clk_i) begin
    a_q        <= a_i;
    b_q        <= a_q;
    sel_q      <= sel_i;
    en_q       <= en_i;
    gate_o     <= by_gate ? a_q : b_q;
    register_o <= sel_q ? a_q : b_q;
    static_o   <= rst_ni ? a_q : b_q;
    tree_o     <= core_rst_no ? a_q : b_q;
    if (sel_q | en_q) enable_o <= a_q;
  end

endmodule
