// SPDX-License-Identifier: Apache-2.0
// spcore_accumulators: the form for simulation hands over the same values as the banks do.
module acc_quad_proof #(
  parameter int unsigned NumBanks = 6,
  parameter int unsigned NumRows  = 2,
  parameter int unsigned Width    = 4,
  parameter int unsigned ProductW = 2,
  parameter int unsigned MaxW     = 1,
  localparam int unsigned BankW   = $clog2(NumBanks),
  localparam int unsigned RowW    = $clog2(NumRows)
) (
  input logic                            clk_i,
  input logic                            maximum_i,
  input logic [RowW-1:0]                 row_i,
  input logic                            add_i,
  input logic        [3:0]               en_i,
  input logic        [3:0][BankW-1:0]    bank_i,
  input logic signed [3:0][ProductW-1:0] product_i,
  input logic                            clear_i
);

  // All rows are cleared first.
  logic [RowW:0] started_q = '0;
  logic          ready;
  assign ready = started_q == (RowW + 1)'(NumRows);

  logic [RowW-1:0] row;
  logic            add, clear;
  assign row   = ready ? row_i : started_q[RowW-1:0];
  assign add   = ready & add_i;
  assign clear = !ready | clear_i;

  logic signed [3:0][ProductW-1:0] product;
  for (genvar l = 0; l < 4; l++) begin : gen_lane
    assign product[l] = en_i[l] ? product_i[l] : '0;
  end

  logic [1:0][NumBanks-1:0][Width-1:0] data;

  for (genvar form = 0; form < 2; form++) begin : gen_form
    spcore_accumulators #(
      .NumQuads(1), .NumBanks(NumBanks), .NumRows(NumRows), .Width(Width), .ProductW(ProductW), .MaxW(MaxW), .Lanewise(form)
    ) u_accumulators (
      .clk_i, .maximum_i, .row_i(row), .add_i(add), .en_i, .bank_i, .product_i(product), .clear_i(clear), .data_o(data[form])
    );
  end

  // What the sender of products sees to.
  logic [NumBanks-1:0] read, read_q = '0;
  logic [RowW-1:0]     row_q;
  logic                fits, clear_q = 1'b0;

  always_comb begin
    read = '0;
    fits = !(add && clear);
    for (int l = 0; l < 4; l++) begin
      if (add && en_i[l]) begin
        if (int'(bank_i[l]) < l || int'(bank_i[l]) > l + int'(NumBanks) - 4 || read[bank_i[l]]) fits = 1'b0;
        read[bank_i[l]] = 1'b1;
      end
    end
    if (clear) read = '1;
    if (row == row_q && (read & read_q) != '0) fits = 1'b0;
  end

  always_ff @(posedge clk_i) begin
    if (!ready) started_q <= started_q + 1'b1;
    clear_q <= clear & ready;
    read_q  <= read;
    row_q   <= row;
    sent : assume (fits);
    if (clear_q) same : assert (data[0] == data[1]);
    full : cover (clear_q && data[0][0] == '1 && data[0][NumBanks-1] == '1);
  end

endmodule
