// SPDX-License-Identifier: Apache-2.0
// Product of an activation and a weight by the weight's Booth digits, radix 4. A weight stays for many activations, and so
// do its digits: gates of a digit that is zero stand still.
module spcore_booth_mul (
  input  logic signed [8:0]  act_i,      // -128..255
  input  logic signed [7:0]  weight_i,
  output logic signed [15:0] product_o
);

  // The activation times a digit, but for the 1 that negation adds. Its sign, of weight -2^(9+2i), is added inverted; the
  // constant makes up for that. A digit of 0 is not negated: the upper ones of small weights of either sign stand still.
  logic [8:0]      bits;
  logic [3:0]      one, two, neg;   // digit i is one or two, negated or not, times 4^i
  logic [3:0][9:0] row;

  assign bits = {weight_i, 1'b0};

  for (genvar i = 0; i < 4; i++) begin : gen_row
    assign one[i] = bits[2*i+1] ^ bits[2*i];
    assign two[i] = (bits[2*i+1] ~^ bits[2*i]) & (bits[2*i+2] ^ bits[2*i+1]);
    assign neg[i] = bits[2*i+2] & ~(bits[2*i+1] & bits[2*i]);
    assign row[i] = (({10{one[i]}} & {act_i[8], act_i}) | ({10{two[i]}} & {act_i, 1'b0})) ^ {10{neg[i]}};
  end

  assign product_o = {6'h00, ~row[0][9], row[0][8:0]}
                   + {4'h0, ~row[1][9], row[1][8:0], 1'b0, neg[0]}
                   + {2'h0, ~row[2][9], row[2][8:0], 1'b0, neg[1], 2'b00}
                   + {~row[3][9], row[3][8:0], 1'b0, neg[2], 4'h0}
                   + {9'h000, neg[3], 6'h00}
                   + 16'h5600;

endmodule
