// SPDX-License-Identifier: Apache-2.0
// Reads the residual lines of a streaming processor's jobs, one for each channel in the order in which slot_reader makes
// them, and holds them until they are added. slot_reader tells the next job while it reads the present one.
//
// A line is asked for only when there is a place for it, so that the store can always answer and a read waits for nobody
// behind the streaming processors. Bitmaps are read before their bytes.

module spcore_residual_fetch
  import sparsecore_pkg::*;
#(
  parameter int unsigned Depth = 8   // lines asked for or held
) (
  input  logic           clk_i,
  input  logic           rst_ni,
  input  layer_t         layer_i,
  input  derived_t       derived_i,

  // the next job
  input  logic           start_i,      // only while idle_o is set
  input  dim_t           channel_i,    // its first channel
  input  addr_t          idx_addr_i,   // and that one's index entry
  output logic           idle_o,       // all lines of the job before are asked for

  output line_read_req_t lr_req_o,
  input  line_read_rsp_t lr_rsp_i,

  output bitmap_t        bitmap_o,     // of the oldest line whose bitmap was not taken
  input  logic           bitmap_pop_i,
  output line_bytes_t    bytes_o,      // of the oldest line
  input  logic           bytes_pop_i
);

  localparam int unsigned PtrW   = $clog2(Depth);
  localparam int unsigned LevelW = $clog2(Depth + 1);
  typedef logic [LevelW-1:0] level_t;
  typedef logic [PtrW-1:0]   ptr_t;

  // ---- requests ----

  logic   start_q, valid_q, read, next;
  dim_t   channels_q;   // from the job's first one on
  dim_t   left_q;       // lines of the job that are still to be asked for
  addr_t  addr_q;
  level_t places_q, places_taken;

  assign read         = valid_q & lr_rsp_i.gnt;
  assign places_taken = places_q + level_t'(read);
  assign next         = left_q != '0 && (bytes_pop_i || places_taken != level_t'(Depth));
  assign idle_o       = ~start_q & ~valid_q & left_q == '0;
  assign lr_req_o     = '{valid: valid_q, idx_addr: addr_q};

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      start_q  <= 1'b0;
      left_q   <= '0;
      places_q <= '0;
      valid_q  <= 1'b0;
    end else begin
      start_q  <= start_i;
      places_q <= places_taken - level_t'(bytes_pop_i);
      if (start_q) begin
        left_q <= channels_q < derived_i.chunk_k ? channels_q : derived_i.chunk_k;
      end else if (!valid_q || read) begin
        valid_q <= next;
        if (next) left_q <= left_q - 1'b1;
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (start_i) begin
      channels_q <= layer_i.out_k - channel_i;
      addr_q     <= idx_addr_i;
    end else if (read) begin
      addr_q <= addr_q + layer_i.res_pitch;
    end
  end

  // ---- lines ----

  ptr_t write_q, bitmap_q, bytes_q;

  spcore_regfile #(
    .NumWords(Depth), .DataWidth($bits(bitmap_t))
  ) u_bitmaps (
    .clk_i, .we_i(lr_rsp_i.rvalid), .waddr_i(write_q), .wdata_i(lr_rsp_i.bitmap), .raddr_i(bitmap_q), .rdata_o(bitmap_o)
  );

  spcore_regfile #(
    .NumWords(Depth), .DataWidth($bits(line_bytes_t))
  ) u_bytes (
    .clk_i, .we_i(lr_rsp_i.rvalid), .waddr_i(write_q), .wdata_i(lr_rsp_i.bytes), .raddr_i(bytes_q), .rdata_o(bytes_o)
  );

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      write_q  <= '0;
      bitmap_q <= '0;
      bytes_q  <= '0;
    end else begin
      if (lr_rsp_i.rvalid) write_q  <= write_q + 1'b1;
      if (bitmap_pop_i)    bitmap_q <= bitmap_q + 1'b1;
      if (bytes_pop_i)     bytes_q  <= bytes_q + 1'b1;
    end
  end

  if (Depth < 2 || (Depth & (Depth - 1)) != 0) begin : gen_check_depth
    $error("%m: Depth = %0d, expected a power of two from 2", Depth);
  end

endmodule
