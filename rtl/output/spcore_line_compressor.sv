// Collects the values of an output line, SpLanes positions at a time, and compresses them to a bitmap and the packed
// non-zero bytes. Positions outside the output plane (mask 0) count as zero. A line a cycle at most.
//
// The bytes are packed by a six-stage network in which a byte moves down by 2^i in stage i, if bit i of the number of
// zeros below it is set (H. S. Warren, Hacker's Delight, "Compress, or Generalized Extract").

module spcore_line_compressor
  import sparsecore_pkg::*;
  import spcore_output_pkg::*;
#(
  parameter int unsigned SpLanes = 32
) (
  input  logic                    clk_i,
  input  logic                    rst_ni,

  input  logic                    valid_i,
  output logic                    ready_o,
  input  logic [SpLanes-1:0][7:0] data_i,
  input  line_tag_t               tag_i,

  output logic                    valid_o,
  input  logic                    ready_i,
  output packed_line_t            line_o
);

  localparam int unsigned NumBeats = LinePos / SpLanes;
  localparam int unsigned BeatW    = NumBeats > 1 ? $clog2(NumBeats) : 1;

  typedef logic [BeatW-1:0] beat_t;

  // ---- collect ----

  logic                                full_q, take;
  beat_t                               beat_q;
  logic [NumBeats-1:0][SpLanes*8-1:0]  raw_q;
  // verilator lint_off UNUSEDSIGNAL
  line_tag_t                           tag_q;   // line_end is full_q
  // verilator lint_on UNUSEDSIGNAL

  assign take    = ~valid_o | ready_i;
  assign ready_o = ~full_q | take;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      full_q <= 1'b0;
      beat_q <= '0;
    end else begin
      if (ready_o) full_q <= valid_i & tag_i.line_end;
      if (valid_i && ready_o) beat_q <= tag_i.line_end ? '0 : beat_q + 1'b1;
    end
  end

  always_ff @(posedge clk_i) begin
    if (valid_i && ready_o) begin
      if (beat_q == '0) raw_q <= '0;
      raw_q[beat_q] <= data_i;
      tag_q         <= tag_i;
    end
  end

  // ---- compress ----

  packed_line_t line;

  always_comb begin
    line_bytes_t raw;
    logic [7:0]  bytes [LinePos];
    bitmap_t     left, zeros, odd, move;  // bytes not packed yet; parity of the zeros below, and of it in each stage
    raw   = raw_q;
    left  = '0;
    zeros = '0;
    odd   = '0;
    move  = '0;
    line  = '0;
    for (int unsigned b = 0; b < LinePos; b++) bytes[b] = '0;
    if (full_q) begin
      for (int unsigned b = 0; b < LinePos; b++) begin
        if (tag_q.mask[b]) bytes[b] = raw[b];
        left[b] = bytes[b] != '0;
      end
      line.bitmap   = left;
      line.count    = npos_t'($countones(left));
      line.job      = tag_q.job;
      line.channel  = tag_q.channel;
      line.out_line = tag_q.out_line;
      line.job_end  = tag_q.job_end;
      zeros         = ~left << 1;
      for (int unsigned i = 0; i < PosW; i++) begin
        odd = zeros;
        for (int unsigned j = 0; j < PosW; j++) odd = odd ^ (odd << (1 << j));
        move  = odd & left;
        left  = (left ^ move) | (move >> (1 << i));
        zeros = zeros & ~odd;
        for (int unsigned b = 1 << i; b < LinePos; b++) begin
          if (move[b]) begin
            bytes[b-(1<<i)] = bytes[b];
            bytes[b]        = '0;
          end
        end
      end
      for (int unsigned b = 0; b < LinePos; b++) line.bytes[b] = bytes[b];
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni)   valid_o <= 1'b0;
    else if (take) valid_o <= full_q;
  end

  always_ff @(posedge clk_i) begin
    if (full_q && take) line_o <= line;
  end

endmodule
