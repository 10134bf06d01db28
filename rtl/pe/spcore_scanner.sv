// Non-zero scanner: walks the segments' bits, lowest first, and emits one position a cycle with its activation, without
// a bubble between segments and passes, but never one position in two cycles running.
//
// Stage 0 finds the lowest bit of the current segment, stage 1 reads the byte from the region buffer, looks up the tile
// position and emits. The first emission of a pass takes the head of the weight queue along. After the last position of a
// unit the scanner waits for unblock_i: until then the accumulators belong to that unit.
//
// An accumulator takes a sum every other cycle, so a pass that begins with the position that the one before ended with
// waits for a cycle: passes of a single position, as in a fully connected layer, take two cycles each.

module spcore_scanner
  import sparsecore_pkg::*;
  import spcore_pe_pkg::*;
#(
  parameter int unsigned NumLanes  = 16,
  parameter int unsigned RegionPos = 512,
  localparam int unsigned VectorW  = NumLanes * $bits(weight_lane_t)
) (
  input  logic               clk_i,
  input  logic               rst_ni,

  // position table: offset q in a region to position in the tile; written before a layer starts
  input  logic               tab_we_i,
  input  region_off_t        tab_q_i,
  input  pos_t               tab_p_i,

  input  logic               segment_valid_i,
  output logic               segment_ready_o,
  input  segment_t           segment_i,

  input  logic               wgt_valid_i,
  output logic               wgt_ready_o,
  input  logic [VectorW-1:0] wgt_vector_i,

  // region buffers: asynchronous read; release_o with the last read of a region
  output region_buf_t        byte_buf_o,
  output region_off_t        byte_off_o,
  input  logic [7:0]         byte_i,
  output logic               release_o,

  // to mac_array
  output logic               emit_load_o,    // emissions from this one on are of this vector
  output logic [VectorW-1:0] emit_vector_o,
  output logic               emit_valid_o,
  output pos_t               emit_pos_o,
  output logic [7:0]         emit_act_o,
  output logic               emit_end_o,     // no more emissions of this unit
  input  logic               unblock_i,      // the accumulators are free for the next unit
  output pe_unit_t           unit_o,         // the unit that ended last

  // what happens in this cycle
  output logic               busy_o,         // a position is emitted
  output logic               no_weight_o,    // just the weight vector is missing
  output logic               starving_o,     // no segment to work on
  output logic               blocked_o       // between a unit's last position and unblock_i
);

  // ---- stage 0: the current segment ----

  segment_t    cur_q;
  logic        cur_valid_q;
  logic        blocked_q;
  bitmap_t     rest;             // bits without the lowest
  pos_t        lowest;
  logic        has_bits, enabled, emit, advance, load, hold;

  assign rest     = cur_q.bits & (cur_q.bits - 1'b1);
  assign has_bits = cur_q.bits != '0;
  assign enabled  = cur_valid_q & ~blocked_q & ~hold;
  assign emit     = enabled & has_bits & (~cur_q.first_of_pass | wgt_valid_i);
  assign advance  = enabled & (has_bits ? emit & (rest == '0) : 1'b1);
  assign load     = segment_valid_i & segment_ready_o;

  assign segment_ready_o = ~cur_valid_q | advance;
  assign wgt_ready_o     = enabled & has_bits & cur_q.first_of_pass;

  // Halve the range six times: the half that holds the lowest bit.
  always_comb begin
    bitmap_t range;
    range  = cur_q.bits;
    lowest = '0;
    for (int i = PosW - 1; i >= 0; i--) begin
      if ((range & ~({LinePos{1'b1}} << (1 << i))) == '0) begin
        lowest[i] = 1'b1;
        range     = range >> (1 << i);
      end
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      cur_valid_q <= 1'b0;
      cur_q       <= '0;
    end else if (load) begin
      cur_valid_q <= 1'b1;
      cur_q       <= segment_i;
    end else if (advance) begin
      cur_valid_q <= 1'b0;
    end else if (emit) begin
      cur_q.bits          <= rest;
      cur_q.first_of_pass <= 1'b0;
    end
  end

  // The accumulators clear themselves after reset, so the first unit waits for unblock_i too.
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      blocked_q <= 1'b1;
    end else if (unblock_i) begin
      blocked_q <= 1'b0;
    end else if (advance && cur_q.last_of_unit) begin
      blocked_q <= 1'b1;
    end
  end

  always_ff @(posedge clk_i) begin
    if (advance && cur_q.last_of_unit) unit_o <= cur_q.unit;
  end

  // ---- stage 1: byte and position, the emission ----

  pos_t               pos_tab [RegionPos];
  logic               read_q, end_q, release_q, load_q, emitted_q;
  region_off_t        pos_off_q;     // q
  region_off_t        emitted_off_q; // and that of the emission before

  assign hold = read_q & emitted_q & (pos_off_q == emitted_off_q);

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      read_q    <= 1'b0;
      end_q     <= 1'b0;
      release_q <= 1'b0;
      load_q    <= 1'b0;
      emitted_q <= 1'b0;
    end else begin
      emitted_q <= emit_valid_o;
      if (!hold) begin
        read_q    <= emit;
        end_q     <= advance & cur_q.last_of_unit;
        release_q <= advance & cur_q.release_region;
        load_q    <= emit & cur_q.first_of_pass;
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (emit) begin
      pos_off_q  <= {cur_q.base, lowest};
      byte_off_o <= {cur_q.base, lowest} + cur_q.offset;
      byte_buf_o <= cur_q.buffer;
      if (cur_q.first_of_pass) emit_vector_o <= wgt_vector_i;
    end
    if (read_q) emitted_off_q <= pos_off_q;
    if (tab_we_i) pos_tab[tab_q_i[$clog2(RegionPos)-1:0]] <= tab_p_i;
  end

  assign emit_valid_o = read_q & ~hold;
  assign emit_end_o   = end_q & ~hold;
  assign emit_load_o  = load_q & ~hold;
  assign release_o    = release_q & ~hold;
  assign emit_act_o   = byte_i;
  assign emit_pos_o   = pos_tab[pos_off_q[$clog2(RegionPos)-1:0]];

  assign busy_o      = emit;
  assign no_weight_o = wgt_ready_o & ~wgt_valid_i;
  assign starving_o  = ~cur_valid_q & ~segment_valid_i;
  assign blocked_o   = blocked_q;

`ifndef SYNTHESIS
  // Not at time 0, when random initial values can look like an edge.
  always_ff @(posedge clk_i) begin
    if (rst_ni && $time != 0 && unblock_i && !blocked_q) $error("%m: unblocked in the middle of a unit");
  end
`endif

endmodule
