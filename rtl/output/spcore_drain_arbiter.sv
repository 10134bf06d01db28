// Chooses the PE that hands over its accumulators, and the staging slot they go to. One PE at a time.
//
// A job binds a slot when its first unit is granted and keeps it until the slot is freed. Units of jobs that have a slot
// go first, round robin. With splits, other units may wait for a slot while theirs is all that a job misses, so a job
// may take the last free slot only if it is the oldest open one, or that one has its slot: then the oldest job can
// always finish, and with it every job in turn. Without splits a slot always becomes free by itself.

module spcore_drain_arbiter
  import sparsecore_pkg::*;
  import spcore_output_pkg::*;
#(
  parameter int unsigned NumPe    = 64,
  parameter int unsigned NumSp    = 2,
  parameter int unsigned NumStage = 4,  // slots of a streaming processor
  localparam int unsigned NumSlots = NumSp * NumStage,
  localparam int unsigned PeW      = $clog2(NumPe),
  localparam int unsigned SlotW    = $clog2(NumSlots),
  localparam int unsigned CountW   = $clog2(NumSlots + 1)
) (
  input  logic                      clk_i,
  input  logic                      rst_ni,
  input  logic                      start_i,       // of a layer
  input  npos_t                     tile_w_i,      // columns of a full tile
  input  dim_t                      splits_i,      // units of a job
  input  job_t                      oldest_job_i,

  input  logic        [NumPe-1:0]   req_i,
  input  drain_info_t [NumPe-1:0]   info_i,
  output logic        [NumPe-1:0]   gnt_o,

  // the drain that was granted last
  output logic [PeW-1:0]            pe_o,
  output logic [SlotW-1:0]          slot_o,
  output logic                      add_o,         // not the job's first unit
  output logic                      complete_o,    // the job's last unit
  input  logic                      last_i,        // its last row is here

  output slot_info_t [NumSlots-1:0] slot_info_o,   // the mask from the end of the job's drains
  input  logic       [NumSlots-1:0] slot_free_i
);

  logic [NumSlots-1:0]  bound_q;
  job_t [NumSlots-1:0]  job_q;
  dim_t [NumSlots-1:0]  units_q;     // granted, of the slot's job
  logic                 active_q;    // a drain is under way
  logic                 pick, take;

  // ---- which PE ----

  logic [NumPe-1:0]  known, opening, candidates, choice;
  logic [PeW-1:0]    pe;
  logic [CountW-1:0] num_free;
  logic              oldest_bound;

  assign pick = (!active_q || last_i) && |req_i;

  always_comb begin
    num_free     = '0;
    oldest_bound = 1'b0;
    known        = '0;
    opening      = '0;
    if (pick) begin
      for (int unsigned s = 0; s < NumSlots; s++) begin
        if (!bound_q[s])                       num_free     = num_free + 1'b1;
        else if (job_q[s] == oldest_job_i) oldest_bound = 1'b1;
      end
      for (int unsigned i = 0; i < NumPe; i++) begin
        if (req_i[i]) begin
          for (int unsigned s = 0; s < NumSlots; s++) begin
            if (bound_q[s] && job_q[s] == info_i[i].job) known[i] = 1'b1;
          end
          opening[i] = num_free > CountW'(1) || (num_free == CountW'(1)
                       && (!info_i[i].split || oldest_bound || info_i[i].job == oldest_job_i));
        end
      end
    end
  end

  assign candidates = known != '0 ? known : opening;
  assign take       = |candidates;

  spcore_round_robin #(
    .NumReq(NumPe)
  ) u_round_robin (
    .clk_i, .rst_ni, .clear_i(start_i), .req_i(candidates), .take_i(take), .choice_o(choice), .index_o(pe)
  );

  // ---- which slot: the job's, else one of the streaming processor with most free slots ----

  // verilator lint_off UNUSEDSIGNAL
  drain_info_t      info;   // without split
  // verilator lint_on UNUSEDSIGNAL
  logic [SlotW-1:0] slot;

  always_comb begin
    logic [CountW-1:0] most, here;
    info = '0;
    slot = '0;
    most = '0;
    here = '0;
    if (take) begin
      info = info_i[pe];
      if (known != '0) begin
        for (int unsigned s = 0; s < NumSlots; s++) begin
          if (bound_q[s] && job_q[s] == info.job) slot = SlotW'(s);
        end
      end else begin
        for (int unsigned p = 0; p < NumSp; p++) begin
          here = '0;
          for (int unsigned s = p * NumStage; s < (p + 1) * NumStage; s++) begin
            if (!bound_q[s]) here = here + 1'b1;
          end
          if (here > most) begin
            most = here;
            for (int unsigned s = p * NumStage; s < (p + 1) * NumStage; s++) begin
              if (!bound_q[s]) slot = SlotW'(s);
            end
          end
        end
      end
    end
  end

  // ---- the drain under way ----

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      active_q   <= 1'b0;
      gnt_o      <= '0;
      pe_o       <= '0;
      slot_o     <= '0;
      add_o      <= 1'b0;
      complete_o <= 1'b0;
      bound_q    <= '0;
      job_q      <= '0;
      units_q    <= '0;
    end else begin
      gnt_o   <= choice;
      bound_q <= bound_q & ~slot_free_i;
      if (take) begin
        active_q      <= 1'b1;
        pe_o          <= pe;
        slot_o        <= slot;
        add_o         <= known != '0;
        complete_o    <= splits_i == ((known != '0) ? units_q[slot] + 1'b1 : dim_t'(1));
        units_q[slot] <= (known != '0) ? units_q[slot] + 1'b1 : dim_t'(1);
        bound_q[slot] <= 1'b1;
        job_q[slot]   <= info.job;
      end else if (last_i) begin
        active_q <= 1'b0;
      end
    end
  end

  // ---- what the slots hold ----

  npos_t   npos;
  bitmap_t mask;
  logic    mask_done;

  spcore_tile_mask u_tile_mask (
    .clk_i, .rst_ni, .start_i(take), .tile_h_i(info.tile_h), .tile_w_i(info.tile_w), .pitch_i(tile_w_i),
    .npos_o(npos), .mask_o(mask), .done_o(mask_done)
  );

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      slot_info_o <= '0;
    end else begin
      if (take) begin
        slot_info_o[slot].job      <= info.job;
        slot_info_o[slot].chunk    <= info.chunk;
        slot_info_o[slot].out_line <= info.out_line;
      end
      if (last_i) begin
        slot_info_o[slot_o].npos <= npos;
        slot_info_o[slot_o].mask <= mask;
        assert (mask_done) else $error("%m: a drain ended before the tile's mask was complete");
      end
    end
  end

  if (NumPe < 2) begin : gen_check_num_pe
    $error("%m: NumPe = %0d, expected at least 2", NumPe);
  end
  if (NumSlots < 2) begin : gen_check_slots
    $error("%m: NumSp * NumStage = %0d, expected at least 2", NumSlots);
  end

endmodule
