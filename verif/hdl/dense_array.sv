// SPDX-License-Identifier: Apache-2.0
// PEs of the plain dense machine that the study compares with (models/systems/dense.py): a weight vector goes to all of
// them, the activation of a position to its own.
module dense_array #(
  parameter int unsigned NumPe    = 4,
  parameter int unsigned NumLanes = 4
) (
  input  logic                                 clk_i,
  input  logic                                 rst_ni,
  input  logic                                 valid_i,  // a step of the window
  input  logic                                 first_i,  // the first step: sums begin anew
  input  logic [NumPe-1:0][7:0]                act_i,    // uint8
  input  logic [NumLanes-1:0][7:0]             weight_i, // int8
  output logic [NumPe-1:0][NumLanes-1:0][31:0] sum_o     // two cycles behind the step
);

  for (genvar p = 0; p < NumPe; p++) begin : gen_pe
    dense_pe #(
      .NumLanes(NumLanes)
    ) u_pe (
      .clk_i, .rst_ni, .valid_i, .first_i, .act_i(act_i[p]), .weight_i, .sum_o(sum_o[p])
    );
  end

endmodule
