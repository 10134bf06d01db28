// SPDX-License-Identifier: Apache-2.0
// Memory with a single port: one read or one write a cycle, read data a cycle after the access, kept until the next read.
// Stands for an SRAM macro: synthesis replaces the body.
//
// AtOnce is the same for simulation, as in spcore_mem_1r1w.
module spcore_mem_1rw #(
  parameter int unsigned NumWords  = 1024,
  parameter int unsigned DataWidth = 64,
`ifdef SPCORE_FAST_SIM
  parameter bit          AtOnce    = 1'b1,
`else
  parameter bit          AtOnce    = 1'b0,
`endif
  localparam int unsigned AddrW    = $clog2(NumWords)
) (
  input  logic                 clk_i,
  input  logic                 en_i,
  input  logic                 we_i,
  input  logic [AddrW-1:0]     addr_i,
  input  logic [DataWidth-1:0] wdata_i,
  output logic [DataWidth-1:0] rdata_o
);

  logic [DataWidth-1:0] mem_q [NumWords];

  if (AtOnce) begin : gen_at_once
    // verilog_lint: waive-start always-ff-non-blocking
    // verilator lint_off BLKSEQ
    always_ff @(posedge clk_i) begin
      if (en_i) begin
        if (we_i) mem_q[addr_i] = wdata_i;
        else      rdata_o       <= mem_q[addr_i];
      end
    end
    // verilator lint_on BLKSEQ
    // verilog_lint: waive-stop always-ff-non-blocking
  end else begin : gen_at_end
    always_ff @(posedge clk_i) begin
      if (en_i) begin
        if (we_i) mem_q[addr_i] <= wdata_i;
        else      rdata_o       <= mem_q[addr_i];
      end
    end
  end

  if (NumWords < 2) begin : gen_check_words
    $error("%m: NumWords = %0d, expected at least 2", NumWords);
  end

endmodule
