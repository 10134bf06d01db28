// SPDX-License-Identifier: Apache-2.0
// Takes activation lines from the stream and hands each, once complete and checked, to the activation store.
//
// A line is a packet: a beat with the bitmap, then the packed bytes. The lines of a load get consecutive index entries, and
// their bytes consecutive words of the section. A fault ends the load, and so does cancel: the stream is then swallowed until a
// flush. Of several faults of one beat the first in this order counts: (bitmap beat) TKEEP, bits outside the line,
// overflow; early TLAST, late TLAST, TKEEP.
// A start is given to an idle loader, or together with a flush; command_ctrl sees to that and to the range of the load.
//
// A beat is registered, then looked at and put into its line, and judged in the cycle after that. A line is offered to the
// store from its last beat's judgement on, and until it is taken no other is put in its place: a line takes two cycles at least.
`include "../common/spcore_assert.svh"

module spcore_activation_loader
  import sparsecore_pkg::*;
  import spcore_front_pkg::*;
#(
  parameter int unsigned StreamBytes = 64
) (
  input  logic                     clk_i,
  input  logic                     rst_ni,

  input  act_cmd_t                 cmd_i,
  output act_status_t              status_o,

  input  logic [8*StreamBytes-1:0] s_axis_tdata,
  input  logic [StreamBytes-1:0]   s_axis_tkeep,
  input  logic                     s_axis_tvalid,
  output logic                     s_axis_tready,
  input  logic                     s_axis_tlast,

  output logic                     lw_valid_o,
  input  logic                     lw_ready_i,
  output line_write_t              lw_line_o
);

  localparam int unsigned Beats = (LinePos + StreamBytes - 1) / StreamBytes;

  if (StreamBytes != 8 && StreamBytes != 16 && StreamBytes != 32 && StreamBytes != 64) begin : gen_check_bytes
    $error("%m: StreamBytes = %0d, expected 8, 16, 32 or 64", StreamBytes);
  end

  typedef enum logic [1:0] {
    StIdle,
    StLoad,
    StEnd,      // the last line waits for the store
    StDiscard
  } state_e;

  state_e state_q, state_d;
  logic   loading_q;   // StLoad, from a flip-flop: it tells a line that ends from a start, which only enables

  // ---- the beat at the stream; after the last line's last beat no more are taken ----
  logic                     beat_valid_q, beat_last_q;
  logic [8*StreamBytes-1:0] beat_data_q;
  logic [StreamBytes-1:0]   beat_keep_q;
  addr_t                    lines_left_q;   // lines whose last beat is not taken yet
  logic                     more_q;         // there are some
  logic                     accept;
  logic                     use_beat;       // the registered beat goes on

  assign s_axis_tready = state_q == StDiscard ||
                         (state_q == StLoad && more_q && (!beat_valid_q || use_beat));
  assign accept        = s_axis_tvalid && s_axis_tready && state_q == StLoad;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      beat_valid_q <= 1'b0;
      lines_left_q <= '0;
      more_q       <= 1'b0;
    end else begin
      if (state_d != StLoad) beat_valid_q <= 1'b0;
      else if (accept)       beat_valid_q <= 1'b1;
      else if (use_beat)     beat_valid_q <= 1'b0;
      if (cmd_i.start || (accept && s_axis_tlast)) begin
        lines_left_q <= loading_q ? lines_left_q - 1'b1 : cmd_i.lines;
        more_q       <= !loading_q || lines_left_q != addr_t'(1);
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (accept) begin
      beat_data_q <= s_axis_tdata;
      beat_keep_q <= s_axis_tkeep;
      beat_last_q <= s_axis_tlast;
    end
  end

  // ---- its place in the line, and what is to be judged ----
  logic             in_bytes_q;     // the line's bitmap was there
  npos_t            left_q;         // packed bytes still to come
  logic [Beats-1:0] beat_q;         // which beat of bytes comes, one-hot
  npos_t            line_pos_q;
  bitmap_t          bitmap_q;
  logic [3:0]       words, words_q;
  line_write_t      write_q;
  logic             write_valid_q;  // write_q waits for the store
  addr_t            idx_q, end_q, room_q;
  logic             check_q;        // a beat is to be judged
  logic             check_bitmap_q, check_end_q, check_last_q, bad_keep_q, bad_bits_q;

  bitmap_t                bitmap;
  logic                   is_end;     // the line's last beat
  logic                   completes;  // goes into write_q
  logic [StreamBytes-1:0] keep;       // as it has to be

  assign bitmap    = beat_data_q[LinePos-1:0];
  assign is_end    = in_bytes_q ? left_q <= npos_t'(StreamBytes) : bitmap == '0;
  // A bitmap with bytes to come has a place of its own; for anything else the line before has to leave.
  assign completes = in_bytes_q || bitmap == '0;
  assign use_beat  = beat_valid_q && !(completes && (write_valid_q || (check_q && check_end_q)));

  always_comb begin
    keep = '0;
    if (beat_valid_q) begin
      for (int unsigned b = 0; b < StreamBytes; b++) keep[b] = in_bytes_q ? npos_t'(b) < left_q : b < WordBytes;
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      check_q    <= 1'b0;
      in_bytes_q <= 1'b0;
      left_q     <= '0;
      beat_q     <= '0;
    end else if (state_q != StLoad || state_d != StLoad) begin
      check_q    <= 1'b0;
      in_bytes_q <= 1'b0;
    end else begin
      check_q <= use_beat;
      if (use_beat) begin
        in_bytes_q <= !is_end;
        left_q     <= in_bytes_q ? left_q - npos_t'(StreamBytes) : npos_t'($countones(bitmap));
        beat_q     <= in_bytes_q ? Beats'({beat_q, 1'b0}) : Beats'(1);
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (use_beat) begin
      check_bitmap_q <= !in_bytes_q;
      check_end_q    <= is_end;
      check_last_q   <= beat_last_q;
      bad_keep_q     <= beat_keep_q != keep;
      bad_bits_q     <= !in_bytes_q && (bitmap >> line_pos_q) != '0;
    end
    if (use_beat && !in_bytes_q) bitmap_q <= bitmap;
  end

  // The bytes that no beat brings are 0.
  always_ff @(posedge clk_i) begin
    if (use_beat && completes) begin
      write_q.idx_addr <= idx_q;
      write_q.ptr      <= end_q;
      write_q.bitmap   <= in_bytes_q ? bitmap_q : '0;
      write_q.words    <= in_bytes_q ? words : '0;
      for (int unsigned b = 0; b < LinePos; b++) begin
        if (!in_bytes_q || beat_q[0] || beat_q[b/StreamBytes]) begin
          write_q.bytes[b] <= beat_data_q[8*(b % StreamBytes) +: 8] &
                              {8{in_bytes_q && beat_q[b/StreamBytes] && beat_keep_q[b % StreamBytes]}};
        end
      end
    end
  end

  // ---- judgement ----
  logic     judge, line_end;
  act_err_t err_d, err_q;
  addr_t    line_q, err_info_q;
  logic     fresh_q;    // room_q is the section's limit

  assign judge = check_q && state_q == StLoad;
  // Words of the line: its bytes are left when its bitmap is judged.
  assign words = check_q && check_bitmap_q ? 4'((left_q + npos_t'(WordBytes - 1)) >> $clog2(WordBytes)) : words_q;

  always_comb begin
    err_d = '0;
    if (judge) begin
      if (check_bitmap_q && bad_keep_q)                  err_d.population  = 1'b1;
      else if (bad_bits_q)                               err_d.bitmap      = 1'b1;
      else if (check_bitmap_q && !check_end_q && addr_t'(words) > room_q) err_d.overflow = 1'b1;
      else if (check_last_q && !check_end_q)             err_d.tlast_early = 1'b1;
      else if (!check_last_q && check_end_q)             err_d.tlast_late  = 1'b1;
      else if (bad_keep_q)                               err_d.population  = 1'b1;
    end
  end

  // Without an overflow to look for: where a line ends, its bitmap is judged already or empty.
  assign line_end = judge && check_end_q && check_last_q && !bad_keep_q && !bad_bits_q;

  always_comb begin
    state_d = state_q;
    unique case (state_q)
      StLoad: begin
        if (err_d != '0 || cmd_i.cancel)               state_d = StDiscard;
        else if (line_end && !more_q && !beat_valid_q) state_d = StEnd;
      end
      StEnd:     if (!write_valid_q) state_d = StIdle;
      StDiscard: if (cmd_i.flush) state_d = StIdle;
      default: ;
    endcase
    if (cmd_i.start) state_d = StLoad;
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      state_q       <= StIdle;
      loading_q     <= 1'b0;
      write_valid_q <= 1'b0;
      fresh_q       <= 1'b0;
      line_q        <= '0;
      idx_q         <= '0;
      end_q         <= '0;
      room_q        <= '0;
      words_q       <= '0;
      line_pos_q    <= '0;
      err_q         <= '0;
      err_info_q    <= '0;
    end else begin
      state_q       <= state_d;
      loading_q     <= state_d == StLoad;
      write_valid_q <= (line_end || write_valid_q) && !lw_ready_i;
      err_q         <= err_d;
      fresh_q       <= cmd_i.start;
      words_q       <= words;
      // What ends a line comes late: it only enables.
      if (cmd_i.start || line_end) begin
        idx_q <= loading_q ? idx_q + 1'b1 : cmd_i.idx_base;
        end_q <= loading_q ? end_q + addr_t'(write_q.words) : cmd_i.base;
      end
      if (cmd_i.start || fresh_q || line_end) begin
        room_q <= loading_q ? room_q - (fresh_q ? end_q : addr_t'(write_q.words)) : cmd_i.limit;
      end
      if (cmd_i.start) line_pos_q <= cmd_i.line_pos;
      if (state_q != StLoad) line_q <= '0;
      else if (line_end)     line_q <= line_q + 1'b1;

      if (err_d != '0)      err_info_q <= line_q;
      else if (cmd_i.flush) err_info_q <= '0;
    end
  end

  assign status_o = '{
    busy:     state_q == StLoad || state_q == StEnd,
    discard:  state_q == StDiscard,
    done:     state_q == StEnd && !write_valid_q,
    err:      err_q,
    err_info: err_info_q,
    used_end: end_q
  };
  assign lw_valid_o = line_end || write_valid_q;
  assign lw_line_o  = write_q;

  `SPCORE_ASSERT(!(cmd_i.start && status_o.busy), "a start while lines are loaded")

endmodule
