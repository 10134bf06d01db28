// SPDX-License-Identifier: Apache-2.0
// Chooses the PEs that hand over their accumulators, one at a time for each streaming processor, and the staging slots
// they go to.
//
// A job binds a slot when its first unit is chosen and keeps it until the slot is freed; all its units go to that slot.
// A streaming processor's choice prefers units of jobs that have one of its slots, round robin. Other units open a slot
// of a streaming processor that has no drain, else of the one with most free slots. With splits, other units may wait
// for a slot while theirs is all that a job misses, so such a job may take the last free slot of all only if it is the
// oldest open one, or that one has its slot: then the oldest job can always finish, and with it every job in turn. Without
// splits a slot always becomes free by itself. Jobs of two layers mix: each is of one kind or the other.
//
// While a unit of the older layer waits to open a slot, the younger layer's open none: who waits for a layer's lines waits
// for its last ones, which would come a round of all PEs later, or sooner, as it happens to be. A PE's younger unit is behind
// its older ones, so none of these waits for it.
//
// A layer that keeps its slots ends a job when the last unit's rows are on their way into the slot, which from then on is that
// of the job with the same place in the next layer: job numbers go on, so it is as many higher as a layer has jobs. Such
// layers run alone and have no more jobs than there are slots. One that does not continue begins with all slots free.
//
// Choosing takes some cycles, for one streaming processor at a time and while the PE chosen before sends its rows. How
// many these are is known from its request, and they begin a fixed time after its grant. So the next PE is granted in
// time for its first row to follow the last one of the PE before; what steers the rows changes between them.
//
// The network from the PEs is shared up to its groups of GroupPes: two drains are never in one group. What is known of
// a waiting PE (its job's slot, whether its job is the oldest) is kept for each PE: a new request is looked up once in
// the table of slots, and a job that binds a slot is told to all.

