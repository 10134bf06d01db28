// SPDX-License-Identifier: Apache-2.0
// Turns the regions of a PE into passes: for each (r, s) of the kernel the region's bitmap shifted by r*win_w + s and
// masked to the tile's positions, cut into segments of 64 positions. One segment is examined a cycle. Non-empty ones go
// to the scanner, and the first of a pass sends the address of its weight vector to the weight queue: empty passes
// vanish with their weights.
//
// The bitmaps are kept here, their even and odd words in one memory each, so that the two words in which a segment lies
// are read at once. region_loader reads words between them, also while a segment waits: what stage 0 had is then read
// again. Stages: walk (W) and read; cut out the segment to a multiple of 8 (0), then to the bit, and mask it
// (1); judge (2). The mask has a bit at q = ty*stride_y*win_w + tx*stride_x for each position (ty, tx) of a tile; a table
// holds that of every shape that a tile of a layer may have, for both contexts.
//
// The newest segment is held back, so that the last of a region can still be told to release the region's buffer and
// to end the unit. A region (or unit) without any non-empty segment is ended by a segment without bits.
//
// Where all (r, s) share a vector, those of a region are one pass.
module spcore_pass_generator
  import sparsecore_pkg::*;
  import spcore_pe_pkg::*;
#(
  parameter int unsigned RegionPos  = 512,  // positions of a region: 64, 128, 256 or 512
  parameter int unsigned NumRegions = 4     // 2 to 4
) (
  input  logic            clk_i,
  input  logic            rst_ni,
  input  layer_t   [1:0]  layer_i,
  input  derived_t [1:0]  derived_i,
  input  logic            idle_i,   // the PE has no unit
  input  mask_tab_write_t mask_tab_i,
  // Regions and their bitmaps, from region_loader
  input  logic            region_valid_i,
  output logic            region_ready_o,
  input  region_t         region_i,
  input  addr_t           region_wgt_addr_i,
  output logic            region_done_o,
  input  bitmap_write_t   bitmap_write_i,
  input  bitmap_read_t    bitmap_read_i,
  output bitmap_rsp_t     bitmap_rsp_o,
  // Addresses of weight vectors, one a pass
  output logic            wgt_valid_o,
  input  logic            wgt_ready_i,
  output addr_t           wgt_addr_o,
  // Segments, to the scanner
  output logic            segment_valid_o,
  input  logic            segment_ready_i,
  output segment_t        segment_o
);

  if (!is_region_pos(RegionPos)) begin : gen_check_pos
    $error("%m: RegionPos = %0d, expected a power of two from 64 to %0d", RegionPos, 1 << RegionW);
  end
  if (NumRegions < 2 || NumRegions > MaxRegions) begin : gen_check_regions
    $error("%m: NumRegions = %0d, expected 2 to %0d", NumRegions, MaxRegions);
  end

  localparam int unsigned Words    = RegionPos / LinePos;
  localparam int unsigned HalfW    = Words > 2 ? $clog2(Words / 2) : 0;   // address bits of a region's even or odd words
  localparam int unsigned NumHalf  = NumRegions << HalfW;
  localparam int unsigned AddrHalf = $clog2(NumHalf);
  localparam int unsigned MaskW    = $clog2(Words);
  localparam int unsigned MaskAddr = $clog2(2 * NumShapes * Words);

  typedef struct packed {
    region_word_t word;
    region_off_t  start;      // 64*word + r*win_w + s
    logic         last_word;  // of its pass
    logic         last_step;  // of its region
    logic         empty;      // of the region_t
    logic         last_of_unit;
    ctx_t         ctx;
  } step_t;

  logic stall;   // the step in stage 2 cannot be taken

  // ---- Walk over (r, s) and the words of the mask ----
  logic         valid_q;
  region_t      region_q;
  region_buf_t  region_buf;
  kernel_t      r_q, s_q;
  region_word_t word_q;
  region_off_t  row_off_q;      // r*win_w
  region_off_t  next_row_off;
  region_off_t  off_q;          // r*win_w + s
  region_off_t  start_q;        // and 64*word
  logic         answer_q;       // a word for region_loader is read
  logic         answer_odd_q;
  logic         again_q;        // instead of stage 0's, which is read again
  logic         last_word, last_s, last_step, go, answer;

  assign answer = bitmap_read_i.valid && !answer_q;
  assign go     = valid_q && !stall && !answer;

  always_comb begin
    last_word    = 'x;
    last_s       = 'x;
    last_step    = 'x;
    next_row_off = 'x;
    if (go) begin
      last_word    = word_q == derived_i[region_q.ctx].last_word[region_q.shape];
      last_s       = s_q + kernel_t'(1) == layer_i[region_q.ctx].kernel_s;
      last_step    = region_q.empty || (last_word && last_s && r_q + kernel_t'(1) == layer_i[region_q.ctx].kernel_r);
      next_row_off = row_off_q + derived_i[region_q.ctx].win_w;
    end
  end

  assign region_ready_o = !valid_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      valid_q  <= 1'b0;
      answer_q <= 1'b0;
    end else begin
      if (!valid_q)             valid_q <= region_valid_i;
      else if (go && last_step) valid_q <= 1'b0;
      answer_q <= answer;
    end
  end

  always_ff @(posedge clk_i) begin
    if (!valid_q) begin
      region_q  <= region_i;
      r_q       <= '0;
      s_q       <= '0;
      word_q    <= '0;
      row_off_q <= '0;
      off_q     <= '0;
      start_q   <= '0;
    end else if (go) begin
      if (!last_word) begin
        word_q  <= word_q + region_word_t'(1);
        start_q <= start_q + region_off_t'(LinePos);
      end else begin
        word_q <= '0;
        if (!last_s) begin
          s_q     <= s_q + kernel_t'(1);
          off_q   <= off_q + region_off_t'(1);
          start_q <= off_q + region_off_t'(1);
        end else begin
          s_q       <= '0;
          r_q       <= r_q + kernel_t'(1);
          row_off_q <= next_row_off;
          off_q     <= next_row_off;
          start_q   <= next_row_off;
        end
      end
    end
    answer_odd_q <= bitmap_read_i.word[0];
  end

  spcore_region_ring #(
    .NumRegions(NumRegions)
  ) u_region_buf (
    .clk_i,
    .rst_ni,
    .clear_i (idle_i),
    .half_i  (derived_i[region_q.ctx].half_regions),
    .buffer_o(region_buf),
    .step_o  (),
    .next_i  (go && last_step && !region_q.empty)
  );

  // ---- Stage 0: the two words in which the segment lies ----
  logic               s0_valid_q;
  step_t              s0_q;
  region_buf_t        s0_buf_q;
  logic [1:0]         held_q;      // by parity: the word is in the region and holds something
  bitmap_t [1:0]      half;
  logic [127:0]       pair;
  logic [LinePos+6:0] part;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      s0_valid_q <= 1'b0;
      again_q    <= 1'b0;
    end else begin
      if (!stall) s0_valid_q <= go;
      again_q <= answer && stall && s0_valid_q;
    end
  end

  always_ff @(posedge clk_i) begin
    if (go) begin
      s0_q <= '{
        word:         word_q,
        start:        start_q,
        last_word:    last_word,
        last_step:    last_step,
        empty:        region_q.empty,
        last_of_unit: region_q.last_of_unit,
        ctx:          region_q.ctx
      };
      s0_buf_q <= region_buf;
    end
  end

  logic read_any;

  assign read_any = go || answer || again_q;

  for (genvar odd = 0; odd < 2; odd++) begin : gen_half
    // The word of this parity at or behind the segment's first; behind the last word of a region comes none.
    logic [$bits(region_word_t):0] word;
    logic                          hold;
    region_word_t                  read_word;
    region_buf_t                   read_buf;

    region_off_t                   read_start;
    logic [AddrHalf-1:0]           raddr, waddr;

    always_comb begin
      read_start = 'x;
      word       = 'x;
      hold       = 'x;
      read_word  = 'x;
      read_buf   = 'x;
      raddr      = 'x;
      if (read_any) begin
        read_start = again_q ? s0_q.start : start_q;
        word       = {1'b0, read_start[RegionW-1:PosW]} + ($bits(region_word_t) + 1)'(read_start[PosW] != 1'(odd));
        hold       = !word[$bits(region_word_t)] && region_q.words[word[$bits(region_word_t)-1:0]];
        read_word  = answer ? bitmap_read_i.word : word[$bits(region_word_t)-1:0];
        read_buf   = answer ? bitmap_read_i.buffer : again_q ? s0_buf_q : region_buf;
        raddr      = AddrHalf'((32'(read_buf) << HalfW >> 1) | (32'(read_word >> 1) & 32'((1 << HalfW) - 1)));
      end
    end

    always_comb begin
      waddr = 'x;
      if (bitmap_write_i.valid) begin
        waddr = AddrHalf'((32'(bitmap_write_i.buffer) << HalfW >> 1) | 32'(bitmap_write_i.word >> 1));
      end
    end

    spcore_mem_1r1w #(
      .NumWords(NumHalf), .DataWidth(LinePos)
    ) u_bitmap (
      .clk_i,
      .we_i   (bitmap_write_i.valid && bitmap_write_i.word[0] == 1'(odd)),
      .waddr_i(waddr),
      .wdata_i(bitmap_write_i.bits),
      .re_i   (answer ? bitmap_read_i.word[0] == 1'(odd) : again_q ? held_q[odd] : go && hold),
      .raddr_i(raddr),
      .rdata_o(half[odd])
    );

    always_ff @(posedge clk_i) begin
      if (go) held_q[odd] <= hold;
    end
  end

  assign bitmap_rsp_o = '{valid: answer_q, bits: half[answer_odd_q]};

  always_comb begin
    pair = 'x;
    part = 'x;
    if (s0_valid_q && !stall) begin
      pair = '0;
      if (held_q[0]) pair[0 +: 64]  = half[0];
      if (held_q[1]) pair[64 +: 64] = half[1];
      if (s0_q.start[PosW]) pair = {pair[63:0], pair[127:64]};
      part = (LinePos + 7)'(pair >> {s0_q.start[PosW-1:3], 3'b000});
    end
  end

  // ---- Stage 1: mask ----
  logic               s1_valid_q;
  step_t              s1_q;
  logic [LinePos+6:0] part_q;
  shape_t             shape_q;
  bitmap_t            mask, bits;

  logic [MaskAddr-1:0] mask_raddr;

  always_comb begin
    mask_raddr = 'x;
    if (s0_valid_q && !stall) mask_raddr = MaskAddr'((32'({s0_q.ctx, shape_q}) << MaskW) | 32'(s0_q.word));
  end

  spcore_mem_1r1w #(
    .NumWords(2 * NumShapes * Words), .DataWidth(LinePos)
  ) u_mask (
    .clk_i,
    .we_i   (mask_tab_i.valid),
    .waddr_i(MaskAddr'((32'({mask_tab_i.ctx, mask_tab_i.shape}) << MaskW) | 32'(mask_tab_i.word))),
    .wdata_i(mask_tab_i.bits),
    .re_i   (s0_valid_q && !stall),
    .raddr_i(mask_raddr),
    .rdata_o(mask)
  );

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) s1_valid_q <= 1'b0;
    else if (!stall) s1_valid_q <= s0_valid_q;
  end

  always_ff @(posedge clk_i) begin
    if (go) shape_q <= region_q.shape;
    if (s0_valid_q && !stall) begin
      s1_q   <= s0_q;
      part_q <= part;
    end
  end

  always_comb begin
    bits = 'x;
    if (s1_valid_q && !stall) bits = LinePos'(part_q >> s1_q.start[2:0]) & mask;
  end

  // ---- Stage 2: judge ----
  logic       s2_valid_q, hit_q;
  step_t      s2_q;
  bitmap_t    bits_q;
  logic       pass_open_q;       // an earlier word of this pass had bits
  logic [8:0] rs_q;              // r*S + s; 0 where all share a vector
  logic       done_q;            // a region's last step was taken: the next address comes in the next cycle
  segment_t   newest_q;          // held back
  logic       newest_valid_q;
  logic       newest_final_q;    // last of its region: need not wait for the next
  logic       wgt_valid_q;
  addr_t      wgt_addr_q;
  addr_t      wgt_sum;
  logic       carry;
  logic       new_pass, replace, wgt_ok, step, push, tap_shared;

  assign tap_shared = layer_i[s2_q.ctx].tap_shared;

  // At the end of a region the newest segment is marked; where there is none, one without bits is made.
  assign new_pass = hit_q && !pass_open_q;
  assign replace  = s2_valid_q && (hit_q || (s2_q.last_step && (!newest_valid_q || newest_final_q)));
  assign push     = newest_valid_q && (newest_final_q || replace);
  assign wgt_ok   = !new_pass || (!done_q && (!wgt_valid_q || wgt_ready_i));
  assign step     = s2_valid_q && wgt_ok && !again_q && (!(replace && newest_valid_q) || segment_ready_i);
  assign stall    = s2_valid_q && !step;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      s2_valid_q     <= 1'b0;
      pass_open_q    <= 1'b0;
      rs_q           <= '0;
      done_q         <= 1'b0;
      newest_valid_q <= 1'b0;
      newest_final_q <= 1'b0;
      wgt_valid_q    <= 1'b0;
    end else begin
      if (!stall) s2_valid_q <= s1_valid_q;
      if (step) begin
        pass_open_q <= (!s2_q.last_word || tap_shared) && (pass_open_q || hit_q);
        if (s2_q.last_word && !tap_shared) rs_q <= rs_q + 9'd1;
        if (s2_q.last_step) begin
          pass_open_q <= 1'b0;
          rs_q        <= '0;
        end
      end
      done_q <= step && s2_q.last_step;
      if (step && replace) begin
        newest_valid_q <= 1'b1;
        newest_final_q <= s2_q.last_step;
      end else if (step && s2_q.last_step) begin
        newest_final_q <= 1'b1;
      end else if (push && segment_ready_i) begin
        newest_valid_q <= 1'b0;
        newest_final_q <= 1'b0;
      end
      if (step && new_pass) wgt_valid_q <= 1'b1;
      else if (wgt_ready_i) wgt_valid_q <= 1'b0;
    end
  end

  always_ff @(posedge clk_i) begin
    if (s1_valid_q && !stall) begin
      s2_q   <= s1_q;
      bits_q <= bits;
      hit_q  <= bits != '0;
    end
    if (step && replace) begin
      newest_q.bits          <= bits_q;
      newest_q.word          <= s2_q.word;
      newest_q.start         <= s2_q.start;
      newest_q.first_of_pass <= new_pass;
    end
    if (step && (replace || s2_q.last_step)) begin
      newest_q.release_region <= s2_q.last_step && !s2_q.empty;
      newest_q.last_of_unit   <= s2_q.last_step && s2_q.last_of_unit;
      newest_q.ctx            <= s2_q.ctx;
    end
    if (step && new_pass) wgt_addr_q <= wgt_sum;
  end

  // region_wgt_addr_i + rs_q, with a short way for the carry.
  always_comb begin
    carry   = 'x;
    wgt_sum = 'x;
    if (step && new_pass) begin
      {carry, wgt_sum[8:0]} = {1'b0, region_wgt_addr_i[8:0]} + {1'b0, rs_q};
      wgt_sum[13:9]         = region_wgt_addr_i[13:9] + 5'(carry);
      wgt_sum[18:14]        = region_wgt_addr_i[18:14] + 5'(carry && (&region_wgt_addr_i[13:9]));
      wgt_sum[23:19]        = region_wgt_addr_i[23:19] + 5'(carry && (&region_wgt_addr_i[18:9]));
    end
  end

  assign region_done_o   = done_q;
  assign wgt_valid_o     = wgt_valid_q;
  assign wgt_addr_o      = wgt_addr_q;
  assign segment_valid_o = push;
  assign segment_o       = newest_q;

endmodule
