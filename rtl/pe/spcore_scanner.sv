// SPDX-License-Identifier: Apache-2.0
// Non-zero scanner: walks the segments' bits, lowest first, and emits one position a cycle with its activation, without
// a bubble between segments and passes, but never one position in two cycles running.
//
// A segment is taken in octets, those without a bit left out; one is fetched while the one before is walked. Stages:
// choose a position (0), read its byte from the region buffers and its tile position from the table (1), both of which
// reach mac_array in the cycle of the emission (2). The first emission of a pass takes the oldest vector
// along. After the last position of a unit the scanner waits for unblock_i: until then the accumulators belong to that unit.
//
// An accumulator takes a sum every other cycle, so a pass that begins with the position that the one before ended with
// waits for a cycle: passes of a single position, as in a fully connected layer, take two cycles each.
`include "../common/spcore_assert.svh"

module spcore_scanner
  import sparsecore_pkg::*;
  import spcore_pe_pkg::*;
#(
  parameter int unsigned RegionPos  = 512,  // positions of a region: 64, 128, 256 or 512
  parameter int unsigned NumRegions = 4,    // 2 to 4
  parameter int unsigned FifoDepth  = 4     // segments, at least 2
) (
  input  logic           clk_i,
  input  logic           rst_ni,
  input  derived_t [1:0] derived_i,
  input  logic           idle_i,   // the PE has no unit
  input  pos_tab_write_t pos_tab_i,
  // Segments, from pass_generator
  input  logic           segment_valid_i,
  output logic           segment_ready_o,
  input  segment_t       segment_i,
  // Weight vectors in the queue; the oldest leaves it with emit_load_o
  input  wgt_level_t     wgt_level_i,
  // Region buffers: their byte is there in the cycle of the emission; release_o with the last read of a region: so
  // many halves of buffers become free
  output logic           byte_read_o,
  output region_buf_t    byte_buf_o,
  output region_off_t    byte_off_o,
  output region_step_t   release_o,
  // To mac_array
  output logic           emit_load_o,     // emissions from this one on are of the oldest vector
  output logic           emit_valid_o,
  output ctx_t           emit_ctx_o,      // of the present unit
  output pos_t           emit_pos_o,
  output logic           emit_end_o,      // no more emissions of this unit
  input  logic           unblock_i,       // the accumulators are free for the next unit
  // What happened in the cycle before
  output logic           busy_o,          // a position was chosen
  output logic           no_weight_o,     // just the weight vector was missing
  output logic           starving_o,      // no segment to work on
  output logic           blocked_o        // between a unit's last position and unblock_i
);

  if (!is_region_pos(RegionPos)) begin : gen_check_pos
    $error("%m: RegionPos = %0d, expected a power of two from 64 to %0d", RegionPos, 1 << RegionW);
  end
  if (NumRegions < 2 || NumRegions > MaxRegions) begin : gen_check_regions
    $error("%m: NumRegions = %0d, expected 2 to %0d", NumRegions, MaxRegions);
  end
  if (FifoDepth < 2) begin : gen_check_fifo
    $error("%m: FifoDepth = %0d, expected at least 2", FifoDepth);
  end

  localparam int unsigned PtrW    = $clog2(FifoDepth);
  localparam int unsigned LevelW  = $clog2(FifoDepth + 1);
  localparam int unsigned OffW    = $clog2(RegionPos);
  localparam logic [PtrW-1:0] LastPtr = PtrW'(FifoDepth - 1);

  typedef logic [7:0] octet_t;

  typedef struct packed {
    octet_t   octets;   // those with a bit
    segment_t segment;
  } entry_t;

  // ---- Segments, and the next octet ----
  logic [PtrW-1:0]   write_ptr_q, read_ptr_q;
  logic [LevelW-1:0] level_q;
  octet_t            taken_q;      // octets of the head
  entry_t            entry_in, head;
  logic              push, pop, fetch, head_valid, last_octet, octet_free;
  octet_t            left, pick, octet;
  logic [2:0]        octet_no;

  assign segment_ready_o = level_q != LevelW'(FifoDepth);
  assign head_valid      = level_q != '0;
  assign push            = segment_valid_i && segment_ready_o;

  always_comb begin
    entry_in = 'x;
    if (push) begin
      entry_in.segment = segment_i;
      for (int unsigned o = 0; o < 8; o++) entry_in.octets[o] = segment_i.bits[8*o +: 8] != '0;
    end
  end

  spcore_regfile #(
    .NumWords(FifoDepth), .DataWidth($bits(entry_t))
  ) u_segments (
    .clk_i,
    .we_i   (push),
    .waddr_i(write_ptr_q),
    .wdata_i(entry_in),
    .raddr_i(read_ptr_q),
    .rdata_o(head)
  );

  // A segment without bits is taken as one octet.
  assign left       = head.octets & ~taken_q;
  assign pick       = left & -left;
  assign last_octet = (left & (left - 8'd1)) == '0;
  assign fetch      = head_valid && octet_free;
  assign pop        = fetch && last_octet;

  always_comb begin
    octet    = 'x;
    octet_no = 'x;
    if (octet_free) begin
      octet    = '0;
      octet_no = '0;
    end
    if (octet_free && head_valid) begin
      for (int unsigned o = 0; o < 8; o++) begin
        octet    |= {8{pick[o]}} & head.segment.bits[8*o +: 8];
        octet_no |= {3{pick[o]}} & 3'(o);
      end
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      write_ptr_q <= '0;
      read_ptr_q  <= '0;
      level_q     <= '0;
      taken_q     <= '0;
    end else begin
      if (push) write_ptr_q <= write_ptr_q == LastPtr ? '0 : write_ptr_q + PtrW'(1);
      if (pop)  read_ptr_q  <= read_ptr_q == LastPtr ? '0 : read_ptr_q + PtrW'(1);
      level_q <= level_q + LevelW'(push) - LevelW'(pop);
      if (fetch) taken_q <= last_octet ? '0 : taken_q | pick;
    end
  end

  // ---- Stage 0: choose a position ----
  logic        octet_valid_q;
  octet_t      octet_q;             // positions not chosen yet
  logic [5:0]  octet_pos_q;         // q / 8 of bit 0
  region_off_t octet_start_q;       // offset of its byte
  ctx_t        octet_ctx_q, pos_ctx_q;
  logic        first_q, release_q, last_of_unit_q;   // first: the next position is its pass's first
  logic        blocked_q;
  region_buf_t region_buf;
  region_step_t step;
  logic        read_q, load_q, end_q;                // stage 1
  region_off_t pos_q;
  octet_t      rest;
  logic [2:0]  lowest;
  logic        has_bits, repeated, wgt_there, enabled, emit, advance;

  assign rest      = octet_q & (octet_q - 8'd1);
  assign has_bits  = octet_q != '0;
  assign repeated  = read_q && pos_q == {octet_pos_q, lowest};
  assign wgt_there = wgt_level_i > wgt_level_t'(load_q) + wgt_level_t'(emit_load_o);
  assign enabled   = octet_valid_q && !blocked_q && !(has_bits && repeated);
  assign emit      = enabled && has_bits && (!first_q || wgt_there);
  assign advance   = enabled && (has_bits ? emit && rest == '0 : 1'b1);

  assign octet_free = !octet_valid_q || advance;

  always_comb begin
    lowest = '0;
    for (int i = 7; i >= 0; i--) begin
      if (octet_q[i]) lowest = 3'(i);
    end
  end

  // The accumulators clear themselves after reset, so the first unit waits for unblock_i too.
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      octet_valid_q <= 1'b0;
      blocked_q     <= 1'b1;
    end else begin
      if (octet_free) octet_valid_q <= head_valid;
      if (unblock_i)                      blocked_q <= 1'b0;
      else if (advance && last_of_unit_q) blocked_q <= 1'b1;
    end
  end

  spcore_region_ring #(
    .NumRegions(NumRegions)
  ) u_region_buf (
    .clk_i,
    .rst_ni,
    .clear_i (idle_i),
    .half_i  (derived_i[octet_ctx_q].half_regions),
    .buffer_o(region_buf),
    .step_o  (step),
    .next_i  (advance && release_q)
  );

  always_ff @(posedge clk_i) begin
    if (octet_free) begin
      octet_q        <= octet;
      octet_pos_q    <= {head.segment.word, octet_no};
      octet_ctx_q    <= head.segment.ctx;
      octet_start_q  <= head.segment.start + {3'b000, octet_no, 3'b000};
      first_q        <= head.segment.first_of_pass && taken_q == '0;
      release_q      <= head.segment.release_region && last_octet;
      last_of_unit_q <= head.segment.last_of_unit && last_octet;
    end else if (emit) begin
      octet_q <= rest;
      first_q <= 1'b0;
    end
  end

  // ---- Stage 1: byte and position ----
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      read_q       <= 1'b0;
      load_q       <= 1'b0;
      end_q        <= 1'b0;
      release_o    <= '0;
      emit_valid_o <= 1'b0;
      emit_load_o  <= 1'b0;
      emit_end_o   <= 1'b0;
    end else begin
      read_q       <= emit;
      load_q       <= emit && first_q;
      end_q        <= advance && last_of_unit_q;
      release_o    <= advance && release_q ? step : '0;
      emit_valid_o <= read_q;
      emit_load_o  <= load_q;
      emit_end_o   <= end_q;
    end
  end

  always_ff @(posedge clk_i) begin
    if (emit) begin
      pos_q      <= {octet_pos_q, lowest};
      pos_ctx_q  <= octet_ctx_q;
      byte_off_o <= octet_start_q + {6'b000000, lowest};
      byte_buf_o <= region_buf;
    end
  end

  // Reset, because what mac_array makes of it decides where it clears as well.
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni)     emit_ctx_o <= '0;
    else if (read_q) emit_ctx_o <= pos_ctx_q;
  end

  assign byte_read_o = read_q;

  spcore_mem_1r1w #(
    .NumWords(2 * RegionPos), .DataWidth(PosW)
  ) u_positions (
    .clk_i,
    .we_i   (pos_tab_i.valid),
    .waddr_i({pos_tab_i.ctx, pos_tab_i.q[OffW-1:0]}),
    .wdata_i(pos_tab_i.p),
    .re_i   (read_q),
    .raddr_i({pos_ctx_q, pos_q[OffW-1:0]}),
    .rdata_o(emit_pos_o)
  );

  // ---- What happened ----
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      busy_o      <= 1'b0;
      no_weight_o <= 1'b0;
      starving_o  <= 1'b1;
      blocked_o   <= 1'b1;
    end else begin
      busy_o      <= emit;
      no_weight_o <= enabled && has_bits && !emit;
      starving_o  <= !octet_valid_q && !head_valid;
      blocked_o   <= blocked_q;
    end
  end

  `SPCORE_ASSERT(!unblock_i || blocked_q, "unblocked in the middle of a unit")

endmodule
