// Prepares a layer: checks its descriptor, derives what stays constant while it runs, writes the PEs' position
// table, starts the scheduler and waits for its end.
//
// The checks are numbered as in docs/architecture.md section 6; the lowest that fails is reported and the layer ends
// before any unit starts. All products go through one multiplier, one step a cycle, so this takes under a hundred
// cycles and next to no area; it is not part of a layer's cycle count.
module spcore_layer_setup
  import sparsecore_pkg::*;
#(
  parameter int unsigned NumLanes    = 16,
  parameter int unsigned WgtVectors  = 21840,
  parameter int unsigned ActWords    = 196608,
  parameter int unsigned IdxEntries  = 49152,
  parameter int unsigned ParEntries  = 2048,
  parameter int unsigned RegionPos   = 512
) (
  input  logic        clk_i,
  input  logic        rst_ni,
  // descriptors from the layer queue
  input  logic        layer_valid_i,
  output logic        layer_ready_o,
  input  layer_t      layer_i,
  // the layer that runs
  output layer_t      layer_o,
  output derived_t    derived_o,
  output logic        tab_we_o,
  output region_off_t tab_q_o,
  output pos_t        tab_p_o,
  output logic        start_o,
  input  logic        all_done_i,
  output logic        busy_o,
  output logic        layer_done_o,
  output logic        desc_error_o,
  output logic [3:0]  desc_error_code_o
);

  typedef enum logic [2:0] {StIdle, StMultiply, StJudge, StTable, StStart, StRun, StDone} state_e;

  // One product a step.
  typedef enum logic [4:0] {
    MulLinePos, MulLinesY, MulLinesX, MulTilePos, MulTilesY, MulTilesX, MulRegion, MulChunks, MulSplits, MulKernel,
    MulInLines, MulOutLines, MulChunkVec, MulAllVec, MulSplitVec, MulSplitLines, MulInEntries, MulOutEntries
  } step_e;
  localparam step_e LastStep = MulOutEntries;

  localparam int unsigned ProdW = 40;
  typedef logic [ProdW-1:0] prod_t;
  typedef logic [15:1] fail_t;   // one bit a check of docs/architecture.md section 6

  state_e   state_q, state_d;
  step_e    step_q;
  layer_t   layer_q;
  derived_t derived_q;
  fail_t    fail_q;
  logic [3:0] code_q;

  // ---------------------------------------------------------------------------------------------------------------
  // Small derived values
  // ---------------------------------------------------------------------------------------------------------------
  logic [2:0]  ratio_log2;
  logic        mode_ok;
  logic [15:0] win_h, win_w;
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
  assign max_tile = ratio_log2 == 3'd2 ? npos_t'(LinePos / 2) : npos_t'(LinePos);
  assign win_h = ((16'(layer_q.tile_h) - 16'd1) << layer_q.stride_y2) + 16'(layer_q.kernel_r);
  assign win_w = ((16'(layer_q.tile_w) - 16'd1) << layer_q.stride_x2) + 16'(layer_q.kernel_s);

  // ---------------------------------------------------------------------------------------------------------------
  // The multiplier and what is made of each product, one cycle later
  // ---------------------------------------------------------------------------------------------------------------
  logic [23:0] mul_a;
  logic [15:0] mul_b;
  prod_t       prod;
  // What a product must cover: (n-1)*block < dim <= n*block.
  prod_t       cover_dim, cover_block;
  logic        cover_bad;

  always_comb begin
    mul_a = '0;
    mul_b = '0;
    cover_dim = '0;
    cover_block = '0;
    unique case (step_q)
      MulLinePos:    begin mul_a = 24'(layer_q.line_h);         mul_b = 16'(layer_q.line_w); end
      MulTilePos:    begin mul_a = 24'(layer_q.tile_h);         mul_b = 16'(layer_q.tile_w); end
      MulRegion:     begin mul_a = 24'(win_h);                  mul_b = win_w;               end
      MulKernel:     begin mul_a = 24'(layer_q.kernel_r);       mul_b = 16'(layer_q.kernel_s); end
      MulInLines:    begin mul_a = 24'(layer_q.lines_y);        mul_b = layer_q.lines_x;     end
      MulOutLines:   begin mul_a = 24'(layer_q.tiles_y);        mul_b = layer_q.tiles_x;     end
      MulChunkVec:   begin mul_a = 24'(layer_q.in_c);           mul_b = 16'(derived_q.rs);   end
      MulAllVec:     begin mul_a = derived_q.chunk_vectors;     mul_b = layer_q.chunks;      end
      MulSplitVec:   begin mul_a = 24'(layer_q.split_c);        mul_b = 16'(derived_q.rs);   end
      MulSplitLines: begin mul_a = derived_q.in_lines;          mul_b = layer_q.split_c;     end
      MulInEntries:  begin mul_a = derived_q.in_lines;          mul_b = layer_q.in_c;        end
      MulOutEntries: begin mul_a = derived_q.out_lines;         mul_b = layer_q.out_k;       end
      MulLinesY: begin
        mul_a = 24'(layer_q.line_h);     mul_b = layer_q.lines_y;
        cover_dim = prod_t'(layer_q.in_h);
      end
      MulLinesX: begin
        mul_a = 24'(layer_q.line_w);     mul_b = layer_q.lines_x;
        cover_dim = prod_t'(layer_q.in_w);
      end
      MulTilesY: begin
        mul_a = 24'(layer_q.tile_h);     mul_b = layer_q.tiles_y;
        cover_dim = prod_t'(layer_q.out_h);
      end
      MulTilesX: begin
        mul_a = 24'(layer_q.tile_w);     mul_b = layer_q.tiles_x;
        cover_dim = prod_t'(layer_q.out_w);
      end
      MulChunks: begin
        mul_a = 24'(derived_q.chunk_k);  mul_b = layer_q.chunks;
        cover_dim = prod_t'(layer_q.out_k);
      end
      MulSplits: begin
        mul_a = 24'(layer_q.split_c);    mul_b = layer_q.splits;
        cover_dim = prod_t'(layer_q.in_c);
      end
      default: ;
    endcase
    cover_block = prod_t'(mul_a);
  end
  assign prod      = prod_t'(mul_a) * prod_t'(mul_b);
  assign cover_bad = prod < cover_dim || prod >= cover_dim + cover_block;

  // ---------------------------------------------------------------------------------------------------------------
  // Checks
  // ---------------------------------------------------------------------------------------------------------------
  fail_t fail_step, fail_fixed;

  always_comb begin
    fail_step = '0;
    unique case (step_q)
      MulLinePos:    fail_step[3]  = prod == '0 || prod > prod_t'(LinePos);
      MulLinesY,
      MulLinesX:     fail_step[4]  = cover_bad;
      MulTilePos:    fail_step[5]  = prod == '0 || prod > prod_t'(max_tile);
      MulTilesY,
      MulTilesX:     fail_step[6]  = cover_bad;
      MulRegion:     fail_step[7]  = prod > prod_t'(RegionPos);
      MulChunks:     fail_step[8]  = cover_bad;
      MulSplits:     fail_step[9]  = cover_bad;
      MulChunkVec:   fail_step[10] = prod > prod_t'(WgtVectors);
      MulAllVec:     fail_step[10] = prod + prod_t'(layer_q.wgt_base) > prod_t'(WgtVectors);
      MulInLines,
      MulOutLines:   fail_step[12] = prod > prod_t'(IdxEntries);
      MulInEntries:  fail_step[12] = prod + prod_t'(layer_q.in_idx_base) > prod_t'(IdxEntries);
      MulOutEntries: fail_step[12] = prod + prod_t'(layer_q.out_idx_base) > prod_t'(IdxEntries);
      default: ;
    endcase
  end

  logic [18:0] rows_needed, cols_needed;   // window end of the last output row and column
  assign rows_needed = ((19'(layer_q.out_h) - 19'd1) << layer_q.stride_y2) + 19'(layer_q.kernel_r);
  assign cols_needed = ((19'(layer_q.out_w) - 19'd1) << layer_q.stride_x2) + 19'(layer_q.kernel_s);

  always_comb begin
    fail_fixed = '0;
    fail_fixed[1]  = !mode_ok;
    fail_fixed[2]  = layer_q.in_c == '0 || layer_q.in_h == '0 || layer_q.in_w == '0 || layer_q.out_k == '0 ||
                     layer_q.out_h == '0 || layer_q.out_w == '0 || layer_q.kernel_r == '0 || layer_q.kernel_s == '0 ||
                     layer_q.lines_y == '0 || layer_q.lines_x == '0 || layer_q.tiles_y == '0 ||
                     layer_q.tiles_x == '0 || layer_q.chunks == '0 || layer_q.splits == '0 || layer_q.split_c == '0;
    fail_fixed[11] = 25'(layer_q.par_base) + 25'(layer_q.out_k) > 25'(ParEntries);
    fail_fixed[13] = layer_q.out_act_base > layer_q.out_act_limit || 25'(layer_q.out_act_limit) > 25'(ActWords);
    fail_fixed[14] = layer_q.clamp_lo > layer_q.clamp_hi ||
                     (layer_q.out_signed ? (layer_q.clamp_lo < -9'sd128 || layer_q.clamp_hi > 9'sd127)
                                         : (layer_q.clamp_lo < 9'sd0));
    fail_fixed[15] = rows_needed > 19'(layer_q.in_h) + 19'(layer_q.pad_top) + 19'd3 ||
                     cols_needed > 19'(layer_q.in_w) + 19'(layer_q.pad_left) + 19'd3;
  end

  logic [3:0] fail_code;
  always_comb begin
    fail_code = '0;
    for (int unsigned i = 15; i >= 1; i--) begin
      if (fail_q[i] || fail_fixed[i]) fail_code = 4'(i);
    end
  end

  // ---------------------------------------------------------------------------------------------------------------
  // Position table: q = ty*sy*win_w + tx*sx for p = ty*tile_w + tx
  // ---------------------------------------------------------------------------------------------------------------
  npos_t       tab_ty_q, tab_tx_q;
  region_off_t tab_q_q, tab_row_q;
  pos_t        tab_p_q;
  logic        tab_row_end, tab_end;

  assign tab_row_end = tab_tx_q == layer_q.tile_w - npos_t'(1);
  assign tab_end     = tab_row_end && tab_ty_q == layer_q.tile_h - npos_t'(1);
  assign tab_we_o    = state_q == StTable;
  assign tab_q_o     = tab_q_q;
  assign tab_p_o     = tab_p_q;

  region_off_t tab_next_row;
  assign tab_next_row = tab_row_q + (derived_q.win_w << layer_q.stride_y2);

  // ---------------------------------------------------------------------------------------------------------------
  // Control
  // ---------------------------------------------------------------------------------------------------------------
  always_comb begin
    state_d = state_q;
    unique case (state_q)
      StIdle:     if (layer_valid_i) state_d = StMultiply;
      StMultiply: if (step_q == LastStep) state_d = StJudge;
      StJudge:    state_d = fail_code != '0 ? StDone : StTable;
      StTable:    if (tab_end) state_d = StStart;
      StStart:    state_d = StRun;
      StRun:      if (all_done_i) state_d = StDone;
      StDone:     state_d = StIdle;
      default:    state_d = StIdle;
    endcase
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      state_q   <= StIdle;
      step_q    <= MulLinePos;
      layer_q   <= '0;
      derived_q <= '0;
      fail_q    <= '0;
      code_q    <= '0;
      tab_ty_q  <= '0;
      tab_tx_q  <= '0;
      tab_q_q   <= '0;
      tab_row_q <= '0;
      tab_p_q   <= '0;
    end else begin
      state_q <= state_d;
      unique case (state_q)
        StIdle: begin
          step_q    <= MulLinePos;
          fail_q    <= '0;
          tab_ty_q  <= '0;
          tab_tx_q  <= '0;
          tab_q_q   <= '0;
          tab_row_q <= '0;
          tab_p_q   <= '0;
          if (layer_valid_i) layer_q <= layer_i;
        end
        StMultiply: begin
          step_q            <= step_e'(step_q + 5'd1);
          fail_q            <= fail_q | fail_step;
          derived_q.ratio   <= ratio_e'(ratio_log2[1:0]);
          derived_q.chunk_k <= dim_t'(NumLanes) << ratio_log2[1:0];
          derived_q.win_w   <= region_off_t'(win_w);
          if (step_q == MulKernel) derived_q.row_starts <= row_starts(layer_q.line_w);
          unique case (step_q)
            MulKernel:     derived_q.rs            <= prod[5:0];
            MulInLines:    derived_q.in_lines      <= prod[AddrW-1:0];
            MulOutLines:   derived_q.out_lines     <= prod[AddrW-1:0];
            MulChunkVec:   derived_q.chunk_vectors <= prod[AddrW-1:0];
            MulSplitVec:   derived_q.split_vectors <= prod[AddrW-1:0];
            MulSplitLines: derived_q.split_lines   <= prod[AddrW-1:0];
            default: ;
          endcase
        end
        StJudge: code_q <= fail_code;
        StTable: begin
          tab_p_q <= tab_p_q + pos_t'(1);
          if (tab_row_end) begin
            tab_tx_q  <= '0;
            tab_ty_q  <= tab_ty_q + npos_t'(1);
            tab_row_q <= tab_next_row;
            tab_q_q   <= tab_next_row;
          end else begin
            tab_tx_q <= tab_tx_q + npos_t'(1);
            tab_q_q  <= tab_q_q + (region_off_t'(1) << layer_q.stride_x2);
          end
        end
        default: ;
      endcase
    end
  end

  assign layer_ready_o     = state_q == StIdle;
  assign layer_o           = layer_q;
  assign derived_o         = derived_q;
  assign start_o           = state_q == StStart;
  assign busy_o            = state_q != StIdle;
  assign layer_done_o      = state_q == StDone;
  assign desc_error_o      = state_q == StJudge && fail_code != '0;
  assign desc_error_code_o = state_q == StJudge ? fail_code : code_q;

  if (RegionPos > (1 << RegionW)) begin : gen_check_region_pos
    $error("%m: RegionPos = %0d, expected at most %0d", RegionPos, 1 << RegionW);
  end

endmodule
