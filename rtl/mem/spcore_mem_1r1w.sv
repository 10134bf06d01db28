// SPDX-License-Identifier: Apache-2.0
// Memory with one read and one write port: read data a cycle after the access, kept until the next read. Stands for a
// two-port register file or SRAM macro: synthesis replaces the body.
//
// A word that is read in the cycle in which some of it is written comes out as anything: macros differ there. In simulation
// the write data come out inverted, those of parts that are not written too, so that nobody depends on it.
//
// AtOnce is the same for simulation: a write is done behind the read, as nobody else looks at the words, and not kept for
// the end of the cycle. It is what a Verilator build with SPCORE_FAST_SIM gets.
module spcore_mem_1r1w #(
  parameter int unsigned NumWords  = 32,
  parameter int unsigned DataWidth = 32,
  parameter int unsigned PartWidth = DataWidth,  // bits that have a write enable of their own
`ifdef SPCORE_FAST_SIM
  parameter bit          AtOnce    = 1'b1,
`else
  parameter bit          AtOnce    = 1'b0,
`endif
  localparam int unsigned AddrW    = $clog2(NumWords),
  localparam int unsigned NumParts = DataWidth / PartWidth
) (
  input  logic                 clk_i,
  input  logic [NumParts-1:0]  we_i,
  input  logic [AddrW-1:0]     waddr_i,
  input  logic [DataWidth-1:0] wdata_i,
  input  logic                 re_i,
  input  logic [AddrW-1:0]     raddr_i,
  output logic [DataWidth-1:0] rdata_o
);

  logic [NumParts-1:0][PartWidth-1:0] mem_q [NumWords];

  if (AtOnce) begin : gen_at_once
    // verilog_lint: waive-start always-ff-non-blocking
    // verilator lint_off BLKSEQ
    always_ff @(posedge clk_i) begin
      if (re_i) rdata_o <= ((|we_i) && waddr_i == raddr_i) ? ~wdata_i : mem_q[raddr_i];
      for (int unsigned p = 0; p < NumParts; p++) begin
        if (we_i[p]) mem_q[waddr_i][p] = wdata_i[p*PartWidth+:PartWidth];
      end
    end
    // verilator lint_on BLKSEQ
    // verilog_lint: waive-stop always-ff-non-blocking
  end else begin : gen_at_end
    always_ff @(posedge clk_i) begin
      for (int unsigned p = 0; p < NumParts; p++) begin
        if (we_i[p]) mem_q[waddr_i][p] <= wdata_i[p*PartWidth+:PartWidth];
      end
      if (re_i) rdata_o <= ((|we_i) && waddr_i == raddr_i) ? ~wdata_i : mem_q[raddr_i];
    end
  end

  if (NumWords < 2) begin : gen_check_words
    $error("%m: NumWords = %0d, expected at least 2", NumWords);
  end
  if (NumParts * PartWidth != DataWidth) begin : gen_check_parts
    $error("%m: PartWidth = %0d, expected to divide DataWidth = %0d", PartWidth, DataWidth);
  end

endmodule
