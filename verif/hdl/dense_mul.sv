// SPDX-License-Identifier: Apache-2.0
// A multiplier of the plain dense machine, by the activation's Booth digits, radix 4, from -2 to 2: where weights change in
// every cycle, these are recoded once for all lanes, and it switches less than the core's (spcore_booth_mul).
module dense_mul (
  input  logic        [4:0]  one_i,     // digit i is one or two, negated or not, times 4^i; the last one is 0 or 1
  input  logic        [3:0]  two_i,
  input  logic        [3:0]  neg_i,
  input  logic signed [7:0]  weight_i,
  output logic signed [15:0] product_o
);

  // The weight times a digit, but for the 1 that negation adds. Its sign, of weight -2^(8+2i), is added inverted; the
  // constant makes up for that.
  logic [3:0][8:0] row;

  for (genvar i = 0; i < 4; i++) begin : gen_row
    assign row[i] = (({9{one_i[i]}} & {weight_i[7], weight_i}) | ({9{two_i[i]}} & {weight_i, 1'b0})) ^ {9{neg_i[i]}};
  end

  assign product_o = {7'h00, ~row[0][8], row[0][7:0]}
                   + {5'h00, ~row[1][8], row[1][7:0], 1'b0, neg_i[0]}
                   + {3'h0, ~row[2][8], row[2][7:0], 1'b0, neg_i[1], 2'b00}
                   + {1'h0, ~row[3][8], row[3][7:0], 1'b0, neg_i[2], 4'h0}
                   + {weight_i & {8{one_i[4]}}, 1'b0, neg_i[3], 6'h00}
                   + 16'hAB00;

endmodule
