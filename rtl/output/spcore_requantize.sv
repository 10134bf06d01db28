// Requantises accumulators of one output channel, a lane for each position:
//   clamp(((acc + bias) * multiplier + (1 << (shift-1))) >> shift, clamp_lo, clamp_hi)
// with acc + bias exact (33 bits), a 64-bit product and an arithmetic shift; multiplier 0..2^31-1, shift 1..62.
// The rounding is that of TOSA's apply_scale_32 with single rounding. Three pipeline stages.

module spcore_requantize
  import sparsecore_pkg::*;
  import spcore_output_pkg::*;
#(
  parameter int unsigned SpLanes = 32
) (
  input  logic                         clk_i,
  input  logic                         rst_ni,
  input  logic signed [8:0]            clamp_lo_i,
  input  logic signed [8:0]            clamp_hi_i,

  input  logic                         valid_i,
  output logic                         ready_o,
  input  logic [SpLanes-1:0][AccW-1:0] acc_i,
  input  param_t                       par_i,
  input  line_tag_t                    tag_i,

  output logic                         valid_o,
  input  logic                         ready_i,
  output logic [SpLanes-1:0][7:0]      data_o,
  output line_tag_t                    tag_o
);

  localparam int unsigned SumW = AccW + 1;

  logic      [2:1]               valid_q;
  logic                          ready_1, ready_2;
  logic [SpLanes-1:0][SumW-1:0]  sum_q;
  logic [30:0]                   multiplier_q;
  logic [2:1][5:0]               shift_q;
  logic [SpLanes-1:0][63:0]      product_q;
  line_tag_t [2:1]               tag_q;

  // floor((p + 2^(s-1)) / 2^s) = floor(p / 2^s) + bit s-1 of p: nothing leaves 64 bits.
  function automatic logic [7:0] scale(input logic signed [63:0] product, input logic [5:0] shift);
    logic signed [63:0] half, rounded;
    half    = product >>> (shift - 1'b1);
    rounded = (half >>> 1) + $signed({63'd0, half[0]});
    if (rounded < 64'(clamp_lo_i)) return clamp_lo_i[7:0];
    if (rounded > 64'(clamp_hi_i)) return clamp_hi_i[7:0];
    return rounded[7:0];
  endfunction

  assign ready_2 = ~valid_o | ready_i;
  assign ready_1 = ~valid_q[2] | ready_2;
  assign ready_o = ~valid_q[1] | ready_1;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      valid_q <= '0;
      valid_o <= 1'b0;
    end else begin
      if (ready_o) valid_q[1] <= valid_i;
      if (ready_1) valid_q[2] <= valid_q[1];
      if (ready_2) valid_o    <= valid_q[2];
    end
  end

  always_ff @(posedge clk_i) begin
    if (valid_i && ready_o) begin
      for (int unsigned i = 0; i < SpLanes; i++) sum_q[i] <= SumW'($signed(acc_i[i])) + SumW'(par_i.bias);
      multiplier_q <= par_i.multiplier;
      shift_q[1]   <= par_i.shift;
      tag_q[1]     <= tag_i;
    end
    if (valid_q[1] && ready_1) begin
      for (int unsigned i = 0; i < SpLanes; i++) product_q[i] <= $signed(sum_q[i]) * $signed({33'd0, multiplier_q});
      shift_q[2] <= shift_q[1];
      tag_q[2]   <= tag_q[1];
    end
    if (valid_q[2] && ready_2) begin
      for (int unsigned i = 0; i < SpLanes; i++) data_o[i] <= scale(product_q[i], shift_q[2]);
      tag_o <= tag_q[2];
    end
  end

endmodule
