// SPDX-License-Identifier: Apache-2.0
// Walks a layer's output tiles and works out each one's window, up to one tile in two cycles.
//
// Tile rows come in the order 1..n-2, 0, n-1: the top row (whose first kernel rows fall into the padding) and the
// bottom row (often cut short) make shorter units, and short units at the end balance the PEs best.
// Before the first tile the axes divide: 104 cycles, while layer_setup checks the descriptor. A bad one makes tiles that
// nobody takes.
module spcore_tile_walk
  import sparsecore_pkg::*;
  import spcore_sched_pkg::*;
(
  input  logic     clk_i,
  input  logic     rst_ni,
  input  logic     prepare_i,
  input  layer_t   layer_i,
  output logic     tile_valid_o,
  input  logic     tile_ready_i,
  // Of unit_t only what depends on the tile alone; idx_addr is that of channel 0.
  output unit_t    tile_o,
  output logic     tile_last_o
);

  localparam int unsigned DivBits = 17;

  axis_t axis_y, axis_x;
  assign axis_y = '{in_size: layer_i.in_h, out_size: layer_i.out_h, tile: layer_i.tile_h, line: layer_i.line_h,
                    lines: layer_i.lines_y, stride: layer_i.stride_y, pad: layer_i.pad_top, kernel: layer_i.kernel_r};
  assign axis_x = '{in_size: layer_i.in_w, out_size: layer_i.out_w, tile: layer_i.tile_w, line: layer_i.line_w,
                    lines: layer_i.lines_x, stride: layer_i.stride_x, pad: layer_i.pad_left, kernel: layer_i.kernel_s};

  // ---- before the first tile: four divisions by the same schedule on both axes ----
  typedef enum logic [2:0] {StIdle, StLoad, StDivide, StBorrow, StStore, StRewind, StSkip, StWalk} state_e;

  state_e     state_q;
  div_e       div_q;
  logic [4:0] count_q;
  logic       rewind_q;    // state_q is StRewind
  logic       all_taken;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      state_q  <= StIdle;
      rewind_q <= 1'b0;
      div_q    <= DivStep;
      count_q  <= '0;
    end else if (prepare_i) begin
      state_q  <= StLoad;
      rewind_q <= 1'b0;
      div_q    <= DivStep;
    end else begin
      rewind_q <= state_q == StStore && div_q == DivOrigin;
      unique case (state_q)
        StLoad: begin
          state_q <= StDivide;
          count_q <= 5'(DivBits - 1);
        end
        StDivide: begin
          count_q <= count_q == '0 ? 5'(MaxPad - 1) : count_q - 5'd1;
          if (count_q == '0) state_q <= StBorrow;
        end
        StBorrow: begin
          count_q <= count_q - 5'd1;
          if (count_q == '0) state_q <= StStore;
        end
        StStore: begin
          div_q   <= div_e'(div_q + 2'd1);
          state_q <= div_q == DivOrigin ? StRewind : StLoad;
        end
        StRewind: state_q <= layer_i.tiles_y > dim_t'(2) ? StSkip : StWalk;
        StSkip:   state_q <= StWalk;
        StWalk:   if (all_taken) state_q <= StIdle;
        default: ;
      endcase
    end
  end

  // ---- the present tile ----
  dim_t  rows_left_q, col_q;
  addr_t row_line_q;           // output line of the row that axis y stands at
  logic  top_q;                // the present row is row 0, out of its order
  logic  advance, last_col, row_end, next_row;

  assign row_end   = state_q == StWalk && advance && last_col;
  assign all_taken = row_end && rows_left_q == dim_t'(1);
  assign next_row  = state_q == StSkip || (row_end && !top_q);

  always_ff @(posedge clk_i) begin
    if (state_q == StBorrow) begin
      col_q      <= '0;
      row_line_q <= '0;
    end
    if (rewind_q) begin
      rows_left_q <= layer_i.tiles_y;
      top_q       <= 1'b0;
    end else begin
      if (row_end) begin
        rows_left_q <= rows_left_q - dim_t'(1);
        top_q       <= rows_left_q == dim_t'(3);
      end
      if (next_row) row_line_q <= row_line_q + addr_t'(layer_i.tiles_x);
      if (state_q == StWalk && advance) col_q <= last_col ? '0 : col_q + dim_t'(1);
    end
  end

  // Axes borrow where the quotient is of a coordinate, not of a distance.
  axis_op_e op_y, op_x;
  always_comb begin
    op_y = AxisHold;
    op_x = AxisHold;
    unique case (state_q)
      StLoad:   begin op_y = AxisLoad;   op_x = AxisLoad;   end
      StDivide: begin op_y = AxisDivide; op_x = AxisDivide; end
      StStore:  begin op_y = AxisStore;  op_x = AxisStore;  end
      StRewind: begin op_y = AxisStep;   op_x = AxisStep;   end
      StBorrow: begin
        if (div_q != DivStep && $signed(8'(count_q)) < layer_i.pad_top) op_y = AxisBorrow;
        if (div_q != DivStep && $signed(8'(count_q)) < layer_i.pad_left) op_x = AxisBorrow;
      end
      StSkip, StWalk: begin
        if (next_row) op_y = AxisStep;
        if (state_q == StWalk && advance) op_x = AxisStep;
      end
      default: ;
    endcase
  end

  span_t span_y, span_x;

  spcore_axis_walk #(
    .WithEntry(1'b1)
  ) u_axis_y (
    .clk_i,
    .axis_i (axis_y),
    .pitch_i(addr_t'(layer_i.lines_x)),
    .op_i   (op_y),
    .div_i  (div_q),
    .last_o (),
    .load_i (advance),
    .first_i(top_q),
    .span_o (span_y)
  );

  spcore_axis_walk #(
    .WithEntry(1'b0)
  ) u_axis_x (
    .clk_i,
    .axis_i (axis_x),
    .pitch_i(addr_t'(1)),
    .op_i   (op_x),
    .div_i  (div_q),
    .last_o (last_col),
    .load_i (advance),
    .first_i(1'b0),
    .span_o (span_x)
  );

  // ---- stage 1: windows (in the axes); stage 2: the tile ----
  logic  s1_valid_q, s2_valid_q, s1_last_q, s2_last_q;
  addr_t s1_line_q;
  unit_t s2_tile_q;

  function automatic nlines_t line_count(input span_t span, input logic [1:0] shift);
    return span.none ? '0 : nlines_t'((span.line_last - span.line_first) >> shift) + nlines_t'(1);
  endfunction

  // The axes go on when stage 1 is empty, whatever becomes of the tile in this cycle.
  logic take;
  assign advance = !s1_valid_q;
  assign take    = s1_valid_q && (!s2_valid_q || tile_ready_i);

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      s1_valid_q <= 1'b0;
      s2_valid_q <= 1'b0;
    end else if (prepare_i) begin
      s1_valid_q <= 1'b0;
      s2_valid_q <= 1'b0;
    end else begin
      if (advance)   s1_valid_q <= state_q == StWalk;
      else if (take) s1_valid_q <= 1'b0;
      if (take)              s2_valid_q <= 1'b1;
      else if (tile_ready_i) s2_valid_q <= 1'b0;
    end
  end

  always_ff @(posedge clk_i) begin
    if (advance) begin
      s1_last_q <= last_col && rows_left_q == dim_t'(1);
      s1_line_q <= (top_q ? '0 : row_line_q) + addr_t'(col_q);
    end
    if (take) begin
      s2_last_q <= s1_last_q;
      s2_tile_q <= '{
        out_line: s1_line_q,
        tile_h:   span_y.size,
        tile_w:   span_x.size,
        idx_addr: layer_i.in_idx_base + span_y.entry + span_x.entry,
        win_y:    span_y.origin,
        win_x:    span_x.origin,
        line_y:   span_y.coord,
        line_x:   span_x.coord,
        lines_y:  line_count(span_y, line_shift(layer_i)),
        lines_x:  line_count(span_x, 2'd0),
        default:  '0
      };
    end
  end

  assign tile_valid_o = s2_valid_q;
  assign tile_last_o  = s2_last_q;
  assign tile_o       = s2_tile_q;

endmodule
