// SPDX-License-Identifier: Apache-2.0
// Walks the lines that meet a unit's window, channel by channel, and reads their index entries.
//
// Rows that no tap meets are no part of the window's share, and lines that hold none else are left out where the
// descriptor says so (derived_t.line_shift). One entry is requested a cycle; a place is set aside for each until it is
// read from the memory of entries. Meanwhile the line's share of the window is worked out in three stages: rows and
// columns, rows as bits, mask. A unit without lines (its window lies in the padding alone) yields one entry without
// positions that ends it.
module spcore_line_walk
  import sparsecore_pkg::*;
  import spcore_pe_pkg::*;
#(
  parameter int unsigned IdxDepth = 12   // entries requested or waiting, at least 2; 8 sustain an entry a cycle
) (
  input  logic         clk_i,
  input  logic         rst_ni,
  input  layer_t   [1:0] layer_i,
  input  derived_t [1:0] derived_i,
  // Only while no unit is open: one is from the cycle after unit_valid_i until its last entry is handed on.
  input  logic         unit_valid_i,
  input  logic         unit_open_i,
  input  unit_t        unit_i,
  // Index Memory
  input  logic         urgent_i,
  output mem_req_t     idx_req_o,
  input  mem_rsp_t     idx_rsp_i,
  input  index_entry_t idx_rdata_i,
  output logic         entry_valid_o,
  input  logic         entry_ready_i,
  output line_entry_t  entry_o
);

  if (IdxDepth < 2) begin : gen_check_depth
    $error("%m: IdxDepth = %0d, expected at least 2", IdxDepth);
  end

  // Row or column relative to the window: a window has at most (64-1)*4 + 22 rows, its first line begins up to 63 before
  // it, and the walk steps up to 64 past its end.
  typedef logic signed [9:0] rel_t;

  // Where a line stands in the walk.
  typedef struct packed {
    logic last_of_row;
    logic last_of_channel;
    logic last_of_unit;
  } place_t;

  // ---- The unit's layer ----
  ctx_t        ctx_q;
  logic        skip_q;
  npos_t       line_w_q;
  region_off_t win_pitch_q;

  // What is multiplied, or has many loads, is kept.
  always_ff @(posedge clk_i) begin
    if (!unit_open_i) begin
      ctx_q       <= unit_i.ctx;
      skip_q      <= layer_i[unit_i.ctx].skip;
      line_w_q    <= layer_i[unit_i.ctx].line_w;
      win_pitch_q <= derived_i[unit_i.ctx].win_w;
    end
  end

  // ---- The walk ----
  nlines_t lines_y_q, lines_x_q;
  logic    walk_q;                          // entries are left to request
  logic    mark_q;                          // the unit has no lines, its end is still to be handed on
  dim_t    channels_left_q;                 // the present one included, likewise below
  nlines_t lines_y_left_q, lines_x_left_q;
  addr_t   channel_addr_q, row_addr_q, idx_addr_q;
  addr_t   next_channel_addr, next_row_addr;
  logic    no_lines, room_q, take;
  logic    entry_free;                      // an entry can be handed on
  place_t  place_q;                         // of the entry that is requested
  logic    row_end, channel_end, walk_end;  // the next entry is the last of its row of lines, ...
  nlines_t next_lines_y_left, next_lines_x_left;
  dim_t    next_channels_left;

  assign no_lines  = unit_i.lines_y == '0 || unit_i.lines_x == '0;
  assign idx_req_o = '{valid: walk_q && room_q, urgent: urgent_i, addr: idx_addr_q};
  assign take      = idx_req_o.valid && idx_rsp_i.gnt;

  always_comb begin
    next_channel_addr  = 'x;
    next_row_addr      = 'x;
    next_lines_x_left  = 'x;
    next_lines_y_left  = 'x;
    next_channels_left = 'x;
    if (!unit_open_i) begin
      next_lines_x_left  = unit_i.lines_x;
      next_lines_y_left  = unit_i.lines_y;
      next_channels_left = unit_i.channels;
    end else if (take) begin
      next_channel_addr  = channel_addr_q + layer_i[ctx_q].in_pitch;
      next_row_addr      = row_addr_q + (addr_t'(layer_i[ctx_q].lines_x) << derived_i[ctx_q].line_shift);
      next_lines_x_left  = place_q.last_of_row ? lines_x_q : lines_x_left_q - nlines_t'(1);
      next_lines_y_left  = place_q.last_of_channel ? lines_y_q : lines_y_left_q - nlines_t'(place_q.last_of_row);
      next_channels_left = channels_left_q - dim_t'(place_q.last_of_channel);
    end
  end
  assign row_end     = next_lines_x_left == nlines_t'(1);
  assign channel_end = row_end && next_lines_y_left == nlines_t'(1);
  assign walk_end    = channel_end && next_channels_left == dim_t'(1);

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      walk_q <= 1'b0;
      mark_q <= 1'b0;
    end else if (unit_valid_i) begin
      walk_q <= !no_lines;
      mark_q <= no_lines;
    end else begin
      if (take && place_q.last_of_unit) walk_q <= 1'b0;
      if (entry_free)                   mark_q <= 1'b0;
    end
  end

  always_ff @(posedge clk_i) begin
    if (!unit_open_i) begin
      lines_y_q <= unit_i.lines_y;
      lines_x_q <= unit_i.lines_x;
    end
    // take only enables registers: it comes late, and the addresses are wide.
    if (!unit_open_i || take) begin
      if (!unit_open_i) begin
        channel_addr_q <= unit_i.idx_addr;
        row_addr_q     <= unit_i.idx_addr;
        idx_addr_q     <= unit_i.idx_addr;
      end else if (place_q.last_of_channel) begin
        channel_addr_q <= next_channel_addr;
        row_addr_q     <= next_channel_addr;
        idx_addr_q     <= next_channel_addr;
      end else if (place_q.last_of_row) begin
        row_addr_q     <= next_row_addr;
        idx_addr_q     <= next_row_addr;
      end else begin
        idx_addr_q     <= idx_addr_q + addr_t'(1);
      end
      channels_left_q <= next_channels_left;
      lines_y_left_q  <= next_lines_y_left;
      lines_x_left_q  <= next_lines_x_left;
      place_q         <= '{last_of_row: row_end, last_of_channel: channel_end, last_of_unit: walk_end};
    end
  end

  // ---- A line's share of the window ----
  coord_t  win_y_q, win_x_q;
  logic signed [17:0] plane_h_q, plane_w_q;   // what of the plane lies behind the window's origin
  rel_t    win_h_q, win_w_q;
  rel_t    rows_end_q, cols_end_q;            // past the window's last row and column inside the plane
  logic    begun_q, plane_q;                  // a unit was taken in the previous cycle, in the one before it
  rel_t    dy_first_q, dx_first_q;            // first row and column of the channel's first line
  rel_t    dy_q, dx_q;                        // and of the present one
  rel_t    unit_dy, unit_dx;
  place_t  taken_place_q, place;
  logic    taken_q;                           // an entry was requested in the previous cycle
  logic    place_valid, step;

  always_comb begin
    unit_dy = 'x;
    unit_dx = 'x;
    if (!unit_open_i) begin
      unit_dy = rel_t'(unit_i.line_y) - rel_t'(unit_i.win_y);
      unit_dx = rel_t'(unit_i.line_x) - rel_t'(unit_i.win_x);
    end
  end

  spcore_fifo #(
    .Width($bits(place_t)), .Depth(IdxDepth)
  ) u_places (
    .clk_i, .rst_ni, .clear_i(1'b0),
    .valid_i(taken_q), .ready_o(), .data_i(taken_place_q),   // as many as there are entries under way
    .valid_o(place_valid), .ready_i(step), .data_o(place),
    .level_o()
  );

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      begun_q <= 1'b0;
      plane_q <= 1'b0;
      taken_q <= 1'b0;
    end else begin
      taken_q <= take;
      begun_q <= unit_valid_i;
      plane_q <= begun_q;
    end
  end

  always_ff @(posedge clk_i) begin
    if (take) taken_place_q <= place_q;
    if (!unit_open_i) begin
      win_y_q    <= unit_i.win_y;
      win_x_q    <= unit_i.win_x;
      win_h_q    <= $signed({1'b0, unit_i.tile_h == layer_i[unit_i.ctx].tile_h ? derived_i[unit_i.ctx].win_h
                                                                                     : derived_i[unit_i.ctx].last_win_h});
      win_w_q    <= $signed({1'b0, unit_i.tile_w == layer_i[unit_i.ctx].tile_w ? derived_i[unit_i.ctx].win_w
                                                                                     : derived_i[unit_i.ctx].last_win_w});
      dy_first_q <= unit_dy;
      dx_first_q <= unit_dx;
      dy_q       <= unit_dy;
      dx_q       <= unit_dx;
    end else if (step) begin
      if (place.last_of_channel) begin
        dy_q <= dy_first_q;
        dx_q <= dx_first_q;
      end else if (place.last_of_row) begin
        dy_q <= dy_q + (rel_t'(layer_i[ctx_q].line_h) <<< derived_i[ctx_q].line_shift);
        dx_q <= dx_first_q;
      end else begin
        dx_q <= dx_q + rel_t'(line_w_q);
      end
    end
    if (begun_q) begin
      plane_h_q <= $signed({2'b00, layer_i[ctx_q].in_h}) - 18'(win_y_q);
      plane_w_q <= $signed({2'b00, layer_i[ctx_q].in_w}) - 18'(win_x_q);
    end
    if (plane_q) begin
      rows_end_q <= plane_h_q < 18'(win_h_q) ? rel_t'(plane_h_q) : win_h_q;
      cols_end_q <= plane_w_q < 18'(win_w_q) ? rel_t'(plane_w_q) : win_w_q;
    end
  end

  // Every row of the rectangle inside the window is a run of ones from bit row*line_w + col_lo to before
  // row*line_w + col_hi, the difference of two powers of two. The runs do not overlap, so one subtraction makes all.
  // -(2^n) are the bits from n up.
  typedef struct packed {
    npos_t row_lo;        // first and past-the-last inside
    npos_t row_hi;
    npos_t col_lo;
    npos_t col_hi;
    rel_t  dy;
    rel_t  dx;
    logic  last_of_channel;
    logic  last_of_unit;
  } range_t;

  typedef struct packed {
    bitmap_t     rows;    // first bits of the rows inside that a tap meets
    npos_t       col_lo;
    npos_t       col_hi;
    region_off_t origin;
    logic        last_of_channel;
    logic        last_of_unit;
  } rows_t;

  typedef struct packed {
    bitmap_t     mask;    // positions inside window and plane
    region_off_t origin;
    logic        last_of_channel;
    logic        last_of_unit;
  } share_t;

  logic   range_valid_q, rows_valid_q, share_valid_q;
  logic   range_ready, rows_ready, share_ready, share_take;
  range_t range_q;
  rows_t  rows_q;
  share_t share_q;
  rel_t   rows_left, cols_left;   // to the window's end
  // In a variable of its own: as an index, yosys-slang takes a part of a signed field for signed.
  logic [$clog2(TapPhases)-1:0] phase;

  assign share_ready = !share_valid_q || share_take;
  assign rows_ready  = !rows_valid_q || share_ready;
  assign range_ready = !range_valid_q || rows_ready;
  assign step        = place_valid && range_ready;
  assign phase       = range_q.dy[$clog2(TapPhases)-1:0];
  assign rows_left   = rows_end_q - dy_q;
  assign cols_left   = cols_end_q - dx_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      range_valid_q <= 1'b0;
      rows_valid_q  <= 1'b0;
      share_valid_q <= 1'b0;
    end else begin
      if (range_ready) range_valid_q <= step;
      if (rows_ready)  rows_valid_q  <= range_valid_q;
      if (share_ready) share_valid_q <= rows_valid_q;
    end
  end

  always_ff @(posedge clk_i) begin
    if (step) begin
      range_q <= '{
        row_lo:          dy_q < 0 ? npos_t'(-dy_q) : '0,
        row_hi:          rows_left < rel_t'(layer_i[ctx_q].line_h) ? npos_t'(rows_left) : layer_i[ctx_q].line_h,
        col_lo:          dx_q < 0 ? npos_t'(-dx_q) : '0,
        col_hi:          cols_left < rel_t'(line_w_q) ? npos_t'(cols_left) : line_w_q,
        dy:              dy_q,
        dx:              dx_q,
        last_of_channel: place.last_of_channel,
        last_of_unit:    place.last_of_unit
      };
    end
    if (rows_ready && range_valid_q) begin
      rows_q <= '{
        rows:            derived_i[ctx_q].tap_rows[phase] & ~(-(bitmap_t'(1) << npos_t'(range_q.row_hi * line_w_q)))
                                                          & -(bitmap_t'(1) << npos_t'(range_q.row_lo * line_w_q)),
        col_lo:          range_q.col_lo,
        col_hi:          range_q.col_hi,
        origin:          region_off_t'(range_q.dy) * win_pitch_q + region_off_t'(range_q.dx),
        last_of_channel: range_q.last_of_channel,
        last_of_unit:    range_q.last_of_unit
      };
    end
    if (share_ready && rows_valid_q) begin
      share_q <= '{
        mask:            (rows_q.rows << rows_q.col_hi) - (rows_q.rows << rows_q.col_lo),
        origin:          rows_q.origin,
        last_of_channel: rows_q.last_of_channel,
        last_of_unit:    rows_q.last_of_unit
      };
    end
  end

  // ---- Entries ----
  localparam int unsigned PtrW   = $clog2(IdxDepth);
  localparam int unsigned LevelW = $clog2(IdxDepth + 1);
  typedef logic [PtrW-1:0]   ptr_t;
  typedef logic [LevelW-1:0] level_t;

  localparam ptr_t Last = ptr_t'(IdxDepth - 1);

  level_t       used_q, used_next;   // places taken
  level_t       filled_q;            // entries in places
  ptr_t         fill_ptr_q, read_ptr_q;
  logic         read, read_q;        // read_q: an entry is at the memory's output
  index_entry_t stored;
  bitmap_t      hits, need;

  assign used_next  = used_q + level_t'(take) - level_t'(read);
  assign read       = filled_q != '0 && (!read_q || share_take);
  assign entry_free = !entry_valid_o || entry_ready_i;
  assign share_take = read_q && share_valid_q && entry_free;

  always_comb begin
    hits = 'x;
    need = 'x;
    if (share_take) begin
      hits = stored.bitmap & share_q.mask;
      need = skip_q ? hits : share_q.mask;
    end
  end

  spcore_mem_1r1w #(
    .NumWords(IdxDepth), .DataWidth($bits(index_entry_t))
  ) u_entries (
    .clk_i,
    .we_i(idx_rsp_i.rvalid), .waddr_i(fill_ptr_q), .wdata_i(idx_rdata_i),
    .re_i(read), .raddr_i(read_ptr_q), .rdata_o(stored)
  );

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      used_q        <= '0;
      room_q        <= 1'b1;
      filled_q      <= '0;
      fill_ptr_q    <= '0;
      read_ptr_q    <= '0;
      read_q        <= 1'b0;
      entry_valid_o <= 1'b0;
    end else begin
      used_q   <= used_next;
      room_q   <= used_next != level_t'(IdxDepth);
      filled_q <= filled_q + level_t'(idx_rsp_i.rvalid) - level_t'(read);
      if (idx_rsp_i.rvalid) fill_ptr_q <= fill_ptr_q == Last ? '0 : fill_ptr_q + 1'b1;
      if (read)             read_ptr_q <= read_ptr_q == Last ? '0 : read_ptr_q + 1'b1;
      read_q <= read || (read_q && !share_take);
      if (entry_free) entry_valid_o <= share_take || mark_q;
    end
  end

  always_ff @(posedge clk_i) begin
    if (entry_free && (mark_q || read_q)) begin
      if (mark_q) begin
        entry_o                 <= '0;
        entry_o.last_of_channel <= 1'b1;
        entry_o.last_of_unit    <= 1'b1;
      end else begin
        entry_o <= '{
          bitmap:          stored.bitmap,
          need:            need,
          ptr:             stored.ptr,
          origin:          share_q.origin,
          any:             need != '0,
          words:           hits != '0,
          last_of_channel: share_q.last_of_channel,
          last_of_unit:    share_q.last_of_unit
        };
      end
    end
  end

endmodule
