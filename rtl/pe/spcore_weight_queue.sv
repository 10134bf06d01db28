// SPDX-License-Identifier: Apache-2.0
// Prefetches weight vectors: takes the addresses of a PE's passes in order, requests them from the Weight Memory and
// queues the vectors for the scanner.
//
// A place is set aside for a vector when it is requested. It is free again when the vector is read into the memory's
// output, where it waits for the scanner.
`include "../common/spcore_assert.svh"

module spcore_weight_queue
  import sparsecore_pkg::*;
  import spcore_pe_pkg::*;
#(
  parameter int unsigned NumLanes = 16,
  parameter int unsigned Depth    = 6   // vectors requested or held, at least 2
) (
  input  logic                        clk_i,
  input  logic                        rst_ni,

  // addresses, from pass_generator
  input  logic                        addr_valid_i,
  output logic                        addr_ready_o,
  input  addr_t                       addr_i,

  // Weight Memory
  output mem_req_t                    req_o,
  input  mem_rsp_t                    rsp_i,
  input  weight_lane_t [NumLanes-1:0] rdata_i,

  // vectors, to the scanner
  input  logic                        waiting_i,  // the scanner can do nothing before the next vector
  output wgt_level_t                  level_o,    // vectors held
  input  logic                        ready_i,    // only for one that was there in the cycle before
  output weight_lane_t [NumLanes-1:0] vector_o
);

  localparam int unsigned PtrW   = $clog2(Depth);
  localparam int unsigned LevelW = $clog2(Depth + 1);

  if (Depth < 2) begin : gen_check_depth
    $error("%m: Depth = %0d, expected at least 2", Depth);
  end

  typedef logic [PtrW-1:0]   ptr_t;
  typedef logic [LevelW-1:0] level_t;

  localparam ptr_t Last = ptr_t'(Depth - 1);

  // ---- requests ----

  level_t used_q;     // places taken
  logic   room_q;     // one is left
  level_t used_next;
  logic   urgent_q;
  logic   valid_q;    // a vector is at the memory's output
  logic   addr_valid, request, read;
  addr_t  addr;

  spcore_fifo #(
    .Width($bits(addr_t)), .Depth(2)
  ) u_addresses (
    .clk_i, .rst_ni, .clear_i(1'b0),
    .valid_i(addr_valid_i), .ready_o(addr_ready_o), .data_i(addr_i),
    .valid_o(addr_valid), .ready_i(room_q & rsp_i.gnt), .data_o(addr),
    .level_o()
  );

  assign req_o     = '{valid: addr_valid & room_q, urgent: urgent_q, addr: addr};
  assign request   = req_o.valid & rsp_i.gnt;
  assign used_next = used_q + level_t'(request) - level_t'(read);

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      used_q   <= '0;
      room_q   <= 1'b1;
      urgent_q <= 1'b0;
    end else begin
      used_q   <= used_next;
      room_q   <= used_next != level_t'(Depth);
      urgent_q <= waiting_i & (level_o == '0);
    end
  end

  // ---- vectors ----

  ptr_t   fill_ptr_q, read_ptr_q;
  level_t filled_q;   // vectors in places

  assign level_o = wgt_level_t'(filled_q) + wgt_level_t'(valid_q);
  assign read    = filled_q != '0 && (!valid_q || ready_i);

  spcore_mem_1r1w #(
    .NumWords(Depth), .DataWidth(NumLanes * $bits(weight_lane_t))
  ) u_vectors (
    .clk_i,
    .we_i(rsp_i.rvalid), .waddr_i(fill_ptr_q), .wdata_i(rdata_i),
    .re_i(read), .raddr_i(read_ptr_q), .rdata_o(vector_o)
  );

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      fill_ptr_q <= '0;
      read_ptr_q <= '0;
      filled_q   <= '0;
      valid_q    <= 1'b0;
    end else begin
      if (rsp_i.rvalid) fill_ptr_q <= fill_ptr_q == Last ? '0 : fill_ptr_q + 1'b1;
      if (read)         read_ptr_q <= read_ptr_q == Last ? '0 : read_ptr_q + 1'b1;
      filled_q <= filled_q + level_t'(rsp_i.rvalid) - level_t'(read);
      valid_q  <= read | (valid_q & ~ready_i);
    end
  end

  `SPCORE_ASSERT(!rsp_i.rvalid || used_q != filled_q, "a vector came that was not requested")

endmodule
