// Turns the regions of a PE into passes: for each (r, s) of the kernel the region's bitmap shifted by r*win_w + s and
// masked to the tile's positions, cut into segments of 64 positions. One segment is examined a cycle. Non-empty ones go
// to the scanner through a FIFO, and the first of a pass sends the address of its weight vector to the weight queue:
// empty passes vanish with their weights.
//
// The newest segment is held back, so that the last of a region can still be told to release the region's buffer and
// to end the unit. A region (or unit) without any non-empty segment is ended by a segment without bits.
//
// The mask has a bit at q = ty*stride_y*win_w + tx*stride_x for each position (ty, tx) of the unit's tile. It is built a
// row a cycle when a unit's tile differs in shape from the one before.

module spcore_pass_generator
  import sparsecore_pkg::*;
  import spcore_pe_pkg::*;
#(
  parameter int unsigned RegionPos = 512,  // positions of a region buffer, a multiple of 64
  parameter int unsigned FifoDepth = 4     // segments, at least 2
) (
  input  logic                 clk_i,
  input  logic                 rst_ni,

  input  layer_t               layer_i,
  input  derived_t             derived_i,
  input  logic                 start_i,      // of a layer: the mask is built anew, so its cycles do not depend on others

  // regions, from region_loader
  input  logic                 region_valid_i,
  output logic                 region_ready_o,
  input  region_t              region_i,
  input  logic [RegionPos-1:0] region_bitmap_i,

  // addresses of weight vectors, one a pass
  output logic                 wgt_valid_o,
  input  logic                 wgt_ready_i,
  output addr_t                wgt_addr_o,

  // segments, to the scanner
  output logic                 segment_valid_o,
  input  logic                 segment_ready_i,
  output segment_t             segment_o
);

  localparam int unsigned Words = RegionPos / LinePos;
  localparam int unsigned WordW = $clog2(Words);

  if (RegionPos % LinePos != 0 || RegionPos < 2 * LinePos || RegionPos > 2 ** RegionW) begin : gen_check_region
    $error("%m: RegionPos = %0d, expected a multiple of %0d from %0d to %0d",
           RegionPos, LinePos, 2 * LinePos, 2 ** RegionW);
  end

  typedef logic [WordW-1:0] word_t;

  // ---- mask of the tile ----

  typedef struct packed {
    npos_t       tile_h;
    npos_t       tile_w;
    region_off_t win_w;
    logic        stride_y2;
    logic        stride_x2;
  } shape_t;

  shape_t          shape, shape_q;
  logic            mask_valid_q;      // mask_q is that of shape_q
  logic            mask_match, mask_start, build_q;
  bitmap_t         mask_q [Words];
  word_t           last_base_q;       // last word with a position
  npos_t           build_row_q;
  logic            build_half_q;      // with stride 2, columns 32 and up
  logic [RegionW:0] build_off_q;      // q of the row's first position
  npos_t           columns;           // of this step
  logic [RegionW:0] step_off;
  word_t           step_word;         // that of the step's last position
  bitmap_t         pattern;
  logic            row_done;

  assign shape = '{tile_h: region_i.unit.tile_h, tile_w: region_i.unit.tile_w, win_w: derived_i.win_w,
                   stride_y2: layer_i.stride_y2, stride_x2: layer_i.stride_x2};
  assign mask_match = mask_valid_q && shape == shape_q;
  assign mask_start = region_valid_i & ~region_i.empty & ~mask_match & ~build_q;

  always_comb begin
    columns   = '0;
    pattern   = '0;
    step_off  = '0;
    step_word = '0;
    row_done  = 1'b0;
    if (build_q) begin
      if (shape_q.stride_x2) begin
        columns  = build_half_q ? shape_q.tile_w - npos_t'(LinePos / 2)
                                : (shape_q.tile_w > npos_t'(LinePos / 2)) ? npos_t'(LinePos / 2) : shape_q.tile_w;
        pattern  = {(LinePos / 2) {2'b01}} & ~({LinePos{1'b1}} << {columns[PosW-1:0], 1'b0});
        row_done = build_half_q || shape_q.tile_w <= npos_t'(LinePos / 2);
      end else begin
        columns  = shape_q.tile_w;
        pattern  = ~({LinePos{1'b1}} << columns);
        row_done = 1'b1;
      end
      step_off  = build_off_q + {3'b000, build_half_q, {PosW{1'b0}}};
      step_word = word_t'((step_off + ((RegionW + 1)'(columns - 1'b1) << shape_q.stride_x2)) >> PosW);
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      shape_q      <= '0;
      mask_valid_q <= 1'b0;
      build_q      <= 1'b0;
      build_row_q  <= '0;
      build_half_q <= 1'b0;
      build_off_q  <= '0;
      last_base_q  <= '0;
    end else if (start_i) begin
      mask_valid_q <= 1'b0;
    end else if (mask_start) begin
      shape_q      <= shape;
      mask_valid_q <= 1'b0;
      build_q      <= 1'b1;
      build_row_q  <= '0;
      build_half_q <= 1'b0;
      build_off_q  <= '0;
    end else if (build_q) begin
      build_half_q <= ~row_done;
      if (row_done) begin
        build_row_q <= build_row_q + 1'b1;
        build_off_q <= build_off_q + ((RegionW + 1)'(shape_q.win_w) << shape_q.stride_y2);
        if (build_row_q + 1'b1 == shape_q.tile_h) begin
          build_q      <= 1'b0;
          mask_valid_q <= 1'b1;
          last_base_q  <= step_word;
        end
      end
    end
  end

  // A step's bits lie in at most two words.
  always_ff @(posedge clk_i) begin
    if (mask_start) begin
      for (int unsigned i = 0; i < Words; i++) mask_q[i] <= '0;
    end else if (build_q) begin
      mask_q[step_off[PosW+:WordW]] <= mask_q[step_off[PosW+:WordW]] | (pattern << step_off[PosW-1:0]);
      if (32'(step_off[RegionW:PosW]) < Words - 1) begin
        mask_q[step_off[PosW+:WordW] + 1'b1] <= mask_q[step_off[PosW+:WordW] + 1'b1]
                                              | (pattern >> (npos_t'(LinePos) - npos_t'(step_off[PosW-1:0])));
      end
    end
  end

  // ---- walk over (r, s) and the words of the mask ----

  logic [2:0]      r_q, s_q;
  word_t           base_q;
  region_off_t     row_off_q;         // r*win_w
  logic [5:0]      rs_q;              // r*S + s
  logic            pass_open_q;       // an earlier word of this pass had bits
  region_off_t     offset, start;
  bitmap_t         low, high, bits;
  logic            active, step;
  logic            hit, last_base, last_s, last_step;
  logic            release_region, last_of_unit;

  assign active    = region_valid_i & (region_i.empty | mask_match);
  assign last_base = base_q == last_base_q;
  assign last_s    = s_q + 3'd1 == layer_i.kernel_s;
  assign last_step = region_i.empty | (last_base & last_s & (r_q + 3'd1 == layer_i.kernel_r));
  assign offset    = row_off_q + region_off_t'(s_q);
  assign start     = offset + {base_q, {PosW{1'b0}}};

  always_comb begin
    low  = '0;
    high = '0;
    bits = '0;
    if (active && !region_i.empty) begin
      low  = region_bitmap_i[{start[PosW+:WordW], {PosW{1'b0}}}+:LinePos];
      if (32'(start[RegionW-1:PosW]) < Words - 1) begin
        high = region_bitmap_i[{start[PosW+:WordW] + 1'b1, {PosW{1'b0}}}+:LinePos];
      end
      bits = ((low >> start[PosW-1:0]) | (high << (npos_t'(LinePos) - npos_t'(start[PosW-1:0])))) & mask_q[base_q];
    end
  end

  assign hit            = bits != '0;
  assign release_region = last_step & ~region_i.empty;
  assign last_of_unit   = last_step & region_i.last_of_unit;

  // ---- the held segment ----

  segment_t held_q;
  logic     held_valid_q;
  logic     held_final_q;   // last of its region: need not wait for the next
  logic     replace;        // the found segment takes the held one's place
  logic     push, push_ready;

  // At the end of a region the last segment found is marked; where there is none, one without bits is made.
  assign replace = active & (hit | (last_step & (~held_valid_q | held_final_q)));
  assign step    = active & (~(hit & ~pass_open_q) | wgt_ready_i) & (~(replace & held_valid_q) | push_ready);
  assign push    = held_valid_q & (held_final_q | (replace & (~(hit & ~pass_open_q) | wgt_ready_i)));

  assign wgt_valid_o    = active & hit & ~pass_open_q & (~held_valid_q | push_ready);
  assign wgt_addr_o     = region_i.wgt_addr + addr_t'(rs_q);
  assign region_ready_o = step & last_step;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      held_valid_q <= 1'b0;
      held_final_q <= 1'b0;
      held_q       <= '0;
    end else if (step && replace) begin
      held_valid_q <= 1'b1;
      held_final_q <= last_step;
      held_q       <= '{
        bits:           bits,
        base:           3'(base_q),
        offset:         offset,
        buffer:         region_i.buffer,
        first_of_pass:  hit & ~pass_open_q,
        release_region: release_region,
        last_of_unit:   last_of_unit,
        unit:           region_i.unit
      };
    end else if (step && last_step) begin
      held_final_q          <= 1'b1;
      held_q.release_region <= release_region;
      held_q.last_of_unit   <= last_of_unit;
    end else if (push && push_ready) begin
      held_valid_q <= 1'b0;
      held_final_q <= 1'b0;
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      r_q         <= '0;
      s_q         <= '0;
      base_q      <= '0;
      row_off_q   <= '0;
      rs_q        <= '0;
      pass_open_q <= 1'b0;
    end else if (step) begin
      if (last_step) begin
        r_q         <= '0;
        s_q         <= '0;
        base_q      <= '0;
        row_off_q   <= '0;
        rs_q        <= '0;
        pass_open_q <= 1'b0;
      end else if (last_base) begin
        base_q      <= '0;
        pass_open_q <= 1'b0;
        rs_q        <= rs_q + 1'b1;
        s_q         <= last_s ? '0 : s_q + 1'b1;
        if (last_s) begin
          r_q       <= r_q + 1'b1;
          row_off_q <= row_off_q + derived_i.win_w;
        end
      end else begin
        base_q      <= base_q + 1'b1;
        pass_open_q <= pass_open_q | hit;
      end
    end
  end

  spcore_fifo #(
    .Width($bits(segment_t)),
    .Depth(FifoDepth)
  ) u_segments (
    .clk_i, .rst_ni,
    .clear_i(1'b0),
    .valid_i(push),
    .ready_o(push_ready),
    .data_i (held_q),
    .valid_o(segment_valid_o),
    .ready_i(segment_ready_i),
    .data_o (segment_o),
    .level_o()
  );

endmodule
