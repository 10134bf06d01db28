// Gives work units to PEs (docs/architecture.md section 7.1).
//
// Units come in the order tile, chunk, split; a unit goes to a PE that has nothing at all, or else to one whose
// line_fetch is done with its present unit, so that units are bound late and the balance stays dynamic. A job is
// (tile, chunk); its splits are issued consecutively. The scheduler also knows which job is the oldest open one, which
// the drain arbiter needs to hand out staging slots without deadlock.
module spcore_scheduler
  import sparsecore_pkg::*;
#(
  parameter int unsigned NumPe = 64,
  parameter int unsigned NumSp = 2
) (
  input  logic             clk_i,
  input  logic             rst_ni,
  input  logic             start_i,
  input  layer_t           layer_i,
  input  derived_t         derived_i,
  // units to PEs: unit_o is for the one PE whose valid is set
  output unit_t            unit_o,
  output logic [NumPe-1:0] unit_valid_o,
  input  logic [NumPe-1:0] unit_ready_i,
  input  logic [NumPe-1:0] pe_free_i,
  // jobs whose last line is written
  input  logic [NumSp-1:0] job_done_i,
  input  job_t [NumSp-1:0] job_done_id_i,
  output job_t             oldest_job_o,
  // from the first unit's start to the last line written
  output logic             running_o,
  output logic             all_done_o
);

  localparam int unsigned JobWindow  = 4 * NumPe;
  localparam int unsigned JobWindowW = $clog2(JobWindow);

  // ---------------------------------------------------------------------------------------------------------------
  // Tiles
  // ---------------------------------------------------------------------------------------------------------------
  logic  tile_valid, tile_ready, tile_last;
  unit_t tile;

  spcore_tile_walk u_tile_walk (
    .clk_i,
    .rst_ni,
    .start_i,
    .layer_i,
    .tile_valid_o(tile_valid),
    .tile_ready_i(tile_ready),
    .tile_o      (tile),
    .tile_last_o (tile_last)
  );

  // ---------------------------------------------------------------------------------------------------------------
  // Units of the present tile
  // ---------------------------------------------------------------------------------------------------------------
  logic  issuing_q;         // units are left
  dim_t  chunk_q, split_q, channels_left_q;
  addr_t chunk_wgt_q;       // first vector of the chunk
  addr_t unit_wgt_q;        // and of the split
  addr_t unit_lines_q;      // index entries before the split's first channel
  job_t  job_q;
  logic  window_open, unit_pending, unit_fire;
  logic  split_end, chunk_end;

  assign split_end    = split_q == layer_i.splits - dim_t'(1);
  assign chunk_end    = chunk_q == layer_i.chunks - dim_t'(1);
  assign unit_pending = issuing_q && tile_valid && window_open;
  assign tile_ready   = unit_fire && split_end && chunk_end;

  always_comb begin
    unit_o          = tile;
    unit_o.job      = job_q;
    unit_o.split    = layer_i.splits != dim_t'(1);
    unit_o.chunk    = chunk_q;
    unit_o.channels = split_end ? channels_left_q : layer_i.split_c;
    unit_o.wgt_addr = unit_wgt_q;
    unit_o.idx_addr = tile.idx_addr + unit_lines_q;
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      issuing_q       <= 1'b0;
      chunk_q         <= '0;
      split_q         <= '0;
      channels_left_q <= '0;
      chunk_wgt_q     <= '0;
      unit_wgt_q      <= '0;
      unit_lines_q    <= '0;
      job_q           <= '0;
    end else if (start_i) begin
      issuing_q       <= 1'b1;
      chunk_q         <= '0;
      split_q         <= '0;
      channels_left_q <= layer_i.in_c;
      chunk_wgt_q     <= layer_i.wgt_base;
      unit_wgt_q      <= layer_i.wgt_base;
      unit_lines_q    <= '0;
      job_q           <= '0;
    end else if (unit_fire) begin
      if (!split_end) begin
        split_q         <= split_q + dim_t'(1);
        channels_left_q <= channels_left_q - layer_i.split_c;
        unit_wgt_q      <= unit_wgt_q + derived_i.split_vectors;
        unit_lines_q    <= unit_lines_q + derived_i.split_lines;
      end else begin
        split_q         <= '0;
        channels_left_q <= layer_i.in_c;
        unit_lines_q    <= '0;
        job_q           <= job_q + job_t'(1);
        if (!chunk_end) begin
          chunk_q     <= chunk_q + dim_t'(1);
          chunk_wgt_q <= chunk_wgt_q + derived_i.chunk_vectors;
          unit_wgt_q  <= chunk_wgt_q + derived_i.chunk_vectors;
        end else begin
          chunk_q     <= '0;
          chunk_wgt_q <= layer_i.wgt_base;
          unit_wgt_q  <= layer_i.wgt_base;
          if (tile_last) issuing_q <= 1'b0;
        end
      end
    end
  end

  // ---------------------------------------------------------------------------------------------------------------
  // Which PE: lowest-numbered free one, else lowest-numbered ready one
  // ---------------------------------------------------------------------------------------------------------------
  logic [NumPe-1:0] free_ready, candidates;
  assign free_ready   = unit_ready_i & pe_free_i;
  assign candidates   = |free_ready ? free_ready : unit_ready_i;
  assign unit_valid_o = unit_pending ? candidates & (~candidates + NumPe'(1)) : '0;
  assign unit_fire    = unit_pending && |candidates;

  // ---------------------------------------------------------------------------------------------------------------
  // Open jobs: a window of done bits behind the oldest open job
  // ---------------------------------------------------------------------------------------------------------------
  logic [JobWindow-1:0] done_q;
  job_t                 oldest_q;
  logic                 oldest_done;
  logic [JobWindowW-1:0] oldest_idx;

  assign oldest_idx  = oldest_q[JobWindowW-1:0];
  assign oldest_done = done_q[oldest_idx];
  assign window_open = job_t'(job_q - oldest_q) < job_t'(JobWindow);

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      done_q   <= '0;
      oldest_q <= '0;
    end else if (start_i) begin
      done_q   <= '0;
      oldest_q <= '0;
    end else begin
      for (int unsigned i = 0; i < NumSp; i++) begin
        if (job_done_i[i]) done_q[job_done_id_i[i][JobWindowW-1:0]] <= 1'b1;
      end
      if (oldest_done) begin
        done_q[oldest_idx] <= 1'b0;
        oldest_q           <= oldest_q + job_t'(1);
      end
    end
  end

  assign oldest_job_o = oldest_q;

  // ---------------------------------------------------------------------------------------------------------------
  // Running: the count of open jobs is exact in the cycle a job ends, the window above follows later
  // ---------------------------------------------------------------------------------------------------------------
  localparam int unsigned OpenW = JobWindowW + 1;
  localparam int unsigned DoneW = $clog2(NumSp + 1);
  logic             running_q;
  logic [OpenW-1:0] open_q;
  logic [DoneW-1:0] done_now;
  logic             job_opens;

  assign job_opens = unit_fire && split_end;
  always_comb begin
    done_now = '0;
    for (int unsigned i = 0; i < NumSp; i++) done_now = done_now + DoneW'(job_done_i[i]);
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      running_q <= 1'b0;
      open_q    <= '0;
    end else if (start_i) begin
      running_q <= 1'b0;
      open_q    <= '0;
    end else begin
      if (unit_fire)       running_q <= 1'b1;
      else if (all_done_o) running_q <= 1'b0;
      open_q <= open_q + OpenW'(job_opens) - OpenW'(done_now);
    end
  end

  assign running_o  = running_q;
  assign all_done_o = running_q && !issuing_q && open_q == '0;

  if ((NumPe & (NumPe - 1)) != 0) begin : gen_check_num_pe
    $error("%m: NumPe = %0d, expected a power of two", NumPe);
  end

endmodule
