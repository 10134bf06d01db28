// SPDX-License-Identifier: Apache-2.0
// The accumulators of four lanes, a quad: 16 banks, each a memory with one read and one write a cycle, and an adder for each
// bank, which takes the product of the lane that addresses it. At most one does in a cycle.
//
// For a maximum the larger of accumulator and product is kept instead of their sum, both below 2^MaxW: the adder subtracts the
// product, and what it carries out of those bits says that nothing is written.
//
// Read, then add and write: the row that is read in one cycle is written in the next. The upper half of a sum follows two
// cycles behind the lower one, and is read and written only where it changes. Two neighbouring banks, of even and odd number,
// share a memory for their lower halves and one for the upper ones: none of the accumulators of two neighbours in a row may
// be read in two cycles running, and no row be handed over within three cycles behind a product, which whoever sends them has
// to see to. A row that is handed over is read in all banks and then cleared.

module spcore_acc_quad #(
  parameter int unsigned NumBanks = 16,   // even
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

  localparam int unsigned UpperW = Width - ProductW;

  // Of the lower halves' memories, then of the upper ones'.
  logic [NumBanks-1:0]               read, write, step;   // step: the upper half goes up or down
  logic [NumBanks-1:0][ProductW-1:0] lower, sum;
  logic [NumBanks-1:0]               up_q, down_q, up_qq, down_qq;
  logic [NumBanks-1:0][UpperW-1:0]   upper, next;
  logic [RowW-1:0]                   row_qq, row_qqq;     // of products two and three cycles ago

  for (genvar b = 0; b < NumBanks; b++) begin : gen_bank
    localparam int unsigned Part = b / PartBanks;
    logic [NumLanes-1:0] sel, sel_q;
    logic [ProductW-1:0] product, old;
    logic [ProductW:0]   carries;   // into each bit

    // The channels of a lane's group ascend, so the first and last banks do not hear all lanes. A neighbour that is read
    // stands still behind its selection.
    always_comb begin
      for (int unsigned l = 0; l < NumLanes; l++) begin
        sel[l] = add_i & en_i[l] & (bank_i[l] == BankW'(b)) & (32'(b) - l <= NumBanks - NumLanes);
      end
      product = '0;
      for (int unsigned l = 0; l < NumLanes; l++) product |= operand_q[Part][l] & {ProductW{sel_q[l]}};
    end

    // With the clear after reset, so that it is known.
    always_ff @(posedge clk_i) if (clear_i | (|take[Part])) sel_q <= sel;

    assign read[b] = |sel;
    assign old     = lower[b] & {ProductW{|sel_q}};

    // The carries stand one by one: mapping shortens the chain as far as it has to.
    always_comb begin
      logic carry;
      carry = 1'b0;
      for (int unsigned i = 0; i < ProductW; i++) begin
        carries[i] = carry;
        carry      = (old[i] & product[i]) | (carry & (old[i] | product[i]));
      end
      carries[ProductW] = carry;
    end

    assign sum[b]   = (((old ^ carries[ProductW-1:0]) | max_bits_q) ^ product) & {ProductW{~clear_q}};
    assign write[b] = add_q[Part] & (|sel_q) & ~(maximum_q & carries[MaxW]);
    assign step[b]  = write[b] & (carries[ProductW] ^ product[ProductW-1]);

    // The upper half is incremented or decremented: each bit changes if all those below it do.
    logic [UpperW-1:0] changes, below;

    always_ff @(posedge clk_i) begin
      up_q[b]    <= step[b] & ~product[ProductW-1];
      down_q[b]  <= step[b] & product[ProductW-1];
      up_qq[b]   <= up_q[b];
      down_qq[b] <= down_q[b];
    end

    assign changes = upper[b] ^ {UpperW{down_qq[b]}};

    always_comb begin
      logic ripple, here;
      ripple = 1'b1;
      here   = 1'b1;
      for (int unsigned i = 0; i < UpperW; i++) begin
        below[i] = ripple & here;
        here     = here & changes[i];
        if (i % 4 == 3) begin
          ripple = ripple & here;
          here   = 1'b1;
        end
      end
    end

    assign next[b]   = (upper[b] ^ below) & {UpperW{~clear_q}};
    assign data_o[b] = {upper[b], lower[b]};
  end

  always_ff @(posedge clk_i) begin
    if (|add_q)          row_qq  <= row_q;
    if (|(up_q | down_q)) row_qqq <= row_qq;
  end

  for (genvar b = 0; b < NumBanks; b += 2) begin : gen_pair
    spcore_mem_1r1w #(
      .NumWords(NumRows), .DataWidth(2 * ProductW), .PartWidth(ProductW)
    ) u_lower (
      .clk_i,
      .we_i(write[b+:2] | {2{clear_q}}), .waddr_i(row_q), .wdata_i(sum[b+:2]),
      .re_i(clear_i | (|read[b+:2])), .raddr_i(row_i), .rdata_o(lower[b+:2])
    );

    spcore_mem_1r1w #(
      .NumWords(NumRows), .DataWidth(2 * UpperW), .PartWidth(UpperW)
    ) u_upper (
      .clk_i,
      .we_i(up_qq[b+:2] | down_qq[b+:2] | {2{clear_q}}), .waddr_i(clear_q ? row_q : row_qqq), .wdata_i(next[b+:2]),
      .re_i(clear_i | (|(up_q[b+:2] | down_q[b+:2]))), .raddr_i(clear_i ? row_i : row_qq), .rdata_o(upper[b+:2])
    );
  end

  if (NumBanks % 2 != 0) begin : gen_check_banks
    $error("%m: NumBanks = %0d, expected an even number", NumBanks);
  end

endmodule
