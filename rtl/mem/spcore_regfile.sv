// SPDX-License-Identifier: Apache-2.0
// Small register file: one write port and NumRead read ports whose data follow the address in the same cycle. Made of
// latches or flip-flops: synthesis replaces the body. For queues and tables of a few words; a word that is written is
// read from the next cycle on.
module spcore_regfile #(
  parameter int unsigned NumWords  = 8,
  parameter int unsigned DataWidth = 32,
  parameter int unsigned NumRead   = 1,   // 1 or 2
  localparam int unsigned AddrW    = $clog2(NumWords)
) (
  input  logic                              clk_i,
  input  logic                              we_i,
  input  logic [AddrW-1:0]                  waddr_i,
  input  logic [DataWidth-1:0]              wdata_i,
  input  logic [NumRead-1:0][AddrW-1:0]     raddr_i,
  output logic [NumRead-1:0][DataWidth-1:0] rdata_o
);

  logic [DataWidth-1:0] mem_q [NumWords];

  always_ff @(posedge clk_i) begin
    if (we_i) mem_q[waddr_i] <= wdata_i;
  end

  for (genvar i = 0; i < NumRead; i++) begin : gen_read
    assign rdata_o[i] = mem_q[raddr_i[i]];
  end

  if (NumWords < 2) begin : gen_check_words
    $error("%m: NumWords = %0d, expected at least 2", NumWords);
  end
  if (NumRead < 1 || NumRead > 2) begin : gen_check_read
    $error("%m: NumRead = %0d, expected 1 or 2", NumRead);
  end

endmodule
