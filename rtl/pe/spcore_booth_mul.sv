// SPDX-License-Identifier: Apache-2.0
// Product of a weight and an activation in Booth digits (spcore_booth_recode), so that one recoding serves all lanes.
//
// A Verilator build with SPCORE_FAST_SIM gets Digits = 0, the multiplication of act_i: the same for every operand, by its test.

module spcore_booth_mul
  import spcore_pe_pkg::*;
#(
`ifdef SPCORE_FAST_SIM
  parameter bit Digits = 1'b0
`else
  parameter bit Digits = 1'b1
`endif
) (
  input  logic signed [8:0]  act_i,
  input  booth_t             digits_i,   // of act_i
  input  logic signed [7:0]  weight_i,
  output logic signed [15:0] product_o
);

  if (Digits) begin : gen_digits
    // The weight times a digit, but for the 1 that negation adds. Its sign, of weight -2^(8+2i), is added inverted; the
    // constant makes up for that.
    logic [3:0][8:0] row;

    for (genvar i = 0; i < 4; i++) begin : gen_row
      assign row[i] = (({9{digits_i.one[i]}} & {weight_i[7], weight_i}) | ({9{digits_i.two[i]}} & {weight_i, 1'b0}))
                      ^ {9{digits_i.neg[i]}};
    end

    assign product_o = {7'h00, ~row[0][8], row[0][7:0]}
                     + {5'h00, ~row[1][8], row[1][7:0], 1'b0, digits_i.neg[0]}
                     + {3'h0, ~row[2][8], row[2][7:0], 1'b0, digits_i.neg[1], 2'b00}
                     + {1'h0, ~row[3][8], row[3][7:0], 1'b0, digits_i.neg[2], 4'h0}
                     + {weight_i & {8{digits_i.one[4]}}, 1'b0, digits_i.neg[3], 6'h00}
                     + 16'hAB00;

    logic unused;
    assign unused = ^act_i;
  end else begin : gen_multiply
    assign product_o = 16'(act_i * weight_i);

    logic unused;
    assign unused = ^digits_i;
  end

endmodule
