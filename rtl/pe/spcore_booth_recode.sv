// SPDX-License-Identifier: Apache-2.0
// An activation as Booth digits, radix 4, from -2 to 2: what spcore_booth_mul multiplies by.
module spcore_booth_recode
  import spcore_pe_pkg::*;
(
  input  logic signed [8:0] act_i,    // -128..255
  output booth_t            digits_o
);

  logic [10:0] bits;
  logic [4:0]  two, neg;

  assign bits = {act_i[8], act_i, 1'b0};

  for (genvar i = 0; i < 5; i++) begin : gen_digit
    assign digits_o.one[i] = bits[2*i+1] ^ bits[2*i];
    assign two[i]          = (bits[2*i+1] ~^ bits[2*i]) & (bits[2*i+2] ^ bits[2*i+1]);
    assign neg[i]          = bits[2*i+2];
  end

  // The last digit is 0 or 1: of a negative activation the bits above are all signs.
  assign digits_o.two = two[3:0];
  assign digits_o.neg = neg[3:0];

  logic unused;
  assign unused = two[4] ^ neg[4];

endmodule
