// Both forms of an accumulator quad, for their common test: data_o holds the banks' values and, above, the lane-wise form's
// (NumForms 1: the banks' alone).
module acc_quad_forms #(
  parameter int unsigned NumForms = 2,
  parameter int unsigned NumBanks = 16,
  parameter int unsigned NumRows  = 32,
  parameter int unsigned Width    = 32,
  parameter int unsigned ProductW = 16,
  localparam int unsigned BankW   = $clog2(NumBanks),
  localparam int unsigned RowW    = $clog2(NumRows)
) (
  input  logic                                  clk_i,
  input  logic                                  maximum_i,
  input  logic [RowW-1:0]                       row_i,
  input  logic                                  add_i,
  input  logic        [3:0]                     en_i,
  input  logic        [3:0][BankW-1:0]          bank_i,
  input  logic signed [3:0][ProductW-1:0]       product_i,
  input  logic                                  clear_i,
  output logic [NumForms-1:0][NumBanks-1:0][Width-1:0]   data_o
);

  for (genvar form = 0; form < NumForms; form++) begin : gen_form
    spcore_accumulators #(
      .NumQuads(1), .NumBanks(NumBanks), .NumRows(NumRows), .Width(Width), .ProductW(ProductW), .Lanewise(form)
    ) u_accumulators (
      .clk_i, .maximum_i, .row_i, .add_i, .en_i, .bank_i, .product_i, .clear_i, .data_o(data_o[form])
    );
  end

endmodule
