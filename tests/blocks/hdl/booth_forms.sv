// Both forms of the multiplier, for their test.
module booth_forms (
  input  logic signed [8:0]       act_i,
  input  logic signed [7:0]       weight_i,
  output logic signed [1:0][15:0] product_o
);

  for (genvar form = 0; form < 2; form++) begin : gen_form
    spcore_booth_mul #(
      .Digits(form)
    ) u_mul (
      .act_i, .weight_i, .product_o(product_o[form])
    );
  end

endmodule
