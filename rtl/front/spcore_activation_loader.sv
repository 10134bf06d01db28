// Takes activation lines from the stream and hands each, once complete and checked, to the activation store.
//
// A line is a packet: a beat with the bitmap, then the packed bytes. The lines of a load get consecutive index entries, and
// their bytes consecutive words of the section. A fault ends the load: the stream is then swallowed until flush_i. Of
// several faults of one beat the first in this order counts: (bitmap beat) TKEEP, bits outside the line, overflow; early
// TLAST, late TLAST, TKEEP.
// A start is given to an idle loader, or together with flush_i; command_ctrl sees to that and to the range of the load.
module spcore_activation_loader
  import sparsecore_pkg::*;
  import spcore_front_pkg::*;
#(
  parameter int unsigned StreamBytes = 64
) (
  input  logic                     clk_i,
  input  logic                     rst_ni,

  input  logic                     start_i,
  input  addr_t                    idx_base_i,   // index entry of the first line
  input  addr_t                    lines_i,      // at least 1
  input  addr_t                    base_i,       // section of words [base_i, limit_i)
  input  addr_t                    limit_i,
  input  npos_t                    line_pos_i,   // positions of a line
  input  logic                     flush_i,
  output logic                     busy_o,
  output logic                     discard_o,
  output logic                     done_o,       // pulse: the last line is being written
  output act_err_t                 err_o,        // pulse
  output addr_t                    err_info_o,   // number of the faulty line, until flush_i
  output addr_t                    end_o,        // first word of the section not used

  input  logic [8*StreamBytes-1:0] s_axis_tdata,
  input  logic [StreamBytes-1:0]   s_axis_tkeep,
  input  logic                     s_axis_tvalid,
  output logic                     s_axis_tready,
  input  logic                     s_axis_tlast,

  output logic                     lw_valid_o,
  input  logic                     lw_ready_i,
  output line_write_t              lw_line_o
);

  localparam int unsigned Beats  = (LinePos + StreamBytes - 1) / StreamBytes;
  localparam int unsigned BeatW  = Beats > 1 ? $clog2(Beats) : 1;

  if (StreamBytes != 8 && StreamBytes != 16 && StreamBytes != 32 && StreamBytes != 64) begin : gen_check_bytes
    $error("%m: StreamBytes = %0d, expected 8, 16, 32 or 64", StreamBytes);
  end

  typedef enum logic [2:0] {
    StIdle,
    StBitmap,   // expects the first beat of a line
    StBytes,
    StEnd,      // the last line waits for the store
    StDiscard
  } state_e;

  state_e           state_q, state_d;
  addr_t            line_q, last_q, limit_q, end_q, err_info_q;
  npos_t            line_pos_q;
  npos_t            left_q;      // packed bytes still to come
  logic [BeatW-1:0] beat_q;
  line_write_t      write_q;
  logic             valid_q;     // write_q is complete
  act_err_t         err_d, err_q;
  logic             accept, line_end;

  // A complete line leaves before the next one begins to take its place.
  assign s_axis_tready = state_q == StDiscard ||
                         ((state_q == StBitmap || state_q == StBytes) && (!valid_q || lw_ready_i));
  assign accept        = s_axis_tvalid && s_axis_tready && state_q != StDiscard;

  // ---------------------------------------------------------------------------------------------------------------
  // The beat at the stream
  // ---------------------------------------------------------------------------------------------------------------
  bitmap_t                bitmap;
  npos_t                  count;
  logic [3:0]             words;
  logic                   beat_is_last;
  logic [StreamBytes-1:0] keep;        // as it has to be

  assign bitmap = s_axis_tdata[LinePos-1:0];

  always_comb begin
    count        = '0;
    words        = '0;
    beat_is_last = 1'b0;
    keep         = '0;
    err_d        = '0;
    if (accept) begin
      if (state_q == StBitmap) begin
        count        = npos_t'($countones(bitmap));
        words        = 4'((count + npos_t'(WordBytes - 1)) >> $clog2(WordBytes));
        beat_is_last = count == '0;
        keep         = StreamBytes'({WordBytes{1'b1}});
      end else begin
        beat_is_last = left_q <= npos_t'(StreamBytes);
        for (int unsigned b = 0; b < StreamBytes; b++) keep[b] = npos_t'(b) < left_q;
      end
      if (state_q == StBitmap && s_axis_tkeep != keep)              err_d.population  = 1'b1;
      else if (state_q == StBitmap && (bitmap >> line_pos_q) != '0) err_d.bitmap      = 1'b1;
      else if (state_q == StBitmap && addr_t'(words) > limit_q - end_q) err_d.overflow = 1'b1;
      else if (s_axis_tlast && !beat_is_last)                       err_d.tlast_early = 1'b1;
      else if (!s_axis_tlast && beat_is_last)                       err_d.tlast_late  = 1'b1;
      else if (s_axis_tkeep != keep)                                err_d.population  = 1'b1;
    end
  end

  assign line_end = accept && beat_is_last && err_d == '0;

  // ---------------------------------------------------------------------------------------------------------------
  // State
  // ---------------------------------------------------------------------------------------------------------------
  always_comb begin
    state_d = state_q;
    unique case (state_q)
      StBitmap, StBytes: begin
        if (err_d != '0)   state_d = StDiscard;
        else if (line_end) state_d = line_q == last_q ? StEnd : StBitmap;
        else if (accept)   state_d = StBytes;
      end
      StEnd:     if (lw_ready_i) state_d = StIdle;
      StDiscard: if (flush_i) state_d = StIdle;
      default: ;
    endcase
    if (start_i) state_d = StBitmap;
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      state_q    <= StIdle;
      valid_q    <= 1'b0;
      line_q     <= '0;
      last_q     <= '0;
      limit_q    <= '0;
      end_q      <= '0;
      line_pos_q <= '0;
      left_q     <= '0;
      beat_q     <= '0;
      err_q      <= '0;
      err_info_q <= '0;
    end else begin
      state_q <= state_d;
      err_q   <= err_d;
      if (line_end) valid_q <= 1'b1;
      else if (lw_ready_i) valid_q <= 1'b0;

      if (start_i) begin
        line_q     <= '0;
        last_q     <= lines_i - 1'b1;
        limit_q    <= limit_i;
        end_q      <= base_i;
        line_pos_q <= line_pos_i;
      end else if (line_end) begin
        line_q <= line_q + 1'b1;
        end_q  <= end_q + (state_q == StBitmap ? '0 : addr_t'(write_q.words));
      end

      if (accept) begin
        if (state_q == StBitmap) begin
          left_q <= count;
          beat_q <= '0;
        end else begin
          left_q <= left_q - npos_t'(StreamBytes);
          beat_q <= beat_q + 1'b1;
        end
      end

      if (err_d != '0) err_info_q <= line_q;
      else if (flush_i) err_info_q <= '0;
    end
  end

  always_ff @(posedge clk_i) begin
    if (start_i) begin
      write_q.idx_addr <= idx_base_i - 1'b1;  // the first line steps to idx_base_i
    end else if (accept && state_q == StBitmap) begin
      write_q.idx_addr <= write_q.idx_addr + 1'b1;
      write_q.ptr      <= end_q;
      write_q.bitmap   <= bitmap;
      write_q.words    <= words;
      write_q.bytes    <= '0;
    end else if (accept) begin
      for (int unsigned b = 0; b < LinePos; b++) begin
        if (BeatW'(b / StreamBytes) == beat_q && s_axis_tkeep[b % StreamBytes]) begin
          write_q.bytes[b] <= s_axis_tdata[8*(b % StreamBytes) +: 8];
        end
      end
    end
  end

  assign busy_o     = state_q == StBitmap || state_q == StBytes || state_q == StEnd;
  assign discard_o  = state_q == StDiscard;
  assign done_o     = state_q == StEnd && lw_ready_i;
  assign err_o      = err_q;
  assign err_info_o = err_info_q;
  assign end_o      = end_q;
  assign lw_valid_o = valid_q;
  assign lw_line_o  = write_q;

endmodule
