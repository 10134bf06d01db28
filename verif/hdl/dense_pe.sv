// SPDX-License-Identifier: Apache-2.0
// A PE of the plain dense machine: the sums of one position and of a channel in each lane lie in registers, an activation
// is multiplied with a weight of each lane in every step. Its adders are the core's.
module dense_pe #(
  parameter int unsigned NumLanes = 4
) (
  input  logic                      clk_i,
  input  logic                      rst_ni,
  input  logic                      valid_i,
  input  logic                      first_i,
  input  logic [7:0]                act_i,
  input  logic [NumLanes-1:0][7:0]  weight_i,
  output logic [NumLanes-1:0][31:0] sum_o
);

  logic                     valid_q, first_q;
  logic [10:0]              bits;       // of the activation, for its Booth digits
  logic [4:0]               one, one_q;
  logic [3:0]               two, two_q, neg_q;
  logic [NumLanes-1:0][7:0] weight_q;

  assign bits = {2'b00, act_i, 1'b0};

  for (genvar i = 0; i < 5; i++) begin : gen_digit
    assign one[i] = bits[2*i+1] ^ bits[2*i];
    if (i < 4) assign two[i] = (bits[2*i+1] ~^ bits[2*i]) & (bits[2*i+2] ^ bits[2*i+1]);
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) valid_q <= 1'b0;
    else         valid_q <= valid_i;
  end

  always_ff @(posedge clk_i) begin
    if (valid_i) begin
      first_q  <= first_i;
      one_q    <= one;
      two_q    <= two;
      neg_q    <= {bits[8], bits[6], bits[4], bits[2]};
      weight_q <= weight_i;
    end
  end

  for (genvar l = 0; l < NumLanes; l++) begin : gen_lane
    logic signed [15:0] product;
    logic [31:0]        sum_q, old;
    logic [16:0]        low;
    logic [15:0]        changes, below;   // of the upper half

    dense_mul u_mul (
      .one_i(one_q), .two_i(two_q), .neg_i(neg_q), .weight_i(weight_q[l]), .product_o(product)
    );

    // As in the core (spcore_acc_quad): the upper half is incremented, decremented or kept. All of the sum is written: with an
    // enable for the upper half more switches than is saved.
    assign old     = sum_q & {32{~first_q}};
    assign low     = {1'b0, old[15:0]} + {1'b0, product};
    assign changes = old[31:16] ^ {16{product[15]}};

    always_comb begin
      logic lower, here;
      lower = 1'b1;
      here  = 1'b1;
      for (int unsigned i = 0; i < 16; i++) begin
        below[i] = lower & here;
        here     = here & changes[i];
        if (i % 4 == 3) begin
          lower = lower & here;
          here  = 1'b1;
        end
      end
    end

    always_ff @(posedge clk_i) begin
      if (valid_q) sum_q <= {old[31:16] ^ (below & {16{low[16] ^ product[15]}}), low[15:0]};
    end

    assign sum_o[l] = sum_q;
  end

endmodule
