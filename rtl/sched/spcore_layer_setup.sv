// SPDX-License-Identifier: Apache-2.0
// Keeps the layers that wait and prepares the next one: checks its descriptor, derives what stays constant while it is
// open, has the PEs' tables written, and starts it. Then it waits for the ends of layers, which come in their order.
//
// A layer has one of two contexts, in turn. In a program the next one is prepared while the one before it is open, also
// before it is issued; it starts, or is refused, when it has been. A layer that keeps or continues slots runs alone.
// The host's come one after the other. A refused layer is told, and an overflow, when it is the oldest one's turn.
//
// The checks are numbered as in docs/architecture.md section 6; the lowest that fails is reported and the layer ends
// before any unit starts. All products go through one multiplier, one step in two cycles; with the tables this takes
// little more than a hundred cycles, which are not part of a layer's cycle count.
module spcore_layer_setup
  import sparsecore_pkg::*;
  import spcore_front_pkg::*;
#(
  parameter int unsigned NumLanes    = 16,
  parameter int unsigned WgtVectors  = 21840,
  parameter int unsigned ActWords    = 196608,
  parameter int unsigned IdxEntries  = 49152,
  parameter int unsigned ParEntries  = 2048,
  parameter int unsigned RegionPos   = 512,
  parameter int unsigned NumSlots    = 8,      // staging slots
  parameter int unsigned QueueDepth  = 4       // layers that wait
) (
  input  logic        clk_i,
  input  logic        rst_ni,
  input  layer_cmd_t  cmd_i,
  output layer_status_t status_o,
  input  logic [1:0]  overflow_i,    // pulses, by context: a line of the output did not fit
  // by context: set from prepare_o or start_o to the layer's end
  output layer_t   [1:0] layer_o,
  output derived_t [1:0] derived_o,
  output pos_tab_write_t  pos_tab_o,
  output mask_tab_write_t mask_tab_o,
  output logic [1:0]  prepare_o,     // pulses, by context: layer_o is there, checks are under way
  output logic [1:0]  start_o,       // and the layer starts
  output logic        restart_o,     // with start_o: no other layer is open
  output ctx_t        shown_o,       // of the layer that runs for the longest, or ran last
  input  logic        all_done_i     // pulse: the oldest layer's jobs are
);

  typedef enum logic [2:0] {StIdle, StMultiply, StJudge, StTable, StHold, StStart, StRefuse} state_e;
  typedef enum logic [1:0] {EndWait, EndFlush, EndDone} end_e;

  // One product a step, two cycles each. A product that needs an earlier one comes at least three steps after it.
  typedef enum logic [4:0] {
    MulKernel, MulLinePos, MulLinesY, MulLinesX, MulTilePos, MulTilesY, MulTilesX, MulRegion, MulChunks, MulSplits,
    MulInLines, MulInEntries, MulOutLines, MulOutEntries, MulChunkVec, MulSplitVec, MulSplitLines, MulGroupLines, MulGroups,
    MulGroupChunks, MulAllVec,
    MulJobs, MulResEntries, MulFlush, MulDrain, MulEnd
  } step_e;

  // The counters are exact some cycles after the layer's last one: see spcore_counters.
  localparam int unsigned FlushCycles = 8;
  localparam int unsigned FlushW      = $clog2(FlushCycles);

  // Kernels reach so far; windows begin so many rows or columns behind the plane's first.
  localparam int unsigned MaxKernel = 22;
  localparam pad_t        MaxInset  = 8'sd64;

  // Products are kept as far as they can be in bounds.
  localparam int unsigned ProdW = 26;
  typedef logic [ProdW-1:0]      prod_t;
  typedef logic signed [ProdW:0] diff_t;
  typedef logic [19:1] fail_t;   // one bit a check of docs/architecture.md section 6

  state_e   state_q, state_d;
  step_e    step_q;
  logic     half_q;              // second cycle of a step
  ctx_t     ctx_q;               // of the layer that is prepared, or the next
  layer_t   layer_q;
  derived_t derived_q;
  fail_t    fail_q;
  logic [4:0] code_q;

  // ---- open layers ----
  end_e     end_q;
  logic [FlushW-1:0] flush_q;
  logic [1:0] open_q;            // layers that have started and not ended
  logic     none_q;              // there was none in the last cycle
  logic     pending_q;           // a layer's jobs were done while the one before it ended
  ctx_t     oldest_q;
  logic [1:0] overflow, overflow_held_q;   // by context
  logic     overflow_q;
  logic     may_open, refuse, held;

  // Layers that were issued and have not started; what is prepared is the oldest of those that have not.
  localparam int unsigned IssuedW = $clog2(QueueDepth + 2);
  logic [IssuedW-1:0] issued_q;
  logic               issue, issued, drop;

  assign may_open = open_q == '0 || (cmd_i.in_run && open_q == 2'd1);
  assign refuse   = state_q == StRefuse && open_q == '0 && none_q && issued;

  // Who keeps or continues slots has all of them: no other layer is open then, and slots that are not continued are free
  // again. What started last has the other context.
  logic kept;
  assign kept = layer_o[~ctx_q].keep_slot;
  assign held = open_q != '0 && (layer_q.keep_slot || layer_q.continue_slot || kept);

  npos_t last_h_q, last_w_q;   // of the tiles that the plane cuts short
  logic [TapPhases-1:0] met_q; // rows that taps meet: registered, for its loads

  // ---- layers that wait ----
  layer_t layer_next;
  logic   layer_valid, queue_ready;
  logic [$clog2(QueueDepth+1)-1:0] queue_level;

  spcore_fifo #(
    .Width($bits(layer_t)),
    .Depth(QueueDepth)
  ) u_queue (
    .clk_i,
    .rst_ni,
    .clear_i(1'b0),
    .valid_i(cmd_i.push),
    .ready_o(queue_ready),
    .data_i (cmd_i.layer),
    .valid_o(layer_valid),
    .ready_i(state_q == StIdle && may_open),
    .data_o (layer_next),
    .level_o(queue_level)
  );

  assign issue  = cmd_i.issue || (cmd_i.push && queue_ready && !cmd_i.in_run);
  assign issued = issued_q != '0;
  assign drop   = cmd_i.cancel && !issued;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) issued_q <= '0;
    else         issued_q <= issued_q + IssuedW'(issue) - IssuedW'(state_q == StStart || refuse);
  end

  // ---- small derived values ----
  logic [2:0]  ratio_log2;
  logic        mode_ok, cut_short;
  logic [15:0] win_h, win_w;
  logic [15:0] channel_vectors;    // weight vectors from a channel to the next
  addr_t       group_vectors_q;    // and of a group
  npos_t       max_tile;

  // The legal modes have m/k of 1, 2 or 4 with k <= 4 and dense only as 1/1.
  assign ratio_log2 = layer_q.m_log2 - 3'(layer_q.k_log2);
  always_comb begin
    unique case (ratio_log2)
      3'd0:    mode_ok = layer_q.k_log2 == 2'd0;
      3'd1:    mode_ok = layer_q.k_log2 <= 2'd2;
      3'd2:    mode_ok = layer_q.k_log2 <= 2'd2;
      default: mode_ok = 1'b0;
    endcase
  end
  assign channel_vectors = layer_q.tap_shared ? 16'd1 : 16'(derived_q.rs);
  assign max_tile = ratio_log2 == 3'd2 ? npos_t'(LinePos / 2) : npos_t'(LinePos);
  // Of whole tiles first, of those that the plane cuts short when their size is known.
  assign cut_short = step_q > MulChunks;
  assign win_h = (16'(cut_short ? last_h_q : layer_q.tile_h) - 16'd1) * (16'(layer_q.stride_y) + 16'd1) + 16'(layer_q.kernel_r);
  assign win_w = (16'(cut_short ? last_w_q : layer_q.tile_w) - 16'd1) * (16'(layer_q.stride_x) + 16'd1) + 16'(layer_q.kernel_s);

  // ---- the multiplier: operands, a product by half of b in each of two cycles, their sum ----
  logic [23:0] mul_a, a_q;
  logic [15:0] mul_b, b_q;
  prod_t       prod_q;
  logic        over_q;         // the product is larger
  addr_t       out_lines_q;    // tiles
  logic        res_short_q;    // the residual's pitch is less

  always_comb begin
    mul_a = '0;
    mul_b = '0;
    unique case (step_q)
      MulKernel:     begin mul_a = 24'(layer_q.kernel_r);       mul_b = 16'(layer_q.kernel_s); end
      MulLinePos:    begin mul_a = 24'(layer_q.line_h);         mul_b = 16'(layer_q.line_w); end
      MulLinesY:     begin mul_a = 24'(layer_q.line_h);         mul_b = layer_q.lines_y;     end
      MulLinesX:     begin mul_a = 24'(layer_q.line_w);         mul_b = layer_q.lines_x;     end
      MulTilePos:    begin mul_a = 24'(layer_q.tile_h);         mul_b = 16'(layer_q.tile_w); end
      MulTilesY:     begin mul_a = 24'(layer_q.tile_h);         mul_b = layer_q.tiles_y;     end
      MulTilesX:     begin mul_a = 24'(layer_q.tile_w);         mul_b = layer_q.tiles_x;     end
      MulRegion:     begin mul_a = 24'(win_h);                  mul_b = win_w;               end
      MulChunks:     begin mul_a = 24'(derived_q.chunk_k);      mul_b = layer_q.chunks;      end
      MulSplits:     begin mul_a = 24'(layer_q.split_c);        mul_b = layer_q.splits;      end
      MulInLines:    begin mul_a = 24'(layer_q.lines_y);        mul_b = layer_q.lines_x;     end
      MulOutLines:   begin mul_a = 24'(layer_q.tiles_y);        mul_b = layer_q.tiles_x;     end
      MulChunkVec:   begin mul_a = 24'(layer_q.group_c);        mul_b = channel_vectors;     end
      MulSplitVec:   begin mul_a = 24'(layer_q.split_c);        mul_b = channel_vectors;     end
      MulAllVec:     begin mul_a = group_vectors_q;             mul_b = layer_q.tap_shared ? 16'd1 : layer_q.chunks; end
      MulSplitLines: begin mul_a = layer_q.in_pitch;            mul_b = layer_q.split_c;     end
      MulGroupLines: begin mul_a = layer_q.in_pitch;            mul_b = layer_q.group_c;     end
      MulGroups:     begin mul_a = 24'(layer_q.group_c);        mul_b = layer_q.groups;      end
      MulGroupChunks: begin mul_a = 24'(layer_q.group_chunks);  mul_b = layer_q.groups;      end
      MulInEntries:  begin mul_a = layer_q.in_pitch;            mul_b = layer_q.in_c;        end
      MulOutEntries: begin mul_a = layer_q.out_pitch;           mul_b = layer_q.out_k;       end
      MulJobs:       begin mul_a = out_lines_q;                 mul_b = layer_q.chunks;      end
      MulResEntries: begin mul_a = layer_q.res_pitch;           mul_b = layer_q.out_k;       end
      default: ;
    endcase
  end

  logic [27:0] part_q, part_hi_q;   // by 4 bits of b each
  logic [31:0] low_q;
  logic [1:0]  carry;
  prod_t       prod;
  assign {carry, prod} = (ProdW + 2)'(low_q[ProdW-1:0]) + (ProdW + 2)'({part_q[ProdW-9:0], 8'b0}) +
                         (ProdW + 2)'({part_hi_q[ProdW-13:0], 12'b0});

  always_ff @(posedge clk_i) begin
    part_q    <= 28'(a_q) * 28'(b_q[3:0]);
    part_hi_q <= 28'(a_q) * 28'(b_q[7:4]);
    if (half_q) begin
      a_q   <= mul_a;
      b_q   <= mul_b;
      low_q <= 32'(part_q) + {part_hi_q, 4'b0};
    end else begin
      b_q[7:0] <= b_q[15:8];
      prod_q   <= prod;
      over_q   <= carry != '0 || low_q[31:ProdW] != '0 || part_q[27:ProdW-8] != '0 || part_hi_q[27:ProdW-12] != '0;
    end
  end

  // ---- the product of two steps ago: what is made of it, and whether it lies in bounds ----
  // A check fails when product + addend is negative, or at or above the bound.
  diff_t       addend, addend_q, sum_q;
  logic [24:0] bound, bound_q;
  logic        sum_over_q, out_of_bounds;
  fail_t       fail_step, fail_step_q;
  step_e       judged;
  addr_t       gap_q;    // entries of a pitch that are not lines of the last channel, for the Entries step that is next

  assign judged = step_e'(step_q - 5'd2);

  always_comb begin
    addend    = '0;
    bound     = '0;
    fail_step = '0;
    unique case (judged)
      // (n-1)*block < dim <= n*block
      MulLinesY:  begin addend = -diff_t'({1'b0, layer_q.in_h});  bound = 25'(layer_q.line_h); fail_step[4] = 1'b1; end
      MulLinesX:  begin addend = -diff_t'({1'b0, layer_q.in_w});  bound = 25'(layer_q.line_w); fail_step[4] = 1'b1; end
      MulTilesY:  begin addend = -diff_t'({1'b0, layer_q.out_h}); bound = 25'(layer_q.tile_h); fail_step[6] = 1'b1; end
      MulTilesX:  begin addend = -diff_t'({1'b0, layer_q.out_w}); bound = 25'(layer_q.tile_w); fail_step[6] = 1'b1; end
      MulChunks:  begin addend = -diff_t'({1'b0, layer_q.out_k}); bound = 25'(derived_q.chunk_k); fail_step[8] = 1'b1; end
      MulSplits:  begin addend = -diff_t'({1'b0, layer_q.group_c}); bound = 25'(layer_q.split_c); fail_step[9] = 1'b1; end
      MulGroups:  begin addend = -diff_t'({1'b0, layer_q.in_c});   bound = 25'(layer_q.group_c); fail_step[16] = 1'b1; end
      MulGroupChunks: begin addend = -diff_t'({1'b0, layer_q.chunks}); bound = 25'(layer_q.group_chunks); fail_step[16] = 1'b1; end
      // 1 to the most
      MulLinePos: begin addend = -diff_t'(1); bound = 25'(LinePos);  fail_step[3] = 1'b1; end
      MulTilePos: begin addend = -diff_t'(1); bound = 25'(max_tile); fail_step[5] = 1'b1; end
      // at most
      MulRegion:     begin bound = 25'(RegionPos + 1);  fail_step[7] = 1'b1; end
      MulChunkVec:   begin bound = 25'(WgtVectors + 1); fail_step[10] = 1'b1; end
      MulInLines:    begin bound = {1'b0, layer_q.in_pitch} + 25'd1;  fail_step[12] = 1'b1; end
      MulOutLines:   begin bound = {1'b0, layer_q.out_pitch} + 25'd1; fail_step[12] = 1'b1; end
      // base and length
      MulAllVec:     begin addend = diff_t'({1'b0, layer_q.wgt_base});     bound = 25'(WgtVectors + 1); fail_step[10] = 1'b1; end
      MulInEntries: begin
        addend = diff_t'({1'b0, layer_q.in_idx_base}) - diff_t'({1'b0, gap_q});
        bound = 25'(IdxEntries + 1); fail_step[12] = 1'b1;
      end
      MulOutEntries: begin
        addend = diff_t'({1'b0, layer_q.out_idx_base}) - diff_t'({1'b0, gap_q});
        bound = 25'(IdxEntries + 1); fail_step[12] = 1'b1;
      end
      MulResEntries: begin
        addend = diff_t'({1'b0, layer_q.res_idx_base}) - diff_t'({1'b0, gap_q});
        bound = 25'(IdxEntries + 1); fail_step[12] = layer_q.residual;
      end
      MulJobs: begin bound = 25'(NumSlots + 1); fail_step[19] = layer_q.keep_slot | layer_q.continue_slot; end
      default: ;
    endcase
  end
  assign out_of_bounds = sum_over_q || sum_q < 0 || sum_q >= diff_t'({1'b0, bound_q});

  always_ff @(posedge clk_i) begin
    if (half_q) begin
      sum_q       <= diff_t'({1'b0, prod_q}) + addend_q;
      sum_over_q  <= over_q;
      bound_q     <= bound;
      fail_step_q <= fail_step;
    end else begin
      addend_q <= addend;
      if (state_q == StIdle) fail_step_q <= '0;
    end
  end

  // ---- checks without a product ----
  fail_t fail_fixed;

  // Past the last row and column that an output meets, from the first one's; and what it may be.
  logic        [18:0] rows_needed_q, cols_needed_q;
  logic signed [18:0] rows_most_q, cols_most_q;
  always_ff @(posedge clk_i) begin
    rows_needed_q <= (19'(layer_q.out_h) - 19'd1) * (19'(layer_q.stride_y) + 19'd1) + 19'(layer_q.kernel_r);
    cols_needed_q <= (19'(layer_q.out_w) - 19'd1) * (19'(layer_q.stride_x) + 19'd1) + 19'(layer_q.kernel_s);
    rows_most_q   <= 19'(layer_q.in_h) + 19'(layer_q.pad_top) + 19'(MaxPad);
    cols_most_q   <= 19'(layer_q.in_w) + 19'(layer_q.pad_left) + 19'(MaxPad);
  end

  always_comb begin
    fail_fixed = '0;
    fail_fixed[1]  = !mode_ok;
    fail_fixed[2]  = layer_q.in_c == '0 || layer_q.in_h == '0 || layer_q.in_w == '0 || layer_q.out_k == '0 ||
                     layer_q.out_h == '0 || layer_q.out_w == '0 || layer_q.kernel_r == '0 || layer_q.kernel_s == '0 ||
                     layer_q.kernel_r > kernel_t'(MaxKernel) || layer_q.kernel_s > kernel_t'(MaxKernel) ||
                     layer_q.lines_y == '0 || layer_q.lines_x == '0 || layer_q.tiles_y == '0 ||
                     layer_q.tiles_x == '0 || layer_q.chunks == '0 || layer_q.splits == '0 || layer_q.split_c == '0 ||
                     layer_q.groups == '0 || layer_q.group_c == '0 || layer_q.group_chunks == '0;
    fail_fixed[12] = layer_q.residual && res_short_q;
    fail_fixed[11] = 25'(layer_q.par_base) + 25'(layer_q.out_k) > 25'(ParEntries);
    fail_fixed[13] = layer_q.out_act_base > layer_q.out_act_limit || 25'(layer_q.out_act_limit) > 25'(ActWords);
    fail_fixed[14] = layer_q.clamp_lo > layer_q.clamp_hi ||
                     (layer_q.out_signed ? (layer_q.clamp_lo < -9'sd128 || layer_q.clamp_hi > 9'sd127)
                                         : (layer_q.clamp_lo < 9'sd0));
    fail_fixed[15] = layer_q.pad_top > pad_t'(MaxPad) || layer_q.pad_top < -MaxInset ||
                     layer_q.pad_left > pad_t'(MaxPad) || layer_q.pad_left < -MaxInset ||
                     $signed({1'b0, rows_needed_q}) > 20'(rows_most_q) || $signed({1'b0, cols_needed_q}) > 20'(cols_most_q);
    fail_fixed[17] = layer_q.residual && (layer_q.res_shift < 6'd9 || layer_q.res_shift == 6'd63);
    fail_fixed[18] = ((layer_q.maximum || layer_q.tap_shared) && (layer_q.k_log2 != '0 || layer_q.m_log2 != '0)) ||
                     (layer_q.maximum && layer_q.act_signed && layer_q.skip);
    fail_fixed[19] = (layer_q.keep_slot && layer_q.residual) ||
                     (layer_q.continue_slot && !(kept && same_outputs(layer_q, layer_o[~ctx_q])));
  end

  // Whether accumulators of two layers lie alike in their jobs: the rest follows by checks 6 and 8.
  // verilator lint_off UNUSEDSIGNAL
  function automatic logic same_outputs(input layer_t a, input layer_t b);
  // verilator lint_on UNUSEDSIGNAL
    return {a.k_log2, a.m_log2, a.out_k, a.out_h, a.out_w, a.tile_h, a.tile_w} ==
           {b.k_log2, b.m_log2, b.out_k, b.out_h, b.out_w, b.tile_h, b.tile_w};
  endfunction

  logic [4:0] fail_code;
  always_comb begin
    fail_code = '0;
    for (int unsigned i = 19; i >= 1; i--) begin
      if (fail_q[i]) fail_code = 5'(i);
    end
  end

  // ---- tables of the PEs ----
  logic  tables_done;
  region_off_t  [LineWords-1:0] line_off;
  region_word_t [NumShapes-1:0] last_word;

  spcore_tile_tables u_tile_tables (
    .clk_i,
    .rst_ni,
    .start_i    (state_q == StTable),
    .done_o     (tables_done),
    .ctx_i      (ctx_q),
    .layer_i    (layer_q),
    .win_w_i    (derived_q.win_w),
    .last_h_i   (last_h_q),
    .last_w_i   (last_w_q),
    .pos_tab_o,
    .mask_tab_o,
    .line_off_o (line_off),
    .last_word_o(last_word)
  );

  derived_t derived;   // all of it
  always_comb begin
    derived           = derived_q;
    derived.line_off  = line_off;
    derived.last_word = last_word;
  end

  // ---- control ----
  always_comb begin
    state_d = state_q;
    unique case (state_q)
      StIdle:     if (layer_valid && may_open) state_d = StMultiply;
      StMultiply: if (step_q == MulEnd && !half_q) state_d = StJudge;
      StJudge:    state_d = fail_code != '0 ? StRefuse : StTable;
      StTable:    if (tables_done) state_d = issued && !held ? StStart : StHold;
      StHold:     if (issued && !held) state_d = StStart;
                  else if (drop) state_d = StIdle;
      StStart:    state_d = StIdle;
      StRefuse:   if (refuse || drop) state_d = StIdle;
      default:    state_d = StIdle;
    endcase
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      state_q   <= StIdle;
      start_o   <= '0;
      restart_o <= 1'b0;
      ctx_q     <= '0;
      step_q    <= MulKernel;
      half_q    <= 1'b0;
      layer_o   <= '0;
      derived_o <= '0;
      layer_q   <= '0;
      derived_q <= '0;
      fail_q    <= '0;
      code_q    <= '0;
      last_h_q  <= '0;
      met_q     <= '0;
      last_w_q  <= '0;
      gap_q     <= '0;
      out_lines_q <= '0;
      res_short_q <= 1'b0;
    end else begin
      state_q   <= state_d;
      start_o   <= state_d == StStart ? 2'd1 << ctx_q : '0;
      restart_o <= state_d == StStart && open_q == '0;
      unique case (state_q)
        StIdle: begin
          step_q    <= MulKernel;
          half_q    <= 1'b0;
          fail_q    <= '0;
          res_short_q <= 1'b0;
          if (layer_valid && may_open) begin
            layer_q        <= layer_next;
            layer_o[ctx_q] <= layer_next;
          end
        end
        StMultiply: begin
          half_q <= !half_q;
          if (half_q) begin
            step_q <= step_e'(step_q + 5'd1);
            unique case (judged)
              MulKernel:     derived_q.rs            <= prod_q[8:0];
              MulTilesY:     last_h_q <= layer_q.tile_h - npos_t'(prod_q) + npos_t'(layer_q.out_h);
              MulTilesX:     last_w_q <= layer_q.tile_w - npos_t'(prod_q) + npos_t'(layer_q.out_w);
              // Regions of a single tap are short, and more of them hide a line's way. A half has two words at least.
              MulRegion: derived_q.half_regions <= RegionPos >= 256 && derived_q.rs == 9'd1 &&
                                                   prod_q <= prod_t'(RegionPos / 2);
              MulInLines:    gap_q                   <= layer_q.in_pitch - prod_q[AddrW-1:0];
              MulOutLines: begin
                gap_q       <= layer_q.out_pitch - prod_q[AddrW-1:0];
                out_lines_q <= prod_q[AddrW-1:0];
                res_short_q <= over_q || prod_q > prod_t'(layer_q.res_pitch);
              end
              MulJobs: begin
                gap_q          <= layer_q.res_pitch - out_lines_q;
                derived_q.jobs <= prod_q[7:0];
              end
              MulChunkVec: begin
                group_vectors_q         <= prod_q[AddrW-1:0];
                derived_q.chunk_vectors <= layer_q.tap_shared ? '0 : prod_q[AddrW-1:0];
              end
              MulSplitVec:   derived_q.split_vectors <= prod_q[AddrW-1:0];
              MulSplitLines: derived_q.split_lines   <= prod_q[AddrW-1:0];
              MulGroupLines: derived_q.group_lines   <= prod_q[AddrW-1:0];
              default: ;
            endcase
            fail_q <= fail_q | fail_fixed;
          end else if (out_of_bounds) begin
            fail_q <= fail_q | fail_step_q;
          end
          derived_q.ratio      <= ratio_e'(ratio_log2[1:0]);
          derived_q.chunk_k    <= dim_t'(NumLanes) << ratio_log2[1:0];
          if (cut_short) begin
            derived_q.last_win_h <= nlines_t'(win_h);
            derived_q.last_win_w <= region_off_t'(win_w);
          end else begin
            derived_q.win_h      <= nlines_t'(win_h);
            derived_q.win_w      <= region_off_t'(win_w);
          end
          derived_q.row_starts <= row_starts(layer_q.line_w);
          met_q <= met_rows(layer_q);
          for (int unsigned n = 0; n < TapPhases; n++) derived_q.tap_rows[n] <= tap_rows(layer_q.line_w, met_q, n);
          derived_q.line_shift <= line_shift(layer_q);
        end
        StJudge: code_q <= fail_code;
        StTable: derived_o[ctx_q] <= derived;
        StStart: ctx_q <= ~ctx_q;
        default: ;
      endcase
    end
  end

  assign prepare_o = state_q == StMultiply && step_q == MulKernel && !half_q ? 2'd1 << ctx_q : '0;

  // ---- the ends of layers ----
  assign overflow = overflow_held_q | overflow_i;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      end_q           <= EndWait;
      flush_q         <= '0;
      open_q          <= '0;
      none_q          <= 1'b1;
      pending_q       <= 1'b0;
      oldest_q        <= '0;
      shown_o         <= '0;
      overflow_held_q <= '0;
      overflow_q      <= 1'b0;
    end else begin
      unique case (end_q)
        EndWait:  if (all_done_i || pending_q) end_q <= EndFlush;
        EndFlush: if (flush_q == FlushW'(FlushCycles - 1)) end_q <= EndDone;
        default:  end_q <= EndWait;
      endcase
      flush_q   <= end_q == EndFlush ? flush_q + FlushW'(1) : '0;
      pending_q <= end_q != EndWait && (all_done_i || pending_q);
      open_q    <= open_q + 2'(state_q == StStart) - 2'(end_q == EndDone);
      none_q    <= open_q == '0;
      if (end_q == EndDone) oldest_q <= ~oldest_q;
      if (open_q != '0) shown_o <= oldest_q;
      overflow_q                 <= overflow[oldest_q];
      overflow_held_q            <= overflow;
      overflow_held_q[oldest_q]  <= 1'b0;
    end
  end

  assign status_o = '{
    ready:        queue_ready,
    busy:         state_q != StIdle || layer_valid || open_q != '0,
    level:        8'(queue_level),
    done:         end_q == EndDone || refuse,
    refused:      refuse,
    refused_code: code_q,
    overflow:     overflow_q
  };

  if (NumSlots < 2 || NumSlots > 254) begin : gen_check_slots
    $error("%m: NumSlots = %0d, expected 2 to 254", NumSlots);
  end
  if (!is_region_pos(RegionPos)) begin : gen_check_region_pos
    $error("%m: RegionPos = %0d, expected a power of two from 64 to %0d", RegionPos, 1 << RegionW);
  end

endmodule
