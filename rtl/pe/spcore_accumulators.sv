// SPDX-License-Identifier: Apache-2.0
// The accumulators of a PE: a quad of banks for each four lanes (spcore_acc_quad).
//
// Lanewise is the same for simulation: each quad is one array, of which lanes pick their accumulators, and a row that is
// handed over lies in one register for all quads; a lane that is not enabled adds its product of 0. This simulates several
// times faster than banks that pick their lane. It is what a Verilator build with SPCORE_FAST_SIM gets.

module spcore_accumulators #(
  parameter int unsigned NumQuads = 4,
  parameter int unsigned NumBanks = 16,   // of a quad
  parameter int unsigned NumRows  = 32,
  parameter int unsigned Width    = 32,
  parameter int unsigned ProductW = 16,
  parameter int unsigned MaxW     = 8,    // bits of what a maximum is taken of
`ifdef SPCORE_FAST_SIM
  parameter bit          Lanewise = 1'b1,
`else
  parameter bit          Lanewise = 1'b0,
`endif
  localparam int unsigned NumLanes = 4,   // of a quad
  localparam int unsigned BankW    = $clog2(NumBanks),
  localparam int unsigned RowW     = $clog2(NumRows)
) (
  input  logic                                                   clk_i,
  input  logic                                                   maximum_i, // keep the larger of accumulator and product

  input  logic [RowW-1:0]                                        row_i,
  input  logic                                                   add_i,     // these products
  input  logic        [NumQuads-1:0][NumLanes-1:0]               en_i,
  input  logic        [NumQuads-1:0][NumLanes-1:0][BankW-1:0]    bank_i,
  input  logic signed [NumQuads-1:0][NumLanes-1:0][ProductW-1:0] product_i, // 0 of a lane that is not enabled
  input  logic                                                   clear_i,   // hand over the row and clear it; not with add_i

  output logic        [NumQuads-1:0][NumBanks-1:0][Width-1:0]    data_o     // of that row, in the next cycle
);

  if (Lanewise) begin : gen_lanes
    // verilator lint_off UNUSEDSIGNAL
    logic [NumQuads-1:0][NumLanes-1:0]               unused_en;
    // verilator lint_on UNUSEDSIGNAL
    assign unused_en = en_i;

    logic                                            add_q, clear_q, maximum_q;
    logic [RowW-1:0]                                 row_q;
    logic [NumQuads-1:0][NumLanes-1:0][BankW-1:0]    bank_q;
    logic [NumQuads-1:0][NumLanes-1:0][ProductW-1:0] product_q;
    logic [Width-1:0]                                mem_q [NumRows * NumQuads * NumBanks];   // a row's lie side by side

    // The memory is read and written at once, behind all other reads: nobody reads a row in between, and a simulator need
    // not keep the writes for the end of the cycle.
    // verilog_lint: waive-start always-ff-non-blocking
    // verilator lint_off BLKSEQ
    always_ff @(posedge clk_i) begin
      add_q     <= add_i;
      clear_q   <= clear_i;
      row_q     <= row_i;
      if (add_i) begin
        maximum_q <= maximum_i;
        bank_q    <= bank_i;
        product_q <= product_i;
      end
      if (clear_i) begin
        for (int unsigned q = 0; q < NumQuads; q++) begin
          for (int unsigned b = 0; b < NumBanks; b++) data_o[q][b] <= mem_q[(32'(row_i) * NumQuads + q) * NumBanks + b];
        end
      end
      if (clear_q) begin
        for (int unsigned n = 0; n < NumQuads * NumBanks; n++) mem_q[32'(row_q) * NumQuads * NumBanks + n] = '0;
      end else if (add_q && !maximum_q) begin
        for (int unsigned q = 0; q < NumQuads; q++) begin
          for (int unsigned l = 0; l < NumLanes; l++) begin
            mem_q[(32'(row_q) * NumQuads + q) * NumBanks + 32'(bank_q[q][l])]
              = mem_q[(32'(row_q) * NumQuads + q) * NumBanks + 32'(bank_q[q][l])] + Width'($signed(product_q[q][l]));
          end
        end
      end else if (add_q) begin
        for (int unsigned q = 0; q < NumQuads; q++) begin
          for (int unsigned l = 0; l < NumLanes; l++) begin
            if (mem_q[(32'(row_q) * NumQuads + q) * NumBanks + 32'(bank_q[q][l])][MaxW-1:0] <= product_q[q][l][MaxW-1:0]) begin
              mem_q[(32'(row_q) * NumQuads + q) * NumBanks + 32'(bank_q[q][l])]
                = (mem_q[(32'(row_q) * NumQuads + q) * NumBanks + 32'(bank_q[q][l])] & ~Width'({MaxW{1'b1}}))
                  + Width'($signed(product_q[q][l]));
            end
          end
        end
      end
    end
    // verilator lint_on BLKSEQ
    // verilog_lint: waive-stop always-ff-non-blocking
  end else begin : gen_quads
    for (genvar q = 0; q < NumQuads; q++) begin : gen_quad
      spcore_acc_quad #(
        .NumBanks(NumBanks), .NumRows(NumRows), .Width(Width), .ProductW(ProductW), .MaxW(MaxW)
      ) u_quad (
        .clk_i, .maximum_i,
        .row_i, .add_i, .en_i(en_i[q]), .bank_i(bank_i[q]), .product_i(product_i[q]), .clear_i,
        .data_o(data_o[q])
      );
    end
  end

endmodule
