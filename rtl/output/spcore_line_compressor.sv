// SPDX-License-Identifier: Apache-2.0
// Collects the values of an output line, SpLanes positions at a time, and compresses them to a bitmap and the packed
// non-zero bytes. Positions outside the output plane (mask 0) count as zero. A line a cycle at most; all moves on together
// with run_i.
//
//   collect, count the zeros in each group of four > in each half > below each byte, stages 0 to 2 > stages 3 to 5
//
// The bytes are packed by a six-stage network in which a byte moves down by 2^i in stage i, if bit i of the number of
// zeros below it is set (H. S. Warren, Hacker's Delight, "Compress, or Generalized Extract"); the number goes with it:
// two spcore_line_packer of three stages each.

module spcore_line_compressor
  import sparsecore_pkg::*;
  import spcore_output_pkg::*;
#(
  parameter int unsigned SpLanes = 32
) (
  input  logic                    clk_i,
  input  logic                    rst_ni,
  input  logic                    run_i,

  input  logic                    valid_i,
  input  logic [SpLanes-1:0][7:0] data_i,
  input  line_tag_t               tag_i,

  output logic                    valid_o,
  output packed_line_t            line_o
);

  localparam int unsigned NumBeats = LinePos / SpLanes;
  localparam int unsigned BeatW    = NumBeats > 1 ? $clog2(NumBeats) : 1;
  localparam int unsigned LogGroup = 2;

  typedef logic [BeatW-1:0]              beat_t;
  typedef logic [LinePos-1:0][LogGroup:0] zeros_t;

  // What goes with the bytes.
  typedef struct packed {
    ctx_t    ctx;
    job_t    job;
    addr_t   idx_addr;
    logic    job_end;
    bitmap_t bitmap;
  } head_t;

  // ---- collect ----

  beat_t                              beat_q;
  logic [NumBeats-1:0][SpLanes*8-1:0] raw_q;
  bitmap_t                            left_q;   // non-zero bytes
  zeros_t                             zeros_q;  // in a group of four, up to each position
  logic                               full_q;
  // verilator lint_off UNUSEDSIGNAL
  line_tag_t                          tag_q;    // line_end is full_q
  // verilator lint_on UNUSEDSIGNAL
  bitmap_t                            here;     // non-zero bytes of the beat, wherever it lies in the line
  zeros_t                             zeros_here;

  // Zeros up to each position, itself included, in its group of four.
  function automatic zeros_t count_in_groups(input bitmap_t left);
    for (int unsigned b = 0; b < LinePos; b++) begin
      count_in_groups[b] = '0;
      for (int unsigned i = b >> LogGroup << LogGroup; i <= b; i++) begin
        count_in_groups[b] = count_in_groups[b] + (LogGroup + 1)'({~left[i]});
      end
    end
  endfunction
  localparam zeros_t NoneLeft = count_in_groups('0);

  always_comb begin
    here       = 'x;
    zeros_here = 'x;
    if (valid_i) begin
      for (int unsigned b = 0; b < LinePos; b++) here[b] = data_i[b%SpLanes] != '0 && tag_i.mask[b];
      zeros_here = count_in_groups(here);
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      full_q <= 1'b0;
      beat_q <= '0;
    end else if (run_i) begin
      full_q <= valid_i & tag_i.line_end;
      if (valid_i) beat_q <= tag_i.line_end ? '0 : beat_q + 1'b1;
    end
  end

  always_ff @(posedge clk_i) begin
    if (run_i && valid_i) begin
      if (beat_q == '0) begin
        left_q  <= '0;
        zeros_q <= NoneLeft;
      end
      for (int unsigned n = 0; n < NumBeats; n++) begin
        if (32'(beat_q) == n) begin
          raw_q[n]                    <= data_i;
          left_q[n*SpLanes+:SpLanes]  <= here[n*SpLanes+:SpLanes];
          zeros_q[n*SpLanes+:SpLanes] <= zeros_here[n*SpLanes+:SpLanes];
        end
      end
      tag_q <= tag_i;
    end
  end

  // ---- compress ----

  // The zeros up to each position in its half, itself included: sums over blocks that double, from groups of four on.
  function automatic npos_t [LinePos-1:0] count_zeros(input zeros_t zeros);
    for (int unsigned b = 0; b < LinePos; b++) count_zeros[b] = npos_t'(zeros[b]);
    for (int unsigned i = LogGroup; i < PosW - 1; i++) begin
      for (int unsigned b = 0; b < LinePos; b++) begin
        if (b[i]) count_zeros[b] = count_zeros[b] + count_zeros[(b>>i<<i)-1];
      end
    end
  endfunction

  logic [2:1] valid_q;
  head_t      head_1q, head_2q;
  items_t     number, items_1q, below, items_2, items_2q;
  npos_t      count_2q;
  npos_t      low_zeros_q, high_zeros_q;   // in the halves
  npos_t [LinePos-1:0] counts;

  always_comb begin
    counts = 'x;
    number = 'x;
    if (full_q) begin
      counts       = count_zeros(zeros_q);
      number.valid = left_q;   // one that is left is not a zero itself
      number.bytes = raw_q;
      for (int unsigned b = 0; b < LinePos; b++) begin
        for (int unsigned i = 0; i < PosW; i++) number.zeros[i][b] = counts[b][i];
      end
    end
  end

  // The zeros in the lower half are below the upper one's as well.
  always_comb begin
    logic [PosW-1:0] zeros;
    below = 'x;
    zeros = 'x;
    if (valid_q[1]) begin
      below = items_1q;
      for (int unsigned b = LinePos / 2; b < LinePos; b++) begin
        for (int unsigned i = 0; i < PosW; i++) zeros[i] = items_1q.zeros[i][b];
        zeros = zeros + PosW'(low_zeros_q);
        for (int unsigned i = 0; i < PosW; i++) below.zeros[i][b] = zeros[i];
      end
    end
  end

  spcore_line_packer #(
    .First(0), .Last(2)
  ) u_packer_0 (
    .valid_i(valid_q[1]), .items_i(below), .items_o(items_2)
  );

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni)    valid_q <= '0;
    else if (run_i) valid_q <= {valid_q[1], full_q};
  end

  always_ff @(posedge clk_i) begin
    if (run_i && full_q) begin
      head_1q      <= '{ctx: tag_q.ctx, job: tag_q.job, idx_addr: tag_q.idx_addr, job_end: tag_q.job_end, bitmap: left_q};
      items_1q     <= number;
      low_zeros_q  <= counts[LinePos/2-1];
      high_zeros_q <= counts[LinePos-1];
    end
    if (run_i && valid_q[1]) begin
      head_2q  <= head_1q;
      count_2q <= npos_t'(LinePos) - low_zeros_q - high_zeros_q;
      items_2q <= items_2;
    end
  end

  assign valid_o = valid_q[2];

  // verilator lint_off UNUSEDSIGNAL
  items_t items_3;   // all have moved: just the bytes are left
  // verilator lint_on UNUSEDSIGNAL

  spcore_line_packer #(
    .First(3), .Last(5)
  ) u_packer_1 (
    .valid_i(valid_o), .items_i(items_2q), .items_o(items_3)
  );

  always_comb begin
    line_o = 'x;
    if (valid_o) begin
      line_o = '{
          ctx: head_2q.ctx, job: head_2q.job, idx_addr: head_2q.idx_addr, job_end: head_2q.job_end,
          bitmap: head_2q.bitmap, count: count_2q, bytes: items_3.bytes
      };
    end
  end

endmodule
