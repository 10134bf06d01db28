// SPDX-License-Identifier: Apache-2.0
// Writes the output lines of all streaming processors: gives each the next words of the layer's output section, in the
// order in which they come, and its index entry. A line that does not fit raises overflow_o; from then on the layer
// writes no more lines, but its jobs complete.
//
// Output sections are numbered. A layer starts its section at the descriptor's base, or goes on where the last layer with
// the same section ended, if there was one since the reset. A section that overflowed is full until a layer starts it.
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
  input  layer_t                   layer_i,
  input  logic                     start_i,         // of a layer

  output logic         [NumSp-1:0] run_o,           // a line is taken, if there is one
  input  logic         [NumSp-1:0] line_valid_i,
  input  packed_line_t [NumSp-1:0] line_i,

  output logic                     lw_valid_o,
  input  logic                     lw_ready_i,
  output line_write_t              lw_line_o,

  // a cycle later
  output logic         [NumSp-1:0] job_done_o,      // pulse: the job's last line is written
  output job_t         [NumSp-1:0] job_done_id_o,
  output logic                     overflow_o,      // pulse
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

  assign choice = lowest((have & turn_q) != '0 ? have & turn_q : have);

  function automatic logic [NumSp-1:0] lowest(input logic [NumSp-1:0] from);
    return from & (~from + NumSp'(1));
  endfunction

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      choice_q <= '0;
      turn_q   <= '1;
      valid_q  <= 1'b0;
    end else begin
      if (!valid_q || finish) begin
        valid_q  <= |have;
        choice_q <= choice;
        if (|have) turn_q <= ~(choice | (choice - NumSp'(1)));
      end
      if (start_i) turn_q <= '1;
    end
  end

  assign pop = finish ? choice_q : '0;

  // ---- its place ----

  // verilator lint_off UNUSEDSIGNAL
  entry_t line;
  // verilator lint_on UNUSEDSIGNAL
  logic   fits, overflow_q;
  logic             carry;
  logic [3:0]       low;
  logic [AddrW-5:0] high_inc;
  logic [NumSp-1:0] head_fits;   // each queue's line, if there is no more room than for one
  addr_t  next_q, room_q;   // next free word, and how many there are

  // Where the sections go on. That of the present layer is put away when the next layer starts.
  section_t               section_q;
  logic [NumSections-1:0] started_q;
  addr_t                  here, put_away, first;
  logic [AddrW:0]         room;

  spcore_regfile #(
    .NumWords(NumSections), .DataWidth(AddrW)
  ) u_sections (
    .clk_i, .we_i(start_i), .waddr_i(section_q), .wdata_i(here), .raddr_i(layer_i.out_section), .rdata_o(put_away)
  );

  assign here = next_q | {AddrW{overflow_q}};   // behind all memory, once it has overflowed

  always_comb begin
    if (!(layer_i.out_append && started_q[layer_i.out_section])) first = layer_i.out_act_base;
    else if (layer_i.out_section == section_q)                   first = here;
    else                                                         first = put_away;
  end

  assign room = {1'b0, layer_i.out_act_limit} - {1'b0, first};

  always_comb begin
    line = '0;
    for (int unsigned p = 0; p < NumSp; p++) line |= {$bits(entry_t){choice_q[p]}} & head[p];
  end

  always_comb begin
    for (int unsigned p = 0; p < NumSp; p++) head_fits[p] = head[p].words <= room_q[3:0];
  end

  // The number of words is there late: it is added to four bits alone.
  assign {carry, low} = 5'(next_q[3:0]) + 5'(line.words);
  assign high_inc     = next_q[AddrW-1:4] + 1'b1;

  assign fits       = ~overflow_q & (room_q[AddrW-1:4] != '0 || (choice_q & head_fits) != '0);
  assign lw_valid_o = valid_q & fits;
  assign finish     = valid_q & (~fits | lw_ready_i);
  assign lw_line_o  = '{
      idx_addr: line.line.idx_addr, ptr: next_q, bitmap: line.line.bitmap, words: line.words, bytes: line.line.bytes
  };

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      overflow_q     <= 1'b0;
      section_q      <= '0;
      started_q      <= '0;
      next_q         <= '0;
      room_q         <= '0;
      job_done_o     <= '0;
      overflow_o     <= 1'b0;
      line_written_o <= 1'b0;
    end else begin
      job_done_o     <= (finish && line.line.job_end) ? choice_q : '0;
      overflow_o     <= valid_q & ~fits & ~overflow_q;
      line_written_o <= finish & fits;
      if (start_i) begin
        overflow_q <= 1'b0;
        section_q  <= layer_i.out_section;
        started_q  <= started_q | (NumSections'(1) << layer_i.out_section);
        next_q     <= first;
        room_q     <= room[AddrW] ? '0 : room[AddrW-1:0];
      end else if (finish) begin
        if (fits) begin
          next_q <= {carry ? high_inc : next_q[AddrW-1:4], low};
          room_q <= room_q - addr_t'(line.words);
        end else begin
          overflow_q <= 1'b1;
        end
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (finish) begin
      job_done_id_o <= {NumSp{line.line.job}};
      line_bytes_o  <= line.line.count;
    end
  end

endmodule
