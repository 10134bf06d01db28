// SPDX-License-Identifier: Apache-2.0
// Some lanes of spcore_requantize, with the registers that would otherwise drive all lanes.
//
//   sum = acc + bias, in thirds > its carries > low half of the product > high half > carries added
//   > shift by 32, 16, 8 > shift by 4, 2, 1, round, saturate > add the residual, clamp
//
// The residual comes at the fourth stage:
//
//   digits > product > carries added, shift by 32, 16, 8 > shift by 4, 2, 1, round, saturate
//
// The accumulator's product is a radix-4 Booth multiplication: sixteen digits -2..2 of the multiplier, eight in a stage, added up in
// carry-save form. A row of digit i is a 34-bit two's complement number at bit 2i; its sign is added inverted, and the
// constant that makes up for it goes with the ones that complete the negations. The residual's product has three digits
// -4..4 of the residual; three times its multiplier comes from outside, for it is the same for all.
//
// A Verilator build with SPCORE_FAST_SIM gets Digits = 0, which multiplies at once: the same by the test of requantize,
// which has one form on each simulator. That products are equal is beyond the solvers of `make formal`: for factors of
// four bits at any place they gave no answer within five minutes.

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
  input  layer_t                        layer_i,
  input  logic                          run_i,     // everything moves on
  input  logic                          valid_i,
  input  logic [NumLanes-1:0][AccW-1:0] acc_i,
  input  param_t                        par_i,
  input  logic [32:0]                   triple_i,  // three times the residual's multiplier
  input  logic [NumLanes-1:0][7:0]      residual_i,   // three cycles of run_i after valid_i
  output logic [NumLanes-1:0][7:0]      data_o     // eight cycles
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

  // What is left of a value when it is shifted by 32, 16 and 8, for a shift by up to 7 more to 25 bits.
  typedef struct packed {
    logic        sign;
    logic        over;    // bits that differ from the sign are lost
    logic [31:0] bits;
  } coarse_t;

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

  logic   [7:1]                     valid_q;
  logic   [NumLanes-1:0][2:0][Third:0] thirds_q;  // each with its carry
  logic   [30:0]                    multiplier_q;
  logic   [5:0]                     shift_q;
  logic   [NumLanes-1:0][SumW-1:0]  sum_q;
  logic   [4:1][5:0]                amount_q;   // shift - 1; to 1/256 of a step beside a residual
  logic   [2:0]                     fine_q;     // of it, what is left
  row_t   [NumLanes-1:0][1:0]       low_q;      // sum and carries of the low digits
  logic   [NumLanes-1:0][16:0]      low_qq;     // the product's low bits, with their carry
  row_t   [NumLanes-1:0][1:0]       high_q;     // sum and carries above them
  logic   [NumLanes-1:0][63:0]      product_q;
  coarse_t [NumLanes-1:0]           coarse_q;
  logic   [NumLanes-1:0][23:0]      own_q;

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
    else if (run_i) valid_q <= {valid_q[6:1], valid_i};
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
      amount_q[1] <= shift_q - (layer_i.residual ? 6'd9 : 6'd1);
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

  // ---- the residual's product ----

  localparam int unsigned ResW = 40;   // of 9 by 32 bits

  typedef logic [ResW-1:0] res_t;

  res_t [NumLanes-1:0][1:0] res_q;        // sum and carries
  coarse_t [NumLanes-1:0]   res_coarse_q;
  logic [NumLanes-1:0][24:0] res_own_q;   // and half a step
  logic [5:0]               res_amount_q;   // constant while a layer runs

  always_ff @(posedge clk_i) res_amount_q <= layer_i.res_shift - 6'd9;

  if (Digits) begin : gen_res_digits
    localparam res_t ResSigns = -((res_t'(1) << 33) + (res_t'(1) << 36) + (res_t'(1) << 39));

    // How many of the multiplier a digit stands for, one bit each, none of them for 0.
    typedef struct packed {
      logic neg;
      logic four;
      logic three;
      logic two;
      logic one;
    } res_digit_t;

    function automatic res_digit_t res_digit(input logic [3:0] bits);
      logic [2:0] size;
      size = bits[3] ? ~bits[2:0] : bits[2:0];
      return '{
          neg: bits[3], four: size == 3'd7, three: size == 3'd6 || size == 3'd5, two: size == 3'd4 || size == 3'd3,
          one: size == 3'd2 || size == 3'd1
      };
    endfunction

    // The row of a digit, at bit 0, with its sign inverted and still to be completed by one if it is negative.
    function automatic logic [33:0] res_row(input res_digit_t by, input logic [30:0] single, input logic [32:0] triple);
      logic [32:0] value;
      value = ({33{by.one}} & 33'(single)) | ({33{by.two}} & {1'b0, single, 1'b0}) | ({33{by.three}} & triple) |
              ({33{by.four}} & {single, 2'b00});
      return {~by.neg, value ^ {33{by.neg}}};
    endfunction

    function automatic res_t [1:0] res_product(
      input res_digit_t [2:0] by, input logic [30:0] single, input logic [32:0] triple
    );
      /* verilator no_inline_task */
      res_t [2:0] rows;
      res_t       ones, sum, carries;
      rows[0] = res_t'(res_row(by[0], single, triple));
      rows[1] = res_t'({res_row(by[1], single, triple), 2'b00, by[0].neg});
      rows[2] = {res_row(by[2], single, triple), 2'b00, by[1].neg, 3'b000};
      ones    = ResSigns;
      ones[6] = by[2].neg;
      sum     = rows[0] ^ rows[1] ^ rows[2];
      carries = ((rows[0] & rows[1]) | (rows[2] & (rows[0] ^ rows[1]))) << 1;
      return {((sum & carries) | (ones & (sum ^ carries))) << 1, sum ^ carries ^ ones};
    endfunction

    res_digit_t [NumLanes-1:0][2:0] res_digits_q;

    always_ff @(posedge clk_i) begin
      if (run_i && valid_q[3] && layer_i.residual) begin
        for (int unsigned i = 0; i < NumLanes; i++) begin
          res_digits_q[i] <= {
              res_digit({layer_i.res_signed & residual_i[i][7], residual_i[i][7:5]}), res_digit(residual_i[i][5:2]),
              res_digit({residual_i[i][2:0], 1'b0})
          };
        end
      end
      if (run_i && valid_q[4] && layer_i.residual) begin
        for (int unsigned i = 0; i < NumLanes; i++) begin
          res_q[i] <= res_product(res_digits_q[i], layer_i.res_multiplier, triple_i);
        end
      end
    end
  end else begin : gen_res_multiply
    // verilator lint_off UNUSEDSIGNAL
    logic [32:0] unused_triple;
    // verilator lint_on UNUSEDSIGNAL
    logic [NumLanes-1:0][8:0] residual_q;
    assign unused_triple = triple_i;

    always_ff @(posedge clk_i) begin
      if (run_i && valid_q[3] && layer_i.residual) begin
        for (int unsigned i = 0; i < NumLanes; i++) begin
          residual_q[i] <= {layer_i.res_signed & residual_i[i][7], residual_i[i]};
        end
      end
      if (run_i && valid_q[4] && layer_i.residual) begin
        for (int unsigned i = 0; i < NumLanes; i++) begin
          res_q[i] <= {res_t'(0), ResW'($signed(residual_q[i]) * $signed({1'b0, layer_i.res_multiplier}))};
        end
      end
    end
  end

  // ---- shift, round, saturate to 24 bits: floor((p + 2^(n-1)) / 2^n) = floor(floor(p / 2^(n-1)) / 2 + 1/2) ----

  function automatic coarse_t shift_coarse(input logic [63:0] p, input logic [2:0] by);
    /* verilator no_inline_task */
    logic [55:0] a;
    logic [39:0] b;
    logic        over;
    a    = by[2] ? {{24{p[63]}}, p[63:32]} : p[55:0];
    over = !by[2] && p[63:56] != {8{p[63]}};
    b    = by[1] ? a[55:16] : a[39:0];
    over |= !by[1] && a[55:40] != {16{p[63]}};
    over |= !by[0] && b[39:32] != {8{p[63]}};
    return '{sign: p[63], over: over, bits: by[0] ? b[39:8] : b[31:0]};
  endfunction

  // By 4, 2 and 1; then half of it, and `more` on top of the saturated result.
  function automatic logic [24:0] shift_fine(input coarse_t value, input logic [2:0] by, input logic [7:0] more);
    /* verilator no_inline_task */
    logic [27:0] a;
    logic [25:0] b;
    logic [24:0] c;
    logic        over;
    a    = by[2] ? value.bits[31:4] : value.bits[27:0];
    over = value.over || (!by[2] && value.bits[31:28] != {4{value.sign}});
    b    = by[1] ? a[27:2] : a[25:0];
    over |= !by[1] && a[27:26] != {2{value.sign}};
    c    = by[0] ? b[25:1] : b[24:0];
    over |= (!by[0] && b[25] != value.sign) || c[24] != value.sign;
    // All ones below the sign are rounded up to what 24 bits do not hold.
    if (over || c == 25'h0ffffff) return 25'($signed({value.sign, {23{~value.sign}}})) + 25'(more);
    return 25'($signed(c[24:1])) + 25'(more) + 25'(c[0]);
  endfunction

  function automatic logic [7:0] finish(
    input logic signed [23:0] own, input logic signed [24:0] other, input logic residual,
    input logic signed [8:0] low, input logic signed [8:0] high
  );
    /* verilator no_inline_task */
    logic signed [25:0] sum;
    logic signed [23:0] value;
    sum   = 26'(own) + 26'(other);
    value = residual ? 24'(sum >>> 8) : own;
    if (value < 24'(low))  return low[7:0];
    if (value > 24'(high)) return high[7:0];
    return value[7:0];
  endfunction

  always_ff @(posedge clk_i) begin
    if (run_i && valid_q[5]) begin
      for (int unsigned i = 0; i < NumLanes; i++) coarse_q[i] <= shift_coarse(product_q[i], amount_q[4][5:3]);
      fine_q <= amount_q[4][2:0];
    end
    if (run_i && valid_q[6]) begin
      for (int unsigned i = 0; i < NumLanes; i++) own_q[i] <= 24'(shift_fine(coarse_q[i], fine_q, '0));
    end
    if (run_i && valid_q[7]) begin
      for (int unsigned i = 0; i < NumLanes; i++) begin
        data_o[i] <= finish(own_q[i], res_own_q[i], layer_i.residual, layer_i.clamp_lo, layer_i.clamp_hi);
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (run_i && valid_q[5] && layer_i.residual) begin
      for (int unsigned i = 0; i < NumLanes; i++) begin
        res_coarse_q[i] <= shift_coarse(64'($signed(res_q[i][0] + res_q[i][1])), res_amount_q[5:3]);
      end
    end
    if (run_i && valid_q[6] && layer_i.residual) begin
      for (int unsigned i = 0; i < NumLanes; i++) res_own_q[i] <= shift_fine(res_coarse_q[i], res_amount_q[2:0], 8'd128);
    end
  end

endmodule
