// SPDX-License-Identifier: Apache-2.0
// Parameter Memory: requantisation parameters by output channel. One write port, and one read port for each streaming
// processor, which has a copy of its own; data a cycle after the read. An entry that is read while it is written comes out
// as anything.
module spcore_param_mem
  import sparsecore_pkg::*;
#(
  parameter int unsigned Depth   = 2048,
  parameter int unsigned NumRead = 2,
  localparam int unsigned EntryW = $clog2(Depth)
) (
  input  logic                 clk_i,
  input  logic                 we_i,
  // Only as many bits of the addresses as there are entries.
  // verilator lint_off UNUSEDSIGNAL
  input  addr_t                waddr_i,
  input  addr_t  [NumRead-1:0] raddr_i,
  // verilator lint_on UNUSEDSIGNAL
  input  param_t               wdata_i,
  input  logic   [NumRead-1:0] re_i,
  output param_t [NumRead-1:0] rdata_o
);

  for (genvar i = 0; i < NumRead; i++) begin : gen_copy
    spcore_mem_1r1w #(
      .NumWords(Depth), .DataWidth($bits(param_t))
    ) u_copy (
      .clk_i, .we_i, .waddr_i(waddr_i[EntryW-1:0]), .wdata_i,
      .re_i(re_i[i]), .raddr_i(raddr_i[i][EntryW-1:0]), .rdata_o(rdata_o[i])
    );
  end

endmodule
