// SPDX-License-Identifier: Apache-2.0
// Gives work units to PEs (docs/architecture.md section 7.1).
//
// Units come in the order tile, chunk, split; a unit goes to a PE that has nothing at all, or else to one whose
// line_fetch is done with its present unit, so that units are bound late and the balance stays dynamic. A job is
// (tile, chunk); its splits are issued consecutively. The scheduler also knows which job is the oldest open one, which
// the drain arbiter needs to hand out staging slots without deadlock.
//
// Two layers may be open, which take turns with the contexts. A layer that starts waits until the units of the one before it
// are made. Jobs are numbered over all layers, so that those of two do not mix. Layers end in order.
//
// A unit reaches the PEs through a register for each group of them. A PE that is ready stays so until it gets a unit, and its
// ready falls in the cycle after; here it counts as taken until that is seen.
module spcore_scheduler
  import sparsecore_pkg::*;
#(
  parameter int unsigned NumPe = 64,
  parameter int unsigned NumSp = 2,
  localparam int unsigned NumGroups = (NumPe + UnitGroup - 1) / UnitGroup
) (
  input  logic                  clk_i,
  input  logic                  rst_ni,
  input  logic     [1:0]        prepare_i,   // by context: layer_i is there; start_i comes when it is found good
  input  logic     [1:0]        start_i,
  input  layer_t   [1:0]        layer_i,
  input  derived_t [1:0]        derived_i,
  // units to PEs: a group's unit is for the one PE whose valid is set
  output unit_t [NumGroups-1:0] unit_o,
  output logic  [NumPe-1:0]     unit_valid_o,
  input  logic  [NumPe-1:0]     unit_ready_i,
  input  logic  [NumPe-1:0]     pe_free_i,
  // jobs whose last line is written
  input  logic  [NumSp-1:0]     job_done_i,
  input  job_t  [NumSp-1:0]     job_done_id_i,
  input  ctx_t                  job_done_ctx_i,
  output job_t                  oldest_job_o,
  output ctx_t                  oldest_o,     // of the layers that are open; the next one's without any
  output logic                  running_o,    // from a layer's first unit's start to its last line written
  output logic                  all_done_o    // pulse: the oldest layer's last line is written
);

  localparam int unsigned JobWindow  = 4 * NumPe;
  localparam int unsigned JobWindowW = $clog2(JobWindow);
  localparam int unsigned OpenW      = JobWindowW + 1;
  localparam int unsigned DoneW      = $clog2(NumSp + 1);

  // ---- the layer whose units are made ----
  logic issuing_q;           // units are left
  logic start_q;             // registered: much depends on it
  logic waiting_q;           // a layer waits for the units of the one before
  ctx_t ctx_q;
  logic start;

  assign start = (start_i != '0 || waiting_q) && !issuing_q && !start_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      start_q   <= 1'b0;
      waiting_q <= 1'b0;
      ctx_q     <= 1'b1;
    end else begin
      start_q   <= start;
      waiting_q <= (start_i != '0 || waiting_q) && !start;
      if (start) ctx_q <= ~ctx_q;
    end
  end

  // Widths of what is chosen are few: fields of the layer, not all of it.
  logic  continues;
  dim_t  splits, chunks, group_chunks, in_c, group_c, split_c;
  addr_t wgt_base, chunk_vectors, split_vectors, split_lines, group_step;

  assign continues     = layer_i[ctx_q].continue_slot;
  assign splits        = layer_i[ctx_q].splits;
  assign chunks        = layer_i[ctx_q].chunks;
  assign group_chunks  = layer_i[ctx_q].group_chunks;
  assign in_c          = layer_i[ctx_q].in_c;
  assign group_c       = layer_i[ctx_q].group_c;
  assign split_c       = layer_i[ctx_q].split_c;
  assign wgt_base      = layer_i[ctx_q].wgt_base;
  assign chunk_vectors = derived_i[ctx_q].chunk_vectors;
  assign split_vectors = derived_i[ctx_q].split_vectors;
  assign split_lines   = derived_i[ctx_q].split_lines;
  assign group_step    = derived_i[ctx_q].group_lines;

  // ---- tiles ----
  logic  [1:0] valid, ready_tile, last;
  unit_t [1:0] tiles;
  logic        tile_valid, tile_ready, tile_last;
  unit_t       tile;

  for (genvar c = 0; c < 2; c++) begin : gen_walk
    assign ready_tile[c] = tile_ready && ctx_q == 1'(c);

    spcore_tile_walk u_tile_walk (
      .clk_i,
      .rst_ni,
      .prepare_i   (prepare_i[c]),
      .layer_i     (layer_i[c]),
      .tile_valid_o(valid[c]),
      .tile_ready_i(ready_tile[c]),
      .tile_o      (tiles[c]),
      .tile_last_o (last[c])
    );
  end

  assign tile_valid = valid[ctx_q];
  assign tile_last  = last[ctx_q];
  assign tile       = tiles[ctx_q];

  // ---- units of the present tile ----
  dim_t  chunk_q, chunks_left_q, splits_left_q;
  dim_t  channels_left_q;   // of the group, from the split on
  dim_t  group_chunks_left_q;
  dim_t  group_left_q;      // input channels from the group on
  dim_t  group_left;        // and from that of the next job on
  addr_t group_lines_q, group_lines;   // index entries before that channel
  logic  split_end_q, chunk_end_q, group_end_q;
  addr_t chunk_wgt_q;       // first vector of the chunk
  addr_t unit_wgt_q;        // and of the split
  addr_t unit_lines_q;      // index entries before the split's first channel
  job_t  job_q;
  logic  window_open;       // there may be one more open job
  logic  unit_valid_q, load, fire, fire_q;
  unit_t unit_q;            // the next one to be given out

  assign load       = issuing_q && tile_valid && window_open && (!unit_valid_q || fire);
  assign tile_ready = load && split_end_q && chunk_end_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      issuing_q    <= 1'b0;
      unit_valid_q <= 1'b0;
    end else begin
      if (start_q)                      issuing_q <= 1'b1;
      else if (tile_ready && tile_last) issuing_q <= 1'b0;
      if (load)      unit_valid_q <= 1'b1;
      else if (fire) unit_valid_q <= 1'b0;
    end
  end

  // What selects is registered; load, which comes late, only enables. A start goes on from the end of a tile, where the last
  // unit of the layer before has left these.
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      split_end_q <= 1'b1;
      chunk_end_q <= 1'b1;
      group_end_q <= 1'b1;
    end else if (tile_ready && tile_last) begin
      split_end_q <= 1'b1;
      chunk_end_q <= 1'b1;
      group_end_q <= 1'b1;
    end else begin
      if (start_q || load) split_end_q <= split_end_q ? splits == dim_t'(1) : splits_left_q == dim_t'(2);
      if (start_q || (load && split_end_q)) begin
        chunk_end_q <= chunk_end_q ? chunks == dim_t'(1) : chunks_left_q == dim_t'(2);
        group_end_q <= chunk_end_q || group_end_q ? group_chunks == dim_t'(1) : group_chunks_left_q == dim_t'(2);
      end
    end
  end

  always_comb begin
    group_left  = in_c;
    group_lines = '0;
    if (!chunk_end_q) begin
      group_left  = group_end_q ? group_left_q - group_c : group_left_q;
      group_lines = group_end_q ? group_lines_q + group_step : group_lines_q;
    end
  end

  always_ff @(posedge clk_i) begin
    if (start_q || load) begin
      if (split_end_q) begin
        splits_left_q   <= splits;
        channels_left_q <= group_left < group_c ? group_left : group_c;
        unit_lines_q    <= group_lines;
        unit_wgt_q      <= chunk_end_q ? wgt_base : chunk_wgt_q + chunk_vectors;
      end else begin
        splits_left_q   <= splits_left_q - dim_t'(1);
        channels_left_q <= channels_left_q > split_c ? channels_left_q - split_c : '0;
        unit_lines_q    <= unit_lines_q + split_lines;
        unit_wgt_q      <= unit_wgt_q + split_vectors;
      end
    end
    if (start_q || (load && split_end_q)) begin
      group_left_q  <= group_left;
      group_lines_q <= group_lines;
      group_chunks_left_q <= chunk_end_q || group_end_q ? group_chunks : group_chunks_left_q - dim_t'(1);
      if (chunk_end_q) begin
        chunk_q       <= '0;
        chunks_left_q <= chunks;
        chunk_wgt_q   <= wgt_base;
      end else begin
        chunk_q       <= chunk_q + dim_t'(1);
        chunks_left_q <= chunks_left_q - dim_t'(1);
        chunk_wgt_q   <= chunk_wgt_q + chunk_vectors;
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (load) begin
      unit_q          <= tile;
      unit_q.ctx      <= ctx_q;
      unit_q.job      <= job_q;
      unit_q.split    <= splits != dim_t'(1) || continues;
      unit_q.chunk    <= chunk_q;
      // A split behind the last channel only ends the unit, as a window in the padding does.
      unit_q.channels <= channels_left_q < split_c ? channels_left_q : split_c;
      unit_q.lines_y  <= channels_left_q == '0 ? '0 : tile.lines_y;
      unit_q.wgt_addr <= unit_wgt_q;
      unit_q.idx_addr <= tile.idx_addr + unit_lines_q;
    end
  end

  // ---- which PE: lowest-numbered free one, else lowest-numbered ready one ----
  // It is chosen a cycle before a unit is there for it, so that giving one out depends on little.
  logic [NumPe-1:0]   ready_q, free_q;        // what the PEs said in the previous cycle
  logic [NumPe-1:0]   choice_q;
  logic               chosen_q;
  logic [NumPe-1:0]   given, given_q, before_q;  // PEs that a unit is given to, and was in the two cycles before
  logic [NumPe-1:0]   ready;
  logic [2*NumPe-1:0] lowest;

  // The lowest set bit, by a tree of ORs: a carry chain is as long as the set.
  function automatic logic [2*NumPe-1:0] lowest_of(input logic [2*NumPe-1:0] set);
    logic [2*NumPe-1:0] up_from;
    up_from = set;
    for (int unsigned i = 1; i < 2 * NumPe; i *= 2) up_from |= up_from << i;
    return set & ~(up_from << 1);
  endfunction

  assign fire   = unit_valid_q && chosen_q;
  assign given  = choice_q & {NumPe{unit_valid_q}};
  assign ready  = ready_q & ~given & ~given_q & ~before_q;
  assign lowest = lowest_of({ready, ready & free_q});

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      ready_q  <= '0;
      free_q   <= '0;
      choice_q <= '0;
      chosen_q <= 1'b0;
      given_q  <= '0;
      before_q <= '0;
      fire_q   <= 1'b0;
    end else begin
      ready_q  <= unit_ready_i;
      free_q   <= pe_free_i;
      choice_q <= lowest[NumPe-1:0] | lowest[2*NumPe-1:NumPe];
      chosen_q <= ready != '0;
      given_q  <= given;
      before_q <= given_q;
      fire_q   <= fire;
    end
  end

  assign unit_valid_o = given_q;

  for (genvar i = 0; i < NumGroups; i++) begin : gen_group
    unit_t group_q;
    always_ff @(posedge clk_i) begin
      if (fire) group_q <= unit_q;
    end
    assign unit_o[i] = group_q;
  end

  // ---- open jobs: a window of marks behind the oldest open job ----
  // A mark says whether the job is done by the bit of its number above the window, inverted, so that a mark need not be taken back.
  logic [NumSp-1:0]      job_done_q;
  job_t [NumSp-1:0]      job_done_id_q;
  logic [JobWindow-1:0]  mark_q;
  job_t                  oldest_q;
  logic                  oldest_done;
  logic [OpenW-1:0]      window_q;   // jobs from the oldest open one on that units were made of
  logic                  job_opens;
  ctx_t                  job_done_ctx_q;

  assign oldest_done = mark_q[oldest_q[JobWindowW-1:0]] != oldest_q[JobWindowW];
  assign window_open = !window_q[JobWindowW];
  assign job_opens   = load && split_end_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      job_done_q     <= '0;
      job_done_id_q  <= '0;
      job_done_ctx_q <= '0;
    end else begin
      job_done_q     <= job_done_i;
      job_done_id_q  <= job_done_id_i;
      job_done_ctx_q <= job_done_ctx_i;
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni)        job_q <= '0;
    else if (job_opens) job_q <= job_q + job_t'(1);
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      mark_q   <= '0;
      oldest_q <= '0;
      window_q <= '0;
    end else begin
      for (int unsigned i = 0; i < NumSp; i++) begin
        if (job_done_q[i]) mark_q[job_done_id_q[i][JobWindowW-1:0]] <= !job_done_id_q[i][JobWindowW];
      end
      if (oldest_done) oldest_q <= oldest_q + job_t'(1);
      if (job_opens != oldest_done) window_q <= job_opens ? window_q + OpenW'(1) : window_q - OpenW'(1);
    end
  end

  assign oldest_job_o = oldest_q;

  // ---- running: the counts of open jobs follow the jobs' ends at once, the window above later ----
  logic [1:0]            running_d, running_q;   // by context
  logic                  any_running_q;
  logic                  all_done_q, fire_ctx_q, makes;
  ctx_t                  oldest_layer_q;
  logic [1:0][OpenW-1:0] open_q;
  logic [DoneW-1:0]      done_now;

  always_comb begin
    done_now = '0;
    for (int unsigned i = 0; i < NumSp; i++) done_now = done_now + DoneW'(job_done_q[i]);
  end

  always_comb begin
    running_d = running_q;
    if (all_done_q) running_d[oldest_layer_q] = 1'b0;
    if (fire_q)     running_d[fire_ctx_q] = 1'b1;
  end

  assign makes = issuing_q && ctx_q == oldest_layer_q;   // units of the oldest layer are left

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      running_q      <= '0;
      any_running_q  <= 1'b0;
      all_done_q     <= 1'b0;
      open_q         <= '0;
      oldest_layer_q <= '0;
      fire_ctx_q     <= '0;
    end else begin
      all_done_q    <= running_q[oldest_layer_q] && !all_done_q && !makes && open_q[oldest_layer_q] == '0;
      fire_ctx_q    <= unit_q.ctx;
      running_q     <= running_d;
      any_running_q <= |running_d;
      for (int unsigned c = 0; c < 2; c++) begin
        open_q[c] <= open_q[c] + OpenW'(job_opens && ctx_q == 1'(c)) -
                     (job_done_ctx_q == 1'(c) ? OpenW'(done_now) : '0);
      end
      if (all_done_q) oldest_layer_q <= ~oldest_layer_q;
    end
  end

  assign oldest_o   = oldest_layer_q;
  assign running_o  = any_running_q;
  assign all_done_o = all_done_q;

  if ((NumPe & (NumPe - 1)) != 0) begin : gen_check_num_pe
    $error("%m: NumPe = %0d, expected a power of two", NumPe);
  end

endmodule
