// SPDX-License-Identifier: Apache-2.0
// Positions of a tile that lie inside the output plane: rows of tile_w_i positions at a distance of pitch_i, in the line
// order of a full tile. The rows double each cycle, so the mask is complete ceil(log2(tile_h_i)) cycles after start_i,
// at most 6.

module spcore_tile_mask
  import sparsecore_pkg::*;
(
  input  logic    clk_i,
  input  logic    rst_ni,
  input  logic    start_i,
  input  npos_t   tile_h_i,
  input  npos_t   tile_w_i,
  input  npos_t   pitch_i,   // columns of a full tile
  output npos_t   npos_o,    // positions up to the last one inside; from the cycle after start_i
  output bitmap_t mask_o,
  output logic    done_o
);

  bitmap_t rows_q;
  npos_t   count_q, height_q, distance_q, npos_q;
  logic    busy_q;

  assign done_o = ~busy_q;
  assign npos_o = npos_q;
  assign mask_o = rows_q & ~(bitmap_t'('1) << npos_q);

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      rows_q     <= '0;
      count_q    <= '0;
      height_q   <= '0;
      distance_q <= '0;
      npos_q     <= '0;
      busy_q     <= 1'b0;
    end else if (start_i) begin
      rows_q     <= ~(bitmap_t'('1) << tile_w_i);
      count_q    <= npos_t'(1);
      height_q   <= tile_h_i;
      distance_q <= pitch_i;
      npos_q     <= npos_t'((tile_h_i - 1'b1) * pitch_i) + tile_w_i;
      busy_q     <= tile_h_i > npos_t'(1);
    end else if (busy_q) begin
      rows_q     <= rows_q | (rows_q << distance_q);
      count_q    <= count_q << 1;
      distance_q <= distance_q << 1;
      busy_q     <= count_q << 1 < height_q;
    end
  end

endmodule
