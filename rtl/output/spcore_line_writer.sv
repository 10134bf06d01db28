// SPDX-License-Identifier: Apache-2.0
// Writes the output lines of all streaming processors: gives each the next words of its layer's output section, in the
// order in which they come, and its index entry. A line that does not fit raises overflow_o; from then on the layer
// writes no more lines, but its jobs complete.
//
// Output sections are numbered. A layer starts its section at the descriptor's base, or goes on where the last layer with
// the same section ended, if there was one since the reset. A section that overflowed is full until a layer starts it.
//
// Two layers may be open, so two sections are at hand. A layer that appends to the section of the one before shares it, up to
// that one's limit if that one is still open.
//
// Each streaming processor has a queue of two lines here, and moves on only while there is room in it. The line that is
// written next is chosen a cycle ahead, the streaming processors take turns.

module spcore_line_writer
  import sparsecore_pkg::*;
  import spcore_output_pkg::*;
#(
  parameter int unsigned NumSp = 2
) (
  input  logic                     clk_i,
  input  logic                     rst_ni,
  input  layer_t             [1:0] layer_i,
  input  logic               [1:0] start_i,         // of a layer, by context
  input  logic                     restart_i,       // no other one is open

  output logic         [NumSp-1:0] run_o,           // a line is taken, if there is one
  input  logic         [NumSp-1:0] line_valid_i,
  input  packed_line_t [NumSp-1:0] line_i,

  output logic                     lw_valid_o,
  input  logic                     lw_ready_i,
  output line_write_t              lw_line_o,

  // a cycle later
  output logic         [NumSp-1:0] job_done_o,      // pulse: the job's last line is written
  output job_t         [NumSp-1:0] job_done_id_o,
  output ctx_t                     line_ctx_o,      // of that job or the line written
  output logic               [1:0] overflow_o,      // pulse, by context
  output logic                     line_written_o,  // pulse
  output npos_t                    line_bytes_o     // of that line
);

  typedef struct packed {
    logic [3:0]   words;
    packed_line_t line;
  } entry_t;

  // ---- queues ----

  logic [NumSp-1:0][1:0] level_q, level_d;
  logic [NumSp-1:0]      write_q, read_q;  // places
  logic [NumSp-1:0]      push, pop, have;
  entry_t [NumSp-1:0]    head;
  ctx_t [NumSp-1:0][1:0] ctx_q;            // of the lines in places
  ctx_t [NumSp-1:0]      next_ctx;         // of the head in the next cycle

  for (genvar p = 0; p < NumSp; p++) begin : gen_queue
    entry_t entry;

    assign entry = '{words: 4'((line_i[p].count + npos_t'(WordBytes - 1)) >> $clog2(WordBytes)), line: line_i[p]};

    spcore_regfile #(
      .NumWords(2), .DataWidth($bits(entry_t))
    ) u_queue (
      .clk_i, .we_i(push[p]), .waddr_i(write_q[p]), .wdata_i(entry), .raddr_i(read_q[p]), .rdata_o(head[p])
    );

    assign push[p]    = run_o[p] & line_valid_i[p];
    assign level_d[p] = level_q[p] + 2'(push[p]) - 2'(pop[p]);
    assign have[p]    = level_d[p] != '0;
    assign next_ctx[p] = level_q[p] == 2'(pop[p]) ? line_i[p].ctx : ctx_q[p][read_q[p]^pop[p]];

    always_ff @(posedge clk_i) begin
      if (push[p]) ctx_q[p][write_q[p]] <= line_i[p].ctx;
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      level_q <= '0;
      write_q <= '0;
      read_q  <= '0;
      run_o   <= '0;
    end else begin
      level_q <= level_d;
      write_q <= write_q ^ push;
      read_q  <= read_q ^ pop;
      for (int unsigned p = 0; p < NumSp; p++) run_o[p] <= level_d[p] != 2'd2;
    end
  end

  // ---- whose line ----

  logic [NumSp-1:0] choice_q, turn_q, choice;   // turn: above the one chosen last
  logic             valid_q, finish;
  logic             at_q;                      // where the line's section is at hand
  logic [1:0]       where_q;                   // likewise, by context

  assign choice = lowest((have & turn_q) != '0 ? have & turn_q : have);

  function automatic logic [NumSp-1:0] lowest(input logic [NumSp-1:0] from);
    return from & (~from + NumSp'(1));
  endfunction

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      choice_q <= '0;
      turn_q   <= '1;
      valid_q  <= 1'b0;
      at_q     <= 1'b0;
    end else begin
      if (!valid_q || finish) begin
        valid_q  <= |have;
        choice_q <= choice;
        at_q     <= where_q[|(choice & next_ctx)];
        if (|have) turn_q <= ~(choice | (choice - NumSp'(1)));
      end
      if (restart_i) turn_q <= '1;
    end
  end

  assign pop = finish ? choice_q : '0;

  // ---- the sections at hand ----

  typedef struct packed {
    section_t section;
    logic     append;
    logic     alone;    // the layer before has ended
    addr_t    base;
    addr_t    limit;
  } start_t;

  logic                   starts_q, moves_q;   // a layer starts; its section is at hand
  start_t                 start_q;
  ctx_t                   start_ctx_q;
  logic                   last_q;     // where the last layer's section is at hand
  logic                   shares, target;
  logic [1:0]             begins;     // a section comes to hand there, or goes on with another limit
  section_t [1:0]         section_q;
  logic [NumSections-1:0] started_q;
  logic [1:0]             overflow_q;
  addr_t [1:0]            next_q, room_q;   // next free word, and how many there are
  addr_t [1:0]            here;
  addr_t                  put_away, first_q, limit_q;
  logic                   target_q;
  logic [AddrW:0]         room;

  for (genvar i = 0; i < 2; i++) begin : gen_here
    assign here[i] = next_q[i] | {AddrW{overflow_q[i]}};   // behind all memory, once it has overflowed
  end

  // A section that is at hand no more is put away.
  spcore_regfile #(
    .NumWords(NumSections), .DataWidth(AddrW)
  ) u_sections (
    .clk_i, .we_i(starts_q & ~shares), .waddr_i(section_q[target]), .wdata_i(here[target]),
    .raddr_i(start_q.section), .rdata_o(put_away)
  );

  assign shares = start_q.append && started_q[start_q.section] && start_q.section == section_q[last_q];
  assign target = shares ? last_q : ~last_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      starts_q  <= 1'b0;
      moves_q   <= 1'b0;
      last_q    <= 1'b0;
      where_q   <= '0;
      section_q <= '0;
      started_q <= '0;
    end else begin
      starts_q <= start_i != '0;
      moves_q  <= starts_q && (!shares || start_q.alone);
      if (starts_q) begin
        last_q            <= target;
        where_q[start_ctx_q] <= target;
        section_q[target] <= start_q.section;
        started_q         <= started_q | (NumSections'(1) << start_q.section);
      end
    end
  end

  always_ff @(posedge clk_i) begin
    for (int unsigned c = 0; c < 2; c++) begin
      if (start_i[c]) begin
        start_ctx_q <= 1'(c);
        start_q <= '{
            section: layer_i[c].out_section, append: layer_i[c].out_append, alone: restart_i,
            base: layer_i[c].out_act_base, limit: layer_i[c].out_act_limit
        };
      end
    end
    if (starts_q) begin
      target_q <= target;
      limit_q  <= start_q.limit;
      if (!(start_q.append && started_q[start_q.section])) first_q <= start_q.base;
      else if (start_q.section == section_q[target])       first_q <= here[target];
      else                                                 first_q <= put_away;
    end
  end

  assign room   = {1'b0, limit_q} - {1'b0, first_q};
  assign begins = moves_q ? 2'd1 << target_q : '0;

  // ---- its place ----

  // verilator lint_off UNUSEDSIGNAL
  entry_t line;
  // verilator lint_on UNUSEDSIGNAL
  logic                              fits;
  logic [1:0]                        carry;
  logic [1:0][3:0]                   low;
  logic [1:0][AddrW-5:0]             high_inc;
  logic [1:0][NumSp-1:0]             head_fits;  // each queue's line, if there is no more room than for one
  logic [1:0]                        fits_there;

  always_comb begin
    line = '0;
    for (int unsigned p = 0; p < NumSp; p++) line |= {$bits(entry_t){choice_q[p]}} & head[p];
  end

  // The number of words is there late: it is added to four bits alone.
  always_comb begin
    for (int unsigned i = 0; i < 2; i++) begin
      for (int unsigned p = 0; p < NumSp; p++) head_fits[i][p] = head[p].words <= room_q[i][3:0];
      {carry[i], low[i]} = 5'(next_q[i][3:0]) + 5'(line.words);
      high_inc[i]        = next_q[i][AddrW-1:4] + 1'b1;
      fits_there[i]      = ~overflow_q[i] & (room_q[i][AddrW-1:4] != '0 || (choice_q & head_fits[i]) != '0);
    end
  end

  assign fits       = fits_there[at_q];
  assign lw_valid_o = valid_q & fits;
  assign finish     = valid_q & (~fits | lw_ready_i);
  assign lw_line_o  = '{
      idx_addr: line.line.idx_addr, ptr: next_q[at_q], bitmap: line.line.bitmap, words: line.words, bytes: line.line.bytes
  };

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      overflow_q     <= '0;
      next_q         <= '0;
      room_q         <= '0;
      job_done_o     <= '0;
      overflow_o     <= '0;
      line_written_o <= 1'b0;
    end else begin
      job_done_o     <= (finish && line.line.job_end) ? choice_q : '0;
      overflow_o     <= valid_q & ~fits & ~overflow_q[at_q] ? 2'd1 << line.line.ctx : '0;
      line_written_o <= finish & fits;
      for (int unsigned i = 0; i < 2; i++) begin
        if (begins[i]) begin
          overflow_q[i] <= 1'b0;
          next_q[i]     <= first_q;
          room_q[i]     <= room[AddrW] ? '0 : room[AddrW-1:0];
        end else if (finish && at_q == 1'(i)) begin
          if (fits) begin
            next_q[i] <= {carry[i] ? high_inc[i] : next_q[i][AddrW-1:4], low[i]};
            room_q[i] <= room_q[i] - addr_t'(line.words);
          end else begin
            overflow_q[i] <= 1'b1;
          end
        end
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (finish) begin
      job_done_id_o <= {NumSp{line.line.job}};
      line_ctx_o    <= line.line.ctx;
      line_bytes_o  <= line.line.count;
    end
  end

endmodule
