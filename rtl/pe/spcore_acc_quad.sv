// SPDX-License-Identifier: Apache-2.0
// The accumulators of four lanes, a quad: 16 banks, each a memory with one read and one write a cycle, and an adder for each
// bank, which takes the product of the lane that addresses it. At most one does in a cycle.
//
// For a maximum the larger of accumulator and product is kept instead of their sum, both below 2^MaxW: the adder subtracts the
// product, and what it carries out of those bits says that nothing is written.
//
// Read, then add and write: the row that is read in one cycle is written in the next. So no accumulator may be read
// in two cycles running, which whoever sends products has to see to. A row that is handed over is read in all banks and
// then cleared.

module spcore_acc_quad #(
  parameter int unsigned NumBanks = 16,
  parameter int unsigned NumRows  = 32,
  parameter int unsigned Width    = 32,
  parameter int unsigned ProductW = 16,
  parameter int unsigned MaxW     = 8,    // below ProductW
  localparam int unsigned NumLanes = 4,
  localparam int unsigned BankW    = $clog2(NumBanks),
  localparam int unsigned RowW     = $clog2(NumRows)
) (
  input  logic                                     clk_i,
  input  logic                                     maximum_i, // with the products

  input  logic [RowW-1:0]                          row_i,
  input  logic                                     add_i,     // these products
  input  logic        [NumLanes-1:0]               en_i,
  input  logic        [NumLanes-1:0][BankW-1:0]    bank_i,    // lane l: from l to l + NumBanks - 4; all enabled ones differ
  input  logic signed [NumLanes-1:0][ProductW-1:0] product_i,
  input  logic                                     clear_i,   // hand over the row and clear it; not with add_i

  output logic        [NumBanks-1:0][Width-1:0]    data_o     // of a row that is handed over, in the next cycle
);

  // ---- second stage ----

  logic                                     clear_q, maximum_q;
  logic [RowW-1:0]                          row_q;
  logic signed [NumLanes-1:0][ProductW-1:0] product_q;

  always_ff @(posedge clk_i) begin
    clear_q   <= clear_i;
    maximum_q <= maximum_i;
    row_q     <= row_i;
    product_q <= product_i;
  end

  logic        [ProductW-1:0]               max_bits;
  logic        [NumLanes-1:0][ProductW-1:0] operand;   // for a maximum the product inverted

  assign max_bits = ProductW'({MaxW{maximum_q}});

  always_comb begin
    for (int unsigned l = 0; l < NumLanes; l++) operand[l] = product_q[l] ^ max_bits;
  end

  for (genvar b = 0; b < NumBanks; b++) begin : gen_bank
    logic [NumLanes-1:0] sel, sel_q;
    logic [ProductW-1:0] product;
    logic [Width-1:0]    old, sum;
    logic [ProductW:0]   carries;   // into each bit

    // The channels of a lane's group ascend, so the first and last banks do not hear all lanes.
    always_comb begin
      for (int unsigned l = 0; l < NumLanes; l++) begin
        sel[l] = add_i & en_i[l] & (bank_i[l] == BankW'(b)) & (32'(b) - l <= NumBanks - NumLanes);
      end
      product = '0;
      for (int unsigned l = 0; l < NumLanes; l++) product |= operand[l] & {ProductW{sel_q[l]}};
    end

    always_ff @(posedge clk_i) sel_q <= sel;

    spcore_mem_1r1w #(
      .NumWords(NumRows), .DataWidth(Width)
    ) u_bank (
      .clk_i,
      .we_i(clear_q | ((|sel_q) & ~(maximum_q & carries[MaxW]))), .waddr_i(row_q), .wdata_i(sum),
      .re_i(clear_i | (|sel)), .raddr_i(row_i), .rdata_o(old)
    );

    // The lower part is added; the upper one is incremented, decremented or kept: each bit changes if all those
    // below it do. The carries stand one by one: mapping shortens the chain as far as it has to.
    logic [Width-ProductW-1:0] upper, changes, below;
    logic                      step;

    assign upper   = old[Width-1:ProductW];
    assign changes = upper ^ {$bits(upper){product[ProductW-1]}};

    always_comb begin
      logic lower, here, carry;
      carry = 1'b0;
      for (int unsigned i = 0; i < ProductW; i++) begin
        carries[i] = carry;
        carry      = (old[i] & product[i]) | (carry & (old[i] | product[i]));
      end
      carries[ProductW] = carry;
      step  = carry ^ product[ProductW-1];
      lower = 1'b1;
      here  = 1'b1;
      for (int unsigned i = 0; i < Width - ProductW; i++) begin
        below[i] = lower & here;
        here     = here & changes[i];
        if (i % 4 == 3) begin
          lower = lower & here;
          here  = 1'b1;
        end
      end
    end

    assign sum = {upper ^ (below & {$bits(upper){step}}), ((old[ProductW-1:0] ^ carries[ProductW-1:0]) | max_bits) ^ product}
                 & {Width{~clear_q}};

    assign data_o[b] = old;
  end

endmodule
