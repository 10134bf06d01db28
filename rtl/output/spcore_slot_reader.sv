// Reads the full staging slots of a streaming processor one after the other, channel by channel, SpLanes positions a
// cycle, and sends the accumulators on with the channel's parameters. Channels from K on are left out. A slot follows
// the one before without a gap; it is free again when its last values have been taken.

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
  input  logic                                       clk_i,
  input  logic                                       rst_ni,
  input  layer_t                                     layer_i,
  input  derived_t                                   derived_i,

  // slots
  input  logic       [NumStage-1:0]                  full_i,
  input  logic       [NumStage-1:0]                  info_we_i,  // what a slot holds, some time after it is bound
  input  slot_info_t                                 info_i,
  output logic       [NumStage-1:0]                  take_o,
  output logic       [NumStage-1:0]                  free_o,
  output logic       [NumStage-1:0]                  read_o,
  output row_t       [1:0]                           read_row_o,
  input  logic [NumBanks-1:0][AccW-1:0]              words_i,

  // Parameter Memory: data a cycle later, until the next read
  output logic                                       par_re_o,
  output addr_t                                      par_addr_o,
  input  param_t                                     par_i,

  output logic                                       valid_o,
  input  logic                                       ready_i,
  output logic [SpLanes-1:0][AccW-1:0]               acc_o,
  output param_t                                     par_o,
  output line_tag_t                                  tag_o
);

  localparam int unsigned StageW = NumStage > 1 ? $clog2(NumStage) : 1;
  localparam int unsigned LogL   = $clog2(NumLanes);
  localparam int unsigned BeatW  = LinePos > SpLanes ? $clog2(LinePos / SpLanes) : 1;

  typedef logic [StageW-1:0] stage_t;
  typedef logic [BeatW-1:0]  beat_t;

  // ---- walk over slots, channels and positions: one read a cycle ----

  logic   active_q, pend_q, issue, line_end, job_end, load;
  stage_t stage_q, next_stage, info_stage;
  row_t   row, low;    // of position 0 of the beat; bits that differ within it
  bank_t  select;      // bank of position 0
  bank_t  offset_q;    // channel in the chunk
  dim_t   channel_q;   // and in the layer
  beat_t  beat_q;
  pos_t   pos;         // first position of the beat
  addr_t  par_addr_q;
  dim_t   next_channel;

  // ---- what the slots hold ----

  logic       [NumStage-1:0] known_q;   // it is written
  logic       [NumStage-1:0] ready;     // slots that can be read
  // verilator lint_off UNUSEDSIGNAL
  slot_info_t                next_info, info_q;   // of the next slot, of the present one: its chunk is in channel_q
  // verilator lint_on UNUSEDSIGNAL

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) known_q <= '0;
    else         known_q <= (known_q | info_we_i) & ~take_o;
  end

  assign ready = full_i & known_q;

  spcore_regfile #(
    .NumWords(NumStage > 1 ? NumStage : 2), .DataWidth($bits(slot_info_t))
  ) u_info (
    .clk_i, .we_i(|info_we_i), .waddr_i(info_stage), .wdata_i(info_i), .raddr_i(next_stage), .rdata_o(next_info)
  );

  assign pos        = pos_t'(32'(beat_q) * SpLanes);
  assign issue      = active_q & (~pend_q | ready_i);
  assign line_end   = 32'(pos) + SpLanes >= 32'(info_q.npos);
  assign job_end    = line_end & (dim_t'(offset_q) + 1'b1 == derived_i.chunk_k || channel_q + 1'b1 == layer_i.out_k);
  assign load       = (~active_q | (issue & job_end)) & |ready;

  // The next full slot, behind the present one.
  always_comb begin
    info_stage = '0;
    for (int unsigned n = 0; n < NumStage; n++) if (info_we_i[n]) info_stage |= stage_t'(n);
    next_stage = stage_q;
    for (int unsigned n = NumStage; n > 0; n--) begin
      if (ready[(32'(stage_q) + n) % NumStage]) next_stage = stage_t'((32'(stage_q) + n) % NumStage);
    end
  end

  assign next_channel = next_info.chunk << (LogL + 32'(derived_i.ratio));

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      active_q   <= 1'b0;
      stage_q    <= '0;
      info_q     <= '0;
      offset_q   <= '0;
      channel_q  <= '0;
      beat_q     <= '0;
      par_addr_q <= '0;
    end else if (load) begin
      active_q   <= 1'b1;
      stage_q    <= next_stage;
      info_q     <= next_info;
      offset_q   <= '0;
      channel_q  <= next_channel;
      beat_q     <= '0;
      par_addr_q <= layer_i.par_base + addr_t'(next_channel);
    end else if (issue) begin
      beat_q <= line_end ? '0 : beat_q + 1'b1;
      if (line_end) begin
        offset_q   <= offset_q + 1'b1;
        channel_q  <= channel_q + 1'b1;
        par_addr_q <= par_addr_q + 1'b1;
      end
      if (job_end) active_q <= 1'b0;
    end else if (!active_q) begin
      stage_q <= '0;  // a layer's cycles do not depend on those before it
    end
  end

  assign take_o     = load ? NumStage'(1) << next_stage : '0;
  assign read_o     = issue ? NumStage'(1) << stage_q : '0;
  assign row        = acc_row(pos, derived_i.ratio);
  assign low        = acc_row(pos_t'(SpLanes - 1), derived_i.ratio);
  assign select     = acc_bank(offset_q, '0, derived_i.ratio) ^ skew(row, BankW);
  assign read_row_o = {row | (~unskew(select, BankW) & low), row | (unskew(select, BankW) & low)};
  assign par_re_o   = issue;
  assign par_addr_o = par_addr_q;

  // ---- the values that were read ----

  stage_t                        pend_stage_q;
  bank_t                         pend_select_q;
  logic [NumBanks-1:0][AccW-1:0] words;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      pend_q       <= 1'b0;
      pend_stage_q <= '0;
    end else begin
      if (issue)        pend_q <= 1'b1;
      else if (ready_i) pend_q <= 1'b0;
      if (issue) pend_stage_q <= stage_q;
    end
  end

  always_ff @(posedge clk_i) begin
    if (issue) begin
      pend_select_q  <= select;
      tag_o.job      <= info_q.job;
      tag_o.channel  <= channel_q;
      tag_o.out_line <= info_q.out_line;
      tag_o.mask     <= info_q.mask;
      tag_o.line_end <= line_end;
      tag_o.job_end  <= job_end;
    end
  end

  spcore_bank_swap #(
    .NumBanks(NumBanks)
  ) u_swap (
    .en_i(pend_q), .by_i(pend_select_q), .words_i, .words_o(words)
  );

  // The words of position 0 of the beat and channel 0 now lead; here is where those of the other positions are.
  typedef bank_t [SpLanes-1:0] places_t;

  function automatic places_t make_places(input ratio_e ratio);
    places_t places;
    for (int unsigned i = 0; i < SpLanes; i++) begin
      places[i] = acc_bank('0, pos_t'(i), ratio) ^ skew(acc_row(pos_t'(i), ratio), BankW);
    end
    return places;
  endfunction
  localparam places_t PlacesOne  = make_places(RatioOne);
  localparam places_t PlacesTwo  = make_places(RatioTwo);
  localparam places_t PlacesFour = make_places(RatioFour);

  always_comb begin
    acc_o = '0;
    if (pend_q) begin
      for (int unsigned i = 0; i < SpLanes; i++) begin
        unique case (derived_i.ratio)
          RatioOne: acc_o[i] = words[BankW'(PlacesOne[i])];
          RatioTwo: acc_o[i] = words[BankW'(PlacesTwo[i])];
          default:  acc_o[i] = words[BankW'(PlacesFour[i])];
        endcase
      end
    end
  end

  assign valid_o = pend_q;
  assign par_o   = par_i;
  assign free_o  = (pend_q & ready_i & tag_o.job_end) ? NumStage'(1) << pend_stage_q : '0;

  if (SpLanes < 8 || SpLanes > LinePos || SpLanes > NumBanks || (SpLanes & (SpLanes - 1)) != 0) begin : gen_check_lanes
    $error("%m: SpLanes = %0d, expected a power of two from 8 to %0d and 4*NumLanes", SpLanes, LinePos);
  end

endmodule
