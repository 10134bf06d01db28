// Walks the lines that meet a unit's window, channel by channel, and reads their index entries.
//
// One entry is requested a cycle, up to IdxDepth are under way or wait to be taken. While an entry is read, its line's
// share of the window is worked out. A unit without lines (its window lies in the padding alone) yields one entry
// without positions that ends it.
module spcore_line_walk
  import sparsecore_pkg::*;
  import spcore_pe_pkg::*;
#(
  parameter int unsigned IdxDepth = 4   // at least 2; 3 sustain an entry a cycle
) (
  input  logic         clk_i,
  input  logic         rst_ni,
  input  layer_t       layer_i,
  input  derived_t     derived_i,
  // May be valid only while busy_o is low.
  input  logic         unit_valid_i,
  input  unit_t        unit_i,
  output logic         busy_o,        // entries are left to request, to receive or to hand on
  // Index Memory: the grant in the cycle of the request, the entry in the next
  output logic         idx_req_o,
  output addr_t        idx_addr_o,
  input  logic         idx_gnt_i,
  input  logic         idx_rvalid_i,
  input  index_entry_t idx_rdata_i,
  output logic         entry_valid_o,
  input  logic         entry_ready_i,
  output line_entry_t  entry_o
);

  if (IdxDepth < 2) begin : gen_check_depth
    $error("%m: IdxDepth = %0d, expected at least 2", IdxDepth);
  end

  // Row or column relative to the window: a window has at most (64-1)*2 + 7 rows, its first line begins up to 63 before
  // it, and the walk steps up to 64 past its end.
  typedef logic signed [8:0] rel_t;

  typedef struct packed {
    bitmap_t     mask;              // positions inside window and plane
    region_off_t origin;
    logic        last_of_channel;
    logic        last_of_unit;
  } share_t;

  // -------------------------------------------------------------------------------------------------------------------
  // The walk
  // -------------------------------------------------------------------------------------------------------------------
  nlines_t lines_y_q, lines_x_q;
  rel_t    rows_end_q, cols_end_q;          // past the window's last row and column inside the plane
  rel_t    dy_first_q, dx_first_q;          // first row and column of the channel's first line
  logic    walk_q;                          // entries are left to request
  logic    mark_q;                          // the unit has no lines, its end is still to be handed on
  dim_t    channels_left_q;                 // the present one included, likewise below
  nlines_t lines_y_left_q, lines_x_left_q;
  addr_t   channel_addr_q, row_addr_q, idx_addr_q;
  rel_t    dy_q, dx_q;                      // first row and column of the present line
  logic    row_end, channel_end, walk_end;
  addr_t   next_channel_addr, next_row_addr;
  rel_t    unit_dy, unit_dx;
  logic    no_lines, take;
  rel_t    win_h, win_w;                    // the unit's window, and what of the plane lies behind its origin
  logic signed [17:0] plane_h, plane_w;

  assign no_lines          = unit_i.lines_y == '0 || unit_i.lines_x == '0;
  assign unit_dy           = rel_t'(unit_i.line_y) - rel_t'(unit_i.win_y);
  assign unit_dx           = rel_t'(unit_i.line_x) - rel_t'(unit_i.win_x);
  assign win_h             = ((rel_t'(unit_i.tile_h) - rel_t'(1)) <<< layer_i.stride_y2) + rel_t'(layer_i.kernel_r);
  assign win_w             = ((rel_t'(unit_i.tile_w) - rel_t'(1)) <<< layer_i.stride_x2) + rel_t'(layer_i.kernel_s);
  assign plane_h           = $signed({2'b00, layer_i.in_h}) - 18'(unit_i.win_y);
  assign plane_w           = $signed({2'b00, layer_i.in_w}) - 18'(unit_i.win_x);
  assign row_end           = lines_x_left_q == nlines_t'(1);
  assign channel_end       = row_end && lines_y_left_q == nlines_t'(1);
  assign walk_end          = channel_end && channels_left_q == dim_t'(1);
  assign next_channel_addr = channel_addr_q + derived_i.in_lines;
  assign next_row_addr     = row_addr_q + addr_t'(layer_i.lines_x);
  assign take              = idx_req_o && idx_gnt_i;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      walk_q <= 1'b0;
      mark_q <= 1'b0;
    end else if (unit_valid_i) begin
      walk_q <= !no_lines;
      mark_q <= no_lines;
    end else begin
      if (take && walk_end) walk_q <= 1'b0;
      mark_q <= 1'b0;
    end
  end

  always_ff @(posedge clk_i) begin
    if (unit_valid_i) begin
      lines_y_q       <= unit_i.lines_y;
      lines_x_q       <= unit_i.lines_x;
      rows_end_q      <= plane_h < 18'(win_h) ? rel_t'(plane_h) : win_h;
      cols_end_q      <= plane_w < 18'(win_w) ? rel_t'(plane_w) : win_w;
      dy_first_q      <= unit_dy;
      dx_first_q      <= unit_dx;
      channels_left_q <= unit_i.channels;
      lines_y_left_q  <= unit_i.lines_y;
      lines_x_left_q  <= unit_i.lines_x;
      channel_addr_q  <= unit_i.idx_addr;
      row_addr_q      <= unit_i.idx_addr;
      idx_addr_q      <= unit_i.idx_addr;
      dy_q            <= unit_dy;
      dx_q            <= unit_dx;
    end else if (take) begin
      if (channel_end) begin
        channels_left_q <= channels_left_q - dim_t'(1);
        channel_addr_q  <= next_channel_addr;
        row_addr_q      <= next_channel_addr;
        idx_addr_q      <= next_channel_addr;
        lines_y_left_q  <= lines_y_q;
        lines_x_left_q  <= lines_x_q;
        dy_q            <= dy_first_q;
        dx_q            <= dx_first_q;
      end else if (row_end) begin
        row_addr_q     <= next_row_addr;
        idx_addr_q     <= next_row_addr;
        lines_y_left_q <= lines_y_left_q - nlines_t'(1);
        lines_x_left_q <= lines_x_q;
        dy_q           <= dy_q + rel_t'(layer_i.line_h);
        dx_q           <= dx_first_q;
      end else begin
        idx_addr_q     <= idx_addr_q + addr_t'(1);
        lines_x_left_q <= lines_x_left_q - nlines_t'(1);
        dx_q           <= dx_q + rel_t'(layer_i.line_w);
      end
    end
  end

  // -------------------------------------------------------------------------------------------------------------------
  // Entries
  // -------------------------------------------------------------------------------------------------------------------
  localparam int unsigned LevelW = $clog2(IdxDepth + 1);
  share_t            share_q;
  logic              wait_q;     // an entry arrives in this cycle
  line_entry_t       entry_in;
  logic [LevelW-1:0] level;

  assign idx_req_o  = walk_q && level + LevelW'(wait_q) != LevelW'(IdxDepth);
  assign idx_addr_o = idx_addr_q;
  assign busy_o     = walk_q || mark_q || wait_q || entry_valid_o;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      wait_q <= 1'b0;
    end else begin
      wait_q <= take;
    end
  end

  // Every row of the rectangle inside the window is a run of ones from bit row*line_w + col_lo to before
  // row*line_w + col_hi, the difference of two powers of two. The runs do not overlap, so one subtraction makes all.
  // -(2^n) are the bits from n up.
  rel_t    rows_left, cols_left;                // to the window's end
  npos_t   row_lo, row_hi, col_lo, col_hi;      // first and past-the-last inside
  bitmap_t rows, mask;

  always_comb begin
    rows_left = rows_end_q - dy_q;
    cols_left = cols_end_q - dx_q;
    row_lo    = dy_q < 0 ? npos_t'(-dy_q) : '0;
    col_lo    = dx_q < 0 ? npos_t'(-dx_q) : '0;
    row_hi    = rows_left < rel_t'(layer_i.line_h) ? npos_t'(rows_left) : layer_i.line_h;
    col_hi    = cols_left < rel_t'(layer_i.line_w) ? npos_t'(cols_left) : layer_i.line_w;
    rows      = '0;
    mask      = '0;
    if (walk_q) begin
      rows = derived_i.row_starts & ((bitmap_t'(1) << npos_t'(row_hi * layer_i.line_w)) - bitmap_t'(1))
                                  & -(bitmap_t'(1) << npos_t'(row_lo * layer_i.line_w));
      mask = (rows << col_hi) - (rows << col_lo);
    end
  end

  always_ff @(posedge clk_i) begin
    if (take) begin
      share_q <= '{
        mask:            mask,
        origin:          region_off_t'(dy_q) * derived_i.win_w + region_off_t'(dx_q),
        last_of_channel: channel_end,
        last_of_unit:    walk_end
      };
    end
  end

  always_comb begin
    entry_in = '0;
    if (mark_q) begin
      entry_in.last_of_channel = 1'b1;
      entry_in.last_of_unit    = 1'b1;
    end else if (idx_rvalid_i) begin
      entry_in = '{
        bitmap:          idx_rdata_i.bitmap,
        need:            layer_i.skip ? idx_rdata_i.bitmap & share_q.mask : share_q.mask,
        ptr:             idx_rdata_i.ptr,
        origin:          share_q.origin,
        last_of_channel: share_q.last_of_channel,
        last_of_unit:    share_q.last_of_unit
      };
    end
  end

  spcore_fifo #(
    .Width($bits(line_entry_t)),
    .Depth(IdxDepth)
  ) u_entries (
    .clk_i,
    .rst_ni,
    .clear_i(1'b0),
    .valid_i(idx_rvalid_i || mark_q),
    .ready_o(),   // a request is made only with room for its entry
    .data_i (entry_in),
    .valid_o(entry_valid_o),
    .ready_i(entry_ready_i),
    .data_o (entry_o),
    .level_o(level)
  );

endmodule
