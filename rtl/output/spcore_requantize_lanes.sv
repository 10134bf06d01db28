// SPDX-License-Identifier: Apache-2.0
// Some lanes of spcore_requantize, with the registers that would otherwise drive all lanes.
//
//   sum = acc + bias, in thirds > its carries > low half of the product > high half > carries added
//   > shift by 32, 16, 8 > shift by 4, 2, 1, round, clamp
//
// The product is a radix-4 Booth multiplication: sixteen digits -2..2 of the multiplier, eight in a stage, added up in
// carry-save form. A row of digit i is a 34-bit two's complement number at bit 2i; its sign is added inverted, and the
// constant that makes up for it goes with the ones that complete the negations.
//
// A Verilator build with SPCORE_FAST_SIM gets Digits = 0, which multiplies at once: the same by the test of requantize,
// which has one form on each simulator.

module spcore_requantize_lanes
  import sparsecore_pkg::*;
#(
`ifdef SPCORE_FAST_SIM
  parameter bit          Digits   = 1'b0,
`else
  parameter bit          Digits   = 1'b1,
`endif
  parameter int unsigned NumLanes = 4
) (
  input  logic                          clk_i,
  input  logic                          rst_ni,
  input  logic signed [8:0]             clamp_lo_i,
  input  logic signed [8:0]             clamp_hi_i,
  input  logic                          run_i,     // everything moves on
  input  logic                          valid_i,
  input  logic [NumLanes-1:0][AccW-1:0] acc_i,
  input  param_t                        par_i,
  output logic [NumLanes-1:0][7:0]      data_o     // seven cycles of run_i later
);

  localparam int unsigned SumW      = AccW + 1;
  localparam int unsigned Third     = SumW / 3;
  localparam int unsigned NumDigits = 16;
  localparam int unsigned Half      = NumDigits / 2;

  typedef logic [63:0] row_t;

  typedef struct packed {
    logic neg;
    logic two;
    logic one;
  } digit_t;

  function automatic row_t sign_constant();
    sign_constant = '0;
    for (int unsigned i = 0; i < NumDigits; i++) sign_constant -= row_t'(1) << (SumW + 2 * i);
  endfunction
  localparam row_t SignConstant = sign_constant();

  function automatic digit_t digit(input logic [2:0] bits);
    return '{neg: bits[2], two: bits[2] ? bits[1:0] == 2'b00 : bits[1:0] == 2'b11, one: bits[1] ^ bits[0]};
  endfunction

  // A digit's row, at bit 0, with its sign inverted and still to be completed by one if it is negative.
  function automatic row_t booth(input digit_t by, input logic [SumW-1:0] sum);
    logic [SumW:0] value;
    value = (({SumW + 1{by.one}} & {sum[SumW-1], sum}) | ({SumW + 1{by.two}} & {sum, 1'b0})) ^ {SumW + 1{by.neg}};
    return row_t'({~value[SumW], value[SumW-1:0]});
  endfunction

  function automatic row_t [1:0] add3(input row_t x, input row_t y, input row_t z);
    return {((x & y) | (z & (x ^ y))) << 1, x ^ y ^ z};
  endfunction

  // The rows of eight digits, from bit `first` on, and two more, added up to a sum and its carries.
  function automatic row_t [1:0] add_rows(
    input digit_t [Half-1:0] by, input logic [SumW-1:0] sum, input int unsigned first, input row_t [1:0] more
  );
    row_t [9:0] a;
    row_t [6:0] b;
    row_t [4:0] c;
    row_t [3:0] d;
    row_t [2:0] e;
    for (int unsigned i = 0; i < Half; i++) a[i] = booth(by[i], sum) << (first + 2 * i);
    a[9:8] = more;
    b = {a[9], add3(a[6], a[7], a[8]), add3(a[3], a[4], a[5]), add3(a[0], a[1], a[2])};
    c = {b[6], add3(b[3], b[4], b[5]), add3(b[0], b[1], b[2])};
    d = {c[4:3], add3(c[0], c[1], c[2])};
    e = {d[3], add3(d[0], d[1], d[2])};
    return add3(e[0], e[1], e[2]);
  endfunction

  logic   [6:1]                     valid_q;
  logic   [NumLanes-1:0][2:0][Third:0] thirds_q;  // each with its carry
  logic   [30:0]                    multiplier_q;
  logic   [5:0]                     shift_q;
  logic   [NumLanes-1:0][SumW-1:0]  sum_q;
  logic   [4:1][5:0]                amount_q;   // shift - 1
  logic   [2:0]                     fine_q;     // of it, what is left
  row_t   [NumLanes-1:0][1:0]       low_q;      // sum and carries of the low digits
  logic   [NumLanes-1:0][16:0]      low_qq;     // the product's low bits, with their carry
  row_t   [NumLanes-1:0][1:0]       high_q;     // sum and carries above them
  logic   [NumLanes-1:0][63:0]      product_q;
  logic   [NumLanes-1:0][16:0]      coarse_q;
  logic   [NumLanes-1:0]            sign_q, over_q;  // bits that differ from the sign are lost

  function automatic logic [2:0][Third:0] add_thirds(input logic signed [AccW-1:0] x, input logic signed [AccW-1:0] y);
    /* verilator no_inline_task */
    logic [2:0][Third-1:0] a, b;
    a = SumW'(x);
    b = SumW'(y);
    for (int unsigned i = 0; i < 3; i++) add_thirds[i] = (Third + 1)'(a[i]) + (Third + 1)'(b[i]);
  endfunction

  function automatic logic [SumW-1:0] join_thirds(input logic [2:0][Third:0] thirds);
    /* verilator no_inline_task */
    logic [2*Third-1:0] carries;
    carries = '0;
    carries[0]     = thirds[0][Third];
    carries[Third] = thirds[1][Third];
    return {{thirds[2][Third-1:0], thirds[1][Third-1:0]} + carries, thirds[0][Third-1:0]};
  endfunction

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni)    valid_q <= '0;
    else if (run_i) valid_q <= {valid_q[5:1], valid_i};
  end

  // ---- sum and product ----

  if (Digits) begin : gen_digits
    digit_t [NumDigits-1:0]          digits, digits_q;
    digit_t [NumDigits-1:Half]       digits_qq;
    logic   [NumLanes-1:0][SumW-1:0] sum_qq;
    row_t                            correction;

    always_comb begin
      for (int unsigned i = 0; i < NumDigits; i++) digits[i] = digit(3'({1'b0, multiplier_q, 1'b0} >> (2 * i)));
      correction = SignConstant;
      for (int unsigned i = 0; i < NumDigits; i++) correction[2*i] = digits_q[i].neg;
    end

    always_ff @(posedge clk_i) begin
      if (run_i && valid_q[1]) digits_q <= digits;
      if (run_i && valid_q[2]) begin
        for (int unsigned i = 0; i < NumLanes; i++) begin
          low_q[i] <= add_rows(digits_q[Half-1:0], sum_q[i], 0, {row_t'(0), correction});
        end
        sum_qq    <= sum_q;
        digits_qq <= digits_q[NumDigits-1:Half];
      end
      if (run_i && valid_q[3]) begin
        for (int unsigned i = 0; i < NumLanes; i++) begin
          high_q[i] <= add_rows(
              digits_qq, sum_qq[i], 2 * Half, {{low_q[i][1][63:16], 16'd0}, {low_q[i][0][63:16], 16'd0}}
          );
        end
      end
    end
  end else begin : gen_multiply
    logic [30:0] multiplier_qq;

    always_ff @(posedge clk_i) begin
      if (run_i && valid_q[1]) multiplier_qq <= multiplier_q;
      if (run_i && valid_q[2]) begin
        for (int unsigned i = 0; i < NumLanes; i++) begin
          low_q[i] <= {row_t'(0), 64'($signed(sum_q[i]) * $signed({1'b0, multiplier_qq}))};
        end
      end
      if (run_i && valid_q[3]) high_q <= low_q;
    end
  end

  always_ff @(posedge clk_i) begin
    if (run_i && valid_i) begin
      for (int unsigned i = 0; i < NumLanes; i++) thirds_q[i] <= add_thirds(acc_i[i], par_i.bias);
      multiplier_q <= par_i.multiplier;
      shift_q      <= par_i.shift;
    end
    if (run_i && valid_q[1]) begin
      for (int unsigned i = 0; i < NumLanes; i++) sum_q[i] <= join_thirds(thirds_q[i]);
      amount_q[1] <= shift_q - 1'b1;
    end
    if (run_i && valid_q[2]) amount_q[2] <= amount_q[1];
    if (run_i && valid_q[3]) begin
      for (int unsigned i = 0; i < NumLanes; i++) low_qq[i] <= 17'(low_q[i][0][15:0]) + 17'(low_q[i][1][15:0]);
      amount_q[3] <= amount_q[2];
    end
    if (run_i && valid_q[4]) begin
      for (int unsigned i = 0; i < NumLanes; i++) begin
        product_q[i] <= {high_q[i][0][63:16] + high_q[i][1][63:16] + 48'(low_qq[i][16]), low_qq[i][15:0]};
      end
      amount_q[4] <= amount_q[3];
    end
  end

  // ---- shift, round, clamp: floor((p + 2^(s-1)) / 2^s) = floor(p / 2^s) + bit s-1 of p ----

  // Bits of p from s-1 on that a result needs, and whether those above them are the sign; by 32, 16 and 8.
  function automatic logic [17:0] shift_coarse(input logic [63:0] p, input logic [2:0] by);
    /* verilator no_inline_task */
    logic [40:0] a;
    logic [24:0] b;
    logic        over;
    a    = by[2] ? {{9{p[63]}}, p[63:32]} : p[40:0];
    over = !by[2] && p[63:41] != {23{p[63]}};
    b    = by[1] ? a[40:16] : a[24:0];
    over |= !by[1] && a[40:25] != {16{p[63]}};
    over |= !by[0] && b[24:17] != {8{p[63]}};
    return {over, by[0] ? b[24:8] : b[16:0]};
  endfunction

  // By 4, 2 and 1, to the result.
  function automatic logic [7:0] finish(
    input logic [16:0] value, input logic sign, input logic over_before, input logic [2:0] by,
    input logic signed [8:0] low, input logic signed [8:0] high
  );
    /* verilator no_inline_task */
    logic [12:0]       a;
    logic [10:0]       b;
    logic [9:0]        c;
    logic              over;
    logic signed [9:0] rounded;
    a    = by[2] ? value[16:4] : value[12:0];
    over = over_before || (!by[2] && value[16:13] != {4{sign}});
    b    = by[1] ? a[12:2] : a[10:0];
    over |= !by[1] && a[12:11] != {2{sign}};
    c    = by[0] ? b[10:1] : b[9:0];
    over |= (!by[0] && b[10] != sign) || c[9] != sign;
    rounded = 10'($signed(c[9:1])) + 10'(c[0]);
    if (over ? sign : rounded < 10'(low))   return low[7:0];
    if (over ? !sign : rounded > 10'(high)) return high[7:0];
    return rounded[7:0];
  endfunction

  always_ff @(posedge clk_i) begin
    if (run_i && valid_q[5]) begin
      for (int unsigned i = 0; i < NumLanes; i++) begin
        {over_q[i], coarse_q[i]} <= shift_coarse(product_q[i], amount_q[4][5:3]);
        sign_q[i]                <= product_q[i][63];
      end
      fine_q <= amount_q[4][2:0];
    end
    if (run_i && valid_q[6]) begin
      for (int unsigned i = 0; i < NumLanes; i++) begin
        data_o[i] <= finish(coarse_q[i], sign_q[i], over_q[i], fine_q, clamp_lo_i, clamp_hi_i);
      end
    end
  end

endmodule
