// SPDX-License-Identifier: Apache-2.0
// spcore_mem_1r1w and spcore_mem_1rw: the forms for simulation read the same of what was written as those for synthesis do.
module mem_proof #(
  parameter int unsigned NumWords  = 2,
  parameter int unsigned DataWidth = 2,
  parameter int unsigned PartWidth = 1,
  localparam int unsigned AddrW    = $clog2(NumWords),
  localparam int unsigned NumParts = DataWidth / PartWidth
) (
  input logic                 clk_i,
  input logic [NumParts-1:0]  we_i,
  input logic [AddrW-1:0]     waddr_i,
  input logic [DataWidth-1:0] wdata_i,
  input logic                 re_i,
  input logic [AddrW-1:0]     raddr_i
);

  logic [1:0][DataWidth-1:0] two_ports, one_port;

  for (genvar form = 0; form < 2; form++) begin : gen_form
    spcore_mem_1r1w #(
      .NumWords(NumWords), .DataWidth(DataWidth), .PartWidth(PartWidth), .AtOnce(form)
    ) u_two_ports (
      .clk_i, .we_i, .waddr_i, .wdata_i, .re_i, .raddr_i, .rdata_o(two_ports[form])
    );

    spcore_mem_1rw #(
      .NumWords(NumWords), .DataWidth(DataWidth), .AtOnce(form)
    ) u_one_port (
      .clk_i, .en_i(re_i | we_i[0]), .we_i(we_i[0]), .addr_i(we_i[0] ? waddr_i : raddr_i), .wdata_i,
      .rdata_o(one_port[form])
    );
  end

  // What of each word was written, and whether what was read last was.
  logic [NumWords-1:0][NumParts-1:0] written_q = '0;
  logic [NumWords-1:0]               whole_q   = '0;   // with the single port
  logic [NumParts-1:0]               known_q   = '0;
  logic                              whole_known_q = 1'b0;

  logic [DataWidth-1:0] known_bits;
  always_comb begin
    for (int unsigned p = 0; p < NumParts; p++) known_bits[p*PartWidth+:PartWidth] = {PartWidth{known_q[p]}};
  end

  always_ff @(posedge clk_i) begin
    written_q[waddr_i] <= written_q[waddr_i] | we_i;
    if (we_i[0]) whole_q[waddr_i] <= 1'b1;
    if (re_i) known_q <= ((|we_i) && waddr_i == raddr_i) ? '1 : written_q[raddr_i];
    if (re_i && !we_i[0]) whole_known_q <= whole_q[raddr_i];
    same : assert (((two_ports[0] ^ two_ports[1]) & known_bits) == '0);
    if (whole_known_q) same_of_one : assert (one_port[0] == one_port[1]);
    read : cover (known_q == '1 && whole_known_q && two_ports[0] == DataWidth'(1) && one_port[0] == DataWidth'(2));
  end

endmodule
