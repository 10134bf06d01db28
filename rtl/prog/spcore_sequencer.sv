// SPDX-License-Identifier: Apache-2.0
// One engine's program: fetches its descriptors, keeps the next one ready, issues it when its waits are met, and counts
// what has retired.
//
// An engine that has two under way is given its next descriptor ahead of its turn, as soon as there is room, to prepare it,
// and may not begin it before it is issued. The one behind it is fetched meanwhile.
//
// At most Open descriptors are under way, given to the engine and not retired, and retire in order. An engine's progress
// says what it retires next. A wait for n descriptors is met when the engine has retired n of that iteration, or all of it.
// A descriptor is not issued before all engines have retired all of the iteration two before its own; so three bits tell
// their iterations apart.
`include "../common/spcore_assert.svh"

module spcore_sequencer
  import sparsecore_pkg::*;
  import spcore_front_pkg::*;
#(
  parameter int unsigned Words    = 2,      // of a descriptor
  parameter int unsigned Open     = 1,      // 1 or 2
  parameter int unsigned PrgDepth = 4096,
  localparam int unsigned EntryW   = $clog2(PrgDepth),
  localparam int unsigned WordW   = $clog2(Words)
) (
  input  logic             clk_i,
  input  logic             rst_ni,

  input  logic             start_i,         // of a run, with the arguments
  // Only as many bits as the Program Memory has addresses.
  // verilator lint_off UNUSEDSIGNAL
  input  prg_addr_t        base_i,
  // verilator lint_on UNUSEDSIGNAL
  input  ndesc_t           count_i,
  input  dim_t             last_iteration_i,  // number of it, from the cycle after the start on
  input  logic             issue_i,         // level: descriptors may be issued
  input  logic             retire_i,        // pulse: the oldest descriptor under way has retired

  // Program Memory: a word is there the cycle after its request was granted.
  output logic             req_o,
  output logic [EntryW-1:0] addr_o,
  input  logic             gnt_i,
  input  prg_word_t        word_i,

  // Word `index` of the descriptor, from 1 on, is in word_i.
  output logic             we_o,
  output logic [WordW-1:0] index_o,

  // Pulses: the engine may prepare the descriptor; it is issued, later, or with Open = 1 at once. Another is written two
  // cycles after prepare_o at the earliest.
  output logic             prepare_o,
  output logic             issue_o,
  output dim_t             iteration_o,     // of the oldest descriptor under way, or the next
  output progress_t        progress_o,
  input  progress_t [NumEngines-1:0] progress_i   // of all engines
);

  localparam logic [WordW-1:0] LastWord = WordW'(Words - 1);

  // ---- fetch ----
  logic             fetch_q, rvalid_q, valid_q, fetched;
  logic [WordW-1:0] word_q, rword_q;
  logic [EntryW-1:0] base_q, addr_q;
  ndesc_t           last_q, left_q;   // number of the iteration's last descriptor; descriptors after the one being fetched
  logic             final_q;          // the one that was fetched is the iteration's last

  assign fetched = gnt_i && word_q == LastWord;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      fetch_q  <= 1'b0;
      rvalid_q <= 1'b0;
      valid_q  <= 1'b0;
      word_q   <= '0;
      rword_q  <= '0;
      base_q   <= '0;
      addr_q   <= '0;
      last_q   <= '0;
      left_q   <= '0;
      final_q  <= 1'b0;
    end else if (start_i) begin
      fetch_q  <= count_i != '0;
      rvalid_q <= 1'b0;
      valid_q  <= 1'b0;
      word_q   <= '0;
      base_q   <= base_i[EntryW-1:0];
      addr_q   <= base_i[EntryW-1:0];
      last_q   <= count_i - 1'b1;
      left_q   <= count_i - 1'b1;
    end else begin
      rvalid_q <= gnt_i;
      rword_q  <= word_q;
      if (fetched)      fetch_q <= 1'b0;
      else if (prepare_o) fetch_q <= 1'b1;
      if (gnt_i) begin
        word_q <= word_q == LastWord ? '0 : word_q + 1'b1;
        addr_q <= addr_q + 1'b1;
      end
      if (fetched) begin
        left_q  <= left_q - 1'b1;
        final_q <= left_q == '0;
        if (left_q == '0) begin
          addr_q <= base_q;
          left_q <= last_q;
        end
      end
      if (prepare_o)                             valid_q <= 1'b0;
      else if (rvalid_q && rword_q == LastWord)  valid_q <= 1'b1;
    end
  end

  assign req_o   = fetch_q;
  assign addr_o  = addr_q;
  assign we_o    = rvalid_q && rword_q != '0;
  assign index_o = rword_q;

  // ---- waits ----
  wait_t  [NumEngines-1:0] wait_q, wait_next;   // of the descriptor that was fetched, of the one that is issued next
  logic   [NumEngines-1:0] met;
  logic   issued_q;             // all there are
  logic   done_q;               // and have retired
  logic       last;             // the one that is issued next is its iteration's last
  logic [1:0] active_q;         // descriptors under way
  dim_t   next_q, iteration_q;  // iterations of the descriptor that is issued next, and of the one that retires next
  ndesc_t number_q;             // of the latter

  always_ff @(posedge clk_i) begin
    if (rvalid_q && rword_q == '0) wait_q <= word_i;
  end

  for (genvar e = 0; e < NumEngines; e++) begin : gen_met
    // Iterations by which the engine is ahead of the descriptor, -2 to 2, and of the iteration that is waited for.
    logic signed [2:0] ahead, past;
    assign ahead  = progress_i[e].round - next_q[2:0];
    assign past   = ahead + 3'(wait_next[e].previous);
    assign met[e] = progress_i[e].done ||
                    (ahead != -3'sd2 && (wait_next[e].count == '0 || past > 3'sd0 ||
                                         (past == 3'sd0 && progress_i[e].number >= wait_next[e].count)));
  end

  logic there;   // a descriptor, and room for it

  assign there = issue_i && valid_q && active_q != 2'(Open) && !issued_q;

  if (Open > 1) begin : gen_ahead
    logic                   held_q, held_last_q;
    wait_t [NumEngines-1:0] held_wait_q;

    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) begin
        prepare_o <= 1'b0;
        issue_o   <= 1'b0;
        held_q    <= 1'b0;
      end else begin
        prepare_o <= there && !held_q && !prepare_o;
        issue_o   <= issue_i && held_q && !issue_o && &met;
        held_q    <= (held_q || prepare_o) && !issue_o && !start_i;
      end
    end

    always_ff @(posedge clk_i) begin
      if (prepare_o) begin
        held_wait_q <= wait_q;
        held_last_q <= final_q;
      end
    end

    assign wait_next = held_wait_q;
    assign last      = held_last_q;
  end else begin : gen_at_once
    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) issue_o <= 1'b0;
      else         issue_o <= there && !issue_o && &met;
    end

    assign prepare_o = issue_o;
    assign wait_next = wait_q;
    assign last      = final_q;
  end

  // ---- progress ----
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      active_q    <= '0;
      next_q      <= '0;
      iteration_q <= '0;
      number_q    <= '0;
      issued_q    <= 1'b1;
      done_q      <= 1'b1;
    end else if (start_i) begin
      active_q    <= '0;
      next_q      <= '0;
      iteration_q <= '0;
      number_q    <= '0;
      issued_q    <= count_i == '0;
      done_q      <= count_i == '0;
    end else begin
      active_q <= active_q + 2'(prepare_o) - 2'(retire_i);
      if (issue_o && last) begin
        next_q   <= next_q + 1'b1;
        issued_q <= next_q == last_iteration_i;
      end
      if (retire_i) begin
        number_q <= number_q + 1'b1;
        if (number_q == last_q) begin
          number_q    <= '0;
          iteration_q <= iteration_q + 1'b1;
          done_q      <= iteration_q == last_iteration_i;
        end
      end
    end
  end

  assign iteration_o = iteration_q;
  assign progress_o  = '{done: done_q, round: iteration_q[2:0], number: number_q};

  `SPCORE_ASSERT(!(retire_i && active_q == '0), "a descriptor retires that was not issued")

  if (Open < 1 || Open > 2) begin : gen_check_open
    $error("%m: Open = %0d, expected 1 or 2", Open);
  end
  if (Words < 2) begin : gen_check_words
    $error("%m: Words = %0d, expected at least 2", Words);
  end

endmodule
