// SPDX-License-Identifier: Apache-2.0
// Fetches the lines of a unit's activations (docs/architecture.md section 7.2).
//
// line_walk delivers index entries. A line without anything to spread is dropped, in one cycle; it stays, as a mark,
// where it ends the unit or a channel of which a line was handed on. Of any other line the words from the first to
// the last with a byte inside the window are requested, one a cycle and without a gap between lines, while the next
// lines' entries are read. Lines are handed on in order from LineDepth slots; their bytes are read here, by rank: they
// follow the rank by a cycle.
module spcore_line_fetch
  import sparsecore_pkg::*;
  import spcore_pe_pkg::*;
#(
  parameter int unsigned LineDepth = 5,  // lines being fetched or waiting, at least 2
  parameter int unsigned WordDepth = 4   // words requested
) (
  input  logic            clk_i,
  input  logic            rst_ni,
  input  layer_t   [1:0]  layer_i,
  input  derived_t [1:0]  derived_i,
  input  logic            starving_i,   // the PE has nothing to compute: its requests are urgent
  // Ready when all entries of the previous unit are seen.
  input  logic            unit_valid_i,
  output logic            unit_ready_o,
  input  unit_t           unit_i,
  // Index and Activation Memory
  output mem_req_t        idx_req_o,
  input  mem_rsp_t        idx_rsp_i,
  input  index_entry_t    idx_rdata_i,
  output mem_req_t        act_req_o,
  input  mem_rsp_t        act_rsp_i,
  input  logic [63:0]     act_rdata_i,
  // Lines, and the 8 packed bytes of the present one that begin at a rank, a cycle after it
  output logic            line_valid_o,
  input  logic            line_ready_i,
  output fetched_line_t   line_o,
  input  pos_t            line_rank_i,
  output logic [7:0][7:0] line_bytes_o
);

  if (LineDepth < 2) begin : gen_check_line_depth
    $error("%m: LineDepth = %0d, expected at least 2", LineDepth);
  end

  localparam int unsigned SlotW = $clog2(LineDepth);
  localparam int unsigned CntW  = $clog2(LineDepth + 1);
  localparam int unsigned WordW = $clog2(LineWords);
  typedef logic [SlotW-1:0] slot_t;
  typedef logic [CntW-1:0]  count_t;
  typedef logic [WordW-1:0] word_t;

  localparam slot_t LastSlot = slot_t'(LineDepth - 1);

  // ---- Index entries ----
  logic        urgent_q;
  logic        unit_open_q;   // entries of the unit are still to come
  logic        unit_take;
  logic        entry_valid, entry_ready;
  line_entry_t entry;
  ctx_t        ctx_q;         // the unit's
  shape_t      shape_q;       // of its tile

  assign unit_ready_o = !unit_open_q;
  assign unit_take    = unit_valid_i && unit_ready_o;

  spcore_line_walk u_line_walk (
    .clk_i, .rst_ni, .layer_i, .derived_i,
    .unit_valid_i(unit_take), .unit_open_i(unit_open_q), .unit_i,
    .urgent_i(urgent_q), .idx_req_o, .idx_rsp_i, .idx_rdata_i,
    .entry_valid_o(entry_valid), .entry_ready_i(entry_ready), .entry_o(entry)
  );

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) urgent_q <= 1'b0;
    else         urgent_q <= starving_i;
  end

  always_ff @(posedge clk_i) begin
    if (!unit_open_q) begin
      ctx_q   <= unit_i.ctx;
      shape_q <= {unit_i.tile_h != layer_i[unit_i.ctx].tile_h, unit_i.tile_w != layer_i[unit_i.ctx].tile_w};
    end
  end

  // ---- Which lines are kept ----
  logic   channel_open_q;   // a line of the present channel was handed on
  addr_t  wgt_addr_q;       // the present channel's
  count_t held_q;           // slots in use
  logic   bounds_valid_q;   // a line's first and last word are being worked out
  logic   fetch_q;          // words of a line are left to request
  logic   keep, room, load;

  assign keep        = entry.any || (entry.last_of_channel && (channel_open_q || entry.last_of_unit));
  assign room        = held_q != count_t'(LineDepth) && !(bounds_valid_q && fetch_q);
  assign entry_ready = !keep || room;
  assign load        = entry_valid && keep && room;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      unit_open_q    <= 1'b0;
      channel_open_q <= 1'b0;
    end else if (unit_take) begin
      unit_open_q <= 1'b1;
    end else if (entry_valid && entry_ready) begin
      unit_open_q    <= !entry.last_of_unit;
      channel_open_q <= !entry.last_of_channel && (channel_open_q || entry.any);
    end
  end

  always_ff @(posedge clk_i) begin
    if (!unit_open_q) begin
      wgt_addr_q <= unit_i.wgt_addr;
    end else if (entry_valid && entry_ready && entry.last_of_channel) begin
      wgt_addr_q <= wgt_addr_q + (layer_i[ctx_q].tap_shared ? addr_t'(1) : addr_t'(derived_i[ctx_q].rs));
    end
  end

  // ---- Which of their words: the ranks of the first and last needed byte among the packed bytes ----
  // Address of a line's first word; the upper bits also for the words that cross into the next 8.
  typedef struct packed {
    logic [AddrW-WordW-1:0] high;
    logic [AddrW-WordW-1:0] next;
    word_t                  low;
  } line_ptr_t;

  slot_t   load_slot_q;                    // of the next line
  bitmap_t needed, from_first, up_to_last;
  bitmap_t below_first_q, below_last_q;    // non-zeros below the first and the last needed
  line_ptr_t bounds_ptr_q;
  slot_t   bounds_slot_q;
  logic    fetch_start, fetch_end;
  word_t   word_first, word_last;

  assign fetch_start = bounds_valid_q && (!fetch_q || fetch_end);

  always_comb begin
    needed     = 'x;
    from_first = 'x;
    up_to_last = 'x;
    if (load && entry.words) begin
      needed     = entry.bitmap & entry.need;
      from_first = needed;
      up_to_last = needed;
      for (int unsigned i = 0; i < PosW; i++) from_first |= from_first << (1 << i);
      for (int unsigned i = 0; i < PosW; i++) up_to_last |= up_to_last >> (1 << i);
    end
  end

  always_comb begin
    word_first = 'x;
    word_last  = 'x;
    if (fetch_start) begin
      word_first = word_t'($countones(below_first_q) / WordBytes);
      word_last  = word_t'($countones(below_last_q) / WordBytes);
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni)                  bounds_valid_q <= 1'b0;
    else if (load && entry.words) bounds_valid_q <= 1'b1;
    else if (fetch_start)         bounds_valid_q <= 1'b0;
  end

  always_ff @(posedge clk_i) begin
    if (load && entry.words) begin
      below_first_q <= entry.bitmap & ~from_first;
      below_last_q  <= entry.bitmap & (up_to_last >> 1);
      bounds_ptr_q  <= '{
        high: entry.ptr[AddrW-1:WordW],
        next: entry.ptr[AddrW-1:WordW] + 1'b1,
        low:  entry.ptr[WordW-1:0]
      };
      bounds_slot_q <= load_slot_q;
    end
  end

  // ---- Words ----
  // Where a word goes that was requested.
  typedef struct packed {
    slot_t slot;
    word_t word;
    logic  last;   // of its line
  } target_t;

  line_ptr_t fetch_ptr_q;
  logic    crosses;
  word_t   word_low;
  word_t   word_q, word_last_q;
  slot_t   fetch_slot_q;
  target_t target, arrived;
  logic    target_ready, word_take;

  always_comb begin
    target   = 'x;
    crosses  = 'x;
    word_low = 'x;
    act_req_o = '{valid: 1'b0, urgent: urgent_q, addr: 'x};
    if (fetch_q) begin
      target = '{slot: fetch_slot_q, word: word_q, last: word_q == word_last_q};
      {crosses, word_low} = {1'b0, fetch_ptr_q.low} + {1'b0, word_q};
      act_req_o.valid = target_ready;
      act_req_o.addr  = {crosses ? fetch_ptr_q.next : fetch_ptr_q.high, word_low};
    end
  end
  assign word_take = act_req_o.valid && act_rsp_i.gnt;
  assign fetch_end = word_take && target.last;

  spcore_fifo #(
    .Width($bits(target_t)), .Depth(WordDepth)
  ) u_targets (
    .clk_i, .rst_ni, .clear_i(1'b0),
    .valid_i(word_take), .ready_o(target_ready), .data_i(target),
    .valid_o(), .ready_i(act_rsp_i.rvalid), .data_o(arrived),
    .level_o()
  );

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni)          fetch_q <= 1'b0;
    else if (fetch_start) fetch_q <= 1'b1;
    else if (fetch_end)   fetch_q <= 1'b0;
  end

  always_ff @(posedge clk_i) begin
    if (fetch_start) begin
      fetch_ptr_q  <= bounds_ptr_q;
      word_q       <= word_first;
      word_last_q  <= word_last;
      fetch_slot_q <= bounds_slot_q;
    end else if (word_take) begin
      word_q <= word_q + word_t'(1);
    end
  end

  // ---- Slots: lines in order; the first is at the memory's output and handed on when its words are there ----
  slot_t                read_slot_q;       // of the next line to be read
  slot_t                line_slot_q;       // of the line at the output
  count_t               waiting_q;         // lines that are not read yet
  logic                 read_q;            // a line is at the output
  logic [LineDepth-1:0] complete_q;        // by slot: no word is missing
  logic                 read, pop;

  assign line_valid_o = read_q && complete_q[line_slot_q];
  assign pop          = line_valid_o && line_ready_i;
  assign read         = waiting_q != '0 && (!read_q || pop);

  fetched_line_t load_line;
  always_comb begin
    load_line = 'x;
    if (load) begin
      load_line = '{
        bitmap: entry.bitmap, need: entry.need, origin: entry.origin, last_of_channel: entry.last_of_channel,
        last_of_unit: entry.last_of_unit, shape: shape_q, ctx: ctx_q, wgt_addr: wgt_addr_q
      };
    end
  end

  spcore_mem_1r1w #(
    .NumWords(LineDepth), .DataWidth($bits(fetched_line_t))
  ) u_lines (
    .clk_i,
    .we_i(load), .waddr_i(load_slot_q),
    .wdata_i(load_line),
    .re_i(read), .raddr_i(read_slot_q), .rdata_o(line_o)
  );

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      load_slot_q <= '0;
      read_slot_q <= '0;
      held_q      <= '0;
      waiting_q   <= '0;
      read_q      <= 1'b0;
      complete_q  <= '0;
    end else begin
      if (load) load_slot_q <= load_slot_q == LastSlot ? '0 : load_slot_q + slot_t'(1);
      if (read) read_slot_q <= read_slot_q == LastSlot ? '0 : read_slot_q + slot_t'(1);
      held_q    <= held_q + count_t'(load) - count_t'(pop);
      waiting_q <= waiting_q + count_t'(load) - count_t'(read);
      read_q    <= read || (read_q && !pop);
      if (load)                               complete_q[load_slot_q]  <= !entry.words;
      if (act_rsp_i.rvalid && arrived.last)   complete_q[arrived.slot] <= 1'b1;
    end
  end

  always_ff @(posedge clk_i) begin
    if (read) line_slot_q <= read_slot_q;
  end

  // Bytes that begin in one word and may end in the next: even words in one memory, odd ones in the other.
  localparam int unsigned HalfW = $clog2(LineDepth * LineWords / 2);
  word_t            read_word;
  logic [2:0]       rank_q;
  logic             swap_q;        // the first byte is in an odd word
  logic [1:0][63:0] half;
  logic [63:0]      first;         // the bytes' own word
  logic [55:0]      behind;        // and what may be wanted of the next

  assign read_word = line_rank_i[PosW-1:PosW-WordW];

  for (genvar odd = 0; odd < 2; odd++) begin : gen_words
    logic [WordW-2:0] row;   // of the word at or behind the first byte's
    assign row = read_word[WordW-1:1] + (WordW - 1)'(read_word[0] && odd == 0);
    spcore_mem_1r1w #(
      .NumWords(LineDepth * LineWords / 2), .DataWidth(64)
    ) u_words (
      .clk_i,
      .we_i   (act_rsp_i.rvalid && arrived.word[0] == 1'(odd)),
      .waddr_i(HalfW'({arrived.slot, arrived.word[WordW-1:1]})),
      .wdata_i(act_rdata_i),
      .re_i   (line_valid_o),
      .raddr_i(HalfW'({line_slot_q, row})),
      .rdata_o(half[odd])
    );
  end

  always_ff @(posedge clk_i) begin
    if (line_valid_o) begin
      rank_q <= line_rank_i[2:0];
      swap_q <= read_word[0];
    end
  end

  always_comb begin
    first  = half[swap_q];
    behind = half[!swap_q][55:0];
    if (rank_q[2]) begin
      first        = {behind[31:0], first[63:32]};
      behind[23:0] = behind[55:32];
    end
    if (rank_q[1]) begin
      first       = {behind[15:0], first[63:16]};
      behind[7:0] = behind[23:16];
    end
    if (rank_q[0]) first = {behind[7:0], first[63:8]};
    line_bytes_o = first;
  end

endmodule
