// SPDX-License-Identifier: Apache-2.0
// Reads the full staging slots of a streaming processor one after the other, channel by channel, SpLanes positions a
// cycle, and sends the accumulators on with the channel's parameters. Channels from K on are left out. A slot follows
// the one before without a gap; it is free again when its last values have been read.
//
// In a layer with a residual the next slot is chosen early, so that its residual lines can be asked for while the present
// one is read, and a line begins when its residual line is there.
//
// Slots of two layers may be full. Those of the older one come first; the other one's turn comes when what was read has left
// the streaming processor, so that all of it works on one layer.
//
//   walk over slots, channels and positions > memories > choice among banks
//
// All moves on together with run_i; the memories are to be read only while it is set.

module spcore_slot_reader
  import sparsecore_pkg::*;
  import spcore_output_pkg::*;
#(
  parameter int unsigned NumLanes = 16,
  parameter int unsigned SpLanes  = 32,
  parameter int unsigned NumStage = 4,
  localparam int unsigned NumBanks = 4 * NumLanes,
  localparam int unsigned BankW    = $clog2(NumBanks)
) (
  input  logic                           clk_i,
  input  logic                           rst_ni,
  input  ctx_t                           oldest_i,    // of the layers that are open
  output ctx_t                           ctx_o,       // of the layer that is worked on
  input  layer_t                         layer_i,     // that one, from the cycle after on
  input  derived_t                       derived_i,
  input  logic                           run_i,

  // slots
  input  logic       [NumStage-1:0]      full_i,
  input  logic       [NumStage-1:0]      info_we_i,   // what a slot holds, some time after it is bound
  input  slot_info_t                     info_i,
  output logic       [NumStage-1:0]      take_o,      // pulse: it is being read
  output logic       [NumStage-1:0]      free_o,      // pulse
  output logic       [NumStage-1:0]      read_o,
  output row_t       [1:0]               read_row_o,
  input  logic [NumBanks-1:0][AccW-1:0]  words_i,     // a cycle later, until the next read

  // Parameter Memory: data a cycle later, until the next read
  output logic                           par_re_o,
  output addr_t                          par_addr_o,
  input  param_t                         par_i,

  // residual lines: those of the next slot are to be read, if they may be; one is there
  input  logic                           res_idle_i,
  output logic                           res_start_o,
  output dim_t                           res_channel_o,
  output addr_t                          res_addr_o,
  input  logic                           res_line_i,

  output logic                           valid_o,
  output logic [SpLanes-1:0][AccW-1:0]   acc_o,
  output param_t                         par_o,
  output line_tag_t                      tag_o
);

  localparam int unsigned StageW = NumStage > 1 ? $clog2(NumStage) : 1;
  localparam int unsigned LogL   = $clog2(NumLanes);
  localparam int unsigned LogSp  = $clog2(SpLanes);
  localparam int unsigned BeatW  = LinePos > SpLanes ? $clog2(LinePos / SpLanes) : 1;

  typedef logic [StageW-1:0] stage_t;
  typedef logic [BeatW-1:0]  beat_t;

  // ---- what the slots hold ----

  logic       [NumStage-1:0] full_q;
  logic       [NumStage-1:0] known_q;   // it is written, and the slot is not taken yet
  logic       [NumStage-1:0] slot_ctx_q;
  logic       [NumStage-1:0] filled, ready;   // one of any layer; of the one that is worked on, unless the older one waits
  logic                      load;
  logic                      choose, chosen_q;   // the next one early
  logic                      told_q;             // it was chosen a cycle ago
  stage_t                    stage_q, next_stage, info_stage, choice_q;
  slot_info_t                next_info;
  dim_t                      next_first;         // channel of the layer that it begins with

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      full_q  <= '0;
      known_q <= '0;
      take_o  <= '0;
    end else begin
      full_q  <= full_i;
      known_q <= (known_q & ~(load ? NumStage'(1) << next_stage : '0)) | info_we_i;
      take_o  <= load ? NumStage'(1) << next_stage : '0;
    end
  end

  // ---- the layer that is worked on ----
  // After its last read, values are so many cycles of run_i under way where they depend on the layer.
  localparam int unsigned Flight  = 12;
  localparam int unsigned FlightW = $clog2(Flight + 1);

  ctx_t               want;
  logic               settled_q, yield_q;    // layer_i is that of ctx_o; the older layer waits for the present one
  logic [1:0]         waits;                 // a slot of that layer is full
  logic [FlightW-1:0] idle_q;
  logic               active_q, step;

  assign filled = full_q & known_q;
  assign waits  = {|(filled & slot_ctx_q), |(filled & ~slot_ctx_q)};
  assign want   = waits[~oldest_i] && !waits[oldest_i] ? ~oldest_i : oldest_i;
  assign ready  = filled & ~(slot_ctx_q ^ {NumStage{ctx_o}}) & {NumStage{settled_q & ~yield_q}};

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      ctx_o      <= '0;
      settled_q  <= 1'b1;
      yield_q    <= 1'b0;
      idle_q     <= FlightW'(Flight);
      slot_ctx_q <= '0;
    end else begin
      if (want != ctx_o && idle_q == FlightW'(Flight) && !active_q && !chosen_q && settled_q && !(|ready)) begin
        ctx_o     <= want;
        settled_q <= 1'b0;
      end else begin
        settled_q <= 1'b1;
      end
      yield_q <= want != ctx_o && ctx_o != oldest_i;
      if (active_q)                                  idle_q <= '0;
      else if (run_i && idle_q != FlightW'(Flight)) idle_q <= idle_q + 1'b1;
      for (int unsigned n = 0; n < NumStage; n++) if (info_we_i[n]) slot_ctx_q[n] <= info_i.ctx;
    end
  end

  // ---- the next slot ----

  // The next full slot, behind the present one, unless it has been chosen.
  always_comb begin
    info_stage = '0;
    for (int unsigned n = 0; n < NumStage; n++) if (info_we_i[n]) info_stage |= stage_t'(n);
    next_stage = stage_q;
    for (int unsigned n = NumStage; n > 0; n--) begin
      if (ready[(32'(stage_q) + n) % NumStage]) next_stage = stage_t'((32'(stage_q) + n) % NumStage);
    end
    if (chosen_q) next_stage = choice_q;
  end

  assign choose = layer_i.residual & ~chosen_q & |ready & res_idle_i & ~told_q & ~res_start_o;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      chosen_q    <= 1'b0;
      told_q      <= 1'b0;
      res_start_o <= 1'b0;
    end else begin
      chosen_q    <= choose | (chosen_q & ~load);
      told_q      <= choose;
      res_start_o <= told_q;
    end
  end

  always_ff @(posedge clk_i) begin
    if (choose) choice_q <= next_stage;
    if (told_q) begin
      res_channel_o <= next_first;
      res_addr_o    <= next_info.res_addr;
    end
  end

  assign next_first = next_info.chunk << (LogL + 32'(derived_i.ratio));

  spcore_regfile #(
    .NumWords(NumStage > 1 ? NumStage : 2), .DataWidth($bits(slot_info_t))
  ) u_info (
    .clk_i, .we_i(|info_we_i), .waddr_i(info_stage), .wdata_i(info_i), .raddr_i(next_stage), .rdata_o(next_info)
  );

  // ---- walk over slots, channels and positions: one read a cycle ----

  logic    line_end, job_end;
  logic    begun_q;      // the line has begun
  npos_t   lines_q, lines_d;
  logic    line_ready_q, line_begin;
  ctx_t    ctx_q;
  job_t    job_q;
  npos_t   npos_q;
  bitmap_t mask_q;
  dim_t    first_q;      // channel of the layer that the job begins with
  bank_t   offset_q;     // channel in the chunk
  addr_t   idx_addr_q;
  beat_t   beat_q;
  pos_t    pos;          // first position of the beat
  dim_t    channel;
  row_t    row, low;     // of position 0 of the beat; bits that differ within it
  bank_t   select;       // bank of position 0

  assign pos      = pos_t'(32'(beat_q) * SpLanes);
  assign channel  = first_q + dim_t'(offset_q);
  assign line_end = 32'(pos) + SpLanes >= 32'(npos_q);
  assign step     = active_q & (begun_q | ~layer_i.residual | line_ready_q);
  assign job_end  = line_end & (dim_t'(offset_q) == derived_i.chunk_k - 1'b1 || channel == layer_i.out_k - 1'b1);
  assign load     = run_i & (~active_q | (step & job_end)) & (layer_i.residual ? chosen_q : |ready);

  // Residual lines that are there, less those that an output line was begun for.
  assign line_begin = run_i & step & ~begun_q & layer_i.residual;
  assign lines_d    = lines_q + npos_t'(res_line_i) - npos_t'(line_begin);

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      active_q <= 1'b0;
      begun_q  <= 1'b0;
      stage_q  <= '0;
      lines_q  <= '0;
      line_ready_q <= 1'b0;
    end else begin
      lines_q      <= lines_d;
      line_ready_q <= lines_d != '0;
      if (run_i && step) begun_q <= ~line_end;
      if (load) begin
        active_q <= 1'b1;
        stage_q  <= next_stage;
      end else if (run_i) begin
        if (step && job_end) active_q <= 1'b0;
        if (!active_q)       stage_q  <= '0;  // a layer's cycles do not depend on those before it
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (load) begin
      ctx_q      <= next_info.ctx;
      job_q      <= next_info.job;
      npos_q     <= next_info.npos;
      mask_q     <= next_info.mask;
      first_q    <= next_first;
      idx_addr_q <= next_info.idx_addr;
      offset_q   <= '0;
      beat_q     <= '0;
    end else if (run_i && step) begin
      beat_q <= line_end ? '0 : beat_q + 1'b1;
      if (line_end) begin
        offset_q   <= offset_q + 1'b1;
        idx_addr_q <= idx_addr_q + layer_i.out_pitch;
      end
    end
  end

  assign row    = acc_row(pos, derived_i.ratio);
  assign low    = acc_row(pos_t'(SpLanes - 1), derived_i.ratio);
  assign select = acc_bank(offset_q, '0, derived_i.ratio) ^ skew(row, BankW);

  // ---- choice among banks ----
  //
  // Position i of a beat lies in bank place(i) ^ select, where place sends each bit of i to a bank bit of its own. The
  // other bits of select (`rest`) are the same for all positions: they choose SpLanes of the banks, which then lie in
  // the order of positions but for an exclusive or, `turn`.

  typedef logic [LogSp-1:0]  turn_t;
  typedef bank_t [SpLanes-1:0] places_t;

  function automatic bank_t place(input int unsigned position, input ratio_e ratio);
    return acc_bank('0, pos_t'(position), ratio) ^ skew(acc_row(pos_t'(position), ratio), BankW);
  endfunction

  function automatic places_t make_places(input ratio_e ratio);
    for (int unsigned i = 0; i < SpLanes; i++) make_places[i] = place(i, ratio);
  endfunction
  localparam places_t [2:0] Places = {make_places(RatioFour), make_places(RatioTwo), make_places(RatioOne)};

  function automatic bank_t make_rest(input ratio_e ratio);
    make_rest = bank_t'(NumBanks - 1);
    for (int unsigned j = 0; j < LogSp; j++) make_rest &= ~place(1 << j, ratio);
  endfunction
  localparam bank_t [2:0] Rest = {make_rest(RatioFour), make_rest(RatioTwo), make_rest(RatioOne)};

  typedef logic [2:0][NumBanks-1:0] hits_t;  // by ratio and rest

  hits_t hits;
  turn_t turn;

  always_comb begin
    hits = '0;
    turn = '0;
    for (int unsigned r = 0; r < 3; r++) begin
      for (int unsigned d = 0; d < NumBanks; d++) begin
        if ((bank_t'(d) & ~Rest[r]) == '0) hits[r][d] = 32'(derived_i.ratio) == r && (select & Rest[r]) == bank_t'(d);
      end
      for (int unsigned j = 0; j < LogSp; j++) begin
        if (32'(derived_i.ratio) == r && (select & Places[r][1<<j]) != '0) turn[j] = 1'b1;
      end
    end
  end

  function automatic logic [SpLanes-1:0][AccW-1:0] chosen(
    input hits_t which, input turn_t by, input logic [NumBanks-1:0][AccW-1:0] words
  );
    logic [SpLanes-1:0][AccW-1:0] previous;
    chosen = '0;
    for (int unsigned r = 0; r < 3; r++) begin
      for (int unsigned d = 0; d < NumBanks; d++) begin
        if ((bank_t'(d) & ~Rest[r]) == '0) begin
          for (int unsigned i = 0; i < SpLanes; i++) begin
            chosen[i] |= {AccW{which[r][d]}} & words[BankW'(Places[r][i]|bank_t'(d))];
          end
        end
      end
    end
    for (int unsigned j = 0; j < LogSp; j++) begin
      previous = chosen;
      for (int unsigned i = 0; i < SpLanes; i++) chosen[i] = by[j] ? previous[i^(1<<j)] : previous[i];
    end
  endfunction

  // ---- the reads, their words ----

  logic [2:1]          valid_q;
  line_tag_t [2:1]     tag_q;
  hits_t     [2:1]     hits_q;
  turn_t     [2:1]     turn_q;
  logic [NumStage-1:0] last_stage_q;   // slot that the second stage reads from

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      valid_q <= '0;
      valid_o <= 1'b0;
      read_o  <= '0;
      free_o  <= '0;
    end else begin
      free_o <= (run_i && valid_q[2] && tag_q[2].job_end) ? last_stage_q : '0;
      if (run_i) begin
        valid_q <= {valid_q[1], step};
        valid_o <= valid_q[2];
        read_o  <= step ? NumStage'(1) << stage_q : '0;
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (run_i && step) begin
      read_row_o <= {row | (~unskew(select, BankW) & low), row | (unskew(select, BankW) & low)};
      par_addr_o <= layer_i.par_base + addr_t'(channel);
      hits_q[1]  <= hits;
      turn_q[1]  <= turn;
      tag_q[1]   <= '{ctx: ctx_q, job: job_q, idx_addr: idx_addr_q, mask: mask_q, line_end: line_end, job_end: job_end};
    end
    if (run_i && valid_q[1]) begin
      hits_q[2]    <= hits_q[1];
      turn_q[2]    <= turn_q[1];
      tag_q[2]     <= tag_q[1];
      last_stage_q <= read_o;
    end
    if (run_i && valid_q[2]) begin
      acc_o <= chosen(hits_q[2], turn_q[2], words_i);
      par_o <= par_i;
      tag_o <= tag_q[2];
    end
  end

  assign par_re_o = valid_q[1];

  if (SpLanes < 8 || SpLanes > LinePos || SpLanes > NumBanks || (SpLanes & (SpLanes - 1)) != 0) begin : gen_check_lanes
    $error("%m: SpLanes = %0d, expected a power of two from 8 to %0d and 4*NumLanes", SpLanes, LinePos);
  end

endmodule
