// SPDX-License-Identifier: Apache-2.0
// Programs: the Program Memory and a sequencer for each engine. The descriptors themselves go to the host side, which has a
// register for each engine's next one.
//
// The memory gives a word a cycle, to the first of the engines that ask. It is written while no run is on.
module spcore_program
  import sparsecore_pkg::*;
  import spcore_front_pkg::*;
#(
  parameter int unsigned PrgDepth = 4096,
  localparam int unsigned EntryW  = $clog2(PrgDepth)
) (
  input  logic            clk_i,
  input  logic            rst_ni,

  input  program_cmd_t    cmd_i,
  output program_status_t status_o,

  input  logic            we_i,
  // Only as many bits as there are words.
  // verilator lint_off UNUSEDSIGNAL
  input  prg_addr_t       waddr_i,
  // verilator lint_on UNUSEDSIGNAL
  input  prg_word_t       wdata_i
);

  if (PrgDepth < 64 || PrgDepth > 32768) begin : gen_check_depth
    $error("%m: PrgDepth = %0d, expected 64 to 32768", PrgDepth);
  end

  // ---- memory ----
  logic      [NumEngines-1:0]             req, gnt;
  logic      [NumEngines-1:0][EntryW-1:0] addr;
  logic      [EntryW-1:0]                 raddr;
  prg_word_t                              word;

  assign gnt = we_i ? '0 : req & (~req + NumEngines'(1));

  always_comb begin
    raddr = '0;
    for (int unsigned e = 0; e < NumEngines; e++) begin
      if (gnt[e]) raddr |= addr[e];
    end
  end

  spcore_mem_1rw #(
    .NumWords(PrgDepth), .DataWidth($bits(prg_word_t))
  ) u_memory (
    .clk_i,
    .en_i   (we_i || req != '0),
    .we_i,
    .addr_i (we_i ? waddr_i[EntryW-1:0] : raddr),
    .wdata_i,
    .rdata_o(word)
  );

  // ---- start: a cycle later, for its loads, with the arguments that it came with ----
  logic                       start_q;
  prg_addr_t [NumEngines-1:0] base_q;
  ndesc_t    [NumEngines-1:0] count_q;
  dim_t                       iterations_q, last_iteration_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) start_q <= 1'b0;
    else         start_q <= cmd_i.start;
  end

  always_ff @(posedge clk_i) begin
    base_q       <= cmd_i.base;
    count_q      <= cmd_i.count;
    iterations_q <= cmd_i.iterations;
  end

  // ---- sequencers ----
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni)      last_iteration_q <= '0;
    else if (start_q) last_iteration_q <= iterations_q - 1'b1;
  end

  progress_t [NumEngines-1:0]             progress;
  logic      [NumEngines-1:0]             we;
  // Only layers are prepared.
  // verilator lint_off UNUSEDSIGNAL
  logic      [NumEngines-1:0]             prepare;
  // verilator lint_on UNUSEDSIGNAL
  descriptor_index_t [NumEngines-1:0]     index;
  for (genvar e = 0; e < NumEngines; e++) begin : gen_engine
    localparam int unsigned Words = DescriptorWords[e];
    logic [$clog2(Words)-1:0] word_index;

    spcore_sequencer #(.Words(Words), .Open(e == EngLayers ? 2 : 1), .PrgDepth(PrgDepth)) u_sequencer (
      .clk_i, .rst_ni,
      .start_i(start_q), .base_i(base_q[e]), .count_i(count_q[e]), .last_iteration_i(last_iteration_q),
      .issue_i(cmd_i.issue && !start_q), .retire_i(cmd_i.retire[e]),
      .req_o(req[e]), .addr_o(addr[e]), .gnt_i(gnt[e]), .word_i(word),
      .we_o(we[e]), .index_o(word_index),
      .prepare_o(prepare[e]), .issue_o(status_o.issue[e]), .iteration_o(status_o.iteration[e]), .progress_o(progress[e]),
      .progress_i(progress)
    );

    assign index[e]           = descriptor_index_t'(word_index);
    assign status_o.number[e] = progress[e].number;
  end

  assign status_o.we      = we;
  assign status_o.prepare = prepare[EngLayers];
  assign status_o.word    = word;

  always_comb begin
    status_o.index = '0;
    status_o.done  = !start_q;
    for (int unsigned e = 0; e < NumEngines; e++) begin
      if (we[e]) status_o.index |= index[e];
      status_o.done &= progress[e].done;
    end
  end

endmodule
