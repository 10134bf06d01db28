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
  parameter int unsigned LineDepth = 4   // lines being fetched or waiting, at least 2
) (
  input  logic          clk_i,
  input  logic          rst_ni,
  input  layer_t        layer_i,
  input  derived_t      derived_i,
  input  logic          starving_i,   // the PE has nothing to compute: its requests are urgent
  // Ready when the previous unit's last word is granted.
  input  logic          unit_valid_i,
  output logic          unit_ready_o,
  input  unit_t         unit_i,
  // Index Memory: the grant in the cycle of the request, the entry in the next
  output logic          idx_req_o,
  output logic          idx_urgent_o,
  output addr_t         idx_addr_o,
  input  logic          idx_gnt_i,
  input  logic          idx_rvalid_i,
  input  index_entry_t  idx_rdata_i,
  // Activation Memory, likewise
  output logic          act_req_o,
  output logic          act_urgent_o,
  output addr_t         act_addr_o,
  input  logic          act_gnt_i,
  input  logic          act_rvalid_i,
  input  logic [63:0]   act_rdata_i,
  // Lines, and the 8 packed bytes of the present one that begin at a rank, a cycle after it
  output logic          line_valid_o,
  input  logic          line_ready_i,
  output fetched_line_t line_o,
  input  pos_t          line_rank_i,
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

  logic   fetch_q;      // words of a line are left to request
  logic   fetch_end;    // its last word is granted
  count_t held_q;       // slots in use
  count_t complete_q;   // those whose bytes are all there

  // -------------------------------------------------------------------------------------------------------------------
  // Index entries
  // -------------------------------------------------------------------------------------------------------------------
  logic        unit_take;
  logic        walk_busy, entry_valid, entry_ready;
  line_entry_t entry;
  pe_unit_t    unit_q;

  assign unit_ready_o = !walk_busy && !fetch_q;
  assign unit_take    = unit_valid_i && unit_ready_o;
  assign idx_urgent_o = starving_i;

  spcore_line_walk u_line_walk (
    .clk_i,
    .rst_ni,
    .layer_i,
    .derived_i,
    .unit_valid_i (unit_take),
    .unit_i,
    .busy_o       (walk_busy),
    .idx_req_o,
    .idx_addr_o,
    .idx_gnt_i,
    .idx_rvalid_i,
    .idx_rdata_i,
    .entry_valid_o(entry_valid),
    .entry_ready_i(entry_ready),
    .entry_o      (entry)
  );

  always_ff @(posedge clk_i) begin
    if (unit_take) begin
      unit_q <= '{job: unit_i.job, split: unit_i.split, chunk: unit_i.chunk, out_line: unit_i.out_line,
                  tile_h: unit_i.tile_h, tile_w: unit_i.tile_w};
    end
  end

  // -------------------------------------------------------------------------------------------------------------------
  // Which lines are kept, and which of their words
  // -------------------------------------------------------------------------------------------------------------------
  logic    channel_open_q;   // a line of the present channel was handed on
  addr_t   wgt_addr_q;       // the present channel's
  logic    any, keep, room, load;
  bitmap_t bytes_needed, up_to_last;
  word_t   word_first, word_last;

  assign any         = entry.need != '0;
  assign keep        = any || (entry.last_of_channel && (channel_open_q || entry.last_of_unit));
  assign room        = held_q != count_t'(LineDepth) && (!fetch_q || fetch_end);
  assign entry_ready = !keep || room;
  assign load        = entry_valid && keep && room;

  // The ranks of the first and last needed byte among the packed bytes, in words.
  always_comb begin
    bytes_needed = entry.bitmap & entry.need;
    up_to_last   = bytes_needed;
    word_first   = '0;
    word_last    = '0;
    if (entry_valid) begin
      for (int unsigned i = 0; i < PosW; i++) up_to_last |= up_to_last >> (1 << i);
      word_first = word_t'($countones(entry.bitmap & ((bytes_needed & -bytes_needed) - bitmap_t'(1))) / WordBytes);
      word_last  = word_t'(($countones(entry.bitmap & up_to_last) - 1) / WordBytes);
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      channel_open_q <= 1'b0;
      wgt_addr_q     <= '0;
    end else if (unit_take) begin
      wgt_addr_q <= unit_i.wgt_addr;
    end else if (entry_valid && entry_ready) begin
      channel_open_q <= !entry.last_of_channel && (channel_open_q || any);
      if (entry.last_of_channel) wgt_addr_q <= wgt_addr_q + addr_t'(derived_i.rs);
    end
  end

  // -------------------------------------------------------------------------------------------------------------------
  // Words
  // -------------------------------------------------------------------------------------------------------------------
  addr_t act_addr_q;
  word_t word_q, word_last_q;
  slot_t fetch_slot_q;        // of the words being requested
  slot_t load_slot_q;         // of the next line
  logic  has_words;

  assign has_words    = bytes_needed != '0;
  assign fetch_end    = act_gnt_i && word_q == word_last_q;
  assign act_req_o    = fetch_q;
  assign act_urgent_o = starving_i;
  assign act_addr_o   = act_addr_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      fetch_q      <= 1'b0;
      act_addr_q   <= '0;
      word_q       <= '0;
      word_last_q  <= '0;
      fetch_slot_q <= '0;
    end else if (load && has_words) begin
      fetch_q      <= 1'b1;
      act_addr_q   <= entry.ptr + addr_t'(word_first);
      word_q       <= word_first;
      word_last_q  <= word_last;
      fetch_slot_q <= load_slot_q;
    end else if (fetch_q && act_gnt_i) begin
      if (fetch_end) fetch_q <= 1'b0;
      act_addr_q <= act_addr_q + addr_t'(1);
      word_q     <= word_q + word_t'(1);
    end
  end

  // -------------------------------------------------------------------------------------------------------------------
  // Slots: lines in order; those that are complete may be handed on
  // -------------------------------------------------------------------------------------------------------------------
  fetched_line_t line_q [LineDepth];
  slot_t         read_slot_q;
  slot_t         arrive_slot_q;
  word_t         arrive_word_q;
  logic          last_word_q;      // it is its line's last
  logic          no_word_q;        // a line that needs none was loaded in the previous cycle
  logic          pop;

  assign pop = line_valid_o && line_ready_i;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      load_slot_q   <= '0;
      read_slot_q   <= '0;
      held_q        <= '0;
      complete_q    <= '0;
      arrive_slot_q <= '0;
      arrive_word_q <= '0;
      last_word_q   <= 1'b0;
      no_word_q     <= 1'b0;
    end else begin
      if (load) load_slot_q <= load_slot_q == LastSlot ? '0 : load_slot_q + slot_t'(1);
      if (pop)  read_slot_q <= read_slot_q == LastSlot ? '0 : read_slot_q + slot_t'(1);
      held_q        <= held_q + count_t'(load) - count_t'(pop);
      // A line without words completes as late as one with words would, so that completion keeps the order.
      complete_q    <= complete_q + count_t'(last_word_q) + count_t'(no_word_q) - count_t'(pop);
      last_word_q   <= fetch_q && fetch_end;
      no_word_q     <= load && !has_words;
      arrive_slot_q <= fetch_slot_q;
      arrive_word_q <= word_q;
    end
  end

  always_ff @(posedge clk_i) begin
    if (load) begin
      line_q[load_slot_q] <= '{
        bitmap:          entry.bitmap,
        need:            entry.need,
        origin:          entry.origin,
        last_of_channel: entry.last_of_channel,
        last_of_unit:    entry.last_of_unit,
        wgt_addr:        wgt_addr_q,
        unit:            unit_q
      };
    end
  end

  assign line_valid_o = complete_q != '0;
  assign line_o       = line_q[read_slot_q];

  // Bytes that begin in one word and may end in the next: even words in one memory, odd ones in the other.
  localparam int unsigned HalfW = $clog2(LineDepth * LineWords / 2);
  word_t            read_word;
  logic [2:0]       rank_q;
  logic             swap_q;        // the first byte is in an odd word
  logic [1:0][63:0] half;
  logic [127:0]     pair;

  assign read_word = line_rank_i[PosW-1:PosW-WordW];

  for (genvar odd = 0; odd < 2; odd++) begin : gen_words
    logic [WordW-2:0] row;   // of the word at or behind the first byte's
    assign row = read_word[WordW-1:1] + (WordW - 1)'(read_word[0] && odd == 0);
    spcore_mem_1r1w #(
      .NumWords(LineDepth * LineWords / 2), .DataWidth(64)
    ) u_words (
      .clk_i,
      .we_i   (act_rvalid_i && arrive_word_q[0] == 1'(odd)),
      .waddr_i(HalfW'({arrive_slot_q, arrive_word_q[WordW-1:1]})),
      .wdata_i(act_rdata_i),
      .re_i   (line_valid_o),
      .raddr_i(HalfW'({read_slot_q, row})),
      .rdata_o(half[odd])
    );
  end

  always_ff @(posedge clk_i) begin
    if (line_valid_o) begin
      rank_q <= line_rank_i[2:0];
      swap_q <= read_word[0];
    end
  end

  assign pair         = swap_q ? {half[0], half[1]} : {half[1], half[0]};
  assign line_bytes_o = 64'(pair >> {rank_q, 3'b000});

endmodule
