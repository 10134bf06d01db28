// Parameter Memory: requantisation parameters by output channel. One write port, and one read port for each streaming
// processor; data a cycle after the read.
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

  logic [$bits(param_t)-1:0] mem_q [Depth];

  always_ff @(posedge clk_i) begin
    if (we_i) mem_q[waddr_i[EntryW-1:0]] <= wdata_i;
    for (int unsigned i = 0; i < NumRead; i++) begin
      if (re_i[i]) rdata_o[i] <= mem_q[raddr_i[i][EntryW-1:0]];
    end
  end

endmodule
