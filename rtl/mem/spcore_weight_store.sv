// SPDX-License-Identifier: Apache-2.0
// The Weight Memory: PEs read weight vectors, the weight loader writes one a cycle.
module spcore_weight_store
  import sparsecore_pkg::*;
#(
  parameter int unsigned NumReq   = 64,
  parameter int unsigned NumLanes = 16,
  parameter int unsigned Banks    = 8,
  parameter int unsigned Depth    = 2730,   // vectors of a bank
  localparam int unsigned ReadW = $clog2(Banks + 1),
  localparam int unsigned HitW  = $clog2(NumReq + 1)
) (
  input  logic                                      clk_i,
  input  logic                                      rst_ni,
  input  logic                                      start_i,   // of a layer

  input  mem_req_t     [NumReq-1:0]                 req_i,
  output mem_rsp_t     [NumReq-1:0]                 rsp_o,
  output weight_lane_t [NumReq-1:0][NumLanes-1:0]   vector_o,

  input  logic                                      we_i,
  // verilator lint_off UNUSEDSIGNAL
  input  addr_t                                     waddr_i,   // only as many bits as there are vectors
  // verilator lint_on UNUSEDSIGNAL
  input  weight_lane_t [NumLanes-1:0]               wvector_i,

  output logic [ReadW-1:0]                          reads_o,
  output logic [HitW-1:0]                           hits_o
);

  localparam int unsigned BankW   = $clog2(Banks);
  localparam int unsigned EntryW  = $clog2(Depth);
  localparam int unsigned VectorW = NumLanes * $bits(weight_lane_t);

  logic [Banks-1:0]         we_q;
  logic [EntryW-1:0]        wentry_q;
  logic [VectorW-1:0]       wvector_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) we_q <= '0;
    else         we_q <= we_i ? Banks'(1) << waddr_i[BankW-1:0] : '0;
  end

  always_ff @(posedge clk_i) begin
    if (we_i) begin
      wentry_q  <= waddr_i[BankW+:EntryW];
      wvector_q <= wvector_i;
    end
  end

  spcore_banked_mem #(
    .NumReq(NumReq), .Banks(Banks), .Depth(Depth), .Width(VectorW)
  ) u_banked_mem (
    .clk_i, .rst_ni, .start_i,
    .req_i, .rsp_o, .rdata_o(vector_o),
    .dir_en_i(we_q), .dir_we_i(we_q), .dir_addr_i({Banks{wentry_q}}), .dir_wdata_i({Banks{wvector_q}}),
    .dir_rdata_o(),   // weights are read by PEs alone
    .reads_o, .hits_o
  );

endmodule
