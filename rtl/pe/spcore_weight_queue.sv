// Prefetches weight vectors: takes the addresses of a PE's passes in order, requests them from the Weight Memory and
// queues the vectors for the scanner.
//
// An address and its vector share one place of the queue, so no vector is ever requested without room for it.

module spcore_weight_queue
  import sparsecore_pkg::*;
#(
  parameter int unsigned NumLanes = 16,
  parameter int unsigned Depth    = 4,   // passes whose vectors are requested or held, at least 2
  localparam int unsigned VectorW = NumLanes * $bits(weight_lane_t)
) (
  input  logic               clk_i,
  input  logic               rst_ni,

  // addresses, from pass_generator
  input  logic               addr_valid_i,
  output logic               addr_ready_o,
  input  addr_t              addr_i,

  // Weight Memory: grant in the cycle of the request, data one cycle later
  output logic               req_o,
  output logic               urgent_o,
  output addr_t              addr_o,
  input  logic               gnt_i,
  input  logic               rvalid_i,
  input  logic [VectorW-1:0] rdata_i,

  // vectors, to the scanner
  input  logic               waiting_i,  // the scanner can do nothing before the next vector
  output logic               valid_o,
  input  logic               ready_i,
  output logic [VectorW-1:0] vector_o
);

  localparam int unsigned PtrW   = $clog2(Depth);
  localparam int unsigned LevelW = $clog2(Depth + 1);

  if (Depth < 2) begin : gen_check_depth
    $error("%m: Depth = %0d, expected at least 2", Depth);
  end

  typedef logic [PtrW-1:0]   ptr_t;
  typedef logic [LevelW-1:0] level_t;

  localparam ptr_t Last = ptr_t'(Depth - 1);

  addr_t              addr_q   [Depth];
  logic [VectorW-1:0] vector_q [Depth];
  ptr_t               push_ptr_q, req_ptr_q, fill_ptr_q, pop_ptr_q;
  level_t             used_q;       // places taken
  level_t             requests_q;   // addresses not yet granted
  level_t             filled_q;     // vectors held
  logic               push, grant, pop;

  assign addr_ready_o = used_q != level_t'(Depth);
  assign req_o        = requests_q != '0;
  assign addr_o       = addr_q[req_ptr_q];
  assign valid_o      = filled_q != '0;
  assign vector_o     = vector_q[pop_ptr_q];
  assign urgent_o     = waiting_i & ~valid_o;

  assign push  = addr_valid_i & addr_ready_o;
  assign grant = req_o & gnt_i;
  assign pop   = valid_o & ready_i;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      push_ptr_q <= '0;
      req_ptr_q  <= '0;
      fill_ptr_q <= '0;
      pop_ptr_q  <= '0;
      used_q     <= '0;
      requests_q <= '0;
      filled_q   <= '0;
    end else begin
      if (push)     push_ptr_q <= push_ptr_q == Last ? '0 : push_ptr_q + 1'b1;
      if (grant)    req_ptr_q  <= req_ptr_q == Last ? '0 : req_ptr_q + 1'b1;
      if (rvalid_i) fill_ptr_q <= fill_ptr_q == Last ? '0 : fill_ptr_q + 1'b1;
      if (pop)      pop_ptr_q  <= pop_ptr_q == Last ? '0 : pop_ptr_q + 1'b1;
      used_q     <= used_q + level_t'(push) - level_t'(pop);
      requests_q <= requests_q + level_t'(push) - level_t'(grant);
      filled_q   <= filled_q + level_t'(rvalid_i) - level_t'(pop);
    end
  end

  always_ff @(posedge clk_i) begin
    if (push)     addr_q[push_ptr_q]   <= addr_i;
    if (rvalid_i) vector_q[fill_ptr_q] <= rdata_i;
  end

`ifndef SYNTHESIS
  // Not at time 0, when random initial values can look like an edge.
  always_ff @(posedge clk_i) begin
    if (rst_ni && $time != 0 && rvalid_i && used_q == filled_q + requests_q) $error("%m: a vector came that was not requested");
  end
`endif

endmodule
