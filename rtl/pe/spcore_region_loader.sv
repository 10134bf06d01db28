// SPDX-License-Identifier: Apache-2.0
// Spreads fetched lines into region buffers (docs/architecture.md section 7.3).
//
// A line is taken in pieces: what lies in one of its octets (bits 8i to 8i+7) and in one row of its block; octets and
// rows without anything to spread cost nothing. The bits of a piece keep their distance in the region: they are rotated
// onto 8 byte lanes (offset q is in lane q % 8), each written in at most one place.
//
// Stages: choose an octet (A), cut it into pieces (B), find a piece's place while the octet's packed bytes are unpacked
// (C), write the bytes (D). The piece's marks wait in a queue for the writer of the bitmaps, which collects a word of 64
// and writes it when another one is needed or the region ends. Just this writer can be held up, so B waits for room in
// the queue. A region that is complete is offered; its buffer, or half of one, is held until release_i. One that stayed
// empty is dropped unless it ends the unit.
`include "../common/spcore_assert.svh"

module spcore_region_loader
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
  // Lines from line_fetch, and its read port for their packed bytes: 8 that follow the rank by a cycle. The last bytes
  // of a line are asked for when it is taken.
  input  logic            line_valid_i,
  output logic            line_ready_o,
  input  fetched_line_t   line_i,
  output pos_t            line_rank_o,
  input  logic [7:0][7:0] line_bytes_i,
  // Complete regions, in order. A region that was taken lends its weight address until region_done_i.
  output logic            region_valid_o,
  input  logic            region_ready_i,
  output region_t         region_o,
  output addr_t           region_wgt_addr_o,   // of the oldest region that is not done
  input  logic            region_done_i,
  // Words of their bitmaps
  output bitmap_write_t   bitmap_write_o,
  output bitmap_read_t    bitmap_read_o,
  input  bitmap_rsp_t     bitmap_rsp_i,
  // Byte at an offset of a buffer, in the next cycle
  input  logic            byte_read_i,
  input  region_buf_t     byte_buf_i,
  input  region_off_t     byte_off_i,
  output logic [7:0]      byte_o,
  input  region_step_t    release_i   // so many of the oldest held halves of buffers become free
);

  if (!is_region_pos(RegionPos)) begin : gen_check_pos
    $error("%m: RegionPos = %0d, expected a power of two from 64 to %0d", RegionPos, 1 << RegionW);
  end
  if (NumRegions < 2 || NumRegions > MaxRegions) begin : gen_check_regions
    $error("%m: NumRegions = %0d, expected 2 to %0d", NumRegions, MaxRegions);
  end

  localparam int unsigned Rows = RegionPos / 8;
  localparam int unsigned RowW = $clog2(Rows);
  localparam int unsigned ByteW = $clog2(NumRegions * Rows);
  // Room for every held region, all of them half ones, and the end of a unit.
  localparam int unsigned NumHalves  = 2 * NumRegions;
  localparam int unsigned QueueDepth = NumHalves + 1;
  localparam int unsigned PtrW       = $clog2(QueueDepth);
  localparam int unsigned HeldW      = $clog2(NumHalves + 1);
  localparam int unsigned LevelW     = $clog2(QueueDepth + 1);
  // Pieces between B and the end of their way: as many as cycles from there and back.
  localparam int unsigned PieceDepth = 5;
  localparam int unsigned CreditW    = $clog2(PieceDepth + 1);

  localparam logic [PtrW-1:0] LastPtr = PtrW'(QueueDepth - 1);

  typedef logic [7:0] octet_t;

  // ---- Stage A: choose an octet ----
  logic              seen_q;       // todo_q, count_q and ctx_q are of the present line
  ctx_t              ctx_q;
  octet_t            todo_q;       // octets that hold something to spread and are not taken
  logic [7:0][3:0]   count_q;      // packed bytes of each octet
  logic              leave_q;      // nothing of the line is left for A
  logic              drop_q;       // nor for B
  logic              open_q;       // something of the present channel is in the buffer
  logic [HeldW-1:0]  held_q;       // halves of buffers, of regions and left out
  logic [LevelW-1:0] queued_q;     // regions that began to end and are not done

  logic   b_free;
  logic   mark, last_octet, channel_end, filled, push, alloc, a_go, a_pass;
  octet_t pick;
  pos_t   rank;
  region_step_t step;          // halves that the next region takes

  assign mark        = todo_q == '0;
  assign pick        = todo_q & -todo_q;
  assign last_octet  = (todo_q & (todo_q - 8'd1)) == '0;
  assign channel_end = last_octet && line_i.last_of_channel;
  assign filled      = open_q || !mark;
  assign push        = channel_end && (filled || line_i.last_of_unit);
  assign alloc       = !mark && !open_q;
  assign a_pass      = seen_q && b_free && (!alloc || held_q <= HeldW'(NumHalves) - HeldW'(step)) &&
                       (!push || queued_q != LevelW'(QueueDepth));
  assign a_go        = a_pass && (!mark || push);   // something for B

  spcore_region_ring #(
    .NumRegions(NumRegions)
  ) u_alloc (
    .clk_i,
    .rst_ni,
    .clear_i (idle_i),
    .half_i  (derived_i[ctx_q].half_regions),
    .buffer_o(),
    .step_o  (step),
    .next_i  (a_pass && alloc)
  );

  octet_t          need, bitmap, starts;
  logic [6:0]      earlier;
  region_off_t     line_off;
  logic [6:0][5:0] count;          // packed bytes of the octets before that one

  assign earlier = 7'(pick - 8'd1);
  always_comb begin
    need     = 'x;
    bitmap   = 'x;
    starts   = 'x;
    line_off = 'x;
    count    = 'x;
    rank     = 'x;
    if (a_go) begin
      need     = '0;
      bitmap   = '0;
      starts   = '0;
      line_off = '0;
      for (int unsigned o = 0; o < 8; o++) begin
        need     |= {8{pick[o]}} & line_i.need[8*o +: 8];
        bitmap   |= {8{pick[o]}} & line_i.bitmap[8*o +: 8];
        starts   |= {8{pick[o]}} & derived_i[ctx_q].row_starts[8*o +: 8];
        line_off |= {RegionW{pick[o]}} & derived_i[ctx_q].line_off[o];
      end
      for (int unsigned o = 0; o < 7; o++) count[o] = {2'b00, count_q[o] & {4{earlier[o]}}};
      rank = ((count[0] + count[1]) + (count[2] + count[3])) + ((count[4] + count[5]) + count[6]);
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      seen_q   <= 1'b0;
      leave_q  <= 1'b0;
      drop_q   <= 1'b0;
      open_q   <= 1'b0;
      held_q   <= '0;
      queued_q <= '0;
    end else begin
      leave_q <= (a_pass && last_octet) || (leave_q && !line_ready_o);
      drop_q  <= a_pass && !a_go;
      if (a_pass) begin
        seen_q <= !last_octet;
        open_q <= filled && !channel_end;
      end else if (line_valid_i && !leave_q) begin
        seen_q <= 1'b1;
      end
      held_q   <= held_q + (a_pass && alloc ? HeldW'(step) : '0) - HeldW'(release_i);
      queued_q <= queued_q + LevelW'(a_pass && push) - LevelW'(region_done_i);
    end
  end

  always_ff @(posedge clk_i) begin
    if (!seen_q && line_valid_i) begin
      ctx_q <= line_i.ctx;
      for (int unsigned o = 0; o < 8; o++) begin
        todo_q[o]  <= line_i.need[8*o +: 8] != '0;
        count_q[o] <= 4'($countones(line_i.bitmap[8*o +: 8]));
      end
    end else if (a_pass) begin
      todo_q <= todo_q & ~pick;
    end
  end

  // ---- Stage B: cut it into pieces ----
  logic               b_valid_q, b_first_q;   // first piece of an octet
  ctx_t               b_ctx_q;
  octet_t             b_need_q, b_bitmap_q, b_starts_q;
  logic               b_push_q, b_filled_q;   // the octet ends a region, which is not empty
  region_off_t        b_base_q;
  pos_t               b_rank_q;
  logic [CreditW-1:0] credit_q;
  logic               b_go, b_last, piece_done;
  octet_t             b_lowest, b_reach, b_same2, b_same4, b_piece;

  always_comb begin
    b_lowest = b_need_q & -b_need_q;
    // Steps of 1, 2 and 4 positions up that stay in a row.
    b_same2  = ~b_starts_q & {~b_starts_q[6:0], 1'b0};
    b_same4  = b_same2 & {b_same2[5:0], 2'b00};
    b_reach  = b_lowest | ({b_lowest[6:0], 1'b0} & ~b_starts_q);
    b_reach  = b_reach | ({b_reach[5:0], 2'b00} & b_same2);
    b_reach  = b_reach | ({b_reach[3:0], 4'h0} & b_same4);
    b_piece  = b_need_q & b_reach;
  end

  assign b_last = b_need_q == b_piece;
  assign b_go   = b_valid_q && credit_q != '0;
  assign b_free = !b_valid_q || (b_go && b_last);

  assign line_rank_o  = b_rank_q;
  assign line_ready_o = leave_q && (drop_q || (b_go && b_first_q));

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      b_valid_q <= 1'b0;
      credit_q  <= CreditW'(PieceDepth);
    end else begin
      if (b_free) b_valid_q <= a_go;
      credit_q <= credit_q - CreditW'(b_go) + CreditW'(piece_done);
    end
  end

  always_ff @(posedge clk_i) begin
    if (b_free) begin
      b_first_q  <= 1'b1;
      b_ctx_q    <= ctx_q;
      b_need_q   <= need;
      b_bitmap_q <= bitmap;
      b_starts_q <= starts;
      b_base_q   <= line_i.origin + line_off;
      b_rank_q   <= rank;
      b_push_q   <= push;
      b_filled_q <= filled;
    end else if (b_go) begin
      b_first_q  <= 1'b0;
      b_need_q   <= b_need_q & ~b_piece;
    end
  end

  // ---- Stage C: the place of a piece; the octet's bytes ----
  logic        c_valid_q, c_first_q, c_push_q, c_filled_q;
  octet_t      c_piece_q, c_bitmap_q;
  logic [2:0]  c_row_q;            // of the piece: rows that begin in the octet behind its first bit
  ctx_t        c_ctx_q;
  region_off_t c_base_q, c_place, row_step;
  region_off_t [1:0] row_steps;
  logic [7:0][7:0] unpacked, bytes_q;
  logic [2:0]  c_rank;

  // From the end of a line row to the begin of the next.
  always_comb begin
    row_steps = 'x;
    row_step  = 'x;
    if (c_valid_q) begin
      for (int unsigned c = 0; c < 2; c++) row_steps[c] = derived_i[c].win_w - region_off_t'(layer_i[c].line_w);
      row_step = row_steps[c_ctx_q];
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) c_valid_q <= 1'b0;
    else         c_valid_q <= b_go;
  end

  always_ff @(posedge clk_i) begin
    if (b_go) begin
      c_first_q  <= b_first_q;
      c_ctx_q    <= b_ctx_q;
      c_bitmap_q <= b_bitmap_q;
      c_piece_q  <= b_piece;
      c_row_q    <= 3'($countones(b_starts_q & 8'hfe & (b_lowest | (b_lowest - 8'd1))));
      c_base_q   <= b_base_q;
      c_push_q   <= b_push_q && b_last;
      c_filled_q <= b_filled_q;
    end
  end

  always_comb begin
    c_place  = '0;
    unpacked = '0;
    c_rank   = '0;
    if (c_valid_q) begin
      c_place = c_base_q + (c_row_q[0] ? row_step : '0) + (c_row_q[1] ? row_step << 1 : '0) +
                (c_row_q[2] ? row_step << 2 : '0);
      for (int unsigned i = 0; i < 8; i++) begin
        if (c_bitmap_q[i]) unpacked[i] = line_bytes_i[c_rank];
        c_rank = c_rank + 3'(c_bitmap_q[i]);
      end
    end
  end

  // ---- Stage D: write the bytes ----
  logic            d_valid_q, d_push_q, d_filled_q, d_half_q;
  octet_t          d_piece_q;
  region_off_t     d_place_q;
  region_buf_t     d_buf;
  logic [2:0]      turn;
  logic [7:0][7:0] lane_data;
  octet_t          lane_piece, lane_below;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) d_valid_q <= 1'b0;
    else         d_valid_q <= c_valid_q;
  end

  spcore_region_ring #(
    .NumRegions(NumRegions)
  ) u_byte_buf (
    .clk_i,
    .rst_ni,
    .clear_i (idle_i),
    .half_i  (d_half_q),
    .buffer_o(d_buf),
    .step_o  (),
    .next_i  (d_valid_q && d_push_q && d_filled_q)
  );

  always_ff @(posedge clk_i) begin
    if (c_valid_q) begin
      d_piece_q  <= c_piece_q;
      d_place_q  <= c_place;
      d_push_q   <= c_push_q;
      d_filled_q <= c_filled_q;
      d_half_q   <= derived_i[c_ctx_q].half_regions;
      if (c_first_q) bytes_q <= unpacked;
    end
  end

  // Lane l takes bit l - turn of the octet; lanes below `turn` hold the following row.
  assign turn       = d_place_q[2:0];
  assign lane_below = (8'd1 << turn) - 8'd1;

  always_comb begin
    lane_data  = 'x;
    lane_piece = '0;
    if (d_valid_q) begin
      lane_data  = bytes_q;
      lane_piece = d_piece_q;
      if (turn[0]) lane_data = {lane_data[6:0], lane_data[7]};
      if (turn[1]) lane_data = {lane_data[5:0], lane_data[7:6]};
      if (turn[2]) lane_data = {lane_data[3:0], lane_data[7:4]};
      if (turn[0]) lane_piece = {lane_piece[6:0], lane_piece[7]};
      if (turn[1]) lane_piece = {lane_piece[5:0], lane_piece[7:6]};
      if (turn[2]) lane_piece = {lane_piece[3:0], lane_piece[7:4]};
    end
  end

  logic [7:0][7:0] read_lanes;
  octet_t          read_lane;
  logic [2:0]      read_lane_q;
  logic [RowW-1:0] row;

  assign row       = d_place_q[3 +: RowW];
  assign read_lane = byte_read_i ? 8'd1 << byte_off_i[2:0] : '0;

  // A region's rows lie from that half on; those of a half region, which has a bit less, never leave it.
  for (genvar l = 0; l < 8; l++) begin : gen_lane
    logic [RowW-1:0]  lane_row;
    logic [ByteW-1:0] waddr;

    always_comb begin
      lane_row = 'x;
      waddr    = 'x;
      if (d_valid_q) begin
        lane_row = lane_below[l] ? row + RowW'(1) : row;
        waddr    = ByteW'((32'(d_buf) << (RowW - 1)) | 32'(lane_row));
      end
    end

    spcore_mem_1r1w #(
      .NumWords(NumRegions * Rows), .DataWidth(8)
    ) u_bytes (
      .clk_i,
      .we_i   (lane_piece[l]),
      .waddr_i(waddr),
      .wdata_i(lane_data[l]),
      .re_i   (read_lane[l]),
      .raddr_i(ByteW'((32'(byte_buf_i) << (RowW - 1)) | 32'(byte_off_i[3 +: RowW]))),
      .rdata_o(read_lanes[l])
    );
  end

  always_ff @(posedge clk_i) begin
    if (byte_read_i) read_lane_q <= byte_off_i[2:0];
  end

  assign byte_o = read_lanes[read_lane_q];

  // ---- Bitmaps ----
  typedef struct packed {
    octet_t     marks;    // rotated, like the lanes
    logic [2:0] turn;
    logic [5:0] row;
    logic       half;
    logic       push;
  } piece_t;

  typedef enum logic [1:0] {
    StMark,
    StWrite,  // the word at hand makes room for another one, or the region ends
    StRead    // that one was written before: it is on its way
  } state_e;

  piece_t  piece;
  logic    piece_valid;
  state_e  state_q;
  logic    have_q;                 // word_q holds the marks of word at_q
  bitmap_t word_q;
  region_word_t at_q;
  region_word_t want_q;            // the word that is read
  logic    reading_q;              // from StWrite on
  logic [2**$bits(region_word_t)-1:0] written_q;   // words of the present region that exist in memory or here
  logic    low_done_q;             // of a piece that lies in two words
  logic    end_q;                  // StWrite: the region ends
  logic    mark_half_q;            // of the present region
  region_buf_t mark_buf;
  octet_t  below, low, high;
  logic [5:0] high_row;
  logic    high_only, two, none, ready, set, complete;
  bitmap_t marks;
  region_word_t word;

  spcore_fifo #(
    .Width($bits(piece_t)), .Depth(PieceDepth)
  ) u_pieces (
    .clk_i,
    .rst_ni,
    .clear_i(1'b0),
    .valid_i(d_valid_q),
    .ready_o(),   // credits leave room
    .data_i ({lane_piece, turn, d_place_q[8:3], d_half_q, d_push_q}),
    .valid_o(piece_valid),
    .ready_i(piece_done),
    .data_o (piece),
    .level_o()
  );

  always_comb begin
    below     = 'x;
    low       = 'x;
    high      = 'x;
    high_row  = 'x;
    high_only = 'x;
    two       = 'x;
    none      = 'x;
    word      = 'x;
    ready     = 'x;
    if (piece_valid) begin
      below     = (8'd1 << piece.turn) - 8'd1;
      low       = piece.marks & ~below;
      high      = piece.marks & below;
      high_row  = piece.row + 6'd1;
      high_only = low_done_q || low == '0;
      two       = high_row[2:0] == '0 && high != '0 && !high_only;
      none      = piece.marks == '0;
      word      = high_only ? high_row[5:3] : piece.row[5:3];
      ready     = have_q && at_q == word;   // for the marks
    end
  end

  always_comb begin
    marks = 'x;
    if (set) begin
      for (int unsigned o = 0; o < 8; o++) begin
        marks[8*o +: 8] = (piece.row[2:0] == 3'(o) && !high_only ? low : '0) | (high_row[2:0] == 3'(o) && !two ? high : '0);
      end
    end
  end

  assign set        = state_q == StMark && piece_valid && !none && (ready || !have_q);
  assign piece_done = state_q == StMark && piece_valid && (none || (set && !two));
  assign complete   = state_q == StWrite && end_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      state_q    <= StMark;
      reading_q  <= 1'b0;
      have_q     <= 1'b0;
      written_q  <= '0;
      low_done_q <= 1'b0;
      end_q      <= 1'b0;
    end else begin
      unique case (state_q)
        StMark: begin
          if (set) begin
            have_q          <= 1'b1;
            written_q[word] <= 1'b1;
          end
          if (set) low_done_q <= two;
          if (piece_done && piece.push) begin
            state_q <= StWrite;
            end_q   <= 1'b1;
          end else if (piece_valid && !none && !set) begin
            state_q   <= StWrite;
            reading_q <= written_q[word];
          end
        end
        StWrite: begin
          state_q <= reading_q ? StRead : StMark;
          have_q  <= 1'b0;
          end_q   <= 1'b0;
          if (end_q) written_q <= '0;
        end
        StRead: begin
          if (bitmap_rsp_i.valid) begin
            state_q   <= StMark;
            reading_q <= 1'b0;
            have_q    <= 1'b1;
          end
        end
        default: state_q <= StMark;
      endcase
    end
  end

  always_ff @(posedge clk_i) begin
    if (set || (reading_q && bitmap_rsp_i.valid)) begin
      word_q <= reading_q ? bitmap_rsp_i.bits : (have_q ? word_q : '0) | marks;
    end
    if (set)            at_q <= word;
    else if (reading_q) at_q <= want_q;
    want_q <= word;
    mark_half_q <= piece.half;   // of the region at hand in the cycle behind a piece of it, and while one waits
  end

  spcore_region_ring #(
    .NumRegions(NumRegions)
  ) u_mark_buf (
    .clk_i,
    .rst_ni,
    .clear_i (idle_i),
    .half_i  (mark_half_q),
    .buffer_o(mark_buf),
    .step_o  (),
    .next_i  (complete && written_q != '0)
  );

  assign bitmap_write_o = '{valid: state_q == StWrite && have_q, buffer: mark_buf, word: at_q, bits: word_q};
  assign bitmap_read_o  = '{valid: reading_q, buffer: mark_buf, word: want_q};

  // ---- Regions ----
  typedef struct packed {
    logic   empty;
    logic   last_of_unit;
    shape_t shape;
    ctx_t   ctx;
  } info_t;

  logic [PtrW-1:0]   push_ptr_q, complete_ptr_q, pop_ptr_q, done_ptr_q;
  logic [LevelW-1:0] complete_q;   // regions that are complete and not taken
  info_t             info;
  logic              pop;

  assign pop            = region_valid_o && region_ready_i;
  assign region_valid_o = complete_q != '0;

  spcore_regfile #(
    .NumWords(QueueDepth), .DataWidth($bits(info_t))
  ) u_info (
    .clk_i,
    .we_i   (a_pass && push),
    .waddr_i(push_ptr_q),
    .wdata_i({!filled, line_i.last_of_unit, line_i.shape, line_i.ctx}),
    .raddr_i(pop_ptr_q),
    .rdata_o(info)
  );

  spcore_regfile #(
    .NumWords(QueueDepth), .DataWidth(AddrW)
  ) u_wgt_addr (
    .clk_i,
    .we_i   (a_pass && push),
    .waddr_i(push_ptr_q),
    .wdata_i(line_i.wgt_addr),
    .raddr_i(done_ptr_q),
    .rdata_o(region_wgt_addr_o)
  );

  spcore_regfile #(
    .NumWords(QueueDepth), .DataWidth(2**$bits(region_word_t))
  ) u_words (
    .clk_i,
    .we_i   (complete),
    .waddr_i(complete_ptr_q),
    .wdata_i(written_q),
    .raddr_i(pop_ptr_q),
    .rdata_o(region_o.words)
  );

  assign region_o.empty        = info.empty;
  assign region_o.last_of_unit = info.last_of_unit;
  assign region_o.shape        = info.shape;
  assign region_o.ctx          = info.ctx;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      push_ptr_q     <= '0;
      complete_ptr_q <= '0;
      pop_ptr_q      <= '0;
      done_ptr_q     <= '0;
      complete_q     <= '0;
    end else begin
      if (a_pass && push) push_ptr_q     <= push_ptr_q == LastPtr ? '0 : push_ptr_q + PtrW'(1);
      if (complete)       complete_ptr_q <= complete_ptr_q == LastPtr ? '0 : complete_ptr_q + PtrW'(1);
      if (pop)            pop_ptr_q      <= pop_ptr_q == LastPtr ? '0 : pop_ptr_q + PtrW'(1);
      if (region_done_i)  done_ptr_q     <= done_ptr_q == LastPtr ? '0 : done_ptr_q + PtrW'(1);
      complete_q <= complete_q + LevelW'(complete) - LevelW'(pop);
    end
  end

  `SPCORE_ASSERT(!idle_i || held_q == '0, "an idle PE holds regions")

endmodule
