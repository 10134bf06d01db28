// Performance counters of the whole core (docs/architecture.md section 8). Every PE is in exactly one state each
// cycle, so the five state totals add up to NumPe x cycles.
module counters
  import sparsecore_pkg::*;
  import front_pkg::*;
#(
  parameter int unsigned NumPe    = 64,
  parameter int unsigned NumLanes = 16,
  parameter int unsigned NumSp    = 2,
  parameter int unsigned Banks    = 8,
  localparam int unsigned MacW    = $clog2(NumLanes + 1),
  localparam int unsigned ReadW   = $clog2(Banks + 1),
  localparam int unsigned HitW    = $clog2(NumPe + 1)
) (
  input  logic                        clk_i,
  input  logic                        rst_ni,
  input  logic                        clear_i,
  input  logic                        count_i,
  input  pe_state_e [NumPe-1:0]       pe_state_i,
  input  logic [NumPe-1:0][MacW-1:0]  pe_macs_i,
  input  logic [ReadW-1:0]            wgt_reads_i,
  input  logic [HitW-1:0]             wgt_hits_i,
  input  logic [ReadW-1:0]            act_reads_i,
  input  logic [HitW-1:0]             act_hits_i,
  input  logic [ReadW-1:0]            idx_reads_i,
  input  logic [HitW-1:0]             idx_hits_i,
  input  logic                        line_written_i,
  input  npos_t                       line_bytes_i,
  output counters_t                   counters_o
);
