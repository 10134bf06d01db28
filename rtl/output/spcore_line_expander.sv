// SPDX-License-Identifier: Apache-2.0
// Spreads the packed bytes of a line over its positions, SpLanes positions a beat, zeros where the bitmap has none: the
// inverse of line_compressor. A line a cycle at most; all moves on together with run_i, a beat comes out three cycles
// later.
//
//   bitmap > zeros below each position of the beat > who moves; bytes from the beat's first on > bytes
//
// line_compressor moves bytes down by 1, 2, 4 ... where a bit of the number of zeros below them is set; here they move up
// the same way, in reverse order. So the bits of the numbers are moved down first, to where they are needed.

module spcore_line_expander
  import sparsecore_pkg::*;
#(
  parameter int unsigned SpLanes = 32
) (
  input  logic                    clk_i,
  input  logic                    rst_ni,
  input  logic                    run_i,

  input  logic                    valid_i,
  input  logic                    line_end_i,     // the line's last beat
  input  bitmap_t                 bitmap_i,       // of the line, at its first beat
  output logic                    bitmap_take_o,  // it is taken, if run_i is set
  input  line_bytes_t             bytes_i,        // of the line, two cycles later until they are taken
  output logic                    bytes_take_o,

  output logic [SpLanes-1:0][7:0] data_o          // with valid_i of three cycles ago; else not defined
);

  localparam int unsigned LogSp = $clog2(SpLanes);

  typedef logic [SpLanes-1:0]      lanes_t;
  typedef logic [SpLanes-1:0][7:0] bytes_t;
  typedef logic [LogSp:0]          count_t;
  typedef count_t [SpLanes-1:0]    counts_t;
  typedef lanes_t [LogSp-1:0]      planes_t;   // bit by bit

  logic [3:1] valid_q;
  logic [2:1] line_end_q;
  logic       first_q;      // the next beat begins a line

  assign bitmap_take_o = valid_i & first_q;
  assign bytes_take_o  = valid_q[2] & line_end_q[2];

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      valid_q <= '0;
      first_q <= 1'b1;
    end else if (run_i) begin
      valid_q <= {valid_q[2:1], valid_i};
      if (valid_i) first_q <= line_end_i;
    end
  end

  always_ff @(posedge clk_i) begin
    if (run_i) line_end_q <= {line_end_q[1], line_end_i};
  end

  // ---- zeros up to each position of the beat, itself included: sums over blocks that double ----

  bitmap_t bitmap_q;   // from the beat on
  lanes_t  bits_q;
  counts_t counts;
  planes_t zeros, zeros_q;
  count_t  none_q;   // zeros of the beat

  function automatic counts_t count_zeros(input lanes_t ones);
    for (int unsigned b = 0; b < SpLanes; b++) count_zeros[b] = count_t'({~ones[b]});
    for (int unsigned i = 0; i < LogSp; i++) begin
      for (int unsigned b = 0; b < SpLanes; b++) begin
        if (b[i]) count_zeros[b] = count_zeros[b] + count_zeros[(b>>i<<i)-1];
      end
    end
  endfunction

  always_comb begin
    counts = 'x;
    zeros  = 'x;
    if (valid_q[1]) begin
      counts = count_zeros(bitmap_q[SpLanes-1:0]);
      for (int unsigned b = 0; b < SpLanes; b++) begin
        for (int unsigned i = 0; i < LogSp; i++) zeros[i][b] = counts[b][i];   // one that is a byte is not a zero itself
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (run_i && valid_i) bitmap_q <= first_q ? bitmap_i : bitmap_q >> SpLanes;
    if (run_i && valid_q[1]) begin
      bits_q  <= bitmap_q[SpLanes-1:0];
      zeros_q <= zeros;
      none_q  <= counts[SpLanes-1];
    end
  end

  // ---- who moves, and the beat's bytes ----

  npos_t       first_byte_q;   // of the beat
  line_bytes_t rest;           // from it on
  lanes_t      bits_qq;
  planes_t     moves, moves_q; // stage by stage, at the upper place
  bytes_t      packed_q;

  always_comb begin
    lanes_t  valid, stay, go;
    planes_t left;
    moves = 'x;
    rest  = 'x;
    valid = 'x;
    stay  = 'x;
    go    = 'x;
    left  = 'x;
    if (valid_q[2]) begin
      valid = bits_q;
      left  = zeros_q;
      for (int unsigned s = 0; s < LogSp; s++) begin
        stay     = valid & ~left[s];
        go       = valid & left[s];
        moves[s] = go;
        valid    = stay | (go >> (1 << s));
        for (int unsigned i = s + 1; i < LogSp; i++) left[i] = (left[i] & stay) | ((left[i] & go) >> (1 << s));
      end
      rest = bytes_i;
      for (int unsigned s = 0; s < PosW; s++) if (first_byte_q[s]) rest = rest >> (8 << s);
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni)                  first_byte_q <= '0;
    else if (run_i && valid_q[2]) first_byte_q <= line_end_q[2] ? '0 : first_byte_q + npos_t'(SpLanes) - npos_t'(none_q);
  end

  always_ff @(posedge clk_i) begin
    if (run_i && valid_q[2]) begin
      bits_qq  <= bits_q;
      moves_q  <= moves;
      packed_q <= rest[SpLanes-1:0];
    end
  end

  // ---- the bytes ----

  always_comb begin
    data_o = 'x;
    if (valid_q[3]) begin
      data_o = packed_q;
      for (int unsigned n = LogSp; n > 0; n--) begin
        for (int unsigned b = SpLanes; b > 1 << (n - 1); b--) begin   // from above: the byte below has not moved yet
          if (moves_q[n-1][b-1]) data_o[b-1] = data_o[b-1-(1<<(n-1))];
        end
      end
      for (int unsigned b = 0; b < SpLanes; b++) data_o[b] &= {8{bits_qq[b]}};
    end
  end

  if (SpLanes < 8 || SpLanes > LinePos || (SpLanes & (SpLanes - 1)) != 0) begin : gen_check_lanes
    $error("%m: SpLanes = %0d, expected a power of two from 8 to %0d", SpLanes, LinePos);
  end

endmodule
