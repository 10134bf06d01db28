// line_fetch and region_loader as a PE connects them, for their common test.
module activation_path
  import sparsecore_pkg::*;
  import spcore_pe_pkg::*;
#(
  parameter int unsigned RegionPos  = 512,
  parameter int unsigned NumRegions = 4
) (
  input  logic                 clk_i,
  input  logic                 rst_ni,
  input  layer_t   [1:0]       layer_i,
  input  derived_t [1:0]       derived_i,
  input  logic                 idle_i,
  input  logic                 unit_valid_i,
  output logic                 unit_ready_o,
  input  unit_t                unit_i,
  output mem_req_t             idx_req_o,
  input  mem_rsp_t             idx_rsp_i,
  input  index_entry_t         idx_rdata_i,
  output mem_req_t             act_req_o,
  input  mem_rsp_t             act_rsp_i,
  input  logic [63:0]          act_rdata_i,
  output logic                 region_valid_o,
  input  logic                 region_ready_i,
  output region_t              region_o,
  output addr_t                region_wgt_addr_o,
  input  logic                 region_done_i,
  output bitmap_write_t        bitmap_write_o,
  output bitmap_read_t         bitmap_read_o,
  input  bitmap_rsp_t          bitmap_rsp_i,
  input  logic                 byte_read_i,
  input  region_buf_t          byte_buf_i,
  input  region_off_t          byte_off_i,
  output logic [7:0]           byte_o,
  input  region_step_t         release_i
);

  logic            line_valid, line_ready;
  fetched_line_t   line;
  pos_t            line_rank;
  logic [7:0][7:0] line_bytes;

  spcore_line_fetch u_line_fetch (
    .clk_i, .rst_ni, .layer_i, .derived_i,
    .starving_i(1'b0),
    .unit_valid_i, .unit_ready_o, .unit_i,
    .idx_req_o, .idx_rsp_i, .idx_rdata_i,
    .act_req_o, .act_rsp_i, .act_rdata_i,
    .line_valid_o(line_valid), .line_ready_i(line_ready), .line_o(line),
    .line_rank_i(line_rank), .line_bytes_o(line_bytes)
  );

  spcore_region_loader #(.RegionPos(RegionPos), .NumRegions(NumRegions)) u_region_loader (
    .clk_i, .rst_ni, .layer_i, .derived_i, .idle_i,
    .line_valid_i(line_valid), .line_ready_o(line_ready), .line_i(line),
    .line_rank_o(line_rank), .line_bytes_i(line_bytes),
    .region_valid_o, .region_ready_i, .region_o, .region_wgt_addr_o, .region_done_i,
    .bitmap_write_o, .bitmap_read_o, .bitmap_rsp_i,
    .byte_read_i, .byte_buf_i, .byte_off_i, .byte_o, .release_i
  );

endmodule
