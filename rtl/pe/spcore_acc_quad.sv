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

  // The banks of four channels are a part, with products of its own, which stand still while other parts are added to, and
  // with them all gates from here to the banks' write data. Positions that follow each other are mostly in different parts.
  localparam int unsigned NumParts  = 4;
  localparam int unsigned PartBanks = (NumBanks + NumParts - 1) / NumParts;

  logic                                            clear_q, maximum_q;
  logic [RowW-1:0]                                 row_q;
  logic [ProductW-1:0]                             max_bits, max_bits_q;
  logic [NumParts-1:0]                             add_q;      // to this part
  logic [NumParts-1:0][NumLanes-1:0]               take;
  logic [NumParts-1:0][NumLanes-1:0][ProductW-1:0] operand_q;  // the product; for a maximum inverted

  assign max_bits   = ProductW'({MaxW{maximum_i}});
  assign max_bits_q = ProductW'({MaxW{maximum_q}});

  always_comb begin
    for (int unsigned p = 0; p < NumParts; p++) begin
      for (int unsigned l = 0; l < NumLanes; l++) begin
        take[p][l] = add_i & en_i[l] & (32'(bank_i[l]) / PartBanks == p);
      end
    end
  end

  always_ff @(posedge clk_i) begin
    clear_q   <= clear_i;
    maximum_q <= maximum_i;
    row_q     <= row_i;
    for (int unsigned p = 0; p < NumParts; p++) begin
      add_q[p] <= |take[p];
      for (int unsigned l = 0; l < NumLanes; l++) begin
        if (take[p][l]) operand_q[p][l] <= product_i[l] ^ max_bits;
      end
    end
  end

  for (genvar b = 0; b < NumBanks; b++) begin : gen_bank
    localparam int unsigned Part = b / PartBanks;
    logic [NumLanes-1:0] sel, sel_q;
    logic [ProductW-1:0] product;
    logic [Width-1:0]    old, sum;
    logic [ProductW:0]   carries;   // into each bit
    logic                write;
    logic                step;      // the upper part changes

    // The channels of a lane's group ascend, so the first and last banks do not hear all lanes.
    always_comb begin
      for (int unsigned l = 0; l < NumLanes; l++) begin
        sel[l] = add_i & en_i[l] & (bank_i[l] == BankW'(b)) & (32'(b) - l <= NumBanks - NumLanes);
      end
      product = '0;
      for (int unsigned l = 0; l < NumLanes; l++) product |= operand_q[Part][l] & {ProductW{sel_q[l]}};
    end

    // With the clear after reset, so that it is known.
    always_ff @(posedge clk_i) if (clear_i | (|take[Part])) sel_q <= sel;

    spcore_mem_1r1w #(
      .NumWords(NumRows), .DataWidth(Width), .PartWidth(ProductW)
    ) u_bank (
      .clk_i,
      .we_i({write & (clear_q | step), write}), .waddr_i(row_q), .wdata_i(sum),
      .re_i(clear_i | (|sel)), .raddr_i(row_i), .rdata_o(old)
    );

    // The lower part is added; the upper one is incremented, decremented or kept: each bit changes if all those
    // below it do. The carries stand one by one: mapping shortens the chain as far as it has to.
    logic [Width-ProductW-1:0] upper, changes, below;

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

    // The upper part is written only where it changes.
    assign sum = {upper ^ below, ((old[ProductW-1:0] ^ carries[ProductW-1:0]) | max_bits_q) ^ product} & {Width{~clear_q}};

    assign write     = clear_q | (add_q[Part] & (|sel_q) & ~(maximum_q & carries[MaxW]));
    assign data_o[b] = old;
  end

endmodule