`include "../common/spcore_assert.svh"

module spcore_drain_arbiter
  import sparsecore_pkg::*;
  import spcore_output_pkg::*;
#(
  parameter int unsigned NumPe    = 64,
  parameter int unsigned NumLanes = 16,
  parameter int unsigned NumSp    = 2,
  parameter int unsigned NumStage = 4,  // slots of a streaming processor
  localparam int unsigned GroupPes  = group_pes(NumPe),
  localparam int unsigned NumGroups = (NumPe + GroupPes - 1) / GroupPes
) (
  input  logic                              clk_i,
  input  logic                              rst_ni,
  input  logic     [1:0]                    start_i,       // of a layer, by context
  input  logic                              restart_i,     // with start_i: no other layer is open
  input  layer_t   [1:0]                    layer_i,
  input  derived_t [1:0]                    derived_i,
  input  job_t                              oldest_job_i,
  input  ctx_t                              oldest_i,      // of the layers that are open

  input  drain_req_t [NumPe-1:0]            req_i,
  output logic       [NumPe-1:0]            gnt_o,

  // the drain network
  output logic       [NumGroups-1:0]                node_en_o,
  output logic       [NumGroups-1:0][GroupPes-1:0]  node_sel_o,   // the PE of a group that sent last

  // by streaming processor: the drain under way, in just the cycles in which its rows are before the node
  output logic [NumSp-1:0][NumGroups-1:0]   group_o,       // where it comes from; 0 without a drain
  output logic [NumSp-1:0][NumStage-1:0]    slot_o,        // where it goes to
  output logic [NumSp-1:0]                  add_o,         // not the job's first unit
  output logic [NumSp-1:0]                  complete_o,    // the job's last unit; its slot is not kept

  output logic [NumSp-1:0]                  kept_o,        // pulse behind it: a job that keeps its slot has ended
  output job_t [NumSp-1:0]                  kept_job_o,
  output ctx_t                              kept_ctx_o,    // of its layer, which runs alone

  output logic [NumSp-1:0][NumStage-1:0]    info_we_o,     // pulse, some cycles after a job has bound its slot
  output slot_info_t                        info_o,
  input  logic [NumSp-1:0][NumStage-1:0]    slot_free_i
);

  localparam int unsigned NumSlots  = NumSp * NumStage;
  localparam int unsigned LogL      = $clog2(NumLanes);
  localparam int unsigned SlotW     = $clog2(NumSlots);
  localparam int unsigned CountW    = $clog2(NumSlots + 1);
  localparam int unsigned PortW     = NumSp > 1 ? $clog2(NumSp) : 1;
  localparam int unsigned NumWays   = NumGroups * GroupPes;  // NumPe, or a few more that never ask

  typedef logic [SlotW-1:0]   slot_t;
  typedef logic [CountW-1:0]  count_t;
  typedef logic [NumWays-1:0] pes_t;

  typedef enum logic [1:0] {
    StPick,     // who may be chosen, for one streaming processor after the other; who is
    StInfo,     // its unit and slot
    StBind,     // the slot is its job's
    StTell      // all PEs whose jobs have bound a slot
  } state_e;

  state_e             state_q, state_d;
  logic [PortW-1:0]   poll_q;       // the next streaming processor that is chosen for
  logic [PortW-1:0]   port_q;       // the present one
  // verilator lint_off UNUSEDSIGNAL
  drain_info_t        info_q;       // of the PE that was chosen; without split
  drain_req_t         chosen_req;   // the same
  drain_req_t [NumWays-1:0] req;
  // verilator lint_on UNUSEDSIGNAL

  logic [AccAddrW-1:0] last_row_q;  // of its unit
  pes_t                valid;

  always_comb begin
    req = '0;
    for (int unsigned i = 0; i < NumPe; i++) req[i] = req_i[i];
    for (int unsigned i = 0; i < NumWays; i++) valid[i] = req[i].valid;
  end

  // All above the lowest request.
  function automatic pes_t above(input pes_t requests);
    pes_t upto;
    upto = requests;
    for (int unsigned i = 1; i < NumWays; i *= 2) upto |= upto << i;
    return upto << 1;
  endfunction

  function automatic pes_t lowest(input pes_t requests);
    return requests & ~above(requests);
  endfunction

  // ---- slots ----

  logic [NumSlots-1:0] bound_q;
  job_t [NumSlots-1:0] job_q;
  dim_t [NumSlots-1:0] units_q;     // chosen, of the slot's job
  logic                is_known_q;  // the chosen PE's job has a slot
  slot_t               slot_q;      // of the chosen PE
  logic [NumSlots-1:0] at_q;        // the same
  logic                bind_now, bind_open;
  dim_t                number, units_d;
  job_t                job_d;             // that the slot is for from now on
  logic                job_last, keeps;   // it is the job's last unit, and its layer keeps slots
  logic                release_all;

  assign bind_now    = state_q == StBind;
  assign bind_open   = bind_now & ~is_known_q;
  assign job_last    = number == layer_i[info_q.ctx].splits;
  assign keeps       = layer_i[info_q.ctx].keep_slot;
  assign release_all = restart_i && !(start_i[0] && layer_i[0].continue_slot) && !(start_i[1] && layer_i[1].continue_slot);

  always_comb begin
    number = dim_t'(1);
    for (int unsigned s = 0; s < NumSlots; s++) if (is_known_q && at_q[s]) number = units_q[s] + 1'b1;
  end

  assign units_d = job_last && keeps ? '0 : number;
  assign job_d   = job_last && keeps ? info_q.job + job_t'(derived_i[info_q.ctx].jobs) : info_q.job;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      bound_q <= '0;
      job_q   <= '0;
      units_q <= '0;
    end else begin
      bound_q <= release_all ? '0 : bound_q & ~slot_free_i;
      for (int unsigned s = 0; s < NumSlots; s++) begin
        if (bind_open && at_q[s]) bound_q[s] <= 1'b1;
        if (bind_now && at_q[s]) begin
          job_q[s]   <= job_d;
          units_q[s] <= units_d;
        end
      end
    end
  end

  // Which streaming processors may open a slot: for any job, for one without splits or the oldest. As of the cycle
  // before: slots that became free since make no difference but delay.
  logic [NumSp-1:0] next_valid_q;
  logic [NumSp-1:0][NumGroups-1:0] group_q;   // whose PE was granted and has rows left to read
  logic [NumSp-1:0] open_any_q, open_sure_q;
  logic [NumSp-1:0] open_any_d, open_sure_d, defer;  // defer: to another one that has no choice yet

  always_comb begin
    automatic count_t [NumSp-1:0] num_free = '0;
    automatic count_t             all_free = '0;
    automatic logic               oldest_bound = 1'b0;
    automatic logic   [NumSp-1:0] idle = '0;
    for (int unsigned s = 0; s < NumSlots; s++) begin
      if (!bound_q[s]) begin
        num_free[s/NumStage] = num_free[s/NumStage] + 1'b1;
        all_free             = all_free + 1'b1;
      end else if (job_q[s] == oldest_job_i) begin
        oldest_bound = 1'b1;
      end
    end
    for (int unsigned p = 0; p < NumSp; p++) idle[p] = group_q[p] == '0 && !next_valid_q[p];
    defer = '0;
    for (int unsigned p = 0; p < NumSp; p++) begin
      open_sure_d[p] = num_free[p] != '0;
      open_any_d[p]  = num_free[p] != '0 && (all_free > count_t'(1) || oldest_bound);
      for (int unsigned o = 0; o < NumSp; o++) begin
        if (!next_valid_q[o] && num_free[o] != '0 && (idle[o] == idle[p] ? num_free[o] > num_free[p] : idle[o])) begin
          defer[p] = 1'b1;
        end
      end
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      open_any_q  <= '0;
      open_sure_q <= '0;
    end else begin
      open_any_q  <= open_any_d & ~defer;
      open_sure_q <= open_sure_d & ~defer;
    end
  end

  // ---- what is known of the PEs that ask ----

  pes_t                asks_q;     // a request, a cycle later
  pes_t                split_q;    // of a job that may have a slot
  logic                awake_q;    // there is one, or was in the last cycle
  pes_t                seen_q;     // it is being looked up, or was
  pes_t                ready_q;    // may be chosen
  pes_t                known_q;    // its job has a slot
  pes_t                oldest_q;   // its job is the oldest one
  pes_t                older_q;    // of the older layer
  logic                older_waits_q;   // one of these, for a slot
  slot_t [NumWays-1:0] slot_of_q;
  pes_t                new_q, lookup_q, found_q;   // one that is looked up: asks, what it asks for, whether there is a slot
  job_t                lookup_job_q, told_job_q;
  logic                found_known_q;
  slot_t               found_slot_q;
  logic                told_bind_q;
  slot_t               told_slot_q;
  pes_t                fresh, search, chosen_q;
  logic                lookup_known;
  slot_t               lookup_slot;

  // Without splits no job has a slot before its only unit is chosen.
  assign fresh  = asks_q & ~seen_q;
  assign search = lowest(fresh & split_q);

  always_comb begin
    lookup_known = 1'b0;
    lookup_slot  = '0;
    for (int unsigned s = 0; s < NumSlots; s++) begin
      if (bound_q[s] && job_q[s] == lookup_job_q) begin
        lookup_known = 1'b1;
        lookup_slot |= slot_t'(s);
      end
    end
  end

  function automatic job_t job_of(input pes_t which, input drain_req_t [NumWays-1:0] reqs);
    job_t [NumWays-1:0] jobs;
    for (int unsigned i = 0; i < NumWays; i++) jobs[i] = {$bits(job_t){which[i]}} & reqs[i].unit.job;
    for (int unsigned n = 1; n < NumWays; n *= 2) begin
      for (int unsigned i = 0; i + n < NumWays; i += 2 * n) jobs[i] |= jobs[i+n];
    end
    return jobs[0];
  endfunction

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      asks_q        <= '0;
      awake_q       <= 1'b0;
      seen_q        <= '0;
      ready_q       <= '0;
      known_q       <= '0;
      oldest_q      <= '0;
      older_waits_q <= 1'b0;
      slot_of_q     <= '0;
      new_q         <= '0;
      lookup_q      <= '0;
      found_q       <= '0;
    end else begin
      asks_q        <= valid;
      new_q         <= search;
      lookup_q      <= new_q;
      found_q       <= lookup_q;
      awake_q       <= |(asks_q | valid);
      older_waits_q <= |(ready_q & older_q & ~known_q);
      if (awake_q) begin
        seen_q  <= (seen_q | (fresh & ~split_q) | search) & asks_q;
        ready_q <= (ready_q | (fresh & ~split_q) | found_q) & ~chosen_q & asks_q;
        for (int unsigned i = 0; i < NumWays; i++) begin
          if (!asks_q[i]) begin
            known_q[i]  <= 1'b0;
            oldest_q[i] <= 1'b0;
          end else begin
            if (found_q[i] && found_known_q) begin
              known_q[i]   <= 1'b1;
              slot_of_q[i] <= found_slot_q;
            end
            if (req[i].unit.job == told_job_q) begin
              if (told_bind_q) begin
                known_q[i]   <= 1'b1;
                slot_of_q[i] <= told_slot_q;
              end else begin
                oldest_q[i] <= 1'b1;
              end
            end
          end
        end
      end
    end
  end

  always_ff @(posedge clk_i) begin
    for (int unsigned i = 0; i < NumWays; i++) begin
      split_q[i] <= req[i].unit.split;
      older_q[i] <= req[i].unit.ctx == oldest_i;
    end
    if (|new_q) lookup_job_q <= job_of(new_q, req);
    if (|lookup_q) begin
      found_known_q <= lookup_known;
      found_slot_q  <= lookup_slot;
    end
  end

  // The PEs hear which job binds a slot, else which one is the oldest.
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      told_job_q  <= '0;
      told_bind_q <= 1'b0;
      told_slot_q <= '0;
    end else begin
      told_job_q  <= bind_open ? info_q.job : oldest_job_i;
      told_bind_q <= bind_open;
      told_slot_q <= slot_q;
    end
  end

  // ---- the choice ----

  pes_t  known, open;             // who may be chosen for poll_q: it brings a job with a slot, one that opens a slot
  pes_t  known_pes_q, open_pes_q; // and for port_q
  logic  any_q;                   // there is one
  logic  beyond_q;                // in above_q
  pes_t  above_q, pool;           // above the one that was chosen last
  logic  poll, polled_q, pick;
  logic  info_busy;               // what the slot before holds is still being written

  logic [NumSp-1:0][NumWays-1:0]   next_pe_q;
  logic [NumSp-1:0][NumGroups-1:0] next_group_q;
  logic [NumSp-1:0][NumStage-1:0]  next_slot_q;
  logic [NumSp-1:0][AccAddrW-1:0]  next_left_q;
  logic [NumSp-1:0]                next_add_q, next_complete_q, next_keep_q, keep_q;
  job_t [NumSp-1:0]                next_job_q, under_way_q;   // of the drains
  logic [NumSp-1:0]                issue;

  assign poll = state_q == StPick && !pick && |ready_q && !next_valid_q[poll_q];
  assign pick = polled_q & any_q;

  always_comb begin
    automatic logic [NumGroups-1:0] taken = '0;
    for (int unsigned p = 0; p < NumSp; p++) if (next_valid_q[p]) taken |= next_group_q[p];
    known = 'x;
    open  = 'x;
    if (poll) begin
      for (int unsigned i = 0; i < NumWays; i++) begin
        known[i] = ready_q[i] && !taken[i/GroupPes] && known_q[i] && 32'(slot_of_q[i]) / NumStage == 32'(poll_q);
        open[i]  = ready_q[i] && !taken[i/GroupPes] && !known_q[i] && (older_q[i] || !older_waits_q)
                   && (open_any_q[poll_q] || (open_sure_q[poll_q] && (oldest_q[i] || !split_q[i])));
      end
    end
  end

  assign pool = (is_known_q ? known_pes_q : open_pes_q) & (above_q | {NumWays{~beyond_q}});

  always_comb begin
    state_d = state_q;
    unique case (state_q)
      StPick:  if (pick) state_d = StInfo;
      StInfo:  if (!info_busy) state_d = StBind;
      StBind:  state_d = bind_open ? StTell : StPick;
      default: state_d = StPick;
    endcase
  end

  function automatic drain_req_t request_of(input pes_t which, input drain_req_t [NumWays-1:0] reqs);
    drain_req_t [NumWays-1:0] masked;
    for (int unsigned i = 0; i < NumWays; i++) masked[i] = {$bits(drain_req_t){which[i]}} & reqs[i];
    for (int unsigned n = 1; n < NumWays; n *= 2) begin
      for (int unsigned i = 0; i + n < NumWays; i += 2 * n) masked[i] |= masked[i+n];
    end
    return masked[0];
  endfunction

  function automatic slot_t slot_of(input pes_t which, input slot_t [NumWays-1:0] slots);
    slot_t [NumWays-1:0] those;
    for (int unsigned i = 0; i < NumWays; i++) those[i] = {SlotW{which[i]}} & slots[i];
    for (int unsigned n = 1; n < NumWays; n *= 2) begin
      for (int unsigned i = 0; i + n < NumWays; i += 2 * n) those[i] |= those[i+n];
    end
    return those[0];
  endfunction

  slot_t slot;

  always_comb begin
    chosen_req = 'x;
    slot       = 'x;
    if (state_q == StInfo) begin
      chosen_req = request_of(chosen_q, req);
      slot       = slot_of(chosen_q, slot_of_q);
      if (!is_known_q) begin
        for (int unsigned s = 0; s < NumSlots; s++) begin
          if (!bound_q[s] && s / NumStage == 32'(port_q)) slot = slot_t'(s);
        end
      end
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      state_q  <= StPick;
      poll_q   <= '0;
      polled_q <= 1'b0;
      above_q  <= '1;
      chosen_q <= '0;
    end else begin
      state_q  <= state_d;
      polled_q <= poll;
      if (pick || bind_now) chosen_q <= lowest(pool) & {NumWays{polled_q}};
      if (restart_i || state_q == StInfo) above_q <= restart_i ? '1 : above(chosen_q);
      if (restart_i)                       poll_q <= '0;
      else if (state_q == StPick && !pick) poll_q <= (32'(poll_q) == NumSp - 1) ? '0 : poll_q + 1'b1;
    end
  end

  always_ff @(posedge clk_i) begin
    if (poll) begin
      port_q      <= poll_q;
      known_pes_q <= known;
      open_pes_q  <= open;
      is_known_q  <= known != '0;
      any_q       <= known != '0 || open != '0;
      beyond_q    <= known != '0 ? (known & above_q) != '0 : (open & above_q) != '0;
    end
    if (state_q == StInfo && !info_busy) begin
      info_q     <= chosen_req.unit;
      last_row_q <= chosen_req.last_row;
      slot_q     <= slot;
      for (int unsigned s = 0; s < NumSlots; s++) at_q[s] <= 32'(slot) == s;
    end
  end

  // ---- the drains: chosen next, and under way ----

  localparam int unsigned Ahead = DrainLatency;  // cycles from a grant to the PE's first row before the node

  logic [NumSp-1:0][AccAddrW-1:0]  left_q;      // rows to read, but for the present one
  logic [NumSp-1:0]                ends;        // the present one is the last
  logic [NumSp-1:0][NumGroups-1:0] go;
  logic [NumSp-1:0][Ahead-1:0]     begin_q, end_q;  // how long ago a PE was granted, the last row read

  always_comb begin
    for (int unsigned p = 0; p < NumSp; p++) begin
      automatic logic [NumGroups-1:0] taken = '0;
      for (int unsigned o = 0; o < NumSp; o++) if (o != p && left_q[o] != '0) taken |= group_q[o];
      go[p] = '0;
      if (next_valid_q[p] && left_q[p] == '0) go[p] = next_group_q[p] & ~taken;
      issue[p] = go[p] != '0;
      ends[p]  = group_q[p] != '0 && left_q[p] == '0;
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      next_valid_q    <= '0;
      next_pe_q       <= '0;
      next_group_q    <= '0;
      next_left_q     <= '0;
      next_slot_q     <= '0;
      next_add_q      <= '0;
      next_complete_q <= '0;
      next_keep_q     <= '0;
    end else begin
      next_valid_q <= next_valid_q & ~issue;
      if (bind_now) begin
        for (int unsigned p = 0; p < NumSp; p++) begin
          if (32'(port_q) == p) begin
            next_valid_q[p]    <= 1'b1;
            next_pe_q[p]       <= chosen_q;
            for (int unsigned g = 0; g < NumGroups; g++) next_group_q[p][g] <= |chosen_q[g*GroupPes+:GroupPes];
            next_left_q[p]     <= last_row_q;
            for (int unsigned s = 0; s < NumStage; s++) next_slot_q[p][s] <= at_q[p*NumStage+s];
            next_add_q[p]      <= is_known_q;
            next_complete_q[p] <= job_last && !keeps;
            next_keep_q[p]     <= job_last && keeps;
            next_job_q[p]      <= info_q.job;
          end
        end
      end
    end
  end

  logic [NumWays-1:0] gnt_q;
  assign gnt_o = gnt_q[NumPe-1:0];

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      gnt_q   <= '0;
      group_q <= '0;
      left_q  <= '0;
      begin_q <= '0;
      end_q   <= '0;
    end else begin
      gnt_q <= '0;
      for (int unsigned p = 0; p < NumSp; p++) begin
        for (int unsigned g = 0; g < NumGroups; g++) begin
          if (go[p][g]) gnt_q[g*GroupPes+:GroupPes] <= next_pe_q[p][g*GroupPes+:GroupPes];
        end
        begin_q[p] <= Ahead'({begin_q[p], issue[p]});
        end_q[p]   <= Ahead'({end_q[p], ends[p]});
        if (issue[p]) begin
          group_q[p] <= go[p];
          left_q[p]  <= next_left_q[p];
        end else begin
          if (ends[p])         group_q[p] <= '0;
          if (left_q[p] != '0) left_q[p]  <= left_q[p] - 1'b1;
        end
      end
    end
  end

  // The one that was granted is told of at its first row: choosing another one takes longer.
  logic [NumSp-1:0][NumGroups-1:0] group_d;
  logic [NumGroups-1:0]            node_en_d;

  always_comb begin
    node_en_d = '0;
    for (int unsigned p = 0; p < NumSp; p++) begin
      group_d[p] = group_o[p] & ~{NumGroups{end_q[p][Ahead-1]}};
      if (begin_q[p][Ahead-1]) group_d[p] = next_group_q[p];
      node_en_d |= group_d[p];
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      node_en_o  <= '0;
      node_sel_o <= '0;
      group_o    <= '0;
      slot_o     <= '0;
      add_o      <= '0;
      complete_o <= '0;
      keep_q     <= '0;
      kept_o     <= '0;
    end else begin
      node_en_o <= node_en_d;
      group_o   <= group_d;
      for (int unsigned p = 0; p < NumSp; p++) begin
        kept_o[p] <= end_q[p][Ahead-1] & keep_q[p];
        if (begin_q[p][Ahead-1]) begin
          for (int unsigned g = 0; g < NumGroups; g++) begin
            if (next_group_q[p][g]) node_sel_o[g] <= next_pe_q[p][g*GroupPes+:GroupPes];
          end
          slot_o[p]     <= next_slot_q[p];
          add_o[p]      <= next_add_q[p];
          complete_o[p] <= next_complete_q[p];
          keep_q[p]     <= next_keep_q[p];
        end
      end
    end
  end

  always_ff @(posedge clk_i) begin
    for (int unsigned p = 0; p < NumSp; p++) begin
      if (begin_q[p][Ahead-1]) under_way_q[p] <= next_job_q[p];
      if (end_q[p][Ahead-1])   kept_job_o[p]  <= under_way_q[p];
    end
  end

  for (genvar p = 0; p < NumSp; p++) begin : gen_assert_told
    `SPCORE_ASSERT(!(bind_now && 32'(port_q) == p && begin_q[p] != '0), "a drain is forgotten before it is told")
  end

  // ---- what a slot holds, told at a job's first unit ----

  logic                           bind_first, start_q, calc_q;
  logic [NumSp-1:0][NumStage-1:0] info_slot_q;
  logic                           mask_done;
  npos_t                          npos;
  bitmap_t                        mask;
  dim_t                           chunk_q;      // what is left of it
  addr_t                          lines_q;      // index entries of so many chunks as its lowest bit stands for
  addr_t                          res_lines_q;  // and of the residual's
  addr_t                          idx_addr_q, res_addr_q;

  spcore_tile_mask u_tile_mask (
    .clk_i, .rst_ni, .start_i(start_q), .tile_h_i(info_q.tile_h), .tile_w_i(info_q.tile_w), .pitch_i(layer_i[info_q.ctx].tile_w),
    .npos_o(npos), .mask_o(mask), .done_o(mask_done)
  );

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      start_q     <= 1'b0;
      calc_q      <= 1'b0;
      info_slot_q <= '0;
      info_we_o   <= '0;
    end else begin
      start_q   <= bind_first;
      info_we_o <= '0;
      if (bind_first) begin
        for (int unsigned s = 0; s < NumSlots; s++) info_slot_q[s/NumStage][s%NumStage] <= at_q[s];
      end
      if (start_q) begin
        calc_q <= 1'b1;
      end else if (calc_q && mask_done && chunk_q == '0) begin
        calc_q    <= 1'b0;
        info_we_o <= info_slot_q;
      end
    end
  end

  assign kept_ctx_o = info_q.ctx;

  assign bind_first = bind_now && number == dim_t'(1) && !keeps;

  logic residual;
  assign residual = layer_i[info_q.ctx].residual;

  // The lines of the chunks before are multiplied a bit of the chunk at a time.
  always_ff @(posedge clk_i) begin
    if (start_q) begin
      chunk_q    <= info_q.chunk;
      lines_q    <= layer_i[info_q.ctx].out_pitch << (LogL + 32'(derived_i[info_q.ctx].ratio));
      idx_addr_q <= layer_i[info_q.ctx].out_idx_base + info_q.out_line;
      if (residual) begin
        res_lines_q <= layer_i[info_q.ctx].res_pitch << (LogL + 32'(derived_i[info_q.ctx].ratio));
        res_addr_q  <= layer_i[info_q.ctx].res_idx_base + info_q.out_line;
      end
    end else if (calc_q) begin
      chunk_q <= chunk_q >> 1;
      lines_q <= lines_q << 1;
      if (chunk_q[0]) idx_addr_q <= idx_addr_q + lines_q;
      if (residual) begin
        res_lines_q <= res_lines_q << 1;
        if (chunk_q[0]) res_addr_q <= res_addr_q + res_lines_q;
      end
    end
  end

  assign info_busy = start_q | calc_q | (|info_we_o);
  assign info_o    = '{
      ctx: info_q.ctx, job: info_q.job, chunk: info_q.chunk, idx_addr: idx_addr_q, res_addr: res_addr_q, npos: npos, mask: mask
  };

  if (NumPe < 2 || NumPe > 64) begin : gen_check_num_pe
    $error("%m: NumPe = %0d, expected 2 to 64", NumPe);
  end
  if (NumSlots < 2) begin : gen_check_slots
    $error("%m: NumSp * NumStage = %0d, expected at least 2", NumSlots);
  end

endmodule
