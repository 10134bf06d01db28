// SPDX-License-Identifier: Apache-2.0
// Writes the tables of the PEs that follow from a layer's tile and kernel: the tile position at each offset of a region,
// and the masks of the tile's positions, 64 offsets a word, for each shape that the edges of the output plane leave of a
// tile. Derives where the octets of a line lie in a region.
//
// A position a cycle, in ascending order; it is in the masks two cycles later. A word of the masks is written, one shape
// a cycle, when the next position lies behind it. Under a hundred cycles.
module spcore_tile_tables
  import sparsecore_pkg::*;
(
  input  logic            clk_i,
  input  logic            rst_ni,
  input  logic            start_i,
  output logic            done_o,      // pulse
  // From start_i to done_o
  input  ctx_t            ctx_i,
  input  layer_t          layer_i,
  input  region_off_t     win_w_i,
  input  npos_t           last_h_i,    // rows of the tiles at the bottom of the plane
  input  npos_t           last_w_i,    // and columns of those at its right
  // To the PEs
  output pos_tab_write_t  pos_tab_o,
  output mask_tab_write_t mask_tab_o,
  // Parts of derived_t, from done_o on
  output region_off_t  [LineWords-1:0] line_off_o,
  output region_word_t [NumShapes-1:0] last_word_o
);

  typedef enum logic [1:0] {StIdle, StWalk, StWrite, StWait} state_e;

  state_e       state_q, state_d;
  logic         idle_q;            // state_q is StIdle
  npos_t        ty_q, tx_q;
  region_off_t  q_q, row_q;        // of the position, and of its row's first
  pos_t         p_q;
  region_word_t word_q;            // of the masks at hand
  shape_t       shape_q;           // that is being written
  logic         clear_q;           // the masks, after their word is written
  logic [NumShapes-1:0] set_q;     // the position of the previous cycle, at spot_q, is one of the shape's
  pos_t         spot_q;
  bitmap_t [NumShapes-1:0] mask_q;
  logic         end_q;             // the last position is in the masks
  logic         row_end, take, write, last_shape;
  logic [NumShapes-1:0] fits;      // the position is one of the shape's
  region_off_t  next_row;

  assign row_end    = tx_q == layer_i.tile_w - npos_t'(1);
  assign take       = state_q == StWalk && !end_q && q_q[RegionW-1:PosW] == word_q;
  assign write      = state_q == StWrite;
  assign last_shape = shape_q == shape_t'(NumShapes - 1);
  assign next_row   = row_q + win_w_i * (region_off_t'(layer_i.stride_y) + region_off_t'(1));
  always_comb begin
    for (int unsigned i = 0; i < NumShapes; i++) fits[i] = (!i[0] || tx_q < last_w_i) && (!i[1] || ty_q < last_h_i);
  end

  always_comb begin
    state_d = state_q;
    unique case (state_q)
      StIdle:  if (start_i) state_d = StWalk;
      StWalk:  if (!take) state_d = StWrite;
      StWrite: if (last_shape) state_d = end_q ? StWait : StWalk;
      StWait:  if (done_o) state_d = StIdle;
      default: state_d = StIdle;
    endcase
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      state_q    <= StIdle;
      idle_q     <= 1'b1;
      clear_q    <= 1'b1;
      set_q      <= '0;
      pos_tab_o  <= '0;
      mask_tab_o <= '0;
    end else begin
      state_q    <= state_d;
      idle_q     <= state_d == StIdle;
      clear_q    <= idle_q || (write && last_shape);
      set_q      <= take ? fits : '0;
      pos_tab_o  <= '{valid: take, ctx: ctx_i, q: q_q, p: p_q};
      mask_tab_o <= '{valid: write, ctx: ctx_i, shape: shape_q, word: word_q, bits: mask_q[shape_q]};
    end
  end

  always_ff @(posedge clk_i) begin
    spot_q <= q_q[PosW-1:0];
    if (clear_q) begin
      mask_q <= '0;
    end else begin
      for (int unsigned i = 0; i < NumShapes; i++) begin
        if (set_q[i]) mask_q[i] <= mask_q[i] | (bitmap_t'(1) << spot_q);
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (idle_q) begin
      ty_q    <= '0;
      tx_q    <= '0;
      q_q     <= '0;
      row_q   <= '0;
      p_q     <= '0;
      word_q  <= '0;
      shape_q <= '0;
      end_q   <= 1'b0;
    end else if (take) begin
      for (int unsigned i = 0; i < NumShapes; i++) begin
        if (fits[i]) last_word_o[i] <= word_q;
      end
      p_q   <= p_q + pos_t'(1);
      end_q <= row_end && ty_q == layer_i.tile_h - npos_t'(1);
      if (row_end) begin
        tx_q  <= '0;
        ty_q  <= ty_q + npos_t'(1);
        row_q <= next_row;
        q_q   <= next_row;
      end else begin
        tx_q <= tx_q + npos_t'(1);
        q_q  <= q_q + region_off_t'(layer_i.stride_x) + region_off_t'(1);
      end
    end else if (write) begin
      shape_q <= shape_q + shape_t'(1);
      if (last_shape) word_q <= word_q + region_word_t'(1);
    end
  end

  // ---- Octets of a line ----
  logic [PosW:0] bit_q;      // LinePos: all done
  npos_t         col_q;      // of the bit in its row
  region_off_t   off_q;
  logic          col_end;

  assign col_end = col_q == layer_i.line_w - npos_t'(1);
  assign done_o  = state_q == StWait && bit_q == npos_t'(LinePos);

  always_ff @(posedge clk_i) begin
    if (idle_q) begin
      bit_q <= '0;
      col_q <= '0;
      off_q <= '0;
    end else if (bit_q != npos_t'(LinePos)) begin
      bit_q <= bit_q + npos_t'(1);
      col_q <= col_end ? '0 : col_q + npos_t'(1);
      off_q <= off_q + (col_end ? win_w_i - region_off_t'(layer_i.line_w) + region_off_t'(1) : region_off_t'(1));
      if (bit_q[2:0] == '0) line_off_o[bit_q[PosW-1:3]] <= off_q;
    end
  end

endmodule
